"""The load: requisitions come in, so many in flight, until each is ordered.

A closed loop: the next requisition comes in when one is done. A document counts as done when a
look at the database has seen it so; what is looked for is only what is in flight.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from quaestor.app import Application
from quaestor.bench.folder import ENTITY, Requisitions
from quaestor.connectors.kit.published import NotMapped
from quaestor.flows.requisition_to_order import REQUISITION_TO_ORDER
from quaestor.runtime.intake import take_in_all
from quaestor.runtime.receiving import Inbound, Taken, inbound_requisition
from quaestor.store import Connection

__all__ = ["BenchFailed", "Load", "Window", "percentile"]

# One maps what came in while the other one's transaction commits.
FEEDERS = 2
GROUP_MAX = 50
# A tenth of what a requisition takes under full load: a look costs the machine that is measured.
LOOK_EVERY_S = 0.05
DRAIN_MAX_S = 60.0

_FINISHED = """
select document_id, outcome, parked_code from quaestor.work
where document_id = any($1::bigint[]) and (done_at is not null or parked_at is not null)
"""


class BenchFailed(Exception):
    """The measurement means nothing; the sentence says why."""


class Window(msgspec.Struct, frozen=True):
    """One stretch of load, after its warm-up. Latencies from handing in to seen ordered, in ms."""

    flows: int
    elapsed_s: float
    latencies_ms: Sequence[float]

    @property
    def flows_per_s(self) -> float:
        return self.flows / self.elapsed_s


@dataclass
class Load:
    """Feeds one application with requisitions of one entity, numbered from `first` on.

    `taken` counts those handed in so far.
    """

    app: Application
    in_flight: int
    entity: str = ENTITY
    first: int = 1
    taken: int = 0
    done: int = 0
    _since: dict[int, float] = field(default_factory=dict)
    _finished: list[tuple[float, float]] = field(default_factory=list)
    _feeding: bool = False
    _draining: bool = False

    def __post_init__(self) -> None:
        self._requisitions = Requisitions(datetime.now(UTC), self.entity)

    async def drive(self, warm_s: float, measured_s: float) -> Window:
        """Load for `warm_s` and then `measured_s`; returns when all that was taken in is done."""
        clock = asyncio.get_running_loop().time
        room = asyncio.Semaphore(self.in_flight)
        self._finished = []
        self._feeding, self._draining = True, False
        looking = asyncio.create_task(self._look(room))
        feeding = [asyncio.create_task(self._feed(room)) for _ in range(FEEDERS)]
        try:
            await _pass(warm_s, looking, *feeding)
            began = clock()
            await _pass(measured_s, looking, *feeding)
            ended = clock()
            await self._drain(room, feeding, looking)
        finally:
            for task in (looking, *feeding):
                task.cancel()
            await asyncio.gather(looking, *feeding, return_exceptions=True)
        inside = [took_s for at, took_s in self._finished if began <= at < ended]
        return Window(len(inside), ended - began, [took_s * 1000 for took_s in inside])

    async def burst(self, count: int) -> list[int]:
        """Hand in so many at once, and wait for none; their documents' ids."""
        taken: list[Taken] = []
        while len(taken) < count:
            group = [self._next() for _ in range(min(GROUP_MAX, count - len(taken)))]
            taken += await self._take_in([_inbound(self.app, raw) for raw in group])
        return [each.document_id for each in taken]

    async def _drain(
        self,
        room: asyncio.Semaphore,
        feeding: Sequence[asyncio.Task[None]],
        looking: asyncio.Task[None],
    ) -> None:
        self._feeding = False
        for _ in feeding:
            room.release()
        await asyncio.gather(*feeding)
        self._draining = True
        try:
            await asyncio.wait_for(looking, DRAIN_MAX_S)
        except TimeoutError:
            left = len(self._since)
            raise BenchFailed(f"{left} requisitions are not done {DRAIN_MAX_S:g} s later") from None

    async def _feed(self, room: asyncio.Semaphore) -> None:
        """Hand in what there is room for, together, as a gateway commits what came in together."""
        clock = asyncio.get_running_loop().time
        while True:
            await room.acquire()
            if not self._feeding:
                return
            group = [self._next()]
            while len(group) < GROUP_MAX and not room.locked():
                await room.acquire()
                group.append(self._next())
            began = clock()
            for taken in await self._take_in([_inbound(self.app, raw) for raw in group]):
                self._since[taken.document_id] = began

    def _next(self) -> bytes:
        self.taken += 1
        return self._requisitions.numbered(self.first + self.taken - 1)

    async def _take_in(self, inbounds: Sequence[Inbound]) -> list[Taken]:
        release = self.app.project.release().hash

        async def work(connection: Connection) -> list[Taken]:
            flow = REQUISITION_TO_ORDER
            return await take_in_all(connection, self.app.recorder, flow, release, inbounds)

        return await self.app.database.run(work)

    async def _look(self, room: asyncio.Semaphore) -> None:
        clock = asyncio.get_running_loop().time
        async with self.app.database.connection() as connection:
            while self._since or not self._draining:
                rows = await connection.fetch(_FINISHED, list(self._since))
                now = clock()
                for row in rows:
                    if row["outcome"] != "ordered":
                        how = row["outcome"] or row["parked_code"]
                        raise BenchFailed(f"a requisition of the benchmark ended as {how}")
                    self._finished.append((now, now - self._since.pop(row["document_id"])))
                    self.done += 1
                    room.release()
                await asyncio.sleep(LOOK_EVERY_S)


def _inbound(app: Application, raw: bytes) -> Inbound:
    mapped = app.read_requisition(raw, on=datetime.now(UTC))
    if isinstance(mapped, NotMapped):
        codes = ", ".join(refusal.code for refusal in mapped.refusals)
        raise BenchFailed(f"a requisition of the benchmark is refused: {codes}")
    return inbound_requisition(mapped.requisition, source_bytes=raw)


async def _pass(seconds: float, *tasks: asyncio.Task[None]) -> None:
    """Let time pass; a task that ends meanwhile ends the measurement, with its own error."""
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


def percentile(values: Sequence[float], percent: int) -> float:
    """The value below which so many percent lie; 0 for none."""
    if len(values) < 2:
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
