"""Wires in memory: the product's own HTTP wire, with a faulty line to a simulated vendor behind it.

Everything above the line is real: rendering, credentials, deadlines, classification, recording.
What happens on the line is drawn per system, document and request, from the seed: a change of the
product that sends one request more or less moves no other document's faults.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from quaestor.connectors.kit.attempt import current_attempt
from quaestor.connectors.kit.classify import Answer, Broke
from quaestor.connectors.kit.simulated import SimAnswer, SimRequest, Simulated
from quaestor.connectors.kit.wires.http import HttpRequest, HttpWire
from quaestor.connectors.kit.wires.http1 import Broken

__all__ = ["FAULTS", "Line", "Sent", "Weather", "host_of", "plugged_in"]

# What may happen to a request that could create something; `read` ones to any other.
FAULTS: Mapping[str, str] = {
    "refused": "no connection is made",
    "reset": "bytes left, the connection breaks, nothing is committed",
    "lost": "committed, and the answer never comes",
    "late": "no answer, and it commits seconds later",
    "slow": "committed, but the answer comes after the time-out",
    "hang": "nothing is committed and nothing answered",
    "500": "committed, and it answers that it failed",
    "502": "committed, and a proxy answers in its place",
    "503": "not committed, a proxy says that nobody is there",
    "failed": "not committed, and it answers that it failed",
    "429": "not committed, too many requests",
    "cut": "committed, and half of the answer comes",
    "expired": "sessions and tokens are forgotten",
}
_READ_FAULTS = ("refused", "reset", "hang", "502", "503", "failed", "429", "cut", "expired")
_GATEWAY = SimAnswer(502, b"<html>Bad gateway</html>", (("Content-Type", "text/html"),))
_NOBODY = SimAnswer(503, b"<html>No server</html>", (("Content-Type", "text/html"),))
# What the sender cannot tell apart from a request that was carried out.
UNSURE = frozenset({"reset", "lost", "late", "slow", "hang", "500", "502", "503", "failed", "cut"})


class Weather(msgspec.Struct, frozen=True):
    """How faulty the lines are. `rate` of requests meet a fault; `until_s` the quiet begins.

    `outages` are windows in which a system cannot be reached. `late_max_s` is how much later a
    lost request commits at most. `kinds` are the faults that come, all of them where it is empty.
    `doubled` carries every creating request twice: only planted.
    """

    rate: float
    until_s: float
    outages: Mapping[str, tuple[tuple[float, float], ...]] = {}
    late_max_s: float = 4.0
    kinds: tuple[str, ...] = ()
    doubled: bool = False


@dataclass
class Sent:
    """One request as the vendor's side saw it; times in virtual seconds.

    `left` says that its bytes left us, `fault` what the line did to it, `done_at` when the
    vendor carried it out.
    """

    at: float
    system: str
    method: str
    target: str
    body: bytes
    correlation_id: str
    commits: bool
    worker: str
    left: bool = False
    fault: str = ""
    done_at: float | None = None
    status: int = 0

    @property
    def unsure(self) -> bool:
        """The sender had to believe that it perhaps took effect.

        A refusal says so by its status, also where its words are cut.
        """
        refused = self.fault == "cut" and 400 <= self.status < 500
        return self.left and not refused and (self.fault in UNSURE or self.status == 0)


class Asked(Protocol):
    """The worker that asks."""

    name: str

    async def thawed(self) -> None: ...


@dataclass
class Line:
    """One vendor and the line to it. Every request is kept in `sent`."""

    system: str
    vendor: Simulated
    seed: int
    weather: Weather
    loop: asyncio.AbstractEventLoop
    elapsed_s: Callable[[], float]
    asker: Callable[[], Asked | None]
    sent: list[Sent] = field(default_factory=list)
    _met: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def carry(
        self, request: HttpRequest, headers: tuple[tuple[str, str], ...], open_gate: Any
    ) -> SimAnswer:
        """Carry one request there and its answer back; raises what the client would."""
        asker = self.asker()
        if asker is not None:
            await asker.thawed()
        attempt = current_attempt()
        subject = attempt.correlation_id if attempt is not None else request.target[-60:]
        sent = Sent(
            self.elapsed_s(),
            self.system,
            request.method,
            request.target,
            request.body,
            subject,
            request.commits,
            asker.name if asker is not None else "",
        )
        self.sent.append(sent)
        self._met[(subject, request.method)] += 1
        nth = self._met[(subject, request.method)]
        draw = random.Random(f"{self.seed}/{self.system}/{subject}/{request.method}/{nth}")
        sent.fault = self._fault(draw, request.commits)
        if sent.fault == "refused":
            raise Broken(Broke.CONNECT, "ConnectionRefusedError")
        open_gate()
        sent.left = True
        answer = await self._carried(sent, request, headers, draw)
        if asker is not None:
            await asker.thawed()
        return answer

    def _fault(self, draw: random.Random, commits: bool) -> str:
        now = self.elapsed_s()
        for start, end in self.weather.outages.get(self.system, ()):
            if start <= now < end:
                return "refused" if draw.random() < 0.7 else "503"
        kinds = self.weather.kinds or tuple(FAULTS)
        if now >= self.weather.until_s or draw.random() >= self.weather.rate:
            return ""
        every = tuple(FAULTS) if commits else _READ_FAULTS
        return draw.choice(tuple(each for each in every if each in kinds) or ("",))

    async def _carried(
        self,
        sent: Sent,
        request: HttpRequest,
        headers: tuple[tuple[str, str], ...],
        draw: random.Random,
    ) -> SimAnswer:
        there_s, back_s = draw.uniform(0.001, 0.08), draw.uniform(0.001, 0.08)
        late_s = draw.uniform(0.5, self.weather.late_max_s)
        asked = _asked(f"http://{host_of(self.system)}", request, headers)
        answered: asyncio.Future[SimAnswer] = self.loop.create_future()
        if sent.fault in ("reset", "hang"):
            pass
        elif sent.fault in ("503", "failed", "429"):
            answered.set_result(self._instead(sent.fault, draw))
        else:
            # The vendor goes on by itself: whoever sent this may be dead by then.
            wait_s = there_s + (late_s if sent.fault == "late" else 0.0)
            self.loop.call_later(wait_s, self._done, sent, asked, answered)
        match sent.fault:
            case "reset":
                await asyncio.sleep(there_s + back_s)
                raise ConnectionResetError
            case "lost":
                await asyncio.shield(answered)
                raise ConnectionResetError
            case "hang" | "late" | "slow":
                # Longer than any time-out of ours.
                await asyncio.sleep(60.0)
                raise TimeoutError
        answer = await asyncio.shield(answered)
        await asyncio.sleep(back_s)
        sent.status = answer.status
        if answer.ends != "answer":
            sent.fault = "lost"
            raise ConnectionResetError
        return answer

    def _instead(self, fault: str, draw: random.Random) -> SimAnswer:
        match fault:
            case "429":
                return self.vendor.busy(draw.choice((1, 2, 5)))
            case "503":
                return _NOBODY
            case _:
                return self.vendor.failed()

    def _done(self, sent: Sent, asked: SimRequest, answered: asyncio.Future[SimAnswer]) -> None:
        """The vendor carries it out."""
        if sent.fault == "expired":
            self.vendor.expire_tokens()
        answer = self.vendor.handle(asked)
        if self.weather.doubled and sent.commits:
            answer = self.vendor.handle(asked)
        sent.done_at = self.elapsed_s()
        match sent.fault:
            case "500":
                answer = self.vendor.failed()
            case "502":
                answer = _GATEWAY
            case "cut":
                answer = msgspec.structs.replace(answer, body=answer.body[: len(answer.body) // 2])
        if not answered.done():
            answered.set_result(answer)


def host_of(system: str) -> str:
    """The host that a simulated system is reached at."""
    return f"{system}.simulated"


def _asked(origin: str, request: HttpRequest, headers: tuple[tuple[str, str], ...]) -> SimRequest:
    parts = urlsplit(request.target)
    return SimRequest(
        method=request.method,
        path=unquote(parts.path),
        query=dict(parse_qsl(parts.query, keep_blank_values=True)),
        headers={name.lower(): value for name, value in headers},
        body=request.body,
        origin=origin,
    )


@contextmanager
def plugged_in(lines: Mapping[str, Line]) -> Iterator[None]:
    """Every wire of this process leads to one of these lines, by the host of its address."""

    async def carried(
        wire: HttpWire, request: HttpRequest, headers: tuple[tuple[str, str], ...], ticket: Any
    ) -> Answer:
        host = wire._origin.host or ""
        line = lines[host.removesuffix(".simulated")]
        async with asyncio.timeout(wire._timeout_s()):
            answer = await line.carry(request, headers, ticket.open_gate)
        if request.commits:
            ticket.passed("after_send")
        return Answer(answer.status, answer.headers, answer.body)

    real = HttpWire._carried
    HttpWire._carried = carried  # type: ignore[method-assign]
    try:
        yield
    finally:
        HttpWire._carried = real  # type: ignore[method-assign]
