"""Requisitions: submit, look at, cancel, change."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from quaestor.actions.checking import ask_budget_source
from quaestor.actions.requisitions import ID_MAX, cancel_requisition, change_requisition
from quaestor.actions.stating import Stated
from quaestor.actions.submit import Accepted, Desk, Offer, submit_all
from quaestor.gateway.operation import Answer, Call, Operation
from quaestor.gateway.problems import Problem
from quaestor.gateway.shapes import CancelIn, RequisitionIn, requisition_of
from quaestor.model.canonical import content_hash
from quaestor.model.refusal import Owner
from quaestor.model.requisition import Requisition
from quaestor.runtime.dispatch import unpack
from quaestor.security.authorization import Scope
from quaestor.store import Connection

__all__ = ["REQUISITIONS", "Asked", "desk_of", "document_id_of", "seen_version"]

_NOW = "select quaestor.clock()"
_VIEW = """
select d.id, d.correlation_id, d.version as adopted, d.created_at, b.version, b.content_hash,
       b.body, w.stage, w.outcome, w.parked_owner, w.parked_code, w.parked_at
from quaestor.document d join quaestor.work w on w.document_id = d.id
join lateral (select version, content_hash, body from quaestor.document_body
              where document_id = d.id order by version desc limit 1) b on true
where d.id = $1 and d.type = 'requisition'
"""
_ELSEWHERE = """
select system, kind, external_id, at from quaestor.crossref where document_id = $1
order by at, external_id limit 100
"""
_ETAG = re.compile(r'"([1-9][0-9]{0,6})"')


class RequisitionTaken(msgspec.Struct, frozen=True):
    """The document that was made. Whatever happens to it carries its correlation id."""

    id: int
    correlation_id: str
    version: int
    content_hash: str
    status: str


class Asked(msgspec.Struct, frozen=True):
    """It was asked for and will be done; the document's trace tells how."""

    id: int
    correlation_id: str
    status: str


class StandsAgainst(msgspec.Struct, frozen=True):
    """What stands against the document, and with whom."""

    code: str
    owner: Owner
    since: datetime


class Elsewhere(msgspec.Struct, frozen=True):
    """What the document is called in another system."""

    system: str
    kind: str
    number: str
    at: datetime


class RequisitionView(msgspec.Struct, frozen=True):
    """A requisition and how it stands. `requisition` is its newest version; `adopted` is the
    version that is worked on. `outcome` is `null` while it is open, `parked` while nothing is in
    its way.
    """

    id: int
    correlation_id: str
    version: int
    adopted: int
    content_hash: str
    created_at: datetime
    stage: str
    outcome: str | None
    parked: StandsAgainst | None
    elsewhere: tuple[Elsewhere, ...]
    requisition: Requisition


def desk_of(call: Call, flow: str = "requisition_to_order") -> Desk:
    """Where documents of this flow are taken in."""
    services = call.services
    return Desk(
        services.recorder,
        services.flows[flow],
        services.release,
        services.reads,
        services.environment,
    )


def document_id_of(call: Call) -> int:
    """The id in the path. Raises `not_found` for what cannot be one."""
    text = call.path["id"]
    if not text.isascii() or not text.isdecimal() or len(text) > 19 or int(text) > ID_MAX:
        raise Problem("not_found")
    return int(text)


def seen_version(call: Call) -> int | None:
    """The version of If-Match; `None` for `*`. Raises `precondition_failed` for another tag."""
    if call.if_match == "*":
        return None
    match = _ETAG.fullmatch(call.if_match or "")
    if match is None:
        raise Problem("precondition_failed")
    return int(match[1])


async def _ask_source(call: Call) -> Stated:
    services, now = call.services, datetime.now(UTC)
    requisition = requisition_of(call.body, now=now, version=call.body.version or 1)
    return await ask_budget_source(
        services.asked,
        services.reads,
        requisition,
        now=now,
        within_s=services.limits.source_deadline_s,
    )


async def _submit(calls: Sequence[Call], connection: Connection) -> list[Answer | Exception]:
    now = await connection.fetchval(_NOW)
    offers = [
        Offer(
            call.caller,
            requisition_of(call.body, now=now, version=call.body.version or 1),
            call.stated,
        )
        for call in calls
    ]
    accepted = await submit_all(connection, desk_of(calls[0]), offers, now)
    return [
        one if isinstance(one, Exception) else _accepted(one, offer.requisition.version)
        for one, offer in zip(accepted, offers, strict=True)
    ]


def _accepted(accepted: Accepted, version: int) -> Answer:
    return _taken(
        RequisitionTaken(
            accepted.document_id,
            accepted.correlation_id,
            version,
            accepted.content_hash,
            "accepted",
        ),
        201,
    )


async def _change(call: Call, connection: Connection) -> Answer:
    body: RequisitionIn = call.body
    made: list[Requisition] = []

    def content(now: datetime, version: int) -> Requisition:
        if body.version not in (None, version):
            raise Problem("precondition_failed")
        made.append(requisition_of(body, now=now, version=version))
        return made[0]

    taken = await change_requisition(
        connection,
        call.caller,
        desk_of(call),
        document_id_of(call),
        seen=seen_version(call),
        content=content,
    )
    version, hash_ = made[0].version, content_hash(made[0])
    return _taken(
        RequisitionTaken(taken.document_id, taken.correlation_id, version, hash_, taken.status),
        202,
    )


def _taken(body: RequisitionTaken, status: int) -> Answer:
    headers = {"Location": f"/v1/requisitions/{body.id}", "ETag": f'"{body.version}"'}
    return Answer(status, body, headers)


async def _cancel(call: Call, connection: Connection) -> Answer:
    body: CancelIn = call.body
    asked = await cancel_requisition(
        connection,
        call.caller,
        call.services.environment,
        document_id_of(call),
        reason=body.reason,
        request_id=f"{call.caller.client}:{call.path['id']}:{call.key}",
    )
    document = asked.document
    return Answer(202, Asked(document.id, document.correlation_id, "asked"))


async def _look(call: Call, connection: Connection) -> Answer:
    document_id = document_id_of(call)
    row = await connection.fetchrow(_VIEW, document_id)
    if row is None:
        raise Problem("not_found")
    elsewhere = await connection.fetch(_ELSEWHERE, document_id)
    parked = None
    if row["parked_at"] is not None:
        parked = StandsAgainst(row["parked_code"], row["parked_owner"], row["parked_at"])
    view = RequisitionView(
        id=row["id"],
        correlation_id=row["correlation_id"],
        version=row["version"],
        adopted=row["adopted"],
        content_hash=row["content_hash"],
        created_at=row["created_at"],
        stage=row["stage"],
        outcome=row["outcome"],
        parked=parked,
        elsewhere=tuple(Elsewhere(*other) for other in elsewhere),
        requisition=unpack(row["body"], Requisition),
    )
    return Answer(200, view, {"ETag": f'"{row["version"]}"'})


_DOOR = (
    "amount_mismatch",
    "amount_out_of_range",
    "budget_below_commitments",
    "budget_exceeded",
    "budget_not_found",
    "budget_unknown",
    "check_unknown",
    "invalid_account_combination",
    "negative_amount",
    "supplier_blocked",
    "supplier_not_approved",
    "supplier_unknown",
    "too_many_decimals",
    "total_mismatch",
)

REQUISITIONS = (
    Operation(
        id="submitRequisition",
        method="POST",
        path="/v1/requisitions",
        summary="Submit a requisition, also one that was approved elsewhere.",
        handler=_submit,
        asks=_ask_source,
        takes=RequisitionIn,
        answers=RequisitionTaken,
        status=201,
        scopes=(Scope.REQUISITIONS_WRITE,),
        keyed=True,
        together=True,
        refuses=("duplicate_document", "not_found", *_DOOR),
    ),
    Operation(
        id="readRequisition",
        method="GET",
        path="/v1/requisitions/{id}",
        summary="A requisition, how it stands, and what it is called in other systems.",
        handler=_look,
        answers=RequisitionView,
        scopes=(Scope.REQUISITIONS_READ, Scope.REQUISITIONS_WRITE),
        refuses=("not_found",),
    ),
    Operation(
        id="cancelRequisition",
        method="POST",
        path="/v1/requisitions/{id}/cancel",
        summary="Cancel a requisition at whatever stage it is.",
        handler=_cancel,
        takes=CancelIn,
        answers=Asked,
        status=202,
        scopes=(Scope.REQUISITIONS_WRITE,),
        keyed=True,
        refuses=("not_found", "state_forbids_change"),
    ),
    Operation(
        id="changeRequisition",
        method="POST",
        path="/v1/requisitions/{id}/changes",
        summary="Bring a later version; If-Match names the version that was seen.",
        handler=_change,
        takes=RequisitionIn,
        answers=RequisitionTaken,
        status=202,
        scopes=(Scope.REQUISITIONS_WRITE,),
        keyed=True,
        conditional=True,
        refuses=("not_found", "precondition_failed", "state_forbids_change", *_DOOR),
    ),
)
