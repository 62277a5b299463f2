"""A wire on loopback that holds one request or its answer until a test lets go, or is dead."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

__all__ = ["HoldingProxy"]

_CHUNK_BYTES = 64 * 1024
_LOOPBACK = "127.0.0.1"


class HoldingProxy:
    """Passes bytes on between a worker and its system, at one address for its whole life.

    The first request that begins with `hold` is held, or its answer is: `reached` is set when it
    is here, and it goes on when `release` is. While it is `down`, connections are refused.
    """

    def __init__(
        self, upstream: str, *, hold: str = "", side: Literal["request", "answer"] = "request"
    ) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or _LOOPBACK, parts.port or 80)
        self._hold = hold.encode()
        self._side = side
        self._port = 0
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._held = False
        self.reached = asyncio.Event()
        self.release = asyncio.Event()
        self.requests = 0

    @property
    def url(self) -> str:
        """The address to give to the worker."""
        return f"http://{_LOOPBACK}:{self._port}"

    async def up(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, _LOOPBACK, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Listen no more, and end what is connected."""
        if self._server is not None:
            self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.down()

    async def _serve(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            await self._link(near, near_out)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._links.discard(task)
            near_out.close()

    async def _link(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        far, far_out = await asyncio.open_connection(*self._upstream)
        holding = asyncio.Event()
        back = asyncio.create_task(self._back(far, near_out, holding))
        try:
            while data := await near.read(_CHUNK_BYTES):
                self.requests += data.startswith((b"GET ", b"POST ", b"DELETE "))
                if self._hold and not self._held and data.startswith(self._hold):
                    self._held = True
                    if self._side == "request":
                        await self._wait()
                    else:
                        holding.set()
                far_out.write(data)
                await far_out.drain()
        finally:
            back.cancel()
            with suppress(OSError, asyncio.CancelledError):
                await back
            far_out.close()

    async def _back(
        self, far: asyncio.StreamReader, near_out: asyncio.StreamWriter, holding: asyncio.Event
    ) -> None:
        while data := await far.read(_CHUNK_BYTES):
            if holding.is_set():
                holding.clear()
                await self._wait()
            near_out.write(data)
            await near_out.drain()
        near_out.close()

    async def _wait(self) -> None:
        self.reached.set()
        await self.release.wait()
