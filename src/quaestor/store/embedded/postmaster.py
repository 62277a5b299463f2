"""Which server process runs a cluster: read from `postmaster.pid`, believed only when verified.

A process id in a file is a claim about the past. After a crash the number may belong to anyone,
so nothing is signalled before the process was seen to be PostgreSQL on this very cluster.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PidFile", "Postmaster", "disown_stale_pid_file", "running_postmaster"]

_PID_FILE = "postmaster.pid"
_POLL_S = 0.005


@dataclass(frozen=True)
class PidFile:
    """What a server wrote about itself; `status` is "starting", "ready", "stopping" or empty.

    Layout: PostgreSQL source, src/include/utils/pidfile.h. Older content may still stand in the
    file after a crash.
    """

    pid: int
    socket_directory: Path
    status: str

    @staticmethod
    def read(cluster: Path) -> PidFile | None:
        """The content of the file, or None where there is none or it is not written out yet."""
        try:
            lines = (cluster / _PID_FILE).read_text(errors="surrogateescape").splitlines()
            return PidFile(
                pid=int(lines[0]),
                socket_directory=Path(lines[4]) if len(lines) > 4 else Path(),
                status=lines[7].strip() if len(lines) > 7 else "",
            )
        except (FileNotFoundError, IndexError, ValueError):
            return None


class Postmaster:
    """A verified, running server process, held so that its number cannot change hands."""

    def __init__(self, pid: int, handle: int | None) -> None:
        self.pid = pid
        self._handle = handle

    def send(self, number: signal.Signals) -> None:
        """Signal the process; harmless when it has ended."""
        try:
            if self._handle is not None and hasattr(signal, "pidfd_send_signal"):
                signal.pidfd_send_signal(self._handle, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            return

    def wait(self, timeout_s: float) -> bool:
        """Whether the process ended within `timeout_s`. A zombie has ended."""
        if self._handle is not None:
            poller = select.poll()
            poller.register(self._handle, select.POLLIN)
            return bool(poller.poll(timeout_s * 1000))
        deadline = time.monotonic() + timeout_s
        while _command_line(self.pid) is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def close(self) -> None:
        """Let go of the process; it runs on."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def running_postmaster(cluster: Path) -> Postmaster | None:
    """The server that runs `cluster` now, or None: none, a zombie, or somebody else's process."""
    claim = PidFile.read(cluster)
    if claim is None or claim.pid <= 0:
        return None
    # The handle comes first: what is verified afterwards is then surely what will be signalled.
    try:
        handle = os.pidfd_open(claim.pid) if hasattr(os, "pidfd_open") else None
    except ProcessLookupError:
        return None
    except OSError:
        handle = None
    if _serves(claim.pid, cluster):
        return Postmaster(claim.pid, handle)
    if handle is not None:
        os.close(handle)
    return None


def disown_stale_pid_file(cluster: Path) -> bool:
    """Make PostgreSQL see for itself that a pid file is stale. True when there was one.

    The caller holds the owner lock and has found no running server. A number that now belongs to
    a stranger or a zombie would stop PostgreSQL from starting. The file is not deleted, because
    it also leads PostgreSQL to the shared memory that orphaned backends may still be using; a
    start beside them would corrupt the data. PostgreSQL disregards the number of its own parent
    (CreateLockFile in miscinit.c), so our own number is written in.
    """
    try:
        descriptor = os.open(cluster / _PID_FILE, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    with os.fdopen(descriptor, "r+b") as file:
        _, _, rest = file.read().partition(b"\n")
        file.seek(0)
        file.write(str(os.getpid()).encode() + b"\n" + rest)
        file.truncate()
    return True


def _serves(pid: int, cluster: Path) -> bool:
    """Whether `pid` is a postmaster that was started on `cluster`.

    Backends rewrite their command line, a postmaster never does. The start time in the file adds
    nothing to an equal data directory, and it is wrong after the system clock was set.
    """
    words = _command_line(pid)
    if words is None:
        return False
    if len(words) == 1:
        # ps joins the words; a path with spaces can only be looked for as a whole.
        program, _, arguments = words[0].partition(" -D ")
        return Path(program).name == "postgres" and f"{arguments} ".startswith(f"{cluster} ")
    if Path(words[0]).name != "postgres" or "-D" not in words[:-1]:
        return False
    named = Path(words[words.index("-D") + 1])
    try:
        return named.samefile(cluster)
    except OSError:
        return named == cluster


def _command_line(pid: int) -> list[str] | None:
    """The words of a living process' command line; None for none, and for a zombie, which has
    no command line any more.
    """
    if not sys.platform.startswith("linux"):
        return _command_line_by_ps(pid)
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if not line:
        return None
    return [os.fsdecode(word) for word in line.rstrip(b"\0").split(b"\0")]


def _command_line_by_ps(pid: int) -> list[str] | None:
    command = ["ps", "-ww", "-o", "stat=", "-o", "command=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    state, _, line = answer.partition(" ")
    if not line or state.startswith("Z"):
        return None
    return [line.strip()]
