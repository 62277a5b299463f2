"""Faulty wires: a TCP proxy on loopback between a connector and its (simulated) system.

A simulator's own faults happen inside the system; these happen on the way: an answer cut after n
bytes, a proxy that answers 502 for a system that did its work, a line that goes dead.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from types import TracebackType
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

__all__ = ["CUT_POINTS", "FaultyProxy", "WireFault", "cut_points"]

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 64 * 1024
CUT_POINTS = 16

_BAD_GATEWAY = (
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 37\r\n"
    b"Connection: close\r\n\r\n<html><body>Bad gateway</body></html>"
)
_TOO_MANY = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


class WireFault(msgspec.Struct, frozen=True):
    """What happens to one request on its way.

    `on` is how the request begins (`POST `). `do`: `cut` lets `after_bytes` of the answer
    through and then ends the connection; `drop` lets the request through and nothing back;
    `reset` ends the connection with RST before the system sees the request; `hang` keeps it open
    and silent; `502` answers for the system, which does its work unless `forward` is false;
    `429` answers for it and forwards nothing.
    """

    on: str
    do: Literal["cut", "drop", "reset", "hang", "502", "429"]
    after_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    forward: bool = True


def cut_points(answer_bytes: int) -> tuple[int, ...]:
    """Sixteen places inside an answer of that many bytes, from before the first to the last."""
    return tuple(answer_bytes * step // CUT_POINTS for step in range(CUT_POINTS))


class FaultyProxy:
    """Forwards bytes to `upstream` (http://host:port) until a planned fault meets its request.

    Each planned fault acts once. `answered_bytes` is the size of the last whole answer to a
    request that a plan of `watch` begins with, so that a test knows where it can be cut.
    """

    def __init__(self, upstream: str, *, watch: str = "POST ") -> None:
        parts = urlsplit(upstream)
        self._host, self._port = parts.hostname or LOOPBACK, parts.port or 80
        self._watch = watch.encode()
        self._faults: list[WireFault] = []
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self.answered_bytes = 0
        self.requests = 0

    @property
    def url(self) -> str:
        """The address to give to the wire."""
        assert self._server is not None, "the proxy is not started"
        return f"http://{LOOPBACK}:{self._server.sockets[0].getsockname()[1]}"

    def plan(self, *faults: WireFault) -> None:
        """Replace what is planned."""
        self._faults = list(faults)

    async def __aenter__(self) -> FaultyProxy:
        self._server = await asyncio.start_server(self._linked, LOOPBACK, 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)
        await self._server.wait_closed()

    async def _linked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            await _Link(self, reader, writer).run(self._host, self._port)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._links.discard(task)
            writer.close()

    def take(self, request: bytes) -> WireFault | None:
        """The fault that this request meets; it will not act again."""
        for fault in self._faults:
            if request.startswith(fault.on.encode()):
                self._faults.remove(fault)
                return fault
        return None

    def watched(self, request: bytes) -> bool:
        """Whether the answer to this request is measured."""
        return request.startswith(self._watch)


class _Link:
    """One connection of the client and its counterpart upstream.

    Requests are not pipelined by our wires: a chunk from the client that begins with a method
    begins a request, and all bytes back until the next one are its answer.
    """

    def __init__(
        self, proxy: FaultyProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._fault: WireFault | None = None
        self._counted = 0
        self._watching = False

    async def run(self, host: str, port: int) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(host, port)
        back = asyncio.create_task(self._back(upstream_reader))
        try:
            while chunk := await self._reader.read(CHUNK_BYTES):
                if _begins_request(chunk):
                    self._begin(chunk)
                if not await self._forwarded(chunk, upstream_writer):
                    return
        finally:
            back.cancel()
            with suppress(OSError, asyncio.CancelledError):
                await back
            upstream_writer.close()

    def _begin(self, chunk: bytes) -> None:
        self._proxy.requests += 1
        self._fault = self._proxy.take(chunk)
        self._watching = self._proxy.watched(chunk)
        self._counted = 0

    async def _forwarded(self, chunk: bytes, upstream: asyncio.StreamWriter) -> bool:
        """Pass a chunk on; false where the connection has ended."""
        match self._fault.do if self._fault else None:
            case "reset":
                _reset(self._writer)
                return False
            case "hang":
                # Read on and stay silent until the client gives up.
                return True
            case "429":
                await _answer(self._writer, _TOO_MANY)
                return False
            case "502" if self._fault is not None and not self._fault.forward:
                await _answer(self._writer, _BAD_GATEWAY)
                return False
        upstream.write(chunk)
        await upstream.drain()
        return True

    async def _back(self, upstream: asyncio.StreamReader) -> None:
        try:
            await self._answered(upstream)
        except ConnectionResetError:
            _reset(self._writer)

    async def _answered(self, upstream: asyncio.StreamReader) -> None:
        while chunk := await upstream.read(CHUNK_BYTES):
            fault, before = self._fault, self._counted
            self._counted += len(chunk)
            if self._watching:
                self._proxy.answered_bytes = self._counted
            if fault is None:
                self._writer.write(chunk)
                await self._writer.drain()
                continue
            if fault.do == "502":
                await _answer(self._writer, _BAD_GATEWAY)
            elif fault.do == "cut" and self._counted < fault.after_bytes:
                self._writer.write(chunk)
                await self._writer.drain()
                continue
            elif fault.do == "cut":
                await _answer(self._writer, chunk[: fault.after_bytes - before])
            self._writer.close()
            return
        self._writer.close()


def _begins_request(chunk: bytes) -> bool:
    method, _, _ = chunk[:8].partition(b" ")
    return method in (b"GET", b"POST", b"PUT", b"PATCH", b"MERGE", b"DELETE", b"HEAD")


async def _answer(writer: asyncio.StreamWriter, answer: bytes) -> None:
    writer.write(answer)
    await writer.drain()
    writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
