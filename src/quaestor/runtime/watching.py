"""What operators watch of a worker and of the database that all of them share.

A worker's own state is read as it is. The database is asked once per `EVERY_S` at most, however
often somebody asks; every count ends at `COUNTED_MAX`, so that asking costs the same when a
million documents wait. All workers tell the same of the database: take the largest, not the sum.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import asyncpg
from prometheus_client.core import Metric

from quaestor.audit.months import look_outside
from quaestor.audit.sequencer import measure_lag
from quaestor.model.refusal import REFUSALS
from quaestor.observability.exposing import counter, gauge, of_meters, of_pool
from quaestor.runtime.engine import Engine
from quaestor.runtime.lanes import NO_SYSTEM
from quaestor.store import Connection, Database, StorageUnavailable, is_storage_trouble

__all__ = ["COUNTED_MAX", "EVERY_S", "Watch"]

EVERY_S = 10.0
COUNTED_MAX = 10_000
_TIMEOUT_S = 5.0
_LAG_LIMIT_S = 10.0

_PATIENCE = f"set local statement_timeout = '{_TIMEOUT_S:.0f}s'"
_DUE = """
select split_part(w.lane, '/', 1) as system, substring(w.lane from '/(.*)') as entity,
       counted.count, counted.oldest_s
from unnest($1::text[]) w (lane)
cross join lateral (
    select count(*) as count,
           coalesce(extract(epoch from quaestor.clock() - min(due_at)), 0)::float8 as oldest_s
    from (
        select due_at from quaestor.work
        where lane = w.lane and due_at <= quaestor.clock() and lease_until < quaestor.clock()
        order by due_at limit $2
    ) found
) counted
"""
# From one cause to the next in the order of the index, then each of them up to the limit.
_PARKED = """
with recursive cause as (
    (select entity, parked_owner, parked_code from quaestor.work where parked_at is not null
     order by entity, parked_owner, parked_code limit 1)
    union all
    select following.* from cause c cross join lateral (
        select w.entity, w.parked_owner, w.parked_code from quaestor.work w
        where w.parked_at is not null
          and (w.entity, w.parked_owner, w.parked_code)
              > (c.entity, c.parked_owner, c.parked_code)
        order by w.entity, w.parked_owner, w.parked_code limit 1
    ) following
)
select c.parked_owner as owner, c.parked_code as code, sum(counted.count)::bigint as count
from (select * from cause limit 5000) c
cross join lateral (
    select count(*) as count from (
        select from quaestor.work w
        where w.parked_at is not null and w.entity = c.entity
          and w.parked_owner = c.parked_owner and w.parked_code = c.parked_code
        limit $1
    ) found
) counted
group by 1, 2
"""
_PARKED_LONGEST = """
select extract(epoch from quaestor.clock() - parked_at)::float8 from quaestor.work
where parked_at is not null order by parked_at, document_id limit 1
"""
_NOT_UNDERSTOOD = """
select system, count(*) as count from (
    select system from quaestor.inbound_refused where cleared_at is null limit $1
) found group by 1
"""
_TO_RECONCILE = """
select count(*) from (
    select from quaestor.intent where reconcile_at is not null limit $1
) found
"""
_SPOOLED = "select count(*) from (select from quaestor.outcome_spool limit $1) found"
_LEAVES = "select next_leaf from quaestor.audit_sequencer"
_CHECKPOINT = """
select size, extract(epoch from quaestor.clock() - made_at)::float8 as age_s
from quaestor.checkpoint order by size desc limit 1
"""
_REPLICAS = """
select system, kind, extract(epoch from quaestor.clock() - as_of)::float8 as age_s
from quaestor.replica where as_of is not null
"""
_STREAMS = """
select system, name, failures,
       extract(epoch from quaestor.clock() - answered_at)::float8 as answered_s,
       greatest(extract(epoch from quaestor.clock() - due_at), 0)::float8 as late_s
from quaestor.stream
"""
_WORKERS = """
select count(*) filter (where seen_at > quaestor.clock() - interval '10 s') as seen,
       count(*) as known
from quaestor.worker
"""
_SESSIONS = """
select count(*) as sessions, current_setting('max_connections')::int as sessions_max,
       coalesce(max(extract(epoch from clock_timestamp() - xact_start))
                filter (where pid <> pg_backend_pid()), 0)::float8 as oldest_s
from pg_stat_activity where backend_type = 'client backend'
"""
_ROWS = """
select n_live_tup as live, n_dead_tup as dead from pg_stat_user_tables
where schemaname = 'quaestor' and relname = 'work'
"""


class Watch:
    """The metrics of one worker: a source for `expose`."""

    def __init__(self, engine: Engine, database: Database) -> None:
        self._engine = engine
        self._database = database
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")
        self._seen: list[Metric] = []

    async def __call__(self) -> list[Metric]:
        """Everything, as it is now; of the database as it was `EVERY_S` ago at most."""
        async with self._looking:
            if time.monotonic() - self._looked_at >= EVERY_S:
                self._seen = await self._look()
                self._looked_at = time.monotonic()
        return [
            *of_worker(self._engine),
            *of_meters(self._engine.meters),
            *of_pool(*self._database.lent),
            *self._seen,
        ]

    async def _look(self) -> list[Metric]:
        """What the database says; that it says nothing is a metric as well."""
        lanes = [*self._engine.advance.lanes.names, NO_SYSTEM]
        try:
            async with self._database.transaction(readonly=True) as connection:
                await connection.execute(_PATIENCE)
                found = [
                    *await _of_documents(connection, lanes),
                    *await _of_trail(connection),
                    *await _of_others(connection),
                ]
        except (asyncpg.QueryCanceledError, TimeoutError, StorageUnavailable):
            return [_heard(0)]
        except Exception as error:
            if not is_storage_trouble(error):
                raise
            return [_heard(0)]
        return [*found, _heard(1)]


def _heard(answered: int) -> Metric:
    return gauge("database_up", "Whether the database answered all of the look.", answered)


def of_worker(engine: Engine) -> list[Metric]:
    """What this worker holds in its hands."""
    lanes, outcomes = engine.advance.lanes, engine.outcomes
    circuits = lanes.circuits()
    systems = sorted({*lanes.slots, *circuits} - {NO_SYSTEM})
    by = ("system",)
    return [
        gauge(
            "slots",
            "How many calls of the system this worker makes at once.",
            {(system,): lanes.slots.get(system, lanes.slots_default) for system in systems},
            by,
        ),
        gauge(
            "slots_taken",
            "Calls that are under way.",
            {(system,): lanes.taken_of(system) for system in systems},
            by,
        ),
        gauge(
            "circuit_open",
            "Whether the system is in trouble, as this worker sees it.",
            {(each,): int(each in circuits and circuits[each].open) for each in systems},
            by,
        ),
        gauge("gate_open", "Whether anything may be sent.", int(engine.advance.gate.is_open)),
        counter("outcomes_committed", "Answers that were recorded.", outcomes.committed),
        counter(
            "outcomes_fenced",
            "Answers to documents that another worker had taken by then.",
            outcomes.fenced,
        ),
        counter(
            "outcomes_unrecordable",
            "Answers that could not be recorded where they belong.",
            outcomes.unrecordable,
        ),
    ]


async def _of_documents(connection: Connection, lanes: Sequence[str]) -> list[Metric]:
    limit = COUNTED_MAX + 1
    due = await connection.fetch(_DUE, lanes, limit)
    parked: Counter[tuple[str, ...]] = Counter()
    for row in await connection.fetch(_PARKED, limit):
        # A code of an earlier release, or of a customer's own step.
        parked[row["owner"], row["code"] if row["code"] in REFUSALS else "other"] += row["count"]
    longest = await connection.fetchval(_PARKED_LONGEST)
    refused = await connection.fetch(_NOT_UNDERSTOOD, limit)
    lane = ("system", "entity")
    return [
        gauge(
            "due",
            "Documents that could be taken up and are not.",
            {(row["system"], row["entity"] or ""): row["count"] for row in due},
            lane,
        ),
        gauge(
            "due_oldest_seconds",
            "For how long the first of them has been due.",
            {(row["system"], row["entity"] or ""): row["oldest_s"] for row in due},
            lane,
        ),
        gauge(
            "parked",
            "Documents that wait for a person, by refusal; up to 10,000 of each entity.",
            parked,
            ("owner", "refusal"),
        ),
        gauge("parked_oldest_seconds", "For how long the first has waited.", longest or 0),
        gauge(
            "not_understood",
            "What systems published and nothing could be made of.",
            {(row["system"],): row["count"] for row in refused},
            ("system",),
        ),
        gauge(
            "to_reconcile",
            "Sends that were believed absent and are looked for again.",
            await connection.fetchval(_TO_RECONCILE, limit),
        ),
        gauge(
            "spooled",
            "Answers that stand in the spool, because they could not be recorded.",
            await connection.fetchval(_SPOOLED, limit),
        ),
    ]


async def _of_trail(connection: Connection) -> list[Metric]:
    lag = await measure_lag(connection, _LAG_LIMIT_S)
    blocked_s = 0.0 if lag.blocker is None else lag.blocker.age_s or lag.waiting_s
    leaves = await connection.fetchval(_LEAVES)
    checkpoint = await connection.fetchrow(_CHECKPOINT)
    signed, age_s = (0, 0.0) if checkpoint is None else (checkpoint["size"], checkpoint["age_s"])
    outside = await look_outside(connection)
    return [
        gauge("audit_unplaced", "Entries that have no leaf yet.", lag.entries),
        gauge("audit_unplaced_oldest_seconds", "How long the first waits.", lag.waiting_s),
        gauge(
            "audit_blocked_seconds",
            "Age of the transaction that keeps entries from their leaves; the log names it.",
            blocked_s,
        ),
        gauge("audit_leaves", "Leaves of the trail.", leaves),
        gauge("audit_signed_leaves", "Leaves under the newest checkpoint.", signed),
        gauge("audit_checkpoint_age_seconds", "Age of the newest checkpoint.", age_s),
        gauge(
            "audit_outside_months",
            "Entries that stand in no month's partition.",
            outside.entries,
        ),
    ]


async def _of_others(connection: Connection) -> list[Metric]:
    replicas = await connection.fetch(_REPLICAS)
    streams = await connection.fetch(_STREAMS)
    workers = await connection.fetchrow(_WORKERS)
    sessions = await connection.fetchrow(_SESSIONS)
    rows = await connection.fetchrow(_ROWS)
    assert workers is not None
    assert sessions is not None
    stream = ("system", "stream")
    return [
        gauge(
            "replica_age_seconds",
            "How old what is known of a list of another system is.",
            {(row["system"], row["kind"]): row["age_s"] for row in replicas},
            ("system", "kind"),
        ),
        gauge(
            "stream_answered_seconds",
            "How long ago the stream was answered.",
            {
                (row["system"], row["name"]): row["answered_s"]
                for row in streams
                if row["answered_s"] is not None
            },
            stream,
        ),
        gauge(
            "stream_late_seconds",
            "For how long the stream should have been asked.",
            {(row["system"], row["name"]): row["late_s"] for row in streams},
            stream,
        ),
        gauge(
            "stream_failures",
            "Troubles of the stream in a row.",
            {(row["system"], row["name"]): row["failures"] for row in streams},
            stream,
        ),
        gauge(
            "workers",
            "Workers, by whether they were seen in the last ten seconds.",
            {("seen",): workers["seen"], ("silent",): workers["known"] - workers["seen"]},
            ("state",),
        ),
        gauge("database_sessions", "Sessions of the server.", sessions["sessions"]),
        gauge("database_sessions_max", "How many it takes.", sessions["sessions_max"]),
        gauge(
            "database_oldest_transaction_seconds",
            "Age of the oldest transaction of the server.",
            sessions["oldest_s"],
        ),
        gauge(
            "work_rows",
            "Rows of the table of work, as the server estimates them.",
            {} if rows is None else {("live",): rows["live"], ("dead",): rows["dead"]},
            ("state",),
        ),
    ]
