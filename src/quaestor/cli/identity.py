"""Who a process is: its id and the moment it started, so that a number is never mistaken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import msgspec

__all__ = ["Role", "StartedProcess", "end_process", "is_running", "started_at"]

Role = Literal["supervisor", "gateway", "worker", "simulator"]

_POLL_S = 0.02


class StartedProcess(msgspec.Struct, frozen=True):
    """A process by its id and the moment it started, in the kernel's own words."""

    name: str
    role: Role
    pid: int
    started: str


def started_at(pid: int) -> str | None:
    """When a running process started, as the kernel says it; `None` for none, or a zombie."""
    if not sys.platform.startswith("linux"):
        return _started_by_ps(pid)
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()


def is_running(process: StartedProcess) -> bool:
    """Whether this very process is alive, and not another one under its number."""
    return bool(process.started) and started_at(process.pid) == process.started


def end_process(process: StartedProcess, timeout_s: float) -> bool:
    """End a process that somebody else started: SIGTERM, and SIGKILL after `timeout_s`.

    Blocks. False when it was gone already.
    """
    with _held(process.pid) as handle:
        if not is_running(process):
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                if handle is not None:
                    signal.pidfd_send_signal(handle, number)
                else:
                    os.kill(process.pid, number)
            deadline = time.monotonic() + timeout_s
            while is_running(process) and time.monotonic() < deadline:
                time.sleep(_POLL_S)
            if not is_running(process):
                break
    return True


@contextmanager
def _held(pid: int) -> Iterator[int | None]:
    """A handle on the process, where the system has such; taken before it is looked at."""
    try:
        handle = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    except OSError:
        handle = None
    try:
        yield handle
    finally:
        if handle is not None:
            os.close(handle)


def _started_by_ps(pid: int) -> str | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return None if not said or said[0].startswith("Z") else " ".join(said[1:])
