"""What one flow writes, looked up in a database that the engine has worked on.

Documents are caught while they are on the wire, at each of their calls, and looked at again when
they are done: together that tells every row and every version of a row, transaction by
transaction. The rows are then laid down beside an empty schema as patterns for `limit`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec

from quaestor.audit.entry import decode_entry
from quaestor.bench.folder import CENTERS, ENTITY

__all__ = [
    "CLAIMED",
    "PHASES",
    "STATED",
    "Caught",
    "FlowRows",
    "NoPlainFlow",
    "caught",
    "counts",
    "finished",
    "plant",
]

PHASES = 5
"""Transactions of one flow that write its rows: intake, claim, and one for what was answered by
planning, by the ledger and by Coupa."""
CLAIMED, STATED = 2, 3

_WORK = "stage, state, lane, due_at, lease_until, outcome, parked, done_at"
_INTENT = """
name, system, action, generation, lane, state, core, command, payload, number, created_at,
first_sent_at, resolved_at, key
"""
_ON_THE_WIRE = """
select document_id from quaestor.work
where lease_until > quaestor.clock() order by random() limit 50
"""
_WORK_OF = f"select {_WORK} from quaestor.work where document_id = $1"
_INTENTS_OF = f"select {_INTENT} from quaestor.intent where document_id = $1 order by created_at"
_PHASE_OF = "select count(distinct txid) from quaestor.audit where document_id = $1"
_DOCUMENT = """
select d.type, d.source_system, d.content_hash, d.version, b.schema_no, b.body, w.flow,
       w.flow_version, w.release
from quaestor.document d
join quaestor.document_body b on b.document_id = d.id
join quaestor.work w on w.document_id = d.id
where d.id = $1
"""
_ENTRIES = """
select dense_rank() over (order by txid) as phase, id, at, canonical, salt, commitment
from quaestor.audit where document_id = $1 order by txid, id
"""
_PAYLOADS = """
select retention, hash, encoding, size, content from quaestor.audit_payload
where entity = $1 and hash = any($2)
"""
# The first statement about a budget is its own entry; those that follow it change nothing.
_MOVED = """
select at, effect, kind, pre, enc, act from quaestor.budget_entry
where document_id = $1 and kind <> 'load' order by id
"""
_CROSSREFS = "select system, kind, key from quaestor.crossref where document_id = $1"
_COUNTS = """
select relname, sum(n_tup_ins) as inserted, sum(n_tup_upd) as updated from (
    select case when relname like 'audit\\_2%' or relname = 'audit_other' then 'audit'
                else relname end as relname, n_tup_ins, n_tup_upd
    from pg_stat_all_tables where schemaname = 'quaestor') as each
group by relname
"""


class NoPlainFlow(Exception):
    """No document took the plain way, or none was caught at some call: the machine is too busy."""


class Caught(msgspec.Struct, frozen=True):
    """A document on the wire, as its transactions up to number `phase` left it."""

    document_id: int
    phase: int
    work: Mapping[str, Any]
    intents: Mapping[str, Mapping[str, Any]]


class FlowRows(msgspec.Struct, frozen=True):
    """The rows of one flow. What belongs to a transaction has its number under `phase`, from 1.

    An intent is made in the transaction `phase` and resolved in `resolved`.
    """

    document: Mapping[str, Any]
    work: Sequence[Mapping[str, Any]]
    intents: Sequence[Mapping[str, Any]]
    entries: Sequence[Mapping[str, Any]]
    payloads: Sequence[Mapping[str, Any]]
    moved: Sequence[Mapping[str, Any]]
    crossrefs: Sequence[Mapping[str, Any]]


async def caught(connection: asyncpg.Connection) -> list[Caught]:
    """Documents that are on the wire at this moment."""
    found = []
    for row in await connection.fetch(_ON_THE_WIRE):
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            one = await _looked_at(connection, row["document_id"])
        if one is not None and CLAIMED <= one.phase < PHASES and one.work["done_at"] is None:
            found.append(one)
    return found


async def _looked_at(connection: asyncpg.Connection, document_id: int) -> Caught | None:
    phase = await connection.fetchval(_PHASE_OF, document_id)
    work = await connection.fetchrow(_WORK_OF, document_id)
    intents = await connection.fetch(_INTENTS_OF, document_id)
    if work is None:
        return None
    return Caught(document_id, phase, dict(work), {row["name"]: dict(row) for row in intents})


async def finished(connection: asyncpg.Connection, candidates: Sequence[Caught]) -> FlowRows:
    """The whole flow of a candidate that took the plain way. Raises `NoPlainFlow`.

    Of those that went in `PHASES` transactions the one with the least in its trail: it made no
    request but its four. As it was in between is told by its likes that were caught there.
    """
    plain: dict[int, Sequence[asyncpg.Record]] = {}
    for document_id in {one.document_id for one in candidates}:
        entries = await connection.fetch(_ENTRIES, document_id)
        if {row["phase"] for row in entries} == set(range(1, PHASES + 1)):
            plain[document_id] = entries
    between = {one.phase: one for one in candidates if one.document_id in plain}
    if between.keys() != set(range(CLAIMED, PHASES)):
        raise NoPlainFlow
    rows = [await _rows_of(connection, *one, between) for one in plain.items()]
    return min(rows, key=lambda rows: (len(rows.entries), len(rows.payloads)))


async def _rows_of(
    connection: asyncpg.Connection,
    document_id: int,
    entries: Sequence[asyncpg.Record],
    between: Mapping[int, Caught],
) -> FlowRows:
    document = await connection.fetchrow(_DOCUMENT, document_id)
    done = await _looked_at(connection, document_id)
    assert document is not None
    assert done is not None
    phase_of = {row["at"]: row["phase"] for row in entries}
    referred = {
        bytes.fromhex(reference.partition(":")[2]): row["phase"]
        for row in entries
        for reference in decode_entry(row["canonical"]).payloads
    }
    payloads = await connection.fetch(_PAYLOADS, ENTITY, list(referred))
    moved = await connection.fetch(_MOVED, document_id)
    versions = {phase: one.work for phase, one in between.items()} | {PHASES: done.work}
    made = {phase: len(one.intents) for phase, one in between.items()}
    resolved = {
        phase: sum(row["resolved_at"] is not None for row in one.intents.values())
        for phase, one in between.items()
    }
    # Names of intents differ from document to document; their order does not.
    intents = list(done.intents.values())
    place_of = {row["key"]: place for place, row in enumerate(intents)}
    return FlowRows(
        document=dict(document),
        work=[{**work, "phase": phase} for phase, work in sorted(versions.items())],
        intents=[
            {
                **row,
                "place": place,
                "phase": _first(made, place),
                "resolved": _first(resolved, place),
            }
            for place, row in enumerate(intents)
        ],
        entries=[dict(row) for row in entries],
        payloads=[{**row, "phase": referred[row["hash"]]} for row in payloads],
        moved=[{**row, "phase": phase_of[row["at"]]} for row in moved],
        crossrefs=[
            {**row, "place": place_of[row["key"]]}
            for row in await connection.fetch(_CROSSREFS, document_id)
        ],
    )


def _first(counts_by_phase: Mapping[int, int], place: int) -> int:
    """The transaction after which there are more than `place` of them."""
    return min((phase for phase, count in counts_by_phase.items() if count > place), default=PHASES)


async def counts(connection: asyncpg.Connection) -> dict[str, tuple[int, int]]:
    """Rows inserted and updated so far, by table; tables that nothing was written to are absent."""
    return {
        row["relname"]: (int(row["inserted"]), int(row["updated"]))
        for row in await connection.fetch(_COUNTS)
        if row["inserted"] or row["updated"]
    }


_PATTERNS = """
create schema pattern;
create table pattern.document (type text, source_system text, content_hash text, version int,
    schema_no int, body bytea, flow text, flow_version int, release text);
create table pattern.work (phase int, stage text, state bytea, lane text, is_out boolean,
    outcome text);
create table pattern.intent (phase int, resolved int, place int, name text, system text,
    action text, generation int, lane text, state text, core bytea, command bytea, payload bytea,
    number text);
create table pattern.entry (phase int, place int, canonical bytea, salt bytea, commitment bytea);
create table pattern.payload (phase int, place int, retention text, encoding smallint, size int,
    content bytea);
create table pattern.moved (phase int, effect text, kind text, pre numeric, enc numeric,
    act numeric);
create table pattern.crossref (place int, system text, kind text);
grant usage on schema pattern to quaestor_worker;
grant select on all tables in schema pattern to quaestor_worker;
"""
_NODES = """
insert into quaestor.budget_balance (node, entity, control, budget, pre, enc)
select 'node-' || n, $1, 'absolute', 1000000000000, 1000000000, 1000000000
from generate_series(0, $2 - 1) n
"""


# What the limit leaves behind is not cleared away while the engine is measured.
_LEAVE = """
do $$
declare
    grown regclass;
begin
    for grown in select oid from pg_class
        where relnamespace = 'quaestor'::regnamespace and relkind = 'r'
    loop
        execute format('alter table %s set (autovacuum_enabled = off)', grown);
    end loop;
end
$$
"""


async def plant(connection: asyncpg.Connection, rows: FlowRows) -> None:
    """Lay the patterns down in a database with the schema and nothing else, as its owner."""
    await connection.execute(_PATTERNS)
    await connection.execute(_NODES, ENTITY, CENTERS)
    await connection.execute(_LEAVE)
    numbered: dict[str, list[Mapping[str, Any]]] = {
        "document": [rows.document],
        "work": [{**row, "is_out": row["done_at"] is None} for row in rows.work],
        "intent": list(rows.intents),
        "entry": [{**row, "place": place} for place, row in enumerate(rows.entries)],
        "payload": [{**row, "place": place} for place, row in enumerate(rows.payloads)],
        "moved": list(rows.moved),
        "crossref": list(rows.crossrefs),
    }
    for table, patterns in numbered.items():
        columns = await _columns(connection, table)
        await connection.copy_records_to_table(
            table,
            schema_name="pattern",
            columns=columns,
            records=[tuple(row[column] for column in columns) for row in patterns],
        )


async def _columns(connection: asyncpg.Connection, table: str) -> list[str]:
    found = await connection.fetch(
        "select column_name from information_schema.columns "
        "where table_schema = 'pattern' and table_name = $1 order by ordinal_position",
        table,
    )
    return [row["column_name"] for row in found]
