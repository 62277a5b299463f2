"""Soak: whether a claim takes longer after much work than after little.

Load runs in rounds. After each the worker is stopped and the engine's claim is timed on the same
due documents, in tables that have grown by all flows so far and were updated as often.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import asyncpg
import msgspec

from quaestor.bench.folder import ENTITY
from quaestor.bench.growth import CLAIMED, claim_times_ms, lay_down
from quaestor.bench.load import Load, percentile
from quaestor.bench.pressure import Pressure

__all__ = ["Round", "Soak"]

_IN_FLIGHT = 200
_WARM_S = 1.0

_DUE = "update quaestor.work set due_at = quaestor.clock() where document_id = any($1)"
_NOT_DUE = "update quaestor.work set due_at = null where document_id = any($1)"
_LAID = "select document_id from quaestor.work where due_at is not null"
_WORK_BYTES = "select pg_total_relation_size('quaestor.work')"


class Round(msgspec.Struct, frozen=True):
    """One round: flows done since the beginning, their rate in it, then the claim, in ms, and the
    size of table and indexes of `work`."""

    flows: int
    flows_per_s: float
    claim_p50_ms: float
    claim_p99_ms: float
    work_bytes: int


@dataclass
class Soak:
    """One run on a server of its own; `pressure` is open."""

    pressure: Pressure
    dsn: str

    async def run(self, rounds: int, round_s: float) -> list[Round]:
        """So many rounds of `round_s` of load."""
        owner = await asyncpg.connect(self.dsn)
        try:
            await self.pressure.stop_worker()
            release = self.pressure.app.project.release().hash
            await lay_down(owner, release, "probe-", CLAIMED, parked=False)
            self._probes = [row["document_id"] for row in await owner.fetch(_LAID)]
            await owner.execute(_NOT_DUE, self._probes)
            load = Load(self.pressure.app, _IN_FLIGHT, ENTITY)
            return [await self._round(owner, load, round_s) for _ in range(rounds)]
        finally:
            await owner.close()

    async def _round(self, owner: asyncpg.Connection, load: Load, round_s: float) -> Round:
        await self.pressure.start_worker()
        window = await load.drive(_WARM_S, round_s)
        await self.pressure.stop_worker()
        await owner.execute(_DUE, self._probes)
        claims = await claim_times_ms(self.dsn)
        await owner.execute(_NOT_DUE, self._probes)
        return Round(
            flows=load.done,
            flows_per_s=round(window.flows_per_s, 1),
            claim_p50_ms=round(statistics.median(claims), 3),
            claim_p99_ms=round(percentile(claims, 99), 3),
            work_bytes=await owner.fetchval(_WORK_BYTES),
        )
