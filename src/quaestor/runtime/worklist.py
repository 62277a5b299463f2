"""The worklist: what is parked, with whom, why, since when, and what he can do about it.

Reads go straight to the rows; acts go through `actions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import msgspec

from quaestor.flows.kit.step import Park
from quaestor.model.refusal import REFUSALS, Owner
from quaestor.store import Connection

__all__ = [
    "ITEMS_MAX",
    "NotUnderstoodItem",
    "WorklistItem",
    "read_not_understood",
    "read_worklist",
]

ITEMS_MAX = 1000

_PARKED = """
select d.id as document_id, d.type, d.entity, d.number, d.correlation_id, w.stage, w.parked,
       w.parked_at, extract(epoch from quaestor.clock() - w.parked_at) as age_s
from (
    select * from quaestor.work
    where parked_at is not null and ($1::text is null or parked_owner = $1)
      and ($2::text is null or entity = $2) and ($4::text is null or parked_code = $4)
    order by parked_owner, parked_at limit $3
) w join quaestor.document d on d.id = w.document_id
order by w.parked_owner, w.parked_at
"""

_NOT_UNDERSTOOD = """
select system, source_id, owner, code, received_at, times from quaestor.inbound_refused
where cleared_at is null and ($1::text is null or entity in ('', $1))
  and ($2::text is null or owner = $2)
order by received_at limit $3
"""

_park_decoder = msgspec.json.Decoder(Park)


class WorklistItem(msgspec.Struct, frozen=True):
    """One document that waits for a person. `age_s` is how long it has waited, in seconds.

    `ways_out` are the actions offered; `details` belong to the refusal and are safe to show.
    """

    document_id: int
    type: str
    entity: str
    number: str
    correlation_id: str
    stage: str
    owner: Owner
    refusal: str
    meaning: str
    details: Mapping[str, str]
    ways_out: tuple[str, ...]
    parked_at: datetime
    age_s: int


async def read_worklist(
    connection: Connection,
    *,
    owner: Owner | None = None,
    entity: str | None = None,
    code: str | None = None,
    limit: int = ITEMS_MAX,
) -> list[WorklistItem]:
    """What is parked, by owner, the oldest first; `limit` at most. `code` is one refusal's."""
    rows = await connection.fetch(_PARKED, owner, entity, min(limit, ITEMS_MAX), code)
    found = []
    for row in rows:
        parked = _park_decoder.decode(row["parked"])
        refusal = parked.refusal
        kind = REFUSALS.get(refusal.code)
        age_s: Decimal = row["age_s"]
        found.append(
            WorklistItem(
                document_id=row["document_id"],
                type=row["type"],
                entity=row["entity"],
                number=row["number"],
                correlation_id=row["correlation_id"],
                stage=row["stage"],
                owner=parked.owner,
                refusal=refusal.code,
                # A code of an earlier release may have left the table; the document stays.
                meaning=kind.meaning if kind is not None else "",
                details=refusal.details,
                ways_out=parked.ways_out,
                parked_at=row["parked_at"],
                age_s=int(age_s),
            )
        )
    return found


class NotUnderstoodItem(msgspec.Struct, frozen=True):
    """What a stream brought and no mapping understands, or a whole list that was not let in. It
    goes when the system tells it better.
    """

    system: str
    source_id: str
    owner: str
    refusal: str
    received_at: datetime
    times: int


async def read_not_understood(
    connection: Connection, *, owner: Owner | None = None, entity: str | None = None
) -> list[NotUnderstoodItem]:
    """What came in and became no document, the oldest first; `ITEMS_MAX` at most."""
    rows = await connection.fetch(_NOT_UNDERSTOOD, entity, owner, ITEMS_MAX)
    return [
        NotUnderstoodItem(
            row["system"],
            row["source_id"],
            row["owner"],
            row["code"],
            row["received_at"],
            row["times"],
        )
        for row in rows
    ]
