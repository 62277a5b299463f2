"""Decide: a person's vote on an approval request, or a platform's word on one.

Order of the checks (rule A13): the person's earlier vote, the state, the version, interest, the
actor, the decider. The vote becomes evidence; whether it is enough is decided by the flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from quaestor.actions.checking import Reads
from quaestor.actions.refusing import NotAccepted
from quaestor.actions.requisitions import ID_MAX
from quaestor.model.approval import ApprovalDecision, ApprovalEvidence, Verdict
from quaestor.model.employee import Directory
from quaestor.model.event import Decided, Event
from quaestor.model.refusal import Refusal, refuse
from quaestor.model.requisition import Requisition
from quaestor.runtime.dispatch import unpack
from quaestor.runtime.receiving import tell_document
from quaestor.security.authorization import Forbidden, NotFound, Scope, permit, permit_entity
from quaestor.security.identity import Caller
from quaestor.store import Connection

__all__ = ["DecisionTaken", "Vote", "decide", "request_id_of"]

# The decider that Quaestor itself is: people vote here.
OWN = "quaestor"

_REQUEST = """
select a.entity, a.name, a.decider, a.version, a.content_hash, a.state, d.version as adopted,
       b.body, quaestor.clock() as now
from quaestor.approval_request a join quaestor.document d on d.id = a.document_id
join quaestor.work w on w.document_id = d.id
join quaestor.document_body b on b.document_id = d.id and b.version = a.version
where a.document_id = $1 and a.name = $2 for no key update of w
"""
_VOTES = """
select body from quaestor.inbox where document_id = $1 and kind = 'Decided' order by id
"""
_events = msgspec.json.Decoder(Event)


class Vote(msgspec.Struct, frozen=True):
    """What was voted, on the version that was seen."""

    verdict: Verdict
    version: int
    approver: str | None = None
    on_behalf_of: str | None = None
    comment: str = ""


class DecisionTaken(msgspec.Struct, frozen=True):
    """The vote counts as evidence. `replayed` says that it was here before."""

    request: str
    approver: str
    verdict: Verdict
    replayed: bool


def request_id_of(document_id: int, name: str) -> str:
    """How a request is named outside: `17.approval.2.1` is the first one on version 2."""
    return f"{document_id}.{name.replace('/', '.')}"


async def decide(
    connection: Connection,
    caller: Caller,
    environment: str,
    reads: Reads,
    request_id: str,
    vote: Vote,
) -> DecisionTaken:
    """Take the vote. Raises `Forbidden`, `NotFound`, and `NotAccepted` by name."""
    permit(caller, environment, Scope.APPROVALS_DECIDE)
    number, _, rest = request_id.partition(".")
    if not number.isascii() or not number.isdecimal() or int(number[:20]) > ID_MAX:
        raise NotFound
    document_id, name = int(number), rest.replace(".", "/")
    row = await connection.fetchrow(_REQUEST, document_id, name)
    if row is None:
        raise NotFound
    permit_entity(caller, row["entity"])
    approver = _approver(caller, row, vote)
    known: Mapping[type, Any] = reads("requisition", row["entity"], (Directory,))
    earlier = await _earlier(connection, document_id, name, approver)
    if earlier is not None:
        if earlier.verdict != vote.verdict:
            raise NotAccepted(refuse("already_decided", verdict=earlier.verdict))
        return DecisionTaken(request_id, approver, vote.verdict, replayed=True)
    _stands(row, vote)
    _may_vote(row, vote, approver, known[Directory], caller)
    decided = _evidence(row, vote, approver, request_id)
    await tell_document(connection, document_id, f"approvals:{row['decider']}", decided)
    return DecisionTaken(request_id, approver, vote.verdict, replayed=False)


def _approver(caller: Caller, row: asyncpg.Record, vote: Vote) -> str:
    """The platform that decides says who voted; a person votes for himself."""
    if caller.client == row["decider"] and vote.approver is not None:
        return vote.approver
    if vote.approver is not None and vote.approver != caller.subject:
        raise Forbidden(refuse("not_an_approver"))
    return caller.subject


async def _earlier(
    connection: Connection, document_id: int, name: str, approver: str
) -> ApprovalDecision | None:
    for row in await connection.fetch(_VOTES, document_id):
        event = _events.decode(row["body"])
        if isinstance(event, Decided) and event.request == name and event.evidence is not None:
            for vote in event.evidence.decisions:
                if vote.approver == approver:
                    return vote
    return None


def _stands(row: asyncpg.Record, vote: Vote) -> None:
    if row["state"] != "open":
        raise NotAccepted(refuse("step_not_pending", state=row["state"]))
    if not vote.version == row["version"] == row["adopted"]:
        raise NotAccepted(refuse("version_changed", version=str(row["adopted"])))


def _may_vote(
    row: asyncpg.Record, vote: Vote, approver: str, directory: Directory, caller: Caller
) -> None:
    requisition: Requisition = unpack(row["body"], Requisition)
    interested = {requisition.requester, requisition.preparer, requisition.beneficiary}
    if {approver, vote.on_behalf_of} & (interested - {None}):
        raise Forbidden(refuse("self_approval_forbidden"))
    relays = caller.client == row["decider"]
    for person in (approver, vote.on_behalf_of):
        employee = directory.find(person) if person is not None else None
        if person is not None and (employee is None or not employee.may_act_for(row["entity"])):
            # A person of another entity is nobody here (N45).
            raise NotFound
        if employee is not None and not employee.active:
            raise Forbidden(refuse("actor_inactive"))
    if not relays and not _is_lent(directory, vote, approver, row["now"]):
        raise Forbidden(refuse("delegation_missing"))
    if not relays and row["decider"] != OWN:
        raise NotAccepted(_elsewhere(row))


def _is_lent(directory: Directory, vote: Vote, approver: str, now: datetime) -> bool:
    """Whether he votes for himself, or for somebody who has delegated it; the cap is the flow's."""
    if vote.on_behalf_of in (None, approver):
        return True
    holder = directory.find(vote.on_behalf_of)
    return holder is not None and bool(holder.lent_to(approver, now))


def _elsewhere(row: asyncpg.Record) -> Refusal:
    return refuse("decider_differs", decider=row["decider"])


def _evidence(row: asyncpg.Record, vote: Vote, approver: str, request_id: str) -> Decided:
    at: datetime = row["now"]
    cast = ApprovalDecision(approver, vote.verdict, at, vote.on_behalf_of, vote.comment)
    evidence = ApprovalEvidence(row["decider"], (cast,), row["content_hash"], row["version"])
    return Decided(f"{request_id}:{approver}", at, approver, row["name"], evidence)
