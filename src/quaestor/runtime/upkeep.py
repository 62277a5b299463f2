"""Upkeep: what a worker does beside its work, every second or so.

It shows that it is alive, takes note of documents that a dead worker had in its hands, parks what
waited too long in a lane, and stops sending when the database is not the one it was (D3).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta

import asyncpg
import structlog

from quaestor.flows.kit.step import Park
from quaestor.model.refusal import refuse
from quaestor.runtime.advancing import Advance
from quaestor.runtime.case import Case
from quaestor.runtime.dispatch import Claimed, Dispatch
from quaestor.runtime.lanes import Lanes
from quaestor.runtime.saving import Flight, save_cases
from quaestor.store import Connection, Database
from quaestor.store.epoch import EpochError, require_same_epoch

__all__ = ["Upkeep"]

DEATHS_MAX = 3
_PARK_AT_ONCE = 100

_BEGIN = """
insert into quaestor.worker (id, started_at, seen_at)
values ($1, quaestor.clock(), quaestor.clock())
"""
_DECLARE = "update quaestor.worker set batch = $2, seen_at = quaestor.clock() where id = $1"
_SEEN = "update quaestor.worker set seen_at = quaestor.clock() where id = $1"
_OTHERS = "select id, batch from quaestor.worker where id <> $1 order by id for update skip locked"
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
where lane_since < quaestor.clock() - $1::interval and due_at is not null and parked_at is null
  and lease_until < quaestor.clock()
order by document_id limit $2 for update skip locked
"""
_KILLERS = """
select document_id, flow, flow_version, release, stage, state, lane, lane_since, due_at, fence,
       woken, woken_seen, outcome, quaestor.clock() as now
from quaestor.work
where deaths >= $1 and parked_at is null and lease_until < quaestor.clock()
order by document_id limit $2 for update skip locked
"""

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
    may_send: bool = False
    suspects: bool = False
    epoch_trouble: str = ""
    _own: asyncpg.Connection | None = None
    _borrowed: AsyncExitStack = field(default_factory=AsyncExitStack)
    _declared: tuple[int, ...] = ()
    _shown: dict[str, _Shown] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def begin(self) -> None:
        """Register, hold the lock that shows life, and check the epoch before anything is sent."""
        own = await self._borrowed.enter_async_context(self.database.connection())
        await own.execute(_HOLD, self.worker_id)
        await own.execute(_BEGIN, self.worker_id)
        # Losing the newest heartbeat to a crash of the database costs nothing.
        await own.execute("set synchronous_commit = off")
        self._own = own
        await self._check_epoch()

    async def end(self) -> None:
        """Sign off."""
        if self._own is not None:
            async with self._lock:
                await self._own.execute(_BURY, self.worker_id)
            await self._borrowed.aclose()
            self._own = None

    async def declare(self, document_ids: Sequence[int]) -> None:
        """Say which documents' stages run now, in a transaction of its own."""
        declared = tuple(document_ids)
        if self._own is None or declared == self._declared:
            return
        self._declared = declared
        async with self._lock:
            await self._own.execute(_DECLARE, self.worker_id, list(declared))

    async def suspect(self, document_ids: Sequence[int]) -> None:
        """A claim of these failed, or a worker died with them: from now on each alone."""
        assert self._own is not None
        async with self._lock:
            await self._own.execute(_DIED_WITH, sorted(document_ids))
        self.suspects = True

    async def once(self, advance: Advance) -> None:
        """One round."""
        started = time.monotonic()
        assert self._own is not None
        async with self._lock:
            await self._own.execute(_SEEN, self.worker_id)
        await self._check_epoch()
        await self.database.run(self._bury_the_dead)
        await self._show_circuits(advance.lanes)
        await self._park(advance, _KILLERS, DEATHS_MAX, "document_kills_worker")
        longest = timedelta(seconds=self.lane_wait_max_s)
        await self._park(advance, _WAITED, longest, "lane_wait_exceeded")
        took_s = time.monotonic() - started
        if took_s > self.every_s:
            _log.warning("upkeep_slow", took_s=round(took_s, 2))

    async def _check_epoch(self) -> None:
        assert self._own is not None
        try:
            async with self._lock:
                await require_same_epoch(self._own)
        except EpochError as error:
            if self.may_send or not self.epoch_trouble:
                _log.error("epoch_changed", reason=str(error) or type(error).__name__)
            self.may_send, self.epoch_trouble = False, str(error) or type(error).__name__
        else:
            self.may_send, self.epoch_trouble = True, ""

    async def _bury_the_dead(self, connection: Connection) -> None:
        for row in await connection.fetch(_OTHERS, self.worker_id):
            if await connection.fetchval(_IS_DEAD, row["id"]):
                if row["batch"]:
                    _log.warning("worker_died", worker=row["id"], documents=len(row["batch"]))
                    await connection.execute(_DIED_WITH, sorted(row["batch"]))
                await connection.execute(_BURY, row["id"])
        self.suspects = await connection.fetchval(_SUSPECTS, DEATHS_MAX)

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
    case.lane, case.lane_since = "", None
    case.keep(parked=Park(refusal.owner, refusal))
    case.note("park", code, refusal=refusal)
