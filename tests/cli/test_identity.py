"""Nothing is signalled by its number alone."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

from quaestor.cli.identity import StartedProcess, end_process, is_running, started_at

OBEDIENT = "import sys; print('up', flush=True); sys.stdin.read()"
STUBBORN = (
    "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('up', flush=True); sys.stdin.read()"
)


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def start(processes: list[subprocess.Popen[str]], program: str) -> StartedProcess:
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    processes.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return StartedProcess("worker-1", "worker", process.pid, started_at(process.pid) or "")


def test_a_process_is_known_by_its_number_and_its_start(
    processes: list[subprocess.Popen[str]],
) -> None:
    process = start(processes, OBEDIENT)

    assert is_running(process)
    assert not is_running(msgspec.structs.replace(process, started="1"))
    assert not is_running(msgspec.structs.replace(process, started=""))


def test_a_stranger_under_a_known_number_is_left_alone(
    processes: list[subprocess.Popen[str]],
) -> None:
    stranger = msgspec.structs.replace(start(processes, OBEDIENT), started="1")

    ended = end_process(stranger, 1.0)

    assert not ended
    assert processes[0].poll() is None


def test_a_process_is_ended_politely(processes: list[subprocess.Popen[str]]) -> None:
    process = start(processes, OBEDIENT)

    ended = end_process(process, 10.0)

    assert ended
    assert processes[0].wait(10.0) == -signal.SIGTERM


def test_a_process_that_does_not_listen_is_killed(processes: list[subprocess.Popen[str]]) -> None:
    process = start(processes, STUBBORN)

    ended = end_process(process, 0.2)

    assert ended
    assert processes[0].wait(10.0) == -signal.SIGKILL


def test_a_process_that_is_gone_is_not_ended_again(
    processes: list[subprocess.Popen[str]],
) -> None:
    process = start(processes, OBEDIENT)
    processes[0].communicate()

    assert not end_process(process, 1.0)
