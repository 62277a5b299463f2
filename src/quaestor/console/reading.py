"""The documents of one purchase, as several pages show them: read, then put into words."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from quaestor.console.standing import Order, Standing, Work, order_of, standing
from quaestor.runtime.dispatch import unpack
from quaestor.store import Connection

__all__ = [
    "DocumentView",
    "Glance",
    "documents_by_id",
    "documents_of",
    "glance",
    "troubled_systems",
]

DOCUMENTS_MAX = 50
_INTENTS_MAX = 500

_DOCUMENTS = """
select d.id, d.type, d.entity, d.number, d.source_system, d.source_id, d.version, d.created_at,
       d.correlation_id, w.stage, w.state, w.due_at, w.lane, w.parked, w.parked_at, w.done_at,
       w.outcome, b.body
from quaestor.document d
join quaestor.work w on w.document_id = d.id
left join lateral (
    select body from quaestor.document_body b
    where b.document_id = d.id order by b.version desc limit 1
) b on true
"""
_OF_CORRELATION = f"{_DOCUMENTS} where d.correlation_id = $1 order by d.id limit {DOCUMENTS_MAX}"
_BY_ID = f"{_DOCUMENTS} where d.id = any($1::bigint[])"
_INTENTS = f"""
select key, document_id, system, action, state, number, core, command, resolved_at
from quaestor.intent where document_id = any($1::bigint[])
order by document_id, created_at, key limit {_INTENTS_MAX}
"""
_TROUBLES = "select system, opened_at from quaestor.system_state where open"


class Glance(msgspec.Struct, frozen=True):
    """What any document's body may say of itself; `total` is in `currency`."""

    title: str = ""
    currency: str = ""
    total: str = ""


class DocumentView(msgspec.Struct, frozen=True):
    """A document, where it stands, and its orders."""

    id: int
    type: str
    entity: str
    number: str
    source_system: str
    version: int
    created_at: datetime
    correlation_id: str
    title: str
    currency: str
    total: str
    standing: Standing
    orders: tuple[Order, ...]


def glance(body: bytes | None) -> Glance:
    """The part of a stored body that is shown, of whatever type and schema it is."""
    try:
        found: Glance = unpack(body, Glance) if body else Glance()
    except (msgspec.MsgspecError, zlib.error):
        return Glance()
    return found


async def documents_of(connection: Connection, correlation_id: str) -> list[DocumentView]:
    """The documents of a correlation id, the oldest first, `DOCUMENTS_MAX` at most."""
    return await _views(connection, await connection.fetch(_OF_CORRELATION, correlation_id))


async def documents_by_id(connection: Connection, ids: Sequence[int]) -> list[DocumentView]:
    """These documents, in this order; those that the caller may not see are left out."""
    found = await _views(connection, await connection.fetch(_BY_ID, list(ids)))
    places = {id_: place for place, id_ in enumerate(ids)}
    return sorted(found, key=lambda view: places[view.id])


async def troubled_systems(connection: Connection) -> dict[str, datetime | None]:
    """Systems whose circuit is open, with the time since when."""
    return {row["system"]: row["opened_at"] for row in await connection.fetch(_TROUBLES)}


async def _views(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[DocumentView]:
    if not rows:
        return []
    intents: dict[int, list[Mapping[str, Any]]] = {}
    for intent in await connection.fetch(_INTENTS, [row["id"] for row in rows]):
        intents.setdefault(intent["document_id"], []).append(intent)
    troubles = await troubled_systems(connection)
    return [_view(row, intents.get(row["id"], []), troubles) for row in rows]


def _view(
    row: Mapping[str, Any],
    intents: Sequence[Mapping[str, Any]],
    troubles: Mapping[str, datetime | None],
) -> DocumentView:
    body = glance(row["body"])
    work = Work(
        stage=row["stage"],
        state=row["state"],
        due_at=row["due_at"],
        lane=row["lane"],
        parked=row["parked"],
        parked_at=row["parked_at"],
        done_at=row["done_at"],
        outcome=row["outcome"],
        intents={intent["key"]: intent["core"] for intent in intents},
        troubles=troubles,
    )
    return DocumentView(
        id=row["id"],
        type=row["type"],
        entity=row["entity"],
        number=row["number"],
        source_system=row["source_system"],
        version=row["version"],
        created_at=row["created_at"],
        correlation_id=row["correlation_id"],
        title=body.title,
        currency=body.currency,
        total=body.total,
        standing=standing(work),
        orders=tuple(order_of(each) for each in intents if each["action"] == "create_order"),
    )
