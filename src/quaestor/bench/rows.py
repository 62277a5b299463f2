"""What one flow writes, looked up in a database that the engine has worked on.

A document is caught while it is on the wire, and looked at again when it is done: together that
tells every row and every version of a row, transaction by transaction. The rows are then laid
down beside an empty schema as patterns for `limit`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec

from quaestor.audit.entry import decode_entry
from quaestor.bench.folder import CENTERS, ENTITY

__all__ = ["PHASES", "Caught", "FlowRows", "NoPlainFlow", "caught", "counts", "finished", "plant"]

PHASES = 3
"""Transactions of one flow that write its rows: intake, claim, outcome."""

_WORK = "stage, state, lane, due_at, lease_until, outcome, parked, done_at"
_INTENT = """
name, system, action, generation, lane, state, core, command, payload, number, created_at,
first_sent_at, resolved_at
"""
_ON_THE_WIRE = """
select document_id from quaestor.work
where lease_until > quaestor.clock() and stage = 'answering' order by document_id limit 50
"""
_WORK_OF = f"select {_WORK} from quaestor.work where document_id = $1"
_INTENT_OF = f"select {_INTENT} from quaestor.intent where document_id = $1"
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
_MOVED = """
select at, effect, kind, pre, enc, act from quaestor.budget_entry
where document_id = $1 order by id
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
    """No document took the plain way in three transactions: the machine is too busy."""


class Caught(msgspec.Struct, frozen=True):
    """A document while it is on the wire: its work row and its intent, as the claim left them."""

    document_id: int
    work: Mapping[str, Any]
    intent: Mapping[str, Any]


class FlowRows(msgspec.Struct, frozen=True):
    """The rows of one flow. What belongs to a transaction has its number under `phase`, from 1."""

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
            work = await connection.fetchrow(_WORK_OF, row["document_id"])
            intent = await connection.fetchrow(_INTENT_OF, row["document_id"])
        if work is not None and intent is not None and work["stage"] == "answering":
            found.append(Caught(row["document_id"], dict(work), dict(intent)))
    return found


async def finished(connection: asyncpg.Connection, candidates: Sequence[Caught]) -> FlowRows:
    """The whole flow of a candidate that took the plain way. Raises `NoPlainFlow`.

    Of those that went in three transactions the one with the least in its trail: it made no
    request but its order.
    """
    plain: list[FlowRows] = []
    for one in candidates:
        entries = await connection.fetch(_ENTRIES, one.document_id)
        if {row["phase"] for row in entries} == set(range(1, PHASES + 1)):
            plain.append(await _rows_of(connection, one, entries))
    if not plain:
        raise NoPlainFlow
    return min(plain, key=lambda rows: (len(rows.entries), len(rows.payloads)))


async def _rows_of(
    connection: asyncpg.Connection, one: Caught, entries: Sequence[asyncpg.Record]
) -> FlowRows:
    document_id = one.document_id
    document = await connection.fetchrow(_DOCUMENT, document_id)
    work = await connection.fetchrow(_WORK_OF, document_id)
    intent = await connection.fetchrow(_INTENT_OF, document_id)
    assert document is not None
    assert work is not None
    assert intent is not None
    phase_of = {row["at"]: row["phase"] for row in entries}
    referred = {
        bytes.fromhex(reference.partition(":")[2]): row["phase"]
        for row in entries
        for reference in decode_entry(row["canonical"]).payloads
    }
    payloads = await connection.fetch(_PAYLOADS, ENTITY, list(referred))
    moved = await connection.fetch(_MOVED, document_id)
    return FlowRows(
        document=dict(document),
        work=[{**one.work, "phase": 2}, {**work, "phase": PHASES}],
        intents=[{**one.intent, "phase": 2}, {**intent, "phase": PHASES}],
        entries=[dict(row) for row in entries],
        payloads=[{**row, "phase": referred[row["hash"]]} for row in payloads],
        moved=[{**row, "phase": phase_of[row["at"]]} for row in moved],
        crossrefs=[dict(row) for row in await connection.fetch(_CROSSREFS, document_id)],
    )


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
create table pattern.intent (phase int, name text, system text, action text, generation int,
    lane text, state text, core bytea, command bytea, payload bytea, number text);
create table pattern.entry (phase int, place int, canonical bytea, salt bytea, commitment bytea);
create table pattern.payload (phase int, place int, retention text, encoding smallint, size int,
    content bytea);
create table pattern.moved (phase int, effect text, kind text, pre numeric, enc numeric,
    act numeric);
create table pattern.crossref (system text, kind text);
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
