"""Pressure: many requisitions at once, one entity that floods, a system that is slow or down.

The question each time is what the others notice. One worker; two entities, each with a ledger of
its own. What is compared is measured in turns, in one run, and the median of the pairs is told.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from quaestor.app import Application
from quaestor.audit.subjects import deployment_key
from quaestor.bench.erp import LATENCY_S, answering_after, counted_at
from quaestor.bench.folder import ENTITY, OTHER_ENTITY, write_folder
from quaestor.bench.load import GROUP_MAX, BenchFailed, Load, percentile
from quaestor.bench.meters import has_proc, machine, peak_memory_mb, resident_mb
from quaestor.bench.overload import Overload, measure_overload
from quaestor.bench.pressed import SLOTS, Burst, Pair, Pressed, Trouble
from quaestor.bench.run import Process, Start
from quaestor.project.load import load_project
from quaestor.store.embedded import EmbeddedServer
from quaestor.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Pressure"]

SLOW_S = 30.0
_BUSY_IN_FLIGHT = 200
_OTHERS_IN_FLIGHT = 10
_WARM_S = 1.0
_STOP_S = 30.0
_DRAIN_MAX_S = 900.0
# Of ten requisitions of a burst so many are the busy entity's.
_SHARE_OF_TEN = 9
# What waits for a system that is down.
_WAITING = 500
# What stands in front of a flood for each second of its window: more than is done meanwhile.
_AHEAD_PER_S = 200
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
select document_id, done_at from quaestor.work where document_id = any($1)
order by done_at, document_id
"""
# Everything of an entity stands in the lane of its system, or is on the wire.
_WAIT_THERE = """
select not exists (
    select from quaestor.work where entity = $1 and done_at is null and left(lane, 1) = '/')
"""


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
        self._other_url = f"http://127.0.0.1:{self._other_port}"
        ledger = await self.start("ledger", ["bench-ledger", "--json"], {})
        async with self._stack as stack:
            stack.push_async_callback(ledger.stop, _STOP_S)
            self._ledger_url = str(ledger.ready["url"])
            project = self.folder / "project"
            write_folder(
                project,
                base_url=self._ledger_url,
                other_url=self._other_url,
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
            arguments = ["work", *self._place, "--json", "--log-json"]
            self._worker = await self.start("worker-1", arguments, self._environment)

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

    async def run(
        self, count: int, pairs: int, overload_s: float, say: Callable[[str], None]
    ) -> Pressed:
        """All of it; `say` is told each part as it ends. Raises `BenchFailed`."""
        burst = await self.burst(count)
        say(
            f"{count:,} at once: {burst.accepted_per_s:.0f}/s accepted, all done "
            f"{burst.drained_s:.0f} s later"
        )
        async with self.other_ledger():
            alone = await self._p99_of_other()
        floods, troubles = [], []
        for number in range(1, pairs + 1):
            floods.append(await self.flood())
            troubles.append(await self.trouble(slow_first=number % 2 == 0))
            flood, trouble = floods[-1], troubles[-1]
            say(
                f"pair {number} of {pairs}: another entity's p99 "
                f"{flood.without:.0f} ms, under a flood {flood.under:.0f} ms; "
                f"flows/s {trouble.down.without:.0f}, another system down "
                f"{trouble.down.under:.0f}, slow {trouble.slow.under:.0f}"
            )
        overload = await self.overload(overload_s)
        say(
            f"{overload.sent:,} requests over HTTP: {overload.accepted:,} taken in, "
            f"{overload.refused_429 + overload.refused_503:,} refused, {overload.lost:,} lost"
        )
        version = await self.app.database.fetchval("show server_version")
        named = machine(version.split()[0])
        return Pressed(named, burst, round(alone, 1), floods, troubles, overload)

    async def burst(self, count: int) -> Burst:
        """So many at once, until all are done."""
        clock, began = asyncio.get_running_loop().time, datetime.now(UTC)
        async with self.other_ledger():
            started = clock()
            taken = await self._hand_in(count)
            accepted = clock()
            await self._drained([ENTITY, OTHER_ENTITY])
            ended = clock()
            counted = [
                await asyncio.to_thread(counted_at, url)
                for url in (self._ledger_url, self._other_url)
            ]
        ends = {row["how"]: row["count"] for row in await self.app.database.fetch(_ENDS)}
        done = {
            entity: await self.app.database.fetch(_ORDER_OF_DONE, ids)
            for entity, ids in taken.items()
        }
        return Burst(
            count=count,
            accepted_per_s=round(count / (accepted - started), 1),
            drained_s=round(ended - started, 1),
            others_drained_s=round((done[OTHER_ENTITY][-1]["done_at"] - began).total_seconds(), 1),
            flows_per_s=round(count / (ended - started), 1),
            out_of_turn={
                entity: _out_of_turn(ids, [row["document_id"] for row in done[entity]])
                for entity, ids in taken.items()
            },
            worker_memory_mb=round(self._peak_memory_mb(), 1),
            ordered=ends.get("ordered", 0),
            orders=sum(each.orders for each in counted),
            references=sum(each.references for each in counted),
            at_once_max=max(each.at_once_max for each in counted),
        )

    async def flood(self) -> Pair:
        """The other entity's p99: beside a busy entity, and beside one that floods."""
        async with self.other_ledger():
            busy = self._load(ENTITY, _BUSY_IN_FLIGHT)
            lasting_s = self._p99_window_s + 2 * _WARM_S
            window, without = await asyncio.gather(busy.drive(0.0, lasting_s), self._p99_of_other())
            flood = self._load(ENTITY, _BUSY_IN_FLIGHT)
            await flood.burst(int(max(500, _AHEAD_PER_S * self.window_s)))
            # As much comes in as gets done: it is a flood until its end.
            _, under = await asyncio.gather(
                _keep_coming(flood, window.flows_per_s, lasting_s), self._p99_of_other()
            )
            await self._drained([ENTITY, OTHER_ENTITY])
        return Pair(round(without, 1), round(under, 1))

    async def trouble(self, *, slow_first: bool) -> Trouble:
        """An entity's flows/s: all systems well, another one's down, another one's slow."""
        async with self.other_ledger():
            well = round(await self._rate_of_entity(), 1)
            slow = await self._rate_beside_slow() if slow_first else 0.0
        await self._load(OTHER_ENTITY, _OTHERS_IN_FLIGHT).burst(_WAITING)
        # Each has met the closed door once: what is measured is waiting, not getting there.
        await self._wait_there(OTHER_ENTITY)
        down = await self._rate_of_entity()
        clock = asyncio.get_running_loop().time
        async with self.other_ledger():
            began = clock()
            await self._drained([OTHER_ENTITY])
            drained_s = clock() - began
            counted = await asyncio.to_thread(counted_at, self._other_url)
            slow = slow or await self._rate_beside_slow()
        return Trouble(
            down=Pair(well, round(down, 1)),
            slow=Pair(well, round(slow, 1)),
            drained_s=round(drained_s, 1),
            at_once_max=counted.at_once_max,
        )

    async def overload(self, seconds: float) -> Overload:
        """Many times too many requests over HTTP, nobody at work meanwhile."""
        await self.stop_worker()
        owner = await asyncpg.connect(self.server.dsn)
        arguments = ["serve", *self._place, "--port", "0", "--json"]
        gateway = await self.start("gateway", arguments, self._environment)
        try:
            return await measure_overload(gateway, self.folder, owner, seconds)
        finally:
            await gateway.stop(_STOP_S)
            await owner.close()

    def _peak_memory_mb(self) -> float:
        return peak_memory_mb(self._worker.pid) if self._worker and has_proc() else 0.0

    # --- parts ----------------------------------------------------------------------------------

    @property
    def _place(self) -> list[str]:
        return ["--project", str(self.folder / "project"), "--data", str(self.folder)]

    @property
    def _environment(self) -> Mapping[str, str]:
        return {"QUAESTOR_DSN": self.server.dsn}

    def _load(self, entity: str, in_flight: int) -> Load:
        first = self._numbers[entity]
        # Numbers are never used twice in a run: room for more than a load can hand in.
        self._numbers[entity] += 1_000_000
        return Load(self.app, in_flight, entity, first)

    async def _hand_in(self, count: int) -> dict[str, list[int]]:
        """So many of both entities, mixed; their documents' ids in the order in which they came."""
        loads = {entity: self._load(entity, 1) for entity in (ENTITY, OTHER_ENTITY)}
        taken: dict[str, list[int]] = {entity: [] for entity in loads}
        left = {ENTITY: count * _SHARE_OF_TEN // 10}
        left[OTHER_ENTITY] = count - left[ENTITY]
        turns = [ENTITY] * _SHARE_OF_TEN + [OTHER_ENTITY]
        while any(left.values()):
            for entity in turns:
                group = min(GROUP_MAX, left[entity])
                taken[entity] += await loads[entity].burst(group)
                left[entity] -= group
        return taken

    @property
    def _p99_window_s(self) -> float:
        """Twice the others: of a hundred flows a p99 is one flow."""
        return 2 * self.window_s

    async def _p99_of_other(self) -> float:
        load = self._load(OTHER_ENTITY, _OTHERS_IN_FLIGHT)
        window = await load.drive(_WARM_S, self._p99_window_s)
        return percentile(window.latencies_ms, 99)

    async def _rate_of_entity(self) -> float:
        window = await self._load(ENTITY, _BUSY_IN_FLIGHT).drive(_WARM_S, self.window_s)
        return window.flows_per_s

    async def _rate_beside_slow(self) -> float:
        """As many of the other entity on the wire as its system takes, until the window is over."""
        await asyncio.to_thread(answering_after, self._other_url, SLOW_S)
        await self._load(OTHER_ENTITY, _OTHERS_IN_FLIGHT).burst(2 * SLOTS)
        await self._wait_there(OTHER_ENTITY)
        rate = await self._rate_of_entity()
        await asyncio.to_thread(answering_after, self._other_url, LATENCY_S)
        await self._drained([OTHER_ENTITY])
        return rate

    async def _wait_there(self, entity: str) -> None:
        clock = asyncio.get_running_loop().time
        until = clock() + _DRAIN_MAX_S
        while not await self.app.database.fetchval(_WAIT_THERE, entity):
            if clock() > until:
                raise BenchFailed(f"documents of {entity} do not reach their system's lane")
            await asyncio.sleep(0.1)

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


async def _keep_coming(load: Load, per_s: float, seconds: float) -> None:
    """So many requisitions a second, whatever becomes of them."""
    clock = asyncio.get_running_loop().time
    began, handed_in = clock(), 0
    while clock() < began + seconds:
        await load.burst(GROUP_MAX)
        handed_in += GROUP_MAX
        await asyncio.sleep(max(0.0, began + handed_in / per_s - clock()))


def _out_of_turn(handed_in: list[int], done: list[int]) -> float:
    """How far the median document was done from its turn, as a share of all."""
    turn = {document_id: place for place, document_id in enumerate(handed_in)}
    away = [abs(place - turn[document_id]) for place, document_id in enumerate(done)]
    return round(statistics.median(away) / len(away), 4)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
