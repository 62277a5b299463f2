"""Parked work: what a mass of documents that wait for people costs those that do not.

Parked documents are laid down in growing numbers. Each time the same is measured: how long a claim
takes, what an idle worker and its database spend, and how much disk a parked document holds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec

from quaestor.app import Application
from quaestor.audit.subjects import deployment_key
from quaestor.bench.claims import CLAIMED, Claims, Probes
from quaestor.bench.folder import write_folder
from quaestor.bench.laying import lay_down
from quaestor.bench.load import BenchFailed
from quaestor.bench.meters import cpu_s, has_proc, machine, resident_mb, with_children
from quaestor.bench.run import Process, Start
from quaestor.project.load import load_project
from quaestor.store.embedded import EmbeddedServer
from quaestor.store.embedded.postmaster import PidFile
from quaestor.store.migrate import migrate

__all__ = ["Growth", "Held"]

_WORKER_STOP_S = 30.0
_SETTLED_MAX_S = 600.0
_SETTLED_LOOK_S = 0.5

_LAID = "select count(*) from quaestor.work where parked_at is not null"
_DISK = """
select sum(pg_total_relation_size(oid))::bigint from pg_class
where relnamespace = 'quaestor'::regnamespace and relkind = 'r'
  and relname in ('document', 'document_body', 'work')
"""
# The server looks through what was written by itself; it is told to, and waited for.
_LOOK_THROUGH = "vacuum (analyze)"
_LOOKING_THROUGH = """
select count(*) from pg_stat_activity where backend_type = 'autovacuum worker'
"""


class Held(msgspec.Struct, frozen=True):
    """What was measured with so many parked documents.

    `idle_*` in percent of one core, `disk_bytes` per parked document; what could not be measured
    here is absent (`None`).
    """

    parked: int
    claims: Claims
    worker_memory_mb: float | None = None
    idle_worker_pct: float | None = None
    idle_database_pct: float | None = None
    disk_bytes: float | None = None


@dataclass
class Growth:
    """One run, below `folder`, on a server of its own; idling is watched for `idle_s`."""

    folder: Path
    server: EmbeddedServer
    start: Start
    idle_s: float

    async def run(self, numbers: Sequence[int]) -> tuple[str, list[Held]]:
        """The machine in words, and what was found with each number of parked documents.

        `numbers` grow. Raises `BenchFailed` where nothing can be said.
        """
        await migrate(self.server.dsn)
        owner = await asyncpg.connect(self.server.dsn)
        try:
            release = await self._release()
            said = machine(str(owner.get_settings().server_version).split()[0])
            async with Probes.laid(self.server, release) as probes:
                return said, [
                    await self._hold(owner, probes, release, number) for number in numbers
                ]
        finally:
            await owner.close()

    async def _release(self) -> str:
        folder = self.folder / "project"
        write_folder(
            folder, base_url="http://127.0.0.1:9", slots=CLAIMED, on=datetime.now(UTC).date()
        )
        key = deployment_key(self.folder / "audit.key")
        async with await Application.open(
            load_project(folder), self.server.dsn, audit_key=key, application_name="quaestor bench"
        ) as app:
            return await app.release(by="bench")

    async def _hold(
        self, owner: asyncpg.Connection, probes: Probes, release: str, number: int
    ) -> Held:
        there = await owner.fetchval(_LAID)
        before = await owner.fetchval(_DISK)
        await lay_down(owner, release, f"parked-{number}-", number - there, parked=True)
        grown = await owner.fetchval(_DISK) - before
        await self._settle(owner)
        held = Held(
            parked=number,
            claims=await probes.compare(),
            disk_bytes=round(grown / (number - there)) if number > there else None,
        )
        return await self._idle(held) if has_proc() else held

    async def _settle(self, owner: asyncpg.Connection) -> None:
        """What was laid down is looked through by the server, and lies on the disk."""
        await owner.execute(_LOOK_THROUGH)
        async with asyncio.timeout(_SETTLED_MAX_S):
            while True:
                if not await owner.fetchval(_LOOKING_THROUGH):
                    break
                await asyncio.sleep(_SETTLED_LOOK_S)
        await owner.execute("checkpoint")

    async def _idle(self, held: Held) -> Held:
        """A worker that has nothing to do, with all of that parked."""
        arguments = ["work", "--project", str(self.folder / "project"), "--data", str(self.folder)]
        environment = {"QUAESTOR_DSN": self.server.dsn}
        worker = await self.start(f"worker-{held.parked}", [*arguments, "--json"], environment)
        try:
            return await self._watch(worker, held)
        finally:
            await worker.stop(_WORKER_STOP_S)

    async def _watch(self, worker: Process, held: Held) -> Held:
        postmaster = PidFile.read(self.server.cluster)
        if postmaster is None:
            raise BenchFailed("the database is gone")
        # What it does once at its beginning is not idling.
        await asyncio.sleep(self.idle_s / 2)
        began = time.monotonic()
        spent = cpu_s([worker.pid]), cpu_s(with_children(postmaster.pid))
        await asyncio.sleep(self.idle_s)
        elapsed_s = time.monotonic() - began
        of_worker = cpu_s([worker.pid]) - spent[0]
        of_database = cpu_s(with_children(postmaster.pid)) - spent[1]
        return msgspec.structs.replace(
            held,
            worker_memory_mb=round(resident_mb(worker.pid), 1),
            idle_worker_pct=round(100 * of_worker / elapsed_s, 2),
            idle_database_pct=round(100 * of_database / elapsed_s, 2),
        )
