"""An HTTP server of bare sockets: it shows what really arrived, and answers byte for byte."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType

__all__ = ["Arrived", "RawServer", "answer", "until"]

WAIT_S = 5.0


@dataclass(frozen=True)
class Arrived:
    """One request as it came in; `connection` numbers the connection it came over."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


Script = Callable[[Arrived], Awaitable[bytes | None]]


def answer(body: bytes = b"{}", status: str = "200 OK", *headers: str) -> bytes:
    """A whole answer in JSON."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += ["Content-Type: application/json", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for a condition, not for a time."""
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.002)


@dataclass
class RawServer:
    """Answers each request with what `script` gives; `None` ends the connection instead.

    `begun` are bytes that came in and are no whole request.
    """

    script: Script
    arrived: list[Arrived] = field(default_factory=list)
    read_body: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    begun: bytes = b""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> RawServer:
        self.read_body.set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=2**16)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def methods(self) -> list[str]:
        """The methods that arrived, in order."""
        return [request.method for request in self.arrived]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while request := await self._read(reader, number):
                self.arrived.append(request)
                reply = await self.script(request)
                if reply is None:
                    return
                writer.write(reply)
                await writer.drain()
        except (asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, number: int) -> Arrived | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as broken:
            self.begun += broken.partial
            return None
        first, *lines = head.decode().split("\r\n")
        method, target, _ = first.split(" ")
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        await self.read_body.wait()
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Arrived(method, target, headers, body, number)
