"""Cancelling and changing a requisition, by a caller with a token.

The document is locked while it is looked at, so that what was seen is what is acted on.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import asyncpg

from quaestor.actions.asking import Asked
from quaestor.actions.cancel import cancel
from quaestor.actions.checking import check_values, obstacles
from quaestor.actions.finding import DocumentRef
from quaestor.actions.refusing import NotAccepted
from quaestor.actions.submit import Desk, inbound_of, may_vouch
from quaestor.model.refusal import refuse
from quaestor.model.requisition import Requisition
from quaestor.runtime.receiving import Taken, take_in
from quaestor.security.authorization import NotFound, Scope, permit, permit_entity
from quaestor.security.identity import Caller
from quaestor.store import Connection

__all__ = ["ID_MAX", "cancel_requisition", "change_requisition"]

ID_MAX = 2**63 - 1

_NOW = "select quaestor.clock()"
# Taken before anything is read: what was waited for is seen then.
_LOCK = "select from quaestor.work where document_id = $1 for no key update"
_STANDS = """
select d.id, d.entity, d.type, d.number, d.correlation_id, d.source_system, d.source_id, w.stage,
       w.outcome, w.parked_code,
       (select max(version) from quaestor.document_body where document_id = d.id) as newest,
       (select string_agg(external_id, ', ') from quaestor.crossref
        where document_id = d.id) as orders
from quaestor.document d join quaestor.work w on w.document_id = d.id
where d.id = $1 and d.type = $2
"""
# What a person ended stays ended; what was rejected may come again as a new version (A19).
_ENDED = ("cancelled",)


async def locked(
    connection: Connection, caller: Caller, document_id: int, kind: str
) -> asyncpg.Record:
    """The document, locked. Raises `NotFound`, also for one of another entity."""
    row = None
    if document_id <= ID_MAX:
        await connection.execute(_LOCK, document_id)
        row = await connection.fetchrow(_STANDS, document_id, kind)
    if row is None:
        raise NotFound
    permit_entity(caller, row["entity"])
    return row


async def cancel_requisition(
    connection: Connection,
    caller: Caller,
    environment: str,
    document_id: int,
    *,
    reason: str,
    request_id: str,
) -> Asked:
    """Ask for the cancellation. Raises `Forbidden`, `NotFound`, `state_forbids_change`."""
    permit(caller, environment, Scope.REQUISITIONS_WRITE)
    row = await locked(connection, caller, document_id, "requisition")
    if row["outcome"] in _ENDED:
        raise NotAccepted(refuse("state_forbids_change", outcome=row["outcome"]))
    document = DocumentRef(
        row["id"],
        row["entity"],
        row["type"],
        row["number"],
        row["correlation_id"],
        row["stage"],
        row["outcome"],
        row["parked_code"],
    )
    return await cancel(
        connection, document, by=caller.subject, reason=reason, request_id=request_id
    )


async def change_requisition(
    connection: Connection,
    caller: Caller,
    desk: Desk,
    document_id: int,
    *,
    seen: int | None,
    content: Callable[[datetime, int], Requisition],
) -> Taken:
    """Bring a later version of a requisition; `seen` is the version that the caller knows, `None`
    for whichever there is. `content` makes the new version of an instant and its number.

    Raises `Forbidden`, `NotFound`, and `NotAccepted` with `precondition_failed`,
    `state_forbids_change` (N51) or what the checks found. The budget is asked by the flow, which
    knows what the document holds already.
    """
    permit(caller, desk.environment, Scope.REQUISITIONS_WRITE)
    row = await locked(connection, caller, document_id, "requisition")
    if seen is not None and seen != row["newest"]:
        raise NotAccepted(refuse("precondition_failed", version=str(row["newest"])))
    if row["orders"] or row["outcome"] in _ENDED:
        details = {"orders": row["orders"] or "", "outcome": row["outcome"] or ""}
        given = {name: text for name, text in details.items() if text}
        raise NotAccepted(refuse("state_forbids_change", **given))
    now = await connection.fetchval(_NOW)
    requisition = content(now, row["newest"] + 1)
    for name in ("source_system", "source_id", "entity"):
        if getattr(requisition, name) != row[name]:
            raise NotAccepted(refuse("value_invalid", where=name))
    may_vouch(caller, desk, requisition)
    found = obstacles(check_values(desk.reads, requisition, now))
    if found:
        raise NotAccepted(*found)
    inbound = inbound_of(requisition, caller)
    return await take_in(connection, desk.recorder, desk.flow, desk.release, inbound)
