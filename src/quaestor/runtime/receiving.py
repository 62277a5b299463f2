"""Receiving: documents and events come in, each once.

An inbound fact never touches when a document is due. It goes to the inbox and bumps `work.woken`;
whoever has the document in hand sees the difference in his own transaction (DESIGN D1).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from quaestor.audit.payload import Retention
from quaestor.flows.kit.dossier import Document
from quaestor.flows.kit.flow import Flow
from quaestor.model.canonical import content_hash
from quaestor.model.event import Changed, Event, Woken
from quaestor.model.requisition import Requisition
from quaestor.runtime.case import Case, Note
from quaestor.runtime.dispatch import pack_body
from quaestor.runtime.recording import Recorder
from quaestor.runtime.state import SCHEMA_NO, WorkState, encode_state
from quaestor.store import Connection

__all__ = [
    "Inbound",
    "Taken",
    "arrived_case",
    "begin_children",
    "inbound_requisition",
    "new_correlation_id",
    "tell_document",
    "take_in",
    "wake_documents",
]


class Inbound(msgspec.Struct, frozen=True):
    """One version of a business document, as its source states it, in canonical form.

    A source that numbers no versions says `numbered=False`: what differs from the newest content
    that we have is the next version then. `brought_by` is the person or client that handed it
    in, where there is one, and `facts` go into the trail with it.
    """

    document_type: str
    entity: str
    source_system: str
    source_id: str
    number: str
    version: int
    content_hash: str
    changed_at: datetime
    body: Any
    received_from: str
    correlation_id: str | None = None
    source_bytes: bytes = b""
    numbered: bool = True
    brought_by: str = ""
    facts: Mapping[str, str] = {}


def inbound_requisition(requisition: Requisition, **more: Any) -> Inbound:
    """A requisition as it is taken in; `more` are further fields of `Inbound`, or other ones."""
    return Inbound(
        document_type="requisition",
        entity=requisition.entity,
        source_system=requisition.source_system,
        source_id=requisition.source_id,
        number=requisition.number,
        version=requisition.version,
        content_hash=content_hash(requisition),
        changed_at=requisition.submitted_at,
        body=requisition,
        **{"received_from": requisition.source_system, **more},
    )


class Taken(msgspec.Struct, frozen=True):
    """What became of it.

    `accepted` a new document; `changed` a later version of a known one; `known` exactly this
    version was here before, nothing happened; `older` a later version was here before;
    `differs` this version was here before with other content, nothing happened; `elsewhere` the
    source's document belongs to an entity that the connection may not see, nothing happened.
    """

    document_id: int
    correlation_id: str
    status: Literal["accepted", "changed", "known", "older", "differs", "elsewhere"]


_NEW = """
insert into quaestor.document
    (entity, type, source_system, source_id, number, correlation_id, version, content_hash,
     changed_at, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, quaestor.clock())
on conflict (type, source_system, source_id) do nothing
returning id, created_at
"""
# Two deliveries at once must not both become the next version. The lock is a statement of its own,
# so that what is read next is what the one before has left; and it is the work row's, as with a
# worker, which goes on from there to the document's when it adopts a version.
_HELD = """
select w.document_id from quaestor.document d join quaestor.work w on w.document_id = d.id
where d.type = $1 and d.source_system = $2 and d.source_id = $3
for no key update of w
"""
_KNOWN = """
select d.entity, d.correlation_id, b.content_hash as same_hash, n.version as newest,
       n.content_hash as newest_hash, quaestor.clock() as now
from quaestor.document d
join lateral (select version, content_hash from quaestor.document_body
              where document_id = d.id order by version desc limit 1) n on true
left join quaestor.document_body b on b.document_id = d.id and b.version = $2
where d.id = $1
"""
_BODY = """
insert into quaestor.document_body
    (document_id, version, entity, schema_no, content_hash, body, received_at)
values ($1, $2, $3, $4, $5, $6, $7)
"""
_WORK = """
insert into quaestor.work
    (document_id, entity, flow, flow_version, schema_no, release, stage, state, lane, due_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, '/' || $2, $9)
"""
_EVENT = """
insert into quaestor.inbox (entity, source, event_id, document_id, kind, body, received_at)
values ($1, $2, $3, $4, $5, $6, quaestor.clock())
on conflict (source, event_id) do nothing
returning id
"""
_WAKE = """
update quaestor.work set woken = woken + 1, woken_at = quaestor.clock() where document_id = $1
"""
_ENTITY = "select entity from quaestor.document where id = $1"

_encode_event = msgspec.json.Encoder().encode


def new_correlation_id() -> str:
    """A UUID of version 7 (RFC 9562): unique, and sorted by the time it was made."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    number = (milliseconds << 80) | (0x7 << 76) | ((random >> 4) & ~(0xF << 76))
    number = number & ~(0xF << 76) & ~(0x3 << 62) | (0x7 << 76) | (0x2 << 62)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


async def take_in(
    connection: Connection, recorder: Recorder, flow: Flow, release: str, inbound: Inbound
) -> Taken:
    """Store a document once, in the caller's transaction; its first stage is due at once.

    The same version again changes nothing; a later one waits beside the document until a stage
    adopts it, announced by the event `Changed`.
    """
    correlation_id = inbound.correlation_id or new_correlation_id()
    inserted = await _insert(connection, flow, release, inbound, correlation_id)
    if inserted is None:
        return await _take_in_known(connection, recorder, flow, release, inbound)
    document_id, now = inserted
    await _note(connection, recorder, flow, release, inbound, document_id, correlation_id, now)
    return Taken(document_id, correlation_id, "accepted")


async def _take_in_known(
    connection: Connection, recorder: Recorder, flow: Flow, release: str, inbound: Inbound
) -> Taken:
    document_id = await connection.fetchval(
        _HELD, inbound.document_type, inbound.source_system, inbound.source_id
    )
    if document_id is None:
        return Taken(0, "", "elsewhere")
    row = await connection.fetchrow(_KNOWN, document_id, inbound.version)
    correlation_id = row["correlation_id"]
    if not inbound.numbered:
        if row["newest_hash"] == inbound.content_hash:
            return Taken(document_id, correlation_id, "known")
        inbound = _numbered(inbound, row["newest"] + 1)
    elif row["same_hash"] is not None:
        same = row["same_hash"] == inbound.content_hash
        return Taken(document_id, correlation_id, "known" if same else "differs")
    if inbound.version < row["newest"]:
        return Taken(document_id, correlation_id, "older")
    await _insert_body(connection, document_id, inbound, row["now"])
    changed = Changed(
        event_id=f"{inbound.document_type}:{inbound.source_id}:{inbound.version}",
        at=row["now"],
        by=inbound.brought_by or f"system:{inbound.received_from}",
        version=inbound.version,
        content_hash=inbound.content_hash,
    )
    await tell_document(connection, document_id, inbound.source_system, changed)
    await _note(
        connection, recorder, flow, release, inbound, document_id, correlation_id, row["now"]
    )
    return Taken(document_id, correlation_id, "changed")


def _numbered(inbound: Inbound, version: int) -> Inbound:
    body = msgspec.structs.replace(inbound.body, version=version)
    return msgspec.structs.replace(inbound, version=version, body=body)


async def _insert_body(
    connection: Connection, document_id: int, inbound: Inbound, now: datetime
) -> None:
    await connection.execute(
        _BODY,
        document_id,
        inbound.version,
        inbound.entity,
        SCHEMA_NO,
        inbound.content_hash,
        pack_body(inbound.body),
        now,
    )


async def _note(
    connection: Connection,
    recorder: Recorder,
    flow: Flow,
    release: str,
    inbound: Inbound,
    document_id: int,
    correlation_id: str,
    now: datetime,
) -> None:
    case = arrived_case(flow, release, inbound, document_id, correlation_id, now)
    await recorder.record(connection, [case], now)


def arrived_case(
    flow: Flow, release: str, inbound: Inbound, document_id: int, correlation_id: str, now: datetime
) -> Case:
    """What has just been stored, as the trail is told of it."""
    document = Document(
        document_id,
        inbound.document_type,
        inbound.entity,
        inbound.source_system,
        inbound.source_id,
        correlation_id,
        inbound.version,
        inbound.content_hash,
        None,
    )
    case = Case(document, flow, release, flow.first, WorkState(), "", None, 0, 0, now)
    case.notes.append(
        Note(
            "receive",
            "accepted",
            "",
            flow.first,
            name=inbound.number,
            system=inbound.received_from,
            external_id=inbound.source_id,
            actor=inbound.brought_by,
            details=inbound.facts,
            payloads=(inbound.source_bytes,) if inbound.source_bytes else (),
            kept_as=Retention.DOCUMENT,
        )
    )
    return case


async def tell_document(
    connection: Connection, document_id: int, source: str, event: Event
) -> bool:
    """Put an event into the inbox and wake its document; false when the event was here before."""
    entity = await connection.fetchval(_ENTITY, document_id)
    inserted = await connection.fetchval(
        _EVENT,
        entity,
        source,
        event.event_id,
        document_id,
        type(event).__name__,
        _encode_event(event),
    )
    if inserted is None:
        return False
    await connection.execute(_WAKE, document_id)
    return True


async def wake_documents(connection: Connection, cases: Iterable[Case], now: datetime) -> None:
    """Carry out `Wake`: the related documents get the event `Woken`."""
    wanted = sorted(
        (document_id, case.document.id, case.fence, wake.name)
        for case in cases
        for wake in case.wakes
        for document_id in wake.documents
    )
    for document_id, origin, fence, name in wanted:
        event = Woken(
            event_id=f"{origin}:{fence}:{name}:{document_id}",
            at=now,
            by="system:quaestor",
            document=origin,
        )
        await tell_document(connection, document_id, "quaestor", event)


async def begin_children(
    connection: Connection, cases: Sequence[Case], flows: Mapping[str, Flow], now: datetime
) -> None:
    """Carry out `Start`: the child document begins in its own flow, under the same correlation.

    The child's source is its parent, so a step that is carried out again starts nothing twice.
    """
    for case in cases:
        for child in case.children:
            flow = flows[child.flow]
            inbound = Inbound(
                child.document_type,
                case.document.entity,
                "quaestor",
                f"{case.document.id}:{child.source_id}",
                child.source_id,
                1,
                hashlib.sha256(child.body).hexdigest(),
                now,
                msgspec.Raw(child.body),
                "quaestor",
                case.document.correlation_id,
            )
            await _insert(connection, flow, case.release, inbound, case.document.correlation_id)


async def _insert(
    connection: Connection, flow: Flow, release: str, inbound: Inbound, correlation_id: str
) -> tuple[int, datetime] | None:
    """Document, body and work of a new document; `None` when it was here before."""
    row = await connection.fetchrow(
        _NEW,
        inbound.entity,
        inbound.document_type,
        inbound.source_system,
        inbound.source_id,
        inbound.number,
        correlation_id,
        inbound.version,
        inbound.content_hash,
        inbound.changed_at,
    )
    if row is None:
        return None
    document_id, now = row["id"], row["created_at"]
    await _insert_body(connection, document_id, inbound, now)
    await connection.execute(
        _WORK,
        document_id,
        inbound.entity,
        flow.name,
        flow.version,
        SCHEMA_NO,
        release,
        flow.first,
        encode_state(WorkState()),
        now,
    )
    return document_id, now
