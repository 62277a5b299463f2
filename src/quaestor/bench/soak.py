"""Soak: whether a claim takes longer after much work than after little.

Load runs in rounds beside one worker that stays. Between the first two rounds the work rows of a
longer past can be laid down. After each round the engine's claim is timed beside the same claim in
an empty database, in tables that have grown by all flows so far and were updated as often.
"""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg
import msgspec

from quaestor.bench.claims import Claims, Probes
from quaestor.bench.folder import ENTITY
from quaestor.bench.laying import lay_down_done
from quaestor.bench.load import Load
from quaestor.bench.pressure import Pressure
from quaestor.store.embedded import EmbeddedServer

__all__ = ["Round", "Soak"]

_IN_FLIGHT = 200
_WARM_S = 1.0

_SIZES = """
select pg_table_size('quaestor.work') as work_bytes,
       pg_indexes_size('quaestor.work') as index_bytes,
       pg_stat_get_dead_tuples('quaestor.work'::regclass) as dead_rows
"""


class Round(msgspec.Struct, frozen=True):
    """One round: flows done since the beginning, also those laid down; their rate in it; the
    claim; table and indexes of `work` and its dead rows; what the worker has resident, in MB
    (`None` where that cannot be measured)."""

    flows: int
    flows_per_s: float
    claims: Claims
    work_bytes: int
    index_bytes: int
    dead_rows: int
    worker_memory_mb: float | None


@dataclass
class Soak:
    """One run on a server of its own; `pressure` is open. `past` documents are laid down."""

    pressure: Pressure
    server: EmbeddedServer
    past: int = 0

    async def run(self, rounds: int, round_s: float) -> list[Round]:
        """So many rounds of `round_s` of load."""
        release = self.pressure.app.project.release().hash
        load = Load(self.pressure.app, _IN_FLIGHT, ENTITY)
        owner = await asyncpg.connect(self.server.dsn)
        found: list[Round] = []
        try:
            async with Probes.laid(self.server, release) as probes:
                for number in range(rounds):
                    laid = self.past if number else 0
                    found.append(await self._round(owner, probes, load, round_s, laid))
                    if not number:
                        await lay_down_done(owner, release, "past-", self.past)
            return found
        finally:
            await owner.close()

    async def _round(
        self, owner: asyncpg.Connection, probes: Probes, load: Load, round_s: float, laid: int
    ) -> Round:
        window = await load.drive(_WARM_S, round_s)
        claims = await probes.compare()
        sizes = await owner.fetchrow(_SIZES)
        assert sizes is not None
        return Round(
            flows=load.done + laid,
            flows_per_s=round(window.flows_per_s, 1),
            claims=claims,
            worker_memory_mb=self.pressure.worker_memory_mb(),
            **sizes,
        )
