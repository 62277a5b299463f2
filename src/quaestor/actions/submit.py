"""Submit: requisitions come in, each once, checked at the door."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from quaestor.actions.checking import (
    Reads,
    budget_lines,
    budget_verdict,
    check_values,
    obstacles,
    read_balances,
)
from quaestor.actions.refusing import NotAccepted
from quaestor.actions.stating import Stated
from quaestor.budget.effects import BudgetLine
from quaestor.flows.kit.flow import Flow
from quaestor.model.refusal import refuse
from quaestor.model.requisition import Requisition
from quaestor.runtime.intake import take_in_new
from quaestor.runtime.receiving import Inbound, inbound_requisition
from quaestor.runtime.recording import Recorder
from quaestor.security.authorization import Forbidden, NotFound, Scope, permit, permit_entity
from quaestor.security.identity import Caller
from quaestor.store import Connection
from quaestor.validation.checks import CheckVerdict

__all__ = ["Accepted", "Desk", "Offer", "inbound_of", "may_vouch", "submit_all"]


class Desk(msgspec.Struct, frozen=True):
    """What taking in needs besides the document: where it goes and by which rules."""

    recorder: Recorder
    flow: Flow
    release: str
    reads: Reads
    environment: str


class Accepted(msgspec.Struct, frozen=True):
    """The document that was made."""

    document_id: int
    correlation_id: str
    content_hash: str


class Offer(msgspec.Struct, frozen=True):
    """A new requisition and who brings it; `stated` is what the source of its budget said just
    before.
    """

    caller: Caller
    requisition: Requisition
    stated: Stated = ()


async def submit_all(
    connection: Connection, desk: Desk, offers: Sequence[Offer], now: datetime
) -> list[Accepted | Exception]:
    """Take new requisitions in, in the caller's transaction; each by itself, in their order.

    Nothing is written for one that is not taken in. It is answered with `Forbidden`, `NotFound`
    for another entity, or `NotAccepted` with what the checks found, or with `duplicate_document`
    where the source's document is here already.
    """
    answers: dict[int, Accepted | Exception] = {}
    charged: dict[int, tuple[BudgetLine, ...]] = {}
    for place, offer in enumerate(offers):
        try:
            charged[place] = _at_door(desk, offer, now)
        except (Forbidden, NotFound, NotAccepted) as refused:
            answers[place] = refused
    nodes = {line.node for lines in charged.values() for line in lines}
    entities = {entity for offer in offers for entity in offer.caller.entities}
    balances = await read_balances(connection, entities, nodes) if charged else {}
    inbounds: dict[int, Inbound] = {}
    for place, lines in charged.items():
        verdict = budget_verdict(lines, balances, now, offers[place].stated)
        if found := obstacles([verdict]):
            answers[place] = NotAccepted(*found)
        else:
            inbounds[place] = inbound_of(offers[place].requisition, offers[place].caller)
    taken = await take_in_new(
        connection, desk.recorder, desk.flow, desk.release, list(inbounds.values())
    )
    for (place, inbound), one in zip(inbounds.items(), taken, strict=True):
        if one.status == "accepted":
            answers[place] = Accepted(one.document_id, one.correlation_id, inbound.content_hash)
        else:
            facts = {"document": one.document_id, "correlation_id": one.correlation_id}
            known = facts if one.document_id else {}
            answers[place] = NotAccepted(refuse("duplicate_document"), facts=known)
    return [answers[place] for place in range(len(offers))]


def _at_door(desk: Desk, offer: Offer, now: datetime) -> tuple[BudgetLine, ...]:
    """What the requisition would charge, if nothing but the budget could stand against it."""
    caller, requisition = offer.caller, offer.requisition
    permit(caller, desk.environment, Scope.REQUISITIONS_WRITE)
    permit_entity(caller, requisition.entity)
    may_vouch(caller, desk, requisition)
    found = obstacles(check_values(desk.reads, requisition, now))
    if found:
        raise NotAccepted(*found)
    # The budget is asked only of what is otherwise in order.
    lines = budget_lines(desk.reads, requisition, now, offer.stated)
    if isinstance(lines, CheckVerdict):
        raise NotAccepted(*obstacles([lines]))
    return lines


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
