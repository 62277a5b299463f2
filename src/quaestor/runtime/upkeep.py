"""Upkeep: what a worker does beside its work, every second or so.

It shows that it is alive, takes note of documents that a dead worker had in its hands, parks what
waited too long in a lane, and stops sending when the database is not the one it was (D3).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import structlog

from quaestor.flows.kit.step import Park
from quaestor.model.refusal import refuse
from quaestor.runtime.advancing import Advance
from quaestor.runtime.case import Case
from quaestor.runtime.dispatch import Claimed, Dispatch
from quaestor.runtime.gate import EpochGate
from quaestor.runtime.lanes import NO_SYSTEM, Lanes, lane_name
from quaestor.runtime.saving import Flight, save_cases
from quaestor.store import Connection, Database, StorageUnavailable, is_storage_trouble

__all__ = ["Upkeep"]

DEATHS_MAX = 3
_PARK_AT_ONCE = 100

_BEGIN = """
insert into quaestor.worker (id, started_at, seen_at)
values ($1, quaestor.clock(), quaestor.clock())
on conflict (id) do update set seen_at = excluded.seen_at, batch = '{}'
"""
_DECLARE = """
with mine as (
    update quaestor.worker set batch = $2, seen_at = quaestor.clock() where id = $1
)
select distinct held.id from quaestor.worker o, unnest(o.batch) held(id)
where o.id <> $1 and held.id = any($2::bigint[])
  and o.seen_at > quaestor.clock() - interval '10 s'
"""
_SEEN = "update quaestor.worker set seen_at = quaestor.clock() where id = $1"
_OTHERS = "select id from quaestor.worker where id <> $1 order by id"
_BATCH = "select batch from quaestor.worker where id = $1"
# A worker holds the lock of its name for as long as its process lives.
_HOLD = "select pg_advisory_lock_shared(hashtextextended('quaestor.worker:' || $1, 0))"
_IS_DEAD = "select pg_try_advisory_xact_lock(hashtextextended('quaestor.worker:' || $1, 0))"
_DIED_WITH = """
update quaestor.work set deaths = deaths + 1 where document_id = any($1::bigint[])
"""
_BURY = "delete from quaestor.worker where id = $1"
_SUSPECTS = "select exists (select from quaestor.work where deaths > 0 and deaths < $1)"
_WAITED = """
select document_id, flow, flow_version, release, stage, state, lane, lane_since, due_at, fence,
       woken, woken_seen, outcome, quaestor.clock() as now
from quaestor.work
where lane_since < quaestor.clock() - $1::interval
  and due_at is not null and parked_at is null
  and lease_until < quaestor.clock()
order by document_id limit $2 for update skip locked
"""
# One look at what a round may have to do: each of it is seldom, and a round comes every second.
_LOOK = """
select exists (select from quaestor.worker where id <> $1) as others,
       exists (select from quaestor.work where deaths > 0 and deaths < $2) as suspects,
       exists (select from quaestor.work where deaths > 0 and deaths >= $2) as killers,
       exists (select from quaestor.work
               where lane_since < quaestor.clock() - $3::interval
                 and due_at is not null and parked_at is null) as waited
"""
# Also what was parked already: an event to it may be what kills, and no claim takes it any more.
_KILLERS = """
select document_id, flow, flow_version, release, stage, state, lane, lane_since, due_at, fence,
       woken, woken_seen, outcome, quaestor.clock() as now
from quaestor.work
where deaths > 0 and deaths >= $1 and lease_until < quaestor.clock()
order by document_id limit $2 for update skip locked
"""

# Documents of an entity that this release does not know any more.
_STRAYS = """
update quaestor.work set lane = ''
where due_at is not null and left(lane, 1) = '/' and lane <> all($1::text[])
"""
_STRAYS_EVERY_S = 60.0

_CIRCUIT = """
insert into quaestor.system_state (system, open, reason, failures, opened_at, seen_at)
values ($1, $2, $3, $4, case when $2 then quaestor.clock() end, quaestor.clock())
on conflict (system) do update
set open = excluded.open, reason = excluded.reason, failures = excluded.failures,
    seen_at = excluded.seen_at,
    opened_at = case when excluded.open
                     then coalesce(system_state.opened_at, excluded.opened_at) end
"""

_Shown = tuple[bool, str, int]

_log = structlog.get_logger(__name__)


@dataclass
class Upkeep:
    """The upkeep of one worker. `lane_wait_max_s` as in DESIGN D6; `every_s` between rounds."""

    database: Database
    dispatch: Dispatch
    worker_id: str
    lane_wait_max_s: float = 86_400.0
    every_s: float = 1.0
    suspects: bool = False
    _own: Connection | None = None
    _borrowed: AsyncExitStack = field(default_factory=AsyncExitStack)
    _has_declared: bool = False
    _shown: dict[str, _Shown] = field(default_factory=dict)
    _strays_at: float = 0.0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def begin(self, gate: EpochGate) -> None:
        """Register, hold the lock that shows life, and check the epoch before anything is sent."""
        await self._sign_on()
        try:
            # Before the first claim: what killed a worker must not be claimed with others again.
            await self.bury_the_dead()
            await self._look_at_epoch(gate)
        except BaseException:
            # The pool could never be closed while this connection is out.
            await self._sign_off()
            raise

    async def end(self) -> None:
        """Sign off."""
        if self._own is not None:
            # A database that is gone finds by the lock that we are not there any more.
            with suppress(StorageUnavailable):
                await self._ask(_BURY, self.worker_id)
            await self._sign_off()

    async def declare(self, document_ids: Sequence[int]) -> frozenset[int]:
        """Say which documents' stages run now, in a transaction of its own.

        Returns those that another worker says the same of. Their rows are free, so it died with
        them just now, and they are to be left alone until that is counted; or it lives and is
        done with them. One that was not seen for a while is frozen, and holds up nobody.
        """
        if not document_ids and not self._has_declared:
            return frozenset()
        self._has_declared = bool(document_ids)
        rows = await self._ask(_DECLARE, self.worker_id, list(document_ids))
        return frozenset(row["id"] for row in rows)

    async def suspect(self, document_ids: Sequence[int]) -> None:
        """A claim of these failed, or a worker died with them: from now on each alone."""
        await self._ask(_DIED_WITH, sorted(document_ids))
        self.suspects = True

    async def bury_the_dead(self) -> None:
        """Count the documents that died workers had in their hands against these documents."""
        await self.database.run(self._bury_the_dead)

    async def once(self, advance: Advance) -> None:
        """One round. While the gate is closed, documents are left as they are."""
        started = time.monotonic()
        if self._own is None:
            await self._sign_on()
        await self._ask(_SEEN, self.worker_id)
        longest = timedelta(seconds=self.lane_wait_max_s)
        (found,) = await self._ask(_LOOK, self.worker_id, DEATHS_MAX, longest)
        self.suspects = found["suspects"]
        if found["others"]:
            await self.bury_the_dead()
        await self._look_at_epoch(advance.gate)
        if not advance.gate.is_open:
            return
        await self._show_circuits(advance.lanes)
        if found["killers"]:
            await self._park(advance, _KILLERS, DEATHS_MAX, "document_kills_worker")
        if found["waited"]:
            await self._park(advance, _WAITED, longest, "lane_wait_exceeded")
        await self._adopt_strays(advance.lanes, started)
        took_s = time.monotonic() - started
        if took_s > self.every_s:
            _log.warning("upkeep_slow", took_s=round(took_s, 2))

    # --- the connection of our own --------------------------------------------------------------

    async def _sign_on(self) -> None:
        """Register on a connection that is ours for good, and hold the lock that shows life."""
        async with AsyncExitStack() as borrowing:
            own = await borrowing.enter_async_context(self.database.connection())
            await own.execute(_HOLD, self.worker_id)
            await own.execute(_BEGIN, self.worker_id)
            # Losing the newest heartbeat to a crash of the database costs nothing.
            await own.execute("set synchronous_commit = off")
            self._borrowed = borrowing.pop_all()
        self._own, self._has_declared = own, False

    async def _sign_off(self) -> None:
        self._own = None
        await self._borrowed.aclose()

    async def _ask(self, query: str, *values: Any) -> list[asyncpg.Record]:
        async with self._using() as own:
            rows: list[asyncpg.Record] = await own.fetch(query, *values)
        return rows

    @asynccontextmanager
    async def _using(self) -> AsyncIterator[Connection]:
        """The connection of our own. One that is in trouble is replaced in the next round."""
        async with self._lock:
            if self._own is None:
                raise StorageUnavailable("The worker is not signed on.")
            try:
                yield self._own
            except Exception as error:
                if not is_storage_trouble(error):
                    raise
                await self._sign_off()
                raise StorageUnavailable from error

    async def _look_at_epoch(self, gate: EpochGate) -> None:
        async with self._using() as own:
            news = await gate.look(own)
        if news and gate.is_open:
            _log.info("epoch_accepted", find_first_before=str(gate.find_first_before or ""))
        elif news:
            _log.error("epoch_changed", reason=gate.trouble)

    # --- what a round does ----------------------------------------------------------------------

    async def _bury_the_dead(self, connection: Connection) -> None:
        # Rows of the living are not locked: one of them may be about to declare its batch.
        for row in await connection.fetch(_OTHERS, self.worker_id):
            # The lock also keeps others from burying the same worker at this moment.
            if await connection.fetchval(_IS_DEAD, row["id"]):
                batch = await connection.fetchval(_BATCH, row["id"])
                if batch:
                    _log.warning("worker_died", worker=row["id"], documents=len(batch))
                    await connection.execute(_DIED_WITH, sorted(batch))
                await connection.execute(_BURY, row["id"])
        self.suspects = await connection.fetchval(_SUSPECTS, DEATHS_MAX)

    async def _adopt_strays(self, lanes: Lanes, now: float) -> None:
        if now >= self._strays_at:
            self._strays_at = now + _STRAYS_EVERY_S
            await self._ask(_STRAYS, list(lanes.names))

    async def _show_circuits(self, lanes: Lanes) -> None:
        """State which systems are in trouble, for whoever asks from outside of this process."""
        for system, circuit in sorted(lanes.circuits().items()):
            shown = (circuit.open, circuit.reason, circuit.failures)
            if self._shown.get(system, (False, "", 0)) != shown:

                async def work(
                    connection: Connection, system: str = system, shown: _Shown = shown
                ) -> None:
                    await connection.execute(_CIRCUIT, system, *shown)

                await self.database.run(work)
                self._shown[system] = shown

    async def _park(self, advance: Advance, query: str, limit: object, code: str) -> None:
        async def work(connection: Connection) -> None:
            rows = await connection.fetch(query, limit, _PARK_AT_ONCE)
            cases = await self.dispatch.load(connection, [Claimed(row) for row in rows])
            if not cases:
                return
            now = rows[0]["now"]
            for case in cases:
                _set_aside(case, code)
            flights = [Flight(case, None) for case in cases]
            kept = await save_cases(connection, flights, now)
            await advance.recorder.record(connection, kept, now)

        await self.database.run(work)


def _set_aside(case: Case, code: str) -> None:
    refusal = refuse(code, lane=case.lane or "none")
    case.lane, case.lane_since = lane_name(NO_SYSTEM, case.document.entity), None
    park = case.state.parked or Park(refusal.owner, refusal)
    case.keep(parked=msgspec.structs.replace(park, owner=refusal.owner, refusal=refusal))
    case.note("park", code, refusal=refusal)
