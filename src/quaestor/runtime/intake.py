"""Intake: many documents at once, in as many statements as one takes.

What comes in together is committed together: under load the cost of a transaction is shared by
all of it, and nobody waits longer than one commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from quaestor.flows.kit.flow import Flow
from quaestor.runtime.case import Case
from quaestor.runtime.dispatch import pack_body
from quaestor.runtime.receiving import (
    Inbound,
    Taken,
    arrived_case,
    new_correlation_id,
    take_in,
)
from quaestor.runtime.recording import Recorder
from quaestor.runtime.state import SCHEMA_NO, WorkState, encode_state
from quaestor.store import Connection

__all__ = ["take_in_all", "take_in_new"]

_NEW = """
insert into quaestor.document
    (entity, type, source_system, source_id, number, correlation_id, version, content_hash,
     changed_at, created_at)
select u.*, (select quaestor.clock())
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[],
            $8::text[], $9::timestamptz[]) u
on conflict (type, source_system, source_id) do nothing
returning id, type, source_system, source_id, created_at
"""
_BODIES = """
insert into quaestor.document_body
    (document_id, version, entity, schema_no, content_hash, body, received_at)
select u.id, u.version, u.entity, $6, u.content_hash, u.body, $7
from unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::bytea[])
     u(id, version, entity, content_hash, body)
"""
_WORK = """
insert into quaestor.work
    (document_id, entity, flow, flow_version, schema_no, release, stage, state, lane, due_at)
select u.id, u.entity, $3, $4, $5, $6, $7, $8, '/' || u.entity, $9
from unnest($1::bigint[], $2::text[]) u(id, entity)
"""
_WHICH = """
select d.id, d.correlation_id
from unnest($1::text[], $2::text[], $3::text[]) with ordinality
     u(type, source_system, source_id, place)
left join quaestor.document d using (type, source_system, source_id)
order by u.place
"""

_Source = tuple[str, str, str]


async def take_in_all(
    connection: Connection,
    recorder: Recorder,
    flow: Flow,
    release: str,
    inbounds: Sequence[Inbound],
) -> list[Taken]:
    """As `take_in` for each, in their order, in the caller's transaction.

    Rows are inserted and locked in the order of their keys, so two that bring the same documents
    cannot dead-lock. What was here before, or comes twice in one go, is taken in singly.
    """
    taken = await _take_in_first(connection, recorder, flow, release, inbounds)
    # Known ones are locked, so again in the order of their keys.
    for place in sorted(range(len(inbounds)), key=lambda place: (_source(inbounds[place]), place)):
        if place not in taken:
            taken[place] = await take_in(connection, recorder, flow, release, inbounds[place])
    return [taken[place] for place in range(len(inbounds))]


async def take_in_new(
    connection: Connection,
    recorder: Recorder,
    flow: Flow,
    release: str,
    inbounds: Sequence[Inbound],
) -> list[Taken]:
    """As `take_in_all` for documents that must be new: what was here before, or comes twice in
    one go, is `known` or `elsewhere`, whatever its version, and nothing of it is written.
    """
    taken = await _take_in_first(connection, recorder, flow, release, inbounds)
    left = [place for place in range(len(inbounds)) if place not in taken]
    sources = [_source(inbounds[place]) for place in left]
    rows = await connection.fetch(_WHICH, *zip(*sources, strict=True)) if left else []
    for place, row in zip(left, rows, strict=True):
        seen = row["id"] is not None
        taken[place] = (
            Taken(row["id"], row["correlation_id"], "known") if seen else Taken(0, "", "elsewhere")
        )
    return [taken[place] for place in range(len(inbounds))]


async def _take_in_first(
    connection: Connection,
    recorder: Recorder,
    flow: Flow,
    release: str,
    inbounds: Sequence[Inbound],
) -> dict[int, Taken]:
    """What became of those that are new, by their places."""
    if not inbounds:
        return {}
    first: dict[_Source, int] = {}
    for place, inbound in enumerate(inbounds):
        first.setdefault(_source(inbound), place)
    chosen = [inbounds[place] for _, place in sorted(first.items())]
    taken: dict[int, Taken] = {}
    cases = await _insert(connection, flow, release, chosen)
    for case in cases:
        document = case.document
        place = first[(document.type, document.source_system, document.source_id)]
        taken[place] = Taken(document.id, document.correlation_id, "accepted")
    if cases:
        await recorder.record(connection, cases, cases[0].changed_at)
    return taken


async def _insert(
    connection: Connection, flow: Flow, release: str, inbounds: Sequence[Inbound]
) -> list[Case]:
    """Document, body and work of those that are new, ready to be recorded."""
    correlations = [inbound.correlation_id or new_correlation_id() for inbound in inbounds]
    rows = await connection.fetch(
        _NEW,
        [inbound.entity for inbound in inbounds],
        [inbound.document_type for inbound in inbounds],
        [inbound.source_system for inbound in inbounds],
        [inbound.source_id for inbound in inbounds],
        [inbound.number for inbound in inbounds],
        correlations,
        [inbound.version for inbound in inbounds],
        [inbound.content_hash for inbound in inbounds],
        [inbound.changed_at for inbound in inbounds],
    )
    if not rows:
        return []
    ids = {(row["type"], row["source_system"], row["source_id"]): row["id"] for row in rows}
    now: datetime = rows[0]["created_at"]
    new = [
        (ids[_source(inbound)], inbound, correlation)
        for inbound, correlation in zip(inbounds, correlations, strict=True)
        if _source(inbound) in ids
    ]
    await connection.execute(
        _BODIES,
        [document_id for document_id, _, _ in new],
        [inbound.version for _, inbound, _ in new],
        [inbound.entity for _, inbound, _ in new],
        [inbound.content_hash for _, inbound, _ in new],
        [pack_body(inbound.body) for _, inbound, _ in new],
        SCHEMA_NO,
        now,
    )
    await connection.execute(
        _WORK,
        [document_id for document_id, _, _ in new],
        [inbound.entity for _, inbound, _ in new],
        flow.name,
        flow.version,
        SCHEMA_NO,
        release,
        flow.first,
        encode_state(WorkState()),
        now,
    )
    return [
        arrived_case(flow, release, inbound, document_id, correlation, now)
        for document_id, inbound, correlation in new
    ]


def _source(inbound: Inbound) -> _Source:
    return inbound.document_type, inbound.source_system, inbound.source_id
