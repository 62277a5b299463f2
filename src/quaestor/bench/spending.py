"""What a window costs: who spent the processor's time, how much WAL, and what else the machine did.

Per flow it is the steadiest figure there is: a machine shared with others changes its speed, and
with it every rate, long before it changes what a flow costs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import msgspec

from quaestor.bench.limit import Limit, Manner
from quaestor.bench.load import Load, Window
from quaestor.bench.meters import busy_s, cpu_s, has_proc, with_children
from quaestor.store.embedded.postmaster import PidFile

__all__ = ["Meter", "Spending"]

_WAL = """
select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8 as wal_bytes,
       (select xact_commit from pg_stat_database where datname = current_database()) as commits
"""
# Since PostgreSQL 18 the log's own are counted there.
_FSYNCS = "select sum(fsyncs)::bigint from pg_stat_io where object = 'wal'"
_FSYNCS_SINCE = 18
_RAMP_S = 0.5


class Spending(msgspec.Struct, frozen=True):
    """Processor milliseconds per flow, by who spent them, and bytes of WAL per flow.

    `commits` and `fsyncs` of the log per flow, as far as the server's sessions have told them.
    `others_cores` is how many cores were busy meanwhile with what is none of the benchmark's.
    """

    worker_cpu_ms: float
    database_cpu_ms: float
    load_cpu_ms: float
    ledger_cpu_ms: float
    wal_bytes: float
    commits: float
    fsyncs: float
    others_cores: float


class _Reading(msgspec.Struct, frozen=True):
    """All meters at one moment; seconds and bytes since they began to count."""

    at: float
    processes: tuple[float, float, float, float]
    wal_bytes: float
    commits: int
    fsyncs: int
    machine: float

    def until(self, later: _Reading, flows: int) -> Spending:
        """What was spent from here on, shared among the flows."""
        spent = [now - then for now, then in zip(later.processes, self.processes, strict=True)]
        others = (later.machine - self.machine - sum(spent)) / (later.at - self.at)
        worker, database, load, ledger = (seconds * 1000 / flows for seconds in spent)
        return Spending(
            worker_cpu_ms=worker,
            database_cpu_ms=database,
            load_cpu_ms=load,
            ledger_cpu_ms=ledger,
            wal_bytes=(later.wal_bytes - self.wal_bytes) / flows,
            commits=(later.commits - self.commits) / flows,
            fsyncs=(later.fsyncs - self.fsyncs) / flows,
            others_cores=max(0.0, others),
        )


@dataclass
class Meter:
    """Goes through one window with an eye on what it costs; no costs where there is no /proc."""

    load: Load
    owner: asyncpg.Connection
    cluster: Path
    ledger: int
    workers: Callable[[], Sequence[int]]

    async def limit(
        self, limit: Limit, manner: Manner, warm_s: float, measured_s: float
    ) -> tuple[float, list[Spending]]:
        """Flows per second of the database alone."""
        before, done = await self._read(), limit.flows
        rate = await limit.run(manner, warm_s, measured_s)
        return rate, self._since(before, await self._read(), limit.flows - done)

    async def engine(self, warm_s: float, measured_s: float) -> tuple[Window, list[Spending]]:
        """A window of the engine."""
        await self.load.drive(warm_s, 0.0)
        before, done = await self._read(), self.load.done
        window = await self.load.drive(_RAMP_S, measured_s)
        return window, self._since(before, await self._read(), self.load.done - done)

    def _since(self, before: _Reading | None, after: _Reading | None, flows: int) -> list[Spending]:
        if before is None or after is None or not flows:
            return []
        return [before.until(after, flows)]

    async def _read(self) -> _Reading | None:
        row = await self.owner.fetchrow(_WAL)
        counts_fsyncs = self.owner.get_server_version().major >= _FSYNCS_SINCE
        fsyncs = await self.owner.fetchval(_FSYNCS) if counts_fsyncs else 0
        postmaster = PidFile.read(self.cluster)
        if row is None or postmaster is None or not has_proc():
            return None
        return _Reading(
            at=asyncio.get_running_loop().time(),
            processes=(
                cpu_s(self.workers()),
                cpu_s(with_children(postmaster.pid)),
                cpu_s([os.getpid()]),
                cpu_s([self.ledger]),
            ),
            wal_bytes=row["wal_bytes"],
            commits=row["commits"],
            fsyncs=fsyncs,
            machine=busy_s(),
        )
