"""Traces and the worklist: what happened, and what waits for whom. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from quaestor.audit.trace import Trace, trace
from quaestor.flows.kit.step import Park
from quaestor.gateway.operation import Answer, Call, Operation, Query
from quaestor.gateway.paging import CURSOR, LIMIT, cursor_of, limit_of, position_of
from quaestor.gateway.problems import Problem
from quaestor.model.refusal import REFUSALS, Owner, refuse
from quaestor.security.authorization import Scope
from quaestor.store import Connection

__all__ = ["TRACES", "WORKLIST"]

_PARKED = """
select d.id, d.type, d.entity, d.number, d.correlation_id, w.stage, w.parked, w.parked_at,
       extract(epoch from quaestor.clock() - w.parked_at)::bigint as age_s
from (
    select document_id, stage, parked, parked_at from quaestor.work
    where parked_at is not null and ($1::text is null or parked_owner = $1)
      and ($2::text is null or entity = $2)
      and ($3::timestamptz is null or (parked_at, document_id) > ($3, $4))
    order by parked_at, document_id limit $5
) w join quaestor.document d on d.id = w.document_id
order by w.parked_at, d.id
"""
_OWNERS = ("requester", "finance", "operator")
_park = msgspec.json.Decoder(Park)


class WorklistItemView(msgspec.Struct, frozen=True):
    """A document that waits for a person: which refusal, whose, since when, and what he can do.

    `age_s` is in seconds.
    """

    document: int
    type: str
    entity: str
    number: str
    correlation_id: str
    stage: str
    owner: Owner
    code: str
    meaning: str
    details: Mapping[str, str]
    ways_out: tuple[str, ...]
    parked_at: datetime
    age_s: int


class WorklistPage(msgspec.Struct, frozen=True):
    """The oldest first; `next` where more follow."""

    items: tuple[WorklistItemView, ...]
    next: str | None


async def _trace(call: Call, connection: Connection) -> Answer:
    found = await trace(connection, call.path["id"])
    if found is None:
        raise Problem("not_found")
    return Answer(200, found)


async def _worklist(call: Call, connection: Connection) -> Answer:
    limit = limit_of(call)
    owner = call.query.get("owner")
    if owner is not None and owner not in _OWNERS:
        raise Problem(refuse("value_invalid", where="owner"))
    after = position_of(call, "worklist", tuple[datetime, int]) or (None, None)
    rows = await connection.fetch(_PARKED, owner, call.query.get("entity"), *after, limit + 1)
    items = []
    for row in rows[:limit]:
        parked = _park.decode(row["parked"])
        kind = REFUSALS.get(parked.refusal.code)
        items.append(
            WorklistItemView(
                document=row["id"],
                type=row["type"],
                entity=row["entity"],
                number=row["number"],
                correlation_id=row["correlation_id"],
                stage=row["stage"],
                owner=parked.owner,
                code=parked.refusal.code,
                # A code of an earlier release may have left the table; the document stays.
                meaning=kind.meaning if kind is not None else "",
                details=parked.refusal.details,
                ways_out=parked.ways_out,
                parked_at=row["parked_at"],
                age_s=row["age_s"],
            )
        )
    last = None
    if len(rows) > limit:
        last = cursor_of(call, "worklist", (items[-1].parked_at, items[-1].document))
    return Answer(200, WorklistPage(tuple(items), last))


TRACES = (
    Operation(
        id="readTrace",
        method="GET",
        path="/v1/traces/{id}",
        summary="Every step of a correlation id, found by any number that leads to it.",
        handler=_trace,
        answers=Trace,
        scopes=(Scope.TRACES_READ,),
        refuses=("not_found",),
    ),
)
WORKLIST = (
    Operation(
        id="readWorklist",
        method="GET",
        path="/v1/worklist",
        summary="What is parked: with whom, why, since when, and the ways out.",
        handler=_worklist,
        answers=WorklistPage,
        scopes=(Scope.WORKLIST_READ, Scope.WORKLIST_ACT),
        query=(
            Query("owner", "Who has to act.", {"type": "string", "enum": list(_OWNERS)}),
            Query("entity", "One legal entity.", {"type": "string", "minLength": 1}),
            LIMIT,
            CURSOR,
        ),
        refuses=("cursor_invalid", "limit_out_of_range"),
    ),
)
