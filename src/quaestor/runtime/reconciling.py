"""Reconciling: look again at what was sent twice or believed to be absent (DESIGN D3).

A settle time is an installation's claim about its ERP. Where the claim is wrong, a second document
comes up later; this round finds it within `reconcile_every_s`, and a person owns it then, with
both numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import msgspec
import structlog

from quaestor.connectors.kit.contract import Command, Found, NotKnown
from quaestor.flows.kit.step import Park
from quaestor.runtime.advancing import Advance
from quaestor.runtime.dispatch import Claimed, Dispatch
from quaestor.runtime.posting import reconciled
from quaestor.runtime.saving import Flight, save_cases
from quaestor.runtime.sending import SystemLink
from quaestor.store import Connection, Database

__all__ = ["Reconciler"]

_AT_ONCE = 20

# The next look is planned before this one is made: a look that kills the worker is not repeated
# at once, and no two workers make the same.
_DUE = """
update quaestor.intent i set reconcile_at = quaestor.clock() + $1::interval
from (select key from quaestor.intent where reconcile_at <= quaestor.clock()
      order by reconcile_at limit $2 for update skip locked) due
where i.key = due.key
returning i.key, i.document_id, i.system, i.name, i.command
"""
_ANY_DUE = """
select exists (select from quaestor.intent where reconcile_at <= quaestor.clock())
"""
_ROW = """
select document_id, flow, flow_version, release, stage, state, lane, lane_since, due_at, fence,
       woken, woken_seen, outcome, quaestor.clock() as now
from quaestor.work where document_id = $1 and lease_until < quaestor.clock() for update skip locked
"""

_command_decoder = msgspec.json.Decoder(Command)
_log = structlog.get_logger(__name__)


@dataclass
class Reconciler:
    """One round at a time; `found` counts the documents that nobody expected."""

    database: Database
    dispatch: Dispatch
    links: Mapping[str, SystemLink]
    every_s: float
    found: int = 0

    async def once(self, advance: Advance) -> int:
        """Look again at what is due; returns how many look-ups were made."""

        async def due(connection: Connection) -> list[asyncpg.Record]:
            every = timedelta(seconds=self.every_s)
            rows: list[asyncpg.Record] = await connection.fetch(_DUE, every, _AT_ONCE)
            return rows

        if not await self.database.fetchval(_ANY_DUE):
            return 0
        rows = await self.database.run(due)
        for row in rows:
            command = _command_decoder.decode(row["command"])
            try:
                seen = await self.links[row["system"]].connector.find(command)
            except NotKnown as error:
                _log.info("reconcile_later", system=row["system"], reason=error.reason)
                continue
            await self._conclude(advance, row, seen)
        return len(rows)

    async def _conclude(self, advance: Advance, row: asyncpg.Record, seen: Found) -> None:
        async def work(connection: Connection) -> bool:
            locked = await connection.fetchrow(_ROW, row["document_id"])
            if locked is None:
                return False
            (case,) = await self.dispatch.load(connection, [Claimed(locked)])
            now = locked["now"]
            case.due_at = locked["due_at"]
            intent = case.intents[row["name"]]
            before = intent.core
            intent.core, refusal = reconciled(before, now, seen)
            intent.is_changed = True
            advance.plan_reconciling(case)
            if refusal is not None:
                case.keep(parked=Park(refusal.owner, refusal, ("acknowledge",)))
                case.note("reconcile", refusal.code, system=intent.system, refusal=refusal)
            elif intent.core.state is not before.state:
                case.due_at = now
                case.note("reconcile", "resolved", system=intent.system)
            kept = await save_cases(connection, [Flight(case, None)], now)
            await advance.recorder.record(connection, kept, now)
            return refusal is not None

        if await self.database.run(work):
            self.found += 1
            _log.error("erp_duplicate_found", system=row["system"], document=row["document_id"])
