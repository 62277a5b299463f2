"""Pressure: many requisitions at once, one entity that floods, one system that is down.

The question each time is what the others notice. One worker; two entities, each with a ledger of
its own. What is compared is measured in turns, in one run, and the median of the pairs is told.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from quaestor.app import Application
from quaestor.audit.subjects import deployment_key
from quaestor.bench.erp import counted_at
from quaestor.bench.folder import ENTITY, OTHER_ENTITY, write_folder
from quaestor.bench.load import BenchFailed, Load, percentile
from quaestor.bench.meters import has_proc, peak_memory_mb, resident_mb
from quaestor.bench.run import Process, Start
from quaestor.project.load import load_project
from quaestor.store.embedded import EmbeddedServer
from quaestor.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Burst", "Down", "Pair", "Pressure"]

SLOTS = 40
_BUSY_IN_FLIGHT = 200
_OTHERS_IN_FLIGHT = 10
_WARM_S = 1.0
_STOP_S = 30.0
_DRAIN_MAX_S = 900.0
# Numbers of the two entities must not meet: they are one source's.
_FIRST_OF_OTHER = 500_000_001

_LEFT = """
select count(*) as open, count(parked_at) as parked from quaestor.work
where done_at is null and entity = any($1)
"""
_ENDS = """
select coalesce(outcome, parked_code, 'open') as how, count(*) from quaestor.work group by 1
"""
_ORDER_OF_DONE = """
select document_id from quaestor.work where document_id = any($1) order by done_at, document_id
"""


class Burst(msgspec.Struct, frozen=True):
    """So many requisitions handed in at once.

    `out_of_turn` is how far the median document was done from its turn, as a share of all.
    """

    count: int
    accepted_per_s: float
    drained_s: float
    flows_per_s: float
    out_of_turn: float
    worker_memory_mb: float
    ordered: int
    orders: int
    at_once_max: int


class Pair(msgspec.Struct, frozen=True):
    """One measurement without and one with the pressure, in one run."""

    without: float
    under: float

    @property
    def ratio(self) -> float:
        return self.under / self.without


class Down(msgspec.Struct, frozen=True):
    """Flows/s of an entity whose system is up, while another's is not; how long that one's
    documents took once it was back, in seconds."""

    rates: Pair
    drained_s: float


@dataclass
class Pressure:
    """One run, below `folder`. Windows take `window_s`."""

    folder: Path
    server: EmbeddedServer
    start: Start
    window_s: float
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _worker: Process | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Pressure]:
        """Everything but the other entity's ledger is running inside."""
        await migrate(self.server.dsn)
        self._other_port = _free_port()
        ledger = await self.start("ledger", ["bench-ledger", "--json"], {})
        async with self._stack as stack:
            stack.push_async_callback(ledger.stop, _STOP_S)
            self._ledger_url = str(ledger.ready["url"])
            project = self.folder / "project"
            write_folder(
                project,
                base_url=self._ledger_url,
                other_url=f"http://127.0.0.1:{self._other_port}",
                slots=SLOTS,
                on=datetime.now(UTC).date(),
            )
            app = await Application.open(
                load_project(project),
                self.server.dsn,
                audit_key=deployment_key(self.folder / "audit.key"),
                application_name="quaestor bench",
            )
            self.app = await stack.enter_async_context(app)
            await app.release(by="bench")
            stack.push_async_callback(self.stop_worker)
            await self.start_worker()
            self._numbers = {ENTITY: 1, OTHER_ENTITY: _FIRST_OF_OTHER}
            yield self

    async def start_worker(self) -> None:
        """The one worker, unless it is at work already."""
        if self._worker is None:
            project = str(self.folder / "project")
            arguments = ["work", "--project", project, "--data", str(self.folder), "--json"]
            environment = {"QUAESTOR_DSN": self.server.dsn}
            self._worker = await self.start("worker-1", [*arguments, "--log-json"], environment)

    async def stop_worker(self) -> None:
        """What it had in hand is recorded before it ends."""
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.stop(_STOP_S)

    @asynccontextmanager
    async def other_ledger(self) -> AsyncIterator[None]:
        """The other entity's system is up inside."""
        arguments = ["bench-ledger", "--port", str(self._other_port), "--json"]
        ledger = await self.start("other-ledger", arguments, {})
        try:
            yield
        finally:
            await ledger.stop(_STOP_S)

    def worker_memory_mb(self) -> float | None:
        """What the worker has resident now, where that can be measured."""
        if self._worker is None or not has_proc():
            return None
        return round(resident_mb(self._worker.pid), 1)

    # --- what is measured -----------------------------------------------------------------------

    async def burst(self, count: int) -> Burst:
        """So many at once, until all are done."""
        clock = asyncio.get_running_loop().time
        load, began = self._load(ENTITY, _BUSY_IN_FLIGHT), clock()
        taken = await load.burst(count)
        accepted = clock()
        await self._drained([ENTITY])
        ended = clock()
        ends = {row["how"]: row["count"] for row in await self.app.database.fetch(_ENDS)}
        rows = await self.app.database.fetch(_ORDER_OF_DONE, taken)
        turn = {document_id: place for place, document_id in enumerate(taken)}
        away = [abs(place - turn[row["document_id"]]) for place, row in enumerate(rows)]
        counted = await asyncio.to_thread(counted_at, self._ledger_url)
        return Burst(
            count=count,
            accepted_per_s=round(count / (accepted - began), 1),
            drained_s=round(ended - began, 1),
            flows_per_s=round(count / (ended - began), 1),
            out_of_turn=round(statistics.median(away) / count, 4),
            worker_memory_mb=round(self._peak_memory_mb(), 1),
            ordered=ends.get("ordered", 0),
            orders=counted.orders,
            at_once_max=counted.at_once_max,
        )

    async def flood(self) -> Pair:
        """The other entity's p99 in ms: beside a busy entity, and beside one that floods."""
        async with self.other_ledger():
            busy = self._load(ENTITY, _BUSY_IN_FLIGHT)
            without = await self._beside(
                lambda: busy.drive(0.0, self.window_s + 2 * _WARM_S), self._p99_of_other
            )
            # More than is done in the window: it is a flood until its end.
            backlog = self._load(ENTITY, _BUSY_IN_FLIGHT)
            await backlog.burst(int(max(500, 400 * self.window_s)))
            under = await self._p99_of_other()
            await self._drained([ENTITY, OTHER_ENTITY])
        return Pair(round(without, 1), round(under, 1))

    async def down(self, waiting: int) -> Down:
        """An entity's flows/s: all systems up, and the other's down with so many waiting for it."""
        async with self.other_ledger():
            without = await self._rate_of_entity()
        await self._load(OTHER_ENTITY, _OTHERS_IN_FLIGHT).burst(waiting)
        # What waits has met the closed door, and its circuit is open.
        await asyncio.sleep(_WARM_S)
        under = await self._rate_of_entity()
        clock = asyncio.get_running_loop().time
        async with self.other_ledger():
            began = clock()
            await self._drained([OTHER_ENTITY])
            drained_s = clock() - began
        return Down(Pair(round(without, 1), round(under, 1)), round(drained_s, 1))

    def _peak_memory_mb(self) -> float:
        return peak_memory_mb(self._worker.pid) if self._worker and has_proc() else 0.0

    # --- parts ----------------------------------------------------------------------------------

    def _load(self, entity: str, in_flight: int) -> Load:
        first = self._numbers[entity]
        # Numbers are never used twice in a run: room for more than a load can hand in.
        self._numbers[entity] += 1_000_000
        return Load(self.app, in_flight, entity, first)

    async def _p99_of_other(self) -> float:
        window = await self._load(OTHER_ENTITY, _OTHERS_IN_FLIGHT).drive(_WARM_S, self.window_s)
        return percentile(window.latencies_ms, 99)

    async def _rate_of_entity(self) -> float:
        window = await self._load(ENTITY, _BUSY_IN_FLIGHT).drive(_WARM_S, self.window_s)
        return window.flows_per_s

    async def _beside(
        self, other: Callable[[], Awaitable[object]], measured: Callable[[], Awaitable[float]]
    ) -> float:
        beside = asyncio.ensure_future(other())
        try:
            return await measured()
        finally:
            await beside

    async def _drained(self, entities: list[str]) -> None:
        clock = asyncio.get_running_loop().time
        until = clock() + _DRAIN_MAX_S
        while True:
            left = await self.app.database.fetchrow(_LEFT, entities)
            assert left is not None
            if left["parked"] or clock() > until:
                raise BenchFailed(f"{left['parked']} are parked and {left['open']} not done")
            if not left["open"]:
                return
            await asyncio.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
