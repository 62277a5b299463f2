"""Submit: a requisition comes in, once, checked at the door."""

from __future__ import annotations

import msgspec

from quaestor.actions.checking import Reads, check_at_door, obstacles
from quaestor.actions.refusing import NotAccepted
from quaestor.actions.stating import Stated
from quaestor.flows.kit.flow import Flow
from quaestor.model.refusal import refuse
from quaestor.model.requisition import Requisition
from quaestor.runtime.receiving import Inbound, Taken, inbound_requisition, take_in
from quaestor.runtime.recording import Recorder
from quaestor.security.authorization import Forbidden, Scope, permit, permit_entity
from quaestor.security.identity import Caller
from quaestor.store import Connection

__all__ = ["Desk", "inbound_of", "may_vouch", "submit"]

_NOW = "select quaestor.clock()"


class Desk(msgspec.Struct, frozen=True):
    """What taking in needs besides the document: where it goes and by which rules."""

    recorder: Recorder
    flow: Flow
    release: str
    reads: Reads
    environment: str


async def submit(
    connection: Connection,
    caller: Caller,
    desk: Desk,
    requisition: Requisition,
    stated: Stated = (),
) -> Taken:
    """Take a new requisition in, in the caller's transaction; `stated` is what the source of its
    budget said just before.

    Raises `Forbidden`, `NotFound` for another entity, and `NotAccepted` with what the checks
    found, or `duplicate_document` where the source's document is here already.
    """
    permit(caller, desk.environment, Scope.REQUISITIONS_WRITE)
    permit_entity(caller, requisition.entity)
    may_vouch(caller, desk, requisition)
    now = await connection.fetchval(_NOW)
    found = obstacles(await check_at_door(connection, desk.reads, requisition, now, stated))
    if found:
        raise NotAccepted(*found)
    inbound = inbound_of(requisition, caller)
    taken = await take_in(connection, desk.recorder, desk.flow, desk.release, inbound)
    if taken.status != "accepted":
        facts = {"document": taken.document_id, "correlation_id": taken.correlation_id}
        raise NotAccepted(refuse("duplicate_document"), facts=facts if taken.document_id else {})
    return taken


def inbound_of(requisition: Requisition, caller: Caller) -> Inbound:
    """The requisition as it is taken in; the client that brought it stands in the trail."""
    return inbound_requisition(
        requisition,
        received_from="gateway",
        brought_by=caller.subject,
        facts={"client": caller.client},
    )


def may_vouch(caller: Caller, desk: Desk, requisition: Requisition) -> None:
    """Whether the caller may bring an approval that was given elsewhere along.

    Who may write requisitions may not for that reason vouch for their approval: it takes the scope
    to decide, of a system as of a person, and nobody vouches for what he has an interest in. What
    is brought is evidence: the flow weighs it.
    """
    if requisition.approval is None:
        return
    permit(caller, desk.environment, Scope.APPROVALS_DECIDE)
    interested = {requisition.requester, requisition.preparer, requisition.beneficiary}
    if caller.subject in interested:
        raise Forbidden(refuse("self_approval_forbidden"))
