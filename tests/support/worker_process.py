"""`quaestor work` as a process that a test starts, stops, freezes and kills."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

__all__ = ["WorkerProcess"]

READY_TIMEOUT_S = 30.0


class WorkerProcess:
    """One worker. Made by `start`, which waits until it is at work."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @classmethod
    async def start(
        cls, arguments: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> Self:
        """Start `quaestor work ARGUMENTS`; what it logs goes to the end of `log`."""
        with log.open("ab") as logging:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "quaestor", "work", *arguments, "--json", "--log-json"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=logging,
                env={**os.environ, **environment},
            )
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), READY_TIMEOUT_S)
        worker = cls(process, log)
        assert line, f"the worker ended with {await process.wait()}: {worker.last_words()}"
        return worker

    @property
    def code(self) -> int | None:
        """The exit code, negative for the signal that ended it; `None` while it runs."""
        return self._process.returncode

    async def ended(self, timeout_s: float = 30.0) -> int:
        """Wait for its end; the exit code."""
        return await asyncio.wait_for(self._process.wait(), timeout_s)

    def kill(self) -> None:
        """It ends in the middle of whatever it does."""
        self._process.kill()

    def freeze(self) -> None:
        """Stop the process where it is, as a pause of its machine would."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    async def stop(self, timeout_s: float = 20.0) -> None:
        """Ask it to stop, and wait until it has; one that does not is killed, and that fails."""
        if self.code is not None:
            return
        self.thaw()
        self._process.terminate()
        try:
            await self.ended(timeout_s)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            raise

    def last_words(self) -> str:
        """The end of its log, each line cut to a readable length."""
        return "\n".join(line[:300] for line in self._log.read_text().splitlines()[-20:])

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Its log lines about this event."""
        lines = self._log.read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if line["event"] == event]
