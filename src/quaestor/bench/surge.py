"""A surge: requests on schedule, whether or not those before them have been answered.

Connections are kept and carry one request at a time, so that as many callers ask at once as there
are connections. When all of them wait, the moment passes, and nothing is sent for it. What was sent
and never answered in full is `lost`.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

__all__ = ["Surge", "Surged"]

_TICK_S = 0.002
# So long after the last request answers are waited for.
_ANSWER_S = 30.0


@dataclass
class Surged:
    """What came of it. `statuses` has each request's answer by its number, 0 where none came;
    latencies in ms by status. `unexcused` were refused without being told when to come again.
    """

    statuses: array[int] = field(default_factory=lambda: array("H"))
    latencies_ms: dict[int, array[float]] = field(default_factory=dict)
    unexcused: int = 0
    elapsed_s: float = 0.0

    @property
    def lost(self) -> int:
        """Requests without an answer."""
        return self.statuses.count(0)

    def answered(self, *statuses: int) -> int:
        """How many were answered with one of these."""
        return sum(self.statuses.count(status) for status in statuses)

    def latencies_of(self, *statuses: int) -> list[float]:
        """Latencies of the answers with one of these."""
        return [each for status in statuses for each in self.latencies_ms.get(status, ())]


@dataclass
class Surge:
    """Asks the server at `url`, `per_s` times a second, over so many `connections`.

    `request` makes the bytes of the request of this number, from 0.
    """

    url: str
    connections: int
    per_s: float
    request: Callable[[int], bytes]

    async def run(self, seconds: float) -> Surged:
        """Ask for so long; returns when the last answer is here, or is not coming."""
        loop = asyncio.get_running_loop()
        surged = Surged()
        asking = _Asking(surged, loop.time)
        opened = [await asking.open(self.url) for _ in range(self.connections)]
        try:
            began = loop.time()
            due = 0
            while (now := loop.time()) < began + seconds:
                wanted = int((now - began) * self.per_s)
                while due < wanted and asking.idle:
                    asking.idle.pop().ask(self.request(len(surged.statuses)))
                    due += 1
                due = wanted
                await asyncio.sleep(_TICK_S)
            surged.elapsed_s = loop.time() - began
            with suppress(TimeoutError):
                await asyncio.wait_for(asking.all_answered(), _ANSWER_S)
        finally:
            for transport in opened:
                transport.close()
        return surged


class _Asking:
    """What the connections share."""

    def __init__(self, surged: Surged, clock: Callable[[], float]) -> None:
        self.surged = surged
        self.clock = clock
        self.idle: list[_Connection] = []
        self._waiting = 0
        self._rest = asyncio.Event()
        self._rest.set()

    async def open(self, url: str) -> asyncio.Transport:
        """One more connection, idle at first."""
        parts, loop = urlsplit(url), asyncio.get_running_loop()
        assert parts.hostname is not None
        assert parts.port is not None
        made = await loop.create_connection(lambda: _Connection(self), parts.hostname, parts.port)
        return made[0]

    def begun(self) -> None:
        """One more waits for its answer."""
        self._waiting += 1
        self._rest.clear()

    def ended(self) -> None:
        """It waits no more."""
        self._waiting -= 1
        if not self._waiting:
            self._rest.set()

    async def all_answered(self) -> None:
        """Until nobody waits."""
        await self._rest.wait()


class _Connection(asyncio.Protocol):
    def __init__(self, asking: _Asking) -> None:
        self._asking = asking
        self._received = b""
        self._number = -1
        self._asked_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._asking.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._number >= 0:
            self._asking.ended()
        elif self in self._asking.idle:
            self._asking.idle.remove(self)

    def ask(self, request: bytes) -> None:
        asking = self._asking
        self._number, self._asked_at = len(asking.surged.statuses), asking.clock()
        asking.surged.statuses.append(0)
        asking.begun()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end].lower()
        length = head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        if len(self._received) < end + 4 + int(length or 0):
            return
        self._received = b""
        self._heard(int(head[9:12]), head)

    def _heard(self, status: int, head: bytes) -> None:
        asking, surged = self._asking, self._asking.surged
        surged.statuses[self._number] = status
        took_ms = (asking.clock() - self._asked_at) * 1000
        surged.latencies_ms.setdefault(status, array("d")).append(took_ms)
        if status in (429, 503) and b"\r\nretry-after:" not in head:
            surged.unexcused += 1
        self._number = -1
        asking.ended()
        asking.idle.append(self)
