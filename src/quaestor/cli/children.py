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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from quaestor.cli.identity import Role, StartedProcess, started_at
from quaestor.cli.output import Failed

__all__ = ["READY_TIMEOUT_S", "Child", "start_child"]

READY_TIMEOUT_S = 30.0
_LINE_BYTES_MAX = 1024 * 1024
_LOG_LINES = 5


class Child:
    """A started process. `ready` is its ready line, decoded; `log` has its stderr."""

    def __init__(
        self,
        identity: StartedProcess,
        process: asyncio.subprocess.Process,
        ready: Mapping[str, Any],
        log: Path,
    ) -> None:
        self.identity = identity
        self.ready = ready
        self.log = log
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

    def send_signal(self, number: signal.Signals) -> None:
        """Signal it; harmless where it has ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def stop(self, timeout_s: float) -> None:
        """SIGTERM, and SIGKILL for one that is not done within `timeout_s`."""
        if self.code is not None:
            return
        self.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), timeout_s)
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


async def start_child(
    name: str,
    role: Role,
    arguments: Sequence[str],
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    born: Callable[[StartedProcess], None] | None = None,
    timeout_s: float = READY_TIMEOUT_S,
) -> Child:
    """Start `quaestor ARGUMENTS` and wait for its ready line. Raises `Failed`.

    `born` is called as soon as the process exists. Its stderr goes to the end of `log`.
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
    identity = StartedProcess(name, role, process.pid, started_at(process.pid) or "")
    try:
        if born is not None:
            born(identity)
        line = await asyncio.wait_for(process.stdout.readline(), timeout_s)
        ready = msgspec.json.decode(line, type=dict[str, Any])
    except BaseException as error:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if not isinstance(error, TimeoutError | msgspec.DecodeError):
            raise
        raise Failed(f"The {role} {name} did not start: {_last_words(log)}") from error
    return Child(identity, process, ready, log)


def _last_words(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    return " / ".join(lines[-_LOG_LINES:]) or "it said nothing."
