"""Saving: what a transaction decided about its cases, in a handful of statements.

Every statement takes arrays, so that a batch of a hundred costs as many round trips as one. Rows
are written in the order of their keys: two committers cannot dead-lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from quaestor.flows.kit.effects import RequestApproval
from quaestor.runtime.case import Case, ClosedRequest, IntentRow
from quaestor.runtime.posting import standing
from quaestor.runtime.state import encode_state
from quaestor.store import Connection

__all__ = ["Flight", "save_cases"]

_WORK = """
update quaestor.work w
set stage = u.stage, state = u.state, lane = u.lane, lane_since = u.lane_since, due_at = u.due_at,
    lease_until = u.lease_until, fence = u.fence, woken_seen = u.woken, deaths = 0,
    parked_owner = u.parked_owner, parked_code = u.parked_code, parked = u.parked,
    parked_at = case when u.parked is null then null else coalesce(w.parked_at, $1) end,
    outcome = u.outcome,
    done_at = case when u.outcome is null then null else coalesce(w.done_at, $1) end
from unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bytea[], $7::text[],
            $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::bigint[], $12::text[],
            $13::text[], $14::bytea[], $15::text[])
     u(id, held, fence, stage, state, lane, lane_since, due_at, lease_until, woken, parked_owner,
       parked_code, parked, outcome)
where w.document_id = u.id and w.fence = u.held
returning w.document_id
"""
_NEW_INTENTS = """
insert into quaestor.intent
    (key, entity, document_id, name, system, action, generation, lane, state, core, command,
     payload, number, created_at, first_sent_at, resolved_at, reconcile_at)
select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[],
    $7::int[], $8::text[], $9::text[], $10::bytea[], $11::bytea[], $12::bytea[], $13::text[],
    $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::timestamptz[])
"""
_INTENTS = """
update quaestor.intent i
set state = u.state, core = u.core, number = u.number, first_sent_at = u.first_sent_at,
    resolved_at = coalesce(i.resolved_at, u.resolved_at), reconcile_at = u.reconcile_at
from unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::timestamptz[],
            $6::timestamptz[], $7::timestamptz[])
     u(key, state, core, number, first_sent_at, resolved_at, reconcile_at)
where i.key = u.key
"""
# Apart: the bytes are the larger part of a row, and stay the same for nearly all of them.
_REWRITTEN = """
update quaestor.intent i set command = u.command, payload = u.payload
from unnest($1::text[], $2::bytea[], $3::bytea[]) u(key, command, payload) where i.key = u.key
"""
_CROSSREFS = """
insert into quaestor.crossref (system, kind, external_id, entity, document_id, key, at)
select *, $7::timestamptz from unnest($1::text[], $2::text[], $3::text[], $4::text[],
                                      $5::bigint[], $6::text[])
on conflict do nothing
"""
_CONSUMED = "update quaestor.inbox set consumed_at = $1 where id = any($2::bigint[])"
_ADOPTED = """
update quaestor.document d set version = u.version, content_hash = u.content_hash
from unnest($1::bigint[], $2::int[], $3::text[]) u(id, version, content_hash) where d.id = u.id
"""
_REQUESTED = """
insert into quaestor.approval_request
    (document_id, name, entity, decider, version, content_hash, amount, currency, state,
     requested_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, 'open', $9)
on conflict (document_id, name, version) do update
set content_hash = excluded.content_hash, amount = excluded.amount, state = 'open',
    requested_at = excluded.requested_at, closed_at = null
"""
_CLOSED = """
update quaestor.approval_request set state = $3, closed_at = $4
where document_id = $1 and name = $2 and state = 'open'
"""

_encode = msgspec.json.Encoder(decimal_format="string").encode


class Flight(msgspec.Struct, frozen=True):
    """How a case leaves the transaction: on the wire until `lease_until`, or given back (None)."""

    case: Case
    lease_until: datetime | None


async def save_cases(
    connection: Connection,
    flights: Sequence[Flight],
    now: datetime,
) -> list[Case]:
    """Write all of it; returns the cases whose fence still held, the others took no effect.

    Every save raises the fence: what was committed without our hearing of it is not done twice.
    The caller wrote budget effects before, in the same transaction.
    """
    ordered = sorted(flights, key=lambda flight: flight.case.document.id)
    kept = await _save_work(connection, ordered, now)
    cases = [flight.case for flight in ordered if flight.case.document.id in kept]
    for case in cases:
        case.fence += 1
    await _save_intents(connection, cases, now)
    await _save_rest(connection, cases, now)
    return cases


async def _save_work(connection: Connection, flights: Sequence[Flight], now: datetime) -> set[int]:
    columns: list[list[Any]] = [[] for _ in range(14)]
    for flight in flights:
        case = flight.case
        case.keep(unconsumed=len(case.events))
        parked = case.state.parked
        row = (
            case.document.id,
            case.fence,
            case.fence + 1,
            case.stage,
            encode_state(case.state),
            case.lane,
            case.lane_since,
            case.due_at,
            # A lease given back is one that ended before all time.
            flight.lease_until or now - timedelta(days=1),
            case.woken,
            parked.owner if parked else None,
            parked.refusal.code if parked else None,
            _encode(parked) if parked else None,
            case.outcome,
        )
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    rows = await connection.fetch(_WORK, now, *columns)
    return {row["document_id"] for row in rows}


_Pair = tuple[Case, IntentRow]


async def _save_intents(connection: Connection, cases: Sequence[Case], now: datetime) -> None:
    every = [(case, row) for case in cases for row in case.intents.values()]
    every.sort(key=lambda pair: pair[1].core.key)
    new = [pair for pair in every if pair[1].is_new]
    changed = [pair for pair in every if pair[1].is_changed and not pair[1].is_new]
    if new:
        await _insert_intents(connection, new, now)
    if changed:
        await _update_intents(connection, changed, now)
    numbered = [pair for pair in (*new, *changed) if pair[1].number]
    if numbered:
        await _insert_crossrefs(connection, numbered, now)


async def _insert_intents(connection: Connection, new: Sequence[_Pair], now: datetime) -> None:
    await connection.execute(
        _NEW_INTENTS,
        [row.core.key for _, row in new],
        [case.document.entity for case, _ in new],
        [case.document.id for case, _ in new],
        [row.name for _, row in new],
        [row.system for _, row in new],
        [row.action for _, row in new],
        [row.generation for _, row in new],
        [row.lane for _, row in new],
        [standing(row.core) for _, row in new],
        [_encode(row.core) for _, row in new],
        [row.command for _, row in new],
        [row.payload for _, row in new],
        [row.number for _, row in new],
        [row.created_at for _, row in new],
        [row.core.first_sent_at for _, row in new],
        [_resolved_at(row, now) for _, row in new],
        [row.reconcile_at for _, row in new],
    )


async def _update_intents(connection: Connection, changed: Sequence[_Pair], now: datetime) -> None:
    await connection.execute(
        _INTENTS,
        [row.core.key for _, row in changed],
        [standing(row.core) for _, row in changed],
        [_encode(row.core) for _, row in changed],
        [row.number for _, row in changed],
        [row.core.first_sent_at for _, row in changed],
        [_resolved_at(row, now) for _, row in changed],
        [row.reconcile_at for _, row in changed],
    )
    rewritten = [row for _, row in changed if row.is_rewritten]
    if rewritten:
        await connection.execute(
            _REWRITTEN,
            [row.core.key for row in rewritten],
            [row.command for row in rewritten],
            [row.payload for row in rewritten],
        )


async def _insert_crossrefs(
    connection: Connection, numbered: Sequence[_Pair], now: datetime
) -> None:
    await connection.execute(
        _CROSSREFS,
        [row.system for _, row in numbered],
        [row.action.removeprefix("create_").removeprefix("cancel_") for _, row in numbered],
        [row.number for _, row in numbered],
        [case.document.entity for case, _ in numbered],
        [case.document.id for case, _ in numbered],
        [row.core.key for _, row in numbered],
        now,
    )


def _resolved_at(row: IntentRow, now: datetime) -> datetime | None:
    return now if row.core.outcome is not None else None


async def _save_rest(connection: Connection, cases: Sequence[Case], now: datetime) -> None:
    consumed = [inbox_id for case in cases for inbox_id in case.consumed]
    if consumed:
        await connection.execute(_CONSUMED, now, sorted(consumed))
    adopted = [case for case in cases if case.adopted]
    if adopted:
        await connection.execute(
            _ADOPTED,
            [case.document.id for case in adopted],
            [case.document.version for case in adopted],
            [case.document.content_hash for case in adopted],
        )
    for case in cases:
        for request in case.approvals:
            await _save_approval(connection, case, request, now)


async def _save_approval(
    connection: Connection,
    case: Case,
    request: RequestApproval | ClosedRequest,
    now: datetime,
) -> None:
    if isinstance(request, ClosedRequest):
        await connection.execute(_CLOSED, case.document.id, request.name, request.state, now)
        return
    await connection.execute(
        _REQUESTED,
        case.document.id,
        request.name,
        case.document.entity,
        request.decider,
        request.version,
        request.content_hash,
        request.amount,
        request.currency,
        now,
    )
