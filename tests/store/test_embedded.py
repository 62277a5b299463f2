"""The embedded server: started once, shared, stopped by its owner, in any place."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quaestor.store.embedded import (
    ClusterMissing,
    DataDirectoryRefused,
    EmbeddedServer,
    ServerDidNotStart,
    ServerOwned,
    SettingRefused,
    UnsafeSocketDirectory,
    stop_left_behind,
    wheel_binaries,
)
from quaestor.store.embedded.cluster import server_environment
from quaestor.store.embedded.postmaster import PidFile, running_postmaster
from tests.support.database import asked
from tests.support.owner_process import OwnerProcess


def server_pid(server: EmbeddedServer) -> int:
    claim = PidFile.read(server.cluster)
    assert claim is not None
    return claim.pid


def started(data_dir: Path, elsewhere: Path, **settings: str) -> EmbeddedServer:
    return EmbeddedServer.start(data_dir, settings=settings, elsewhere=elsewhere)


@pytest.mark.parametrize("name", ["data", pytest.param("1 " + "x" * 120, marks=pytest.mark.slow)])
def test_the_first_start_makes_the_database(place: Path, name: str) -> None:
    with started(place / name, place) as server:
        database = asked(server.dsn, "select current_database()::text")

    assert database == "quaestor"


@pytest.mark.slow
def test_the_second_start_finds_what_was_written(prepared: Path) -> None:
    with started(prepared / "data", prepared) as server:
        asked(server.dsn, "create table kept (id int)")

    with started(prepared / "data", prepared) as server:
        kept = asked(server.dsn, "select to_regclass('kept')::text")

    assert kept == "kept"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
        ("data_checksums", "on"),
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("wal_level", "replica"),
        ("wal_compression", "pglz"),
        ("unix_socket_permissions", "0700"),
        ("log_min_error_statement", "panic"),
        ("TimeZone", "UTC"),
    ],
)
def test_the_server_runs_with_safe_settings(
    a_server: EmbeddedServer, setting: str, value: str
) -> None:
    assert asked(a_server.dsn, f"show {setting}") == value


def test_texts_sort_by_code_point_on_every_machine(a_server: EmbeddedServer) -> None:
    ordered = asked(
        a_server.dsn, "select string_agg(t, '' order by t) from unnest(array['b','a','B','ä']) t"
    )

    assert ordered == "Babä"


@pytest.fixture(scope="module")
def a_server(session_place: Path) -> Iterator[EmbeddedServer]:
    with started(session_place / "module", session_place) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "with space",
        "it's",
        'double"quote',
        "comma, here",
        "back\\slash",
        "100%",
        "größe",
        "x" * 120,
    ],
)
def test_any_path_works(prepared: Path, name: str) -> None:
    data_dir = (prepared / "data").rename(prepared / name)

    with started(data_dir, prepared) as server:
        answer = asked(server.dsn, "select 1")
        attached = started(data_dir, prepared)

    assert answer == 1
    assert attached.attached
    assert attached.dsn == server.dsn


@pytest.mark.slow
@pytest.mark.parametrize("name", ["short", "x" * 120])
def test_nobody_else_can_enter_the_socket_directory(prepared: Path, name: str) -> None:
    data_dir = (prepared / "data").rename(prepared / name)

    with started(data_dir, prepared) as server:
        directory = server.socket_directory.stat()
        cluster = server.cluster.stat()

    assert stat.S_IMODE(directory.st_mode) == 0o700
    assert stat.S_IMODE(cluster.st_mode) == 0o700
    assert directory.st_uid == cluster.st_uid


@pytest.mark.slow
def test_a_socket_directory_that_others_can_enter_is_refused(prepared: Path) -> None:
    data_dir = (prepared / "data").rename(prepared / ("x" * 120))
    with started(data_dir, prepared) as server:
        server.socket_directory.chmod(0o777)

        with pytest.raises(UnsafeSocketDirectory):
            started(data_dir, prepared)


@pytest.mark.slow
def test_the_temporary_socket_directory_goes_with_the_server(prepared: Path) -> None:
    data_dir = (prepared / "data").rename(prepared / ("x" * 120))

    with started(data_dir, prepared) as server:
        directory = server.socket_directory

    assert prepared not in directory.parents
    assert not directory.exists()


def test_programs_of_postgresql_can_use_the_server(a_server: EmbeddedServer, place: Path) -> None:
    command = [wheel_binaries() / "pg_basebackup", "-D", place / "backup", "-d", a_server.dsn]

    subprocess.run(command, check=True, env=server_environment(), timeout=60)

    assert (place / "backup" / "PG_VERSION").read_text() == "18\n"


@pytest.mark.slow
def test_chosen_settings_count_at_each_start(prepared: Path) -> None:
    with started(prepared / "data", prepared, work_mem="9MB") as server:
        first = asked(server.dsn, "show work_mem")
    with started(prepared / "data", prepared, work_mem="7MB") as server:
        second = asked(server.dsn, "show work_mem")

    assert (first, second) == ("9MB", "7MB")


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"listen_addresses": "*"},
        {"unix_socket_permissions": "0777"},
        {"hba_file": "mine.conf"},
        {"work_mem = '1MB'\nlisten_addresses": "*"},
        {"work_mem": "1MB'\nlisten_addresses = '*"},
    ],
)
def test_a_setting_that_would_open_the_server_is_refused(
    prepared: Path, settings: dict[str, str]
) -> None:
    with pytest.raises(SettingRefused):
        EmbeddedServer.start(prepared / "data", settings=settings, elsewhere=prepared)


@pytest.mark.slow
def test_a_failed_start_tells_what_the_server_said(prepared: Path) -> None:
    with pytest.raises(ServerDidNotStart, match="work_mem"):
        started(prepared / "data", prepared, work_mem="plenty")


@pytest.mark.slow
def test_a_failed_start_leaves_the_next_one_free(prepared: Path) -> None:
    with pytest.raises(ServerDidNotStart):
        started(prepared / "data", prepared, work_mem="plenty")

    with started(prepared / "data", prepared) as server:
        assert not server.attached


@pytest.mark.slow
def test_an_interrupted_initialisation_is_begun_again(place: Path) -> None:
    home = place / "data" / "postgres"
    home.mkdir(parents=True, mode=0o711)
    home.parent.chmod(0o711)
    (home / "unfinished-1").mkdir()

    with started(place / "data", place):
        assert not list(home.glob("unfinished-*"))


def test_data_that_is_gone_is_not_made_anew(place: Path) -> None:
    (place / "postgres.location").write_text(f"{place / 'gone'}\n")

    with pytest.raises(ClusterMissing):
        started(place, place)


def test_a_data_directory_that_is_a_file_is_refused(place: Path) -> None:
    (place / "data").write_text("")

    with pytest.raises(DataDirectoryRefused):
        started(place / "data", place)


@pytest.mark.slow
def test_a_cluster_of_another_release_is_refused(prepared: Path) -> None:
    started(prepared / "data", prepared).stop()
    (prepared / "data" / "postgres" / "cluster" / "PG_VERSION").write_text("17\n")

    with pytest.raises(DataDirectoryRefused, match="PostgreSQL 17"):
        started(prepared / "data", prepared)


def test_a_second_process_attaches(prepared: Path) -> None:
    with OwnerProcess.launch(prepared / "data", prepared).ready() as owner:
        with started(prepared / "data", prepared) as server:
            answer = asked(server.dsn, "select 1")

        assert (owner.attached, server.attached, answer) == (False, True, 1)


@pytest.mark.slow
def test_a_process_that_attached_never_stops_the_server(prepared: Path) -> None:
    with started(prepared / "data", prepared) as server:
        with OwnerProcess.launch(prepared / "data", prepared).ready() as other:
            attached = other.attached
            other.let_go()

        assert attached
        assert running_postmaster(server.cluster) is not None


@pytest.mark.slow
def test_the_owner_stops_the_server_when_it_ends(prepared: Path) -> None:
    with OwnerProcess.launch(prepared / "data", prepared).ready() as owner:
        assert owner.let_go() == 0

    assert running_postmaster(prepared / "data" / "postgres" / "cluster") is None


@pytest.mark.slow
def test_stopping_twice_is_harmless(prepared: Path) -> None:
    server = started(prepared / "data", prepared)
    server.stop()

    server.stop()

    assert running_postmaster(server.cluster) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nothing there yet", "data"])
def test_processes_that_start_at_once_share_one_server(prepared: Path, name: str) -> None:
    owners = [OwnerProcess.launch(prepared / name, prepared) for _ in range(4)]
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(OwnerProcess.ready, owners))

        assert sorted(owner.attached for owner in owners) == [False, True, True, True]
        assert len({owner.server_pid for owner in owners}) == 1
    finally:
        for owner in owners:
            owner.let_go()
            owner.__exit__()


def test_what_nobody_started_is_not_stopped(place: Path) -> None:
    assert stop_left_behind(place / "data") is False


@pytest.mark.slow
def test_what_a_living_process_owns_is_not_left_behind(prepared: Path) -> None:
    with started(prepared / "data", prepared), pytest.raises(ServerOwned, match=str(os.getpid())):
        stop_left_behind(prepared / "data")


def test_the_server_inherits_no_secret(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERP_PASSWORD", "correct-horse")

    with started(prepared / "data", prepared) as server:
        environment = Path(f"/proc/{server_pid(server)}/environ")
        if not environment.exists():
            pytest.skip("needs /proc, to read another process' environment")

        assert b"correct-horse" not in environment.read_bytes()
