"""A wire to the database that breaks at a commit, before or after the server has heard of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

__all__ = ["CuttingProxy"]

# A message begins with its type, one byte, and its length, four bytes.
_TEXT = 5

Cut = Literal["before", "after"]


class CuttingProxy:
    """Passes everything on, until a COMMIT after `cut_at_commit` was set.

    "before": the server never gets the COMMIT. "after": it does, and its answer is lost. Then the
    proxy passes everything on again, unless `stays_cut`.
    """

    def __init__(self, server: Path, directory: Path) -> None:
        self._server = server / ".s.PGSQL.5432"
        self._directory = directory
        self._tasks: set[asyncio.Task[None]] = set()
        self.cut_at_commit: Cut | None = None
        self.stays_cut = False

    def dsn_of(self, database: str) -> str:
        """Where the same database is through the proxy."""
        return f"postgresql://postgres@/{database}?host={quote(str(self._directory), safe='')}"

    async def __aenter__(self) -> Self:
        path = self._directory / ".s.PGSQL.5432"
        self._listener = await asyncio.start_unix_server(self._serve, path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        far, far_out = await asyncio.open_unix_connection(self._server)
        down = asyncio.create_task(self._pass_on(far, near_out))
        self._tasks |= {down, asyncio.current_task()}  # type: ignore[arg-type]
        with suppress(ConnectionError):
            while data := await near.read(65536):
                if self.cut_at_commit is not None and data.startswith(b"COMMIT", _TEXT):
                    down.cancel()
                    await asyncio.gather(down, return_exceptions=True)
                    if self.cut_at_commit == "after":
                        far_out.write(data)
                        await far.read(65536)
                    self.cut_at_commit = None
                    if self.stays_cut:
                        self._listener.close()
                    break
                far_out.write(data)
                await far_out.drain()
        for writer in (far_out, near_out):
            writer.close()

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()
