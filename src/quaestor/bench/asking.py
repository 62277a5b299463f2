"""Asking over HTTP: so many requests a second on schedule, or as many as are answered.

On schedule a request counts from the moment at which it should have left, so that a server that
stalls cannot hide it by holding up the questions. Connections are kept; bodies have a length.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from quaestor.bench.load import BenchFailed

__all__ = ["Asker", "Heard", "request_bytes"]

_ANSWER_S = 20.0


@dataclass
class Heard:
    """Latencies in ms and the answers by status, over `elapsed_s`."""

    latencies_ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    elapsed_s: float = 0.0

    @property
    def per_s(self) -> float:
        """Answers per second."""
        return len(self.latencies_ms) / self.elapsed_s if self.elapsed_s else 0.0

    def only(self, *statuses: int) -> Heard:
        """This, if nothing else was answered. Raises `BenchFailed`."""
        others = {
            status: count for status, count in self.statuses.items() if status not in statuses
        }
        if others or not self.latencies_ms:
            raise BenchFailed(f"the gateway answered {others or 'nothing'}")
        return self


def request_bytes(target: str, token: str, body: bytes, more: str = "") -> bytes:
    """A POST as it goes over the wire; `more` are further header lines."""
    return (
        f"POST {target} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n{more}"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body


@dataclass
class Asker:
    """Asks the server at `url` over `connections` connections. `next_request` makes the bytes."""

    url: str
    connections: int
    next_request: Callable[[], bytes]

    async def at_saturation(self, measured_s: float) -> Heard:
        """Each connection asks again as soon as it was answered."""
        clock = asyncio.get_running_loop().time
        ends = clock() + measured_s
        heard = Heard(elapsed_s=measured_s)

        async def ask(connection: _Connection) -> None:
            while (asked := clock()) < ends:
                status = await connection.ask(self.next_request())
                if (answered := clock()) < ends:
                    heard.latencies_ms.append((answered - asked) * 1000)
                    heard.statuses[status] += 1

        await self._together([ask] * self.connections)
        return heard

    async def at_rate(self, per_s: float, measured_s: float) -> Heard:
        """On schedule; connections take the next moment in turn."""
        clock = asyncio.get_running_loop().time
        began = clock() + 0.05
        moments = iter(range(int(per_s * measured_s)))
        heard = Heard(elapsed_s=measured_s)

        async def ask(connection: _Connection) -> None:
            for number in moments:
                due = began + number / per_s
                await asyncio.sleep(max(0.0, due - clock()))
                status = await connection.ask(self.next_request())
                heard.latencies_ms.append((clock() - due) * 1000)
                heard.statuses[status] += 1

        await self._together([ask] * self.connections)
        return heard

    async def _together(self, work: Sequence[Callable[[_Connection], object]]) -> None:
        parts = urlsplit(self.url)
        opened = [
            _Connection(*await asyncio.open_connection(parts.hostname, parts.port)) for _ in work
        ]
        try:
            async with asyncio.TaskGroup() as group:
                for ask, connection in zip(work, opened, strict=True):
                    group.create_task(ask(connection))  # type: ignore[arg-type]
        finally:
            for connection in opened:
                connection.close()


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, request: bytes) -> int:
        """The status of the answer, once the whole of it is here."""
        self._writer.write(request)
        async with asyncio.timeout(_ANSWER_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            length = next((int(each[15:]) for each in lines if each[:15] == b"content-length:"), 0)
            await self._reader.readexactly(length)
        return int(lines[0].split(b" ")[1])

    def close(self) -> None:
        self._writer.close()
