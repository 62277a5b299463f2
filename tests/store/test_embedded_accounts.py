"""Whom the server runs as: the user who starts it, or, for root, an account of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from quaestor.store.embedded import (
    DataDirectoryRefused,
    EmbeddedServer,
    stop_left_behind,
    wheel_binaries,
)
from quaestor.store.embedded.account import Account
from quaestor.store.embedded.binaries import binaries_for
from quaestor.store.embedded.postmaster import PidFile
from tests.support.accounts import NOBODY, as_account, needs_root
from tests.support.database import asked, session_directory
from tests.support.owner_process import OwnerProcess

pytestmark = [pytest.mark.slow, needs_root]


@pytest.fixture
def open_place(place: Path) -> Path:
    """A directory in which every account may make something of its own."""
    made = place / "open"
    made.mkdir()
    made.chmod(0o777)
    return made


def server_uid(server: EmbeddedServer) -> int:
    claim = PidFile.read(server.cluster)
    assert claim is not None
    return Path(f"/proc/{claim.pid}").stat().st_uid


def test_an_ordinary_user_runs_the_server_as_himself(open_place: Path) -> None:
    def start_and_ask() -> tuple[int, object]:
        with EmbeddedServer.start(open_place / "data") as server:
            return server_uid(server), asked(server.dsn, "select 1")

    answer = as_account(NOBODY, start_and_ask)

    assert answer == (NOBODY, 1)


def test_an_ordinary_user_starts_again_after_the_first_time(open_place: Path) -> None:
    def start_twice() -> object:
        EmbeddedServer.start(open_place / "data").stop()
        with EmbeddedServer.start(open_place / "data") as server:
            return asked(server.dsn, "select 1")

    assert as_account(NOBODY, start_twice) == 1


def test_roots_server_runs_under_an_account_that_nobody_has(place: Path) -> None:
    with EmbeddedServer.start(place / "data", elsewhere=place) as server:
        uid = server_uid(server)

    assert uid not in {entry.pw_uid for entry in pwd.getpwall()}


def test_other_accounts_cannot_reach_roots_server(place: Path) -> None:
    def enter(directory: Path) -> str:
        try:
            return str(os.listdir(directory))
        except PermissionError:
            return "refused"

    with EmbeddedServer.start(place / "data", elsewhere=place) as server:
        answers = [
            as_account(NOBODY, lambda: enter(server.socket_directory)),
            as_account(NOBODY, lambda: enter(server.cluster)),
        ]

    assert answers == ["refused", "refused"]


def test_data_that_the_account_cannot_reach_lies_elsewhere(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)

    with EmbeddedServer.start(closed / "data", elsewhere=place / "elsewhere") as server:
        asked(server.dsn, "create table kept (id int)")
    with EmbeddedServer.start(closed / "data", elsewhere=place / "elsewhere") as server:
        kept = asked(server.dsn, "select to_regclass('kept')::text")

    assert kept == "kept"
    assert place / "elsewhere" in server.cluster.parents
    assert (closed / "data" / "postgres.location").read_text().strip() in str(server.cluster)


def test_nobodys_directories_are_opened_up(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)

    with EmbeddedServer.start(closed / "data", elsewhere=place / "elsewhere"):
        pass

    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_data_made_anew_is_empty_although_the_former_lies_elsewhere(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    with EmbeddedServer.start(closed / "data", elsewhere=place / "elsewhere") as server:
        asked(server.dsn, "create table former (id int)")
    shutil.rmtree(closed / "data")

    with EmbeddedServer.start(closed / "data", elsewhere=place / "elsewhere") as server:
        former = asked(server.dsn, "select to_regclass('former')::text")

    assert former is None


def test_what_root_left_behind_elsewhere_is_stopped(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    with OwnerProcess.launch(closed / "data", place / "elsewhere").ready() as owner:
        owner.kill()

    assert stop_left_behind(closed / "data") is True


def test_a_place_that_no_account_reaches_is_refused(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(DataDirectoryRefused):
        EmbeddedServer.start(closed / "data", elsewhere=closed / "elsewhere")


def test_root_starts_the_data_of_a_user_as_that_user(open_place: Path) -> None:
    def start_and_stop() -> None:
        EmbeddedServer.start(open_place / "data").stop()

    as_account(NOBODY, start_and_stop)

    with EmbeddedServer.start(open_place / "data") as server:
        assert server_uid(server) == NOBODY


@pytest.fixture
def disk_place() -> Iterator[Path]:
    """A directory that programs can be run from."""
    with session_directory(Path(tempfile.gettempdir())) as directory:
        yield directory


def test_binaries_that_the_account_cannot_reach_are_copied(
    disk_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = disk_place
    private = place / "site-packages"
    package = wheel_binaries().parents[1]
    for name in (package.name, f"{package.name}.libs"):
        if (package.parent / name).exists():
            shutil.copytree(package.parent / name, private / name, symlinks=True)
    private.chmod(0o700)
    monkeypatch.syspath_prepend(str(private))
    assert private in wheel_binaries().parents

    with EmbeddedServer.start(place / "data", elsewhere=place / "elsewhere") as server:
        answer = asked(server.dsn, "select 1")

    assert answer == 1
    assert place / "elsewhere" in binaries_for(Account(NOBODY, NOBODY), place / "elsewhere").parents
