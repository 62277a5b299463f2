"""Parked work: what a mass of documents that wait for people costs those that do not.

Parked documents are laid down in growing numbers. Each time the same is measured: how long a claim
takes, what an idle worker and its database spend, and how much disk a parked document holds.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec

from quaestor.app import Application
from quaestor.audit.subjects import deployment_key
from quaestor.bench.folder import ENTITY, write_folder
from quaestor.bench.load import BenchFailed, percentile
from quaestor.bench.meters import cpu_s, has_proc, machine, resident_mb, with_children
from quaestor.bench.run import Process, Start
from quaestor.flows.requisition_to_order import REQUISITION_TO_ORDER
from quaestor.model.refusal import refuse
from quaestor.project.load import load_project
from quaestor.runtime.dispatch import Dispatch
from quaestor.runtime.lanes import NO_SYSTEM, lane_name
from quaestor.runtime.state import SCHEMA_NO, WorkState, encode_state
from quaestor.store import Connection, Database
from quaestor.store.embedded import EmbeddedServer
from quaestor.store.embedded.postmaster import PidFile
from quaestor.store.migrate import migrate

__all__ = ["CLAIMED", "Growth", "Held", "lay_down"]

CLAIMED = 80
"""Documents that are due and claimed at a time, as the engine does."""

# One claim is a few milliseconds: the median of so many tells a fifth.
_CLAIMS = 200
_LAID_AT_A_TIME = 50_000
_WORKER_STOP_S = 30.0

# As large as a stored requisition of a few lines; pg_lz would not make it smaller, it is packed.
_BODY_BYTES = 600

_DOCUMENTS = """
with laid as (
    insert into quaestor.document
        (entity, type, source_system, source_id, number, correlation_id, version, content_hash,
         changed_at, created_at)
    select $1, 'requisition', 'coupa', $2 || n, $2 || n, gen_random_uuid()::text, 1,
           'sha256:' || md5(n::text) || md5($2 || n), quaestor.clock(), quaestor.clock()
    from generate_series($3::bigint, $4::bigint) n
    returning id
), bodies as (
    insert into quaestor.document_body
        (document_id, version, entity, schema_no, content_hash, body, received_at)
    select id, 1, $1, $5, 'sha256:laid-down', $6, quaestor.clock() from laid
)
insert into quaestor.work
    (document_id, entity, flow, flow_version, schema_no, release, stage, state, lane, due_at,
     parked_owner, parked_code, parked, parked_at)
select id, $1, $7, $8, $5, $9, 'validating', $10, '/' || $1,
       case when $11::text is null then quaestor.clock() end,
       $11, $12, $13, case when $11::text is not null then quaestor.clock() end
from laid
"""
_LAID = "select count(*) from quaestor.work where parked_at is not null"
_DISK = """
select sum(pg_total_relation_size(oid))::bigint from pg_class
where relnamespace = 'quaestor'::regnamespace and relkind = 'r'
  and relname in ('document', 'document_body', 'work')
"""


class Held(msgspec.Struct, frozen=True):
    """What was measured with so many parked documents.

    Times in milliseconds, `idle_*` in percent of one core, `disk_bytes` per parked document;
    what could not be measured here is absent (`None`).
    """

    parked: int
    claim_p50_ms: float
    claim_p99_ms: float
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
            await lay_down(owner, release, "due-", CLAIMED, parked=False)
            said = machine(str(owner.get_settings().server_version).split()[0])
            return said, [await self._hold(owner, release, number) for number in numbers]
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

    async def _hold(self, owner: asyncpg.Connection, release: str, number: int) -> Held:
        there = await owner.fetchval(_LAID)
        before = await owner.fetchval(_DISK)
        await lay_down(owner, release, f"parked-{number}-", number - there, parked=True)
        await owner.execute("checkpoint")
        claims = await claim_times_ms(self.server.dsn)
        grown = await owner.fetchval(_DISK) - before
        held = Held(
            parked=number,
            claim_p50_ms=round(statistics.median(claims), 3),
            claim_p99_ms=round(percentile(claims, 99), 3),
            disk_bytes=round(grown / (number - there)) if number > there else None,
        )
        return await self._idle(owner, held) if has_proc() else held

    async def _idle(self, owner: asyncpg.Connection, held: Held) -> Held:
        """A worker that has nothing to do, with all of that parked."""
        await owner.execute("update quaestor.work set due_at = null where parked_at is null")
        arguments = ["work", "--project", str(self.folder / "project"), "--data", str(self.folder)]
        environment = {"QUAESTOR_DSN": self.server.dsn}
        worker = await self.start(f"worker-{held.parked}", [*arguments, "--json"], environment)
        try:
            return await self._watch(worker, held)
        finally:
            await worker.stop(_WORKER_STOP_S)
            await owner.execute(
                "update quaestor.work set due_at = quaestor.clock() where parked_at is null"
            )

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


async def lay_down(
    owner: asyncpg.Connection, release: str, prefix: str, count: int, *, parked: bool
) -> None:
    """Write `count` requisitions: parked with finance, or due at once."""
    refusal = refuse("approval_expired", request="approval/1/1")
    for first in range(1, count + 1, _LAID_AT_A_TIME):
        await owner.execute(
            _DOCUMENTS,
            ENTITY,
            prefix,
            first,
            min(count, first + _LAID_AT_A_TIME - 1),
            SCHEMA_NO,
            bytes(range(200)) * (_BODY_BYTES // 200),
            REQUISITION_TO_ORDER.name,
            REQUISITION_TO_ORDER.version,
            release,
            encode_state(WorkState()),
            refusal.owner if parked else None,
            refusal.code if parked else None,
            msgspec.json.encode(refusal) if parked else None,
        )


async def claim_times_ms(dsn: str) -> list[float]:
    """How long the engine's claim takes, again and again on the same due documents."""
    dispatch = Dispatch(
        {(REQUISITION_TO_ORDER.name, REQUISITION_TO_ORDER.version): REQUISITION_TO_ORDER}
    )
    # As a worker is connected: its session also says how statements are planned.
    async with (
        await Database.connect(
            dsn, role="quaestor_worker", application_name="quaestor bench"
        ) as database,
        database.connection() as connection,
    ):
        times = [await _claim_ms(connection, dispatch) for _ in range(_CLAIMS // 10 + _CLAIMS)]
    return times[_CLAIMS // 10 :]


async def _claim_ms(connection: Connection, dispatch: Dispatch) -> float:
    transaction = connection.transaction()
    await transaction.start()
    try:
        began = time.perf_counter()
        claimed = await dispatch.claim(
            connection, {lane_name(NO_SYSTEM, ENTITY): CLAIMED}, woken_max=CLAIMED, in_flight=[]
        )
        took_ms = (time.perf_counter() - began) * 1000
    finally:
        await transaction.rollback()
    if len(claimed) != CLAIMED:
        raise BenchFailed(f"{len(claimed)} documents were claimed, not {CLAIMED}")
    return took_ms
