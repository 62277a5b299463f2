"""Processes that a command starts: their ready line, their end, and who they are.

Each gets a session of its own: Ctrl-C reaches the command alone, which then stops its processes
in the order that is right for them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from quaestor.cli.output import Failed
from quaestor.cli.place import StartedProcess

__all__ = ["Child", "is_running", "start_child", "started_at", "stop_process"]

READY_TIMEOUT_S = 30.0
_POLL_S = 0.02
_LINE_BYTES_MAX = 1024 * 1024
_LOG_LINES = 5


class Child:
    """A started process. `ready` is its ready line, decoded."""

    def __init__(
        self,
        name: str,
        role: Literal["worker", "simulator"],
        process: asyncio.subprocess.Process,
        ready: Mapping[str, Any],
        log: Path,
    ) -> None:
        self.name = name
        self.role = role
        self.ready = ready
        self.log = log
        self.identity = StartedProcess(name, role, process.pid, started_at(process.pid) or "")
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code, negative for the signal that killed it; `None` while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end; the exit code."""
        return await self._process.wait()

    async def stop(self, timeout_s: float) -> None:
        """SIGTERM, and SIGKILL for one that is not done within `timeout_s`."""
        if self.code is not None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), timeout_s)
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


async def start_child(
    name: str,
    role: Literal["worker", "simulator"],
    arguments: Sequence[str],
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = READY_TIMEOUT_S,
) -> Child:
    """Start `quaestor ARGUMENTS` and wait for its ready line. Raises `Failed`.

    Its stderr goes to the end of `log`.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(log, flags, 0o600)
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "quaestor",
            *arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=descriptor,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            limit=_LINE_BYTES_MAX,
        )
    finally:
        os.close(descriptor)
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), timeout_s)
        ready = msgspec.json.decode(line, type=dict[str, Any])
    except BaseException as error:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if not isinstance(error, TimeoutError | msgspec.DecodeError):
            raise
        raise Failed(f"The {role} {name} did not start: {_last_words(log)}") from error
    return Child(name, role, process, ready, log)


def started_at(pid: int) -> str | None:
    """When a running process started, as the kernel says it; `None` for none, or a zombie."""
    if not sys.platform.startswith("linux"):
        return _started_by_ps(pid)
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()


def _started_by_ps(pid: int) -> str | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return None if not said or said[0].startswith("Z") else " ".join(said[1:])


def is_running(process: StartedProcess) -> bool:
    """Whether this very process is alive, and not another one under its number."""
    return bool(process.started) and started_at(process.pid) == process.started


async def stop_process(process: StartedProcess, timeout_s: float) -> bool:
    """Stop a process that somebody else started: SIGTERM, then SIGKILL. False when it was gone."""
    try:
        # The handle comes first: what is verified afterwards is then what will be signalled.
        handle = os.pidfd_open(process.pid) if hasattr(os, "pidfd_open") else None
    except OSError:
        handle = None
    try:
        if not is_running(process):
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                if handle is not None:
                    signal.pidfd_send_signal(handle, number)
                else:
                    os.kill(process.pid, number)
            if await _has_ended(process, timeout_s):
                return True
        return True
    finally:
        if handle is not None:
            os.close(handle)


async def _has_ended(process: StartedProcess, timeout_s: float) -> bool:
    deadline = asyncio.get_running_loop().time() + timeout_s
    while is_running(process):
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


def _last_words(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    return " / ".join(lines[-_LOG_LINES:]) or "it said nothing."
