"""Approvals: what waits for a decision, and deciding."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec

from quaestor.actions.decide import DecisionTaken, Vote, decide, request_id_of
from quaestor.approvals.decide import Approved
from quaestor.approvals.decide import decide as decide_approval
from quaestor.approvals.snapshot import ApprovalPolicy, ApprovalSnapshot
from quaestor.flows.kit.reads import EntityBook
from quaestor.gateway.operation import Answer, Call, Operation, Query
from quaestor.gateway.paging import CURSOR, LIMIT, cursor_of, limit_of, position_of
from quaestor.gateway.shapes import DecisionIn
from quaestor.model.approval import ApprovalDecision, ApprovalEvidence
from quaestor.model.employee import Directory
from quaestor.model.rates import Rates
from quaestor.model.requisition import Requisition
from quaestor.runtime.dispatch import unpack
from quaestor.security.authorization import Scope
from quaestor.store import Connection

__all__ = ["APPROVALS"]

_OPEN = """
select a.document_id, a.name, a.entity, a.decider, a.version, a.content_hash, a.amount,
       a.currency, a.requested_at, d.number, d.correlation_id, b.body
from quaestor.approval_request a join quaestor.document d on d.id = a.document_id
join quaestor.document_body b on b.document_id = d.id and b.version = a.version
where a.state = 'open'
  and ($1::timestamptz is null or (a.requested_at, a.document_id, a.name) > ($1, $2, $3))
order by a.requested_at, a.document_id, a.name limit $4
"""
_KINDS = (ApprovalPolicy, Directory, EntityBook, Rates)


class ApprovalView(msgspec.Struct, frozen=True):
    """An open request: who decides, on which version and content, about how much."""

    id: str
    document: int
    correlation_id: str
    number: str
    entity: str
    decider: str
    version: int
    content_hash: str
    amount: Decimal
    currency: str
    requested_at: datetime


class ApprovalPage(msgspec.Struct, frozen=True):
    """Open requests, the oldest first. A page may be short; `next` tells whether more follow."""

    items: tuple[ApprovalView, ...]
    next: str | None


async def _list(call: Call, connection: Connection) -> Answer:
    limit = limit_of(call)
    after = position_of(call, "approvals", tuple[datetime, int, str]) or (None, None, None)
    rows = await connection.fetch(_OPEN, *after, limit + 1)
    person = call.query.get("pending_for")
    shown = [_view(row) for row in rows[:limit] if person is None or _may(call, row, person)]
    last = None
    if len(rows) > limit:
        at = rows[limit - 1]
        last = cursor_of(call, "approvals", (at["requested_at"], at["document_id"], at["name"]))
    return Answer(200, ApprovalPage(tuple(shown), last))


def _view(row: asyncpg.Record) -> ApprovalView:
    return ApprovalView(
        id=request_id_of(row["document_id"], row["name"]),
        document=row["document_id"],
        correlation_id=row["correlation_id"],
        number=row["number"],
        entity=row["entity"],
        decider=row["decider"],
        version=row["version"],
        content_hash=row["content_hash"],
        amount=row["amount"],
        currency=row["currency"],
        requested_at=row["requested_at"],
    )


def _may(call: Call, row: asyncpg.Record, person: str) -> bool:
    """Whether this person's yes would be enough: authority, and no interest of his own."""
    known: Any = call.services.reads("requisition", row["entity"], _KINDS)
    found = known[EntityBook].find(row["entity"])
    if found is None:
        return False
    requisition = unpack(row["body"], Requisition)
    people = (requisition.requester, requisition.preparer, requisition.beneficiary)
    cast = ApprovalDecision(person, "approved", row["requested_at"])
    snapshot = ApprovalSnapshot(
        policy=ApprovalPolicy(decider=row["decider"]),
        entity=row["entity"],
        base_currency=found[0].base_currency,
        amount=row["amount"],
        currency=row["currency"],
        on=found[0].local_date(requisition.submitted_at),
        version=row["version"],
        content_hash=row["content_hash"],
        interested=frozenset(each for each in people if each),
        directory=known[Directory],
        rates=known[Rates],
        evidence=ApprovalEvidence(row["decider"], (cast,), row["content_hash"], row["version"]),
    )
    return isinstance(decide_approval(snapshot), Approved)


async def _decide(call: Call, connection: Connection) -> Answer:
    body: DecisionIn = call.body
    vote = Vote(body.verdict, body.version, body.approver, body.on_behalf_of, body.comment)
    services = call.services
    taken = await decide(
        connection, call.caller, services.environment, services.reads, call.path["id"], vote
    )
    return Answer(200, taken)


APPROVALS = (
    Operation(
        id="listApprovals",
        method="GET",
        path="/v1/approvals",
        summary="Open approval requests; with `pending_for` those that a person could grant.",
        handler=_list,
        answers=ApprovalPage,
        scopes=(Scope.APPROVALS_READ, Scope.APPROVALS_DECIDE),
        query=(
            Query(
                "pending_for",
                "A person of the directory.",
                {"type": "string", "minLength": 1, "maxLength": 200},
            ),
            LIMIT,
            CURSOR,
        ),
        refuses=("cursor_invalid", "limit_out_of_range"),
    ),
    Operation(
        id="decideApproval",
        method="POST",
        path="/v1/approvals/{id}/decisions",
        summary="Vote on a request, on the version that was seen.",
        handler=_decide,
        takes=DecisionIn,
        answers=DecisionTaken,
        scopes=(Scope.APPROVALS_DECIDE,),
        keyed=True,
        refuses=(
            "actor_inactive",
            "already_decided",
            "decider_differs",
            "delegation_missing",
            "not_an_approver",
            "not_found",
            "self_approval_forbidden",
            "step_not_pending",
            "version_changed",
        ),
    ),
)
