"""Kills, leftovers and strangers: the server comes back, and nobody else is ever signalled."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from quaestor.store.embedded import (
    EmbeddedServer,
    exit_on_termination,
    stop_left_behind,
    wheel_binaries,
)
from quaestor.store.embedded.postmaster import PidFile, Postmaster, running_postmaster
from tests.support.database import asked
from tests.support.owner_process import OwnerProcess, orphans_come_to_us

pytestmark = pytest.mark.slow

# An ordinary query that notices nothing of a dead server for as long as it counts.
COUNTING = "select count(*) from generate_series(1, 2000000000)"
COUNTING_PID = f"select pid from pg_stat_activity where query = '{COUNTING}'"


def until(happened: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait until `happened`, but not for ever."""
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"


def cluster_in(data_dir: Path) -> Path:
    return data_dir / "postgres" / "cluster"


def started(place: Path) -> EmbeddedServer:
    return EmbeddedServer.start(place / "data", elsewhere=place)


def serving(place: Path) -> Postmaster:
    running = running_postmaster(cluster_in(place / "data"))
    assert running is not None
    return running


def kill_server(place: Path) -> int:
    """End the server as a power cut would; returns its former process id."""
    running = serving(place)
    running.send(signal.SIGKILL)
    assert running.wait(10)
    running.close()
    return running.pid


def write_pid(place: Path, pid: int) -> None:
    """Let the pid file name `pid`, as if the number had been given to another process."""
    file = cluster_in(place / "data") / "postmaster.pid"
    _, _, rest = file.read_text().partition("\n")
    file.write_text(f"{pid}\n{rest}")


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_an_owner_that_is_terminated_stops_the_server(prepared: Path) -> None:
    with OwnerProcess.launch(prepared / "data", prepared).ready() as owner:
        running = serving(prepared)
        owner.process.send_signal(signal.SIGTERM)

        assert owner.process.wait(30) == 128 + signal.SIGTERM
        assert running.wait(0)


def test_ctrl_c_reaches_the_owner_and_not_the_server(prepared: Path) -> None:
    with started(prepared):
        server = serving(prepared).pid

        assert os.getpgid(server) != os.getpgid(0)
        assert os.getsid(server) != os.getsid(0)


def test_a_server_whose_owner_was_killed_is_taken_over(prepared: Path) -> None:
    with OwnerProcess.launch(prepared / "data", prepared).ready() as owner:
        asked(owner.dsn, "create table kept (id int)")
        owner.kill()

    with started(prepared) as server:
        assert not server.attached
        assert serving(prepared).pid == owner.server_pid
        assert asked(server.dsn, "select to_regclass('kept')::text") == "kept"
    assert running_postmaster(server.cluster) is None


def test_a_server_whose_owner_was_killed_can_be_stopped(prepared: Path) -> None:
    with OwnerProcess.launch(prepared / "data", prepared).ready() as owner:
        owner.kill()

    assert stop_left_behind(prepared / "data") is True
    assert running_postmaster(cluster_in(prepared / "data")) is None
    assert stop_left_behind(prepared / "data") is False


def test_who_is_attached_works_on_when_the_owner_is_killed(prepared: Path) -> None:
    with OwnerProcess.launch(prepared / "data", prepared).ready() as owner:
        attached = started(prepared)
        owner.kill()

        answer = asked(attached.dsn, "select 1")

    assert answer == 1
    assert stop_left_behind(prepared / "data") is True


def test_a_killed_server_starts_again_with_what_was_committed(prepared: Path) -> None:
    server = started(prepared)
    asked(server.dsn, "create table kept (id int)")
    kill_server(prepared)
    server.stop()

    with started(prepared) as server:
        kept = asked(server.dsn, "select to_regclass('kept')::text")

    assert kept == "kept"


def test_a_start_waits_for_the_orphans_of_a_killed_server(prepared: Path) -> None:
    server = started(prepared)
    psql = [wheel_binaries() / "psql", server.dsn, "-c", "set statement_timeout = '3s'"]
    with subprocess.Popen([*psql, "-c", COUNTING], stderr=subprocess.DEVNULL):
        until(lambda: asked(server.dsn, COUNTING_PID))
        orphan = os.pidfd_open(asked(server.dsn, COUNTING_PID))
        kill_server(prepared)
        server.stop()

        with started(prepared) as server:
            ended, _, _ = select.select([orphan], [], [], 0)
            answer = asked(server.dsn, "select 1")

    os.close(orphan)
    assert ended
    assert answer == 1


def test_a_stranger_with_the_number_of_a_killed_server_is_left_alone(
    prepared: Path, stranger: subprocess.Popen[bytes]
) -> None:
    server = started(prepared)
    kill_server(prepared)
    server.stop()
    write_pid(prepared, stranger.pid)

    with started(prepared) as server:
        answer = asked(server.dsn, "select 1")

    assert answer == 1
    assert stranger.poll() is None


def test_stopping_what_was_left_behind_leaves_a_stranger_alone(
    prepared: Path, stranger: subprocess.Popen[bytes]
) -> None:
    server = started(prepared)
    kill_server(prepared)
    server.stop()
    write_pid(prepared, stranger.pid)

    stopped = stop_left_behind(prepared / "data")

    assert stopped is False
    assert stranger.poll() is None
    started(prepared).stop()


def test_the_server_of_another_directory_is_left_alone(prepared: Path) -> None:
    server = started(prepared)
    kill_server(prepared)
    server.stop()
    with EmbeddedServer.start(prepared / "other", elsewhere=prepared) as other:
        foreign = PidFile.read(other.cluster)
        assert foreign is not None
        write_pid(prepared, foreign.pid)

        with started(prepared):
            pass

        assert running_postmaster(other.cluster) is not None


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, where orphans can be collected")
def test_a_zombie_does_not_block_a_start(prepared: Path) -> None:
    with orphans_come_to_us():
        with OwnerProcess.launch(prepared / "data", prepared).ready() as owner:
            owner.kill()
        zombie = kill_server(prepared)
        assert Path(f"/proc/{zombie}/stat").read_text().rpartition(") ")[2][0] == "Z"

        with started(prepared) as server:
            answer = asked(server.dsn, "select 1")

        os.waitpid(zombie, 0)
    assert answer == 1


def test_a_signal_leaves_every_with_on_its_way_out() -> None:
    left: list[str] = []

    def work() -> None:
        with exit_on_termination(), closing(Leaving(left)):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit) as caught:
        work()

    assert caught.value.code == 143
    assert left == ["closed"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


class Leaving:
    def __init__(self, left: list[str]) -> None:
        self.left = left

    def close(self) -> None:
        self.left.append("closed")
