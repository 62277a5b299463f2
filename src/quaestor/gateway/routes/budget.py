"""Budget: hold, look at, give back."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from quaestor.actions.reserve import Held, Wanted, ask_source_of, release_reservation, reserve
from quaestor.actions.stating import Stated
from quaestor.budget.effects import BudgetLine
from quaestor.flows.budget_reservation import HeldBudget
from quaestor.gateway.operation import Answer, Call, Operation
from quaestor.gateway.problems import PROBLEM_JSON, Problem, problem_body
from quaestor.gateway.routes.requisitions import Asked, desk_of, document_id_of
from quaestor.gateway.shapes import ReservationIn
from quaestor.model.coding import Coding, Split
from quaestor.model.refusal import Refusal
from quaestor.runtime.dispatch import unpack
from quaestor.security.authorization import Scope
from quaestor.store import Connection

__all__ = ["BUDGET"]

_VIEW = """
select d.id, d.correlation_id, d.created_at, b.body, w.stage, w.outcome
from quaestor.document d join quaestor.work w on w.document_id = d.id
join quaestor.document_body b on b.document_id = d.id and b.version = d.version
where d.id = $1 and d.type = 'budget_reservation'
"""


class ReservationView(msgspec.Struct, frozen=True):
    """A reservation, in base currency; `outcome` is `released` once it holds nothing more."""

    id: int
    correlation_id: str
    entity: str
    source_system: str
    source_id: str
    lines: tuple[BudgetLine, ...]
    created_at: datetime
    expires_at: datetime
    stage: str
    outcome: str | None


def _wanted(body: ReservationIn) -> Wanted:
    return Wanted(
        source_system=body.source_system,
        source_id=body.source_id,
        entity=body.entity,
        currency=body.currency,
        splits=[
            Split(Coding(line.cost_center, line.gl_account), Decimal(line.amount))
            for line in body.lines
        ],
        on=body.on.value if body.on else None,
        expires_at=body.expires_at.value if body.expires_at else None,
    )


async def _ask_source(call: Call) -> Stated:
    services = call.services
    return await ask_source_of(
        services.asked,
        services.reads,
        _wanted(call.body),
        now=datetime.now(UTC),
        within_s=services.limits.source_deadline_s,
    )


async def _reserve(call: Call, connection: Connection) -> Answer:
    desk = desk_of(call, "budget_reservation")
    done = await reserve(connection, call.caller, desk, _wanted(call.body), call.stated)
    if isinstance(done, Refusal):
        # The budget's no is an answer like any other: the same key gets it again (B2).
        return _refused(done, call.request_id)
    return Answer(201, done, {"Location": f"/v1/budget/reservations/{done.id}"})


def _refused(refusal: Refusal, request_id: str) -> Answer:
    problem = Problem(refusal)
    body: dict[str, Any] = problem_body(problem, request_id)
    return Answer(problem.status, body, {"Content-Type": PROBLEM_JSON})


async def _release(call: Call, connection: Connection) -> Answer:
    asked = await release_reservation(
        connection,
        call.caller,
        call.services.environment,
        document_id_of(call),
        request_id=f"{call.caller.client}:{call.path['id']}:{call.key}",
    )
    return Answer(202, Asked(asked.document.id, asked.document.correlation_id, "asked"))


async def _look(call: Call, connection: Connection) -> Answer:
    row = await connection.fetchrow(_VIEW, document_id_of(call))
    if row is None:
        raise Problem("not_found")
    held = unpack(row["body"], HeldBudget)
    view = ReservationView(
        id=row["id"],
        correlation_id=row["correlation_id"],
        entity=held.entity,
        source_system=held.source_system,
        source_id=held.source_id,
        lines=held.lines,
        created_at=row["created_at"],
        expires_at=held.expires_at,
        stage=row["stage"],
        outcome=row["outcome"],
    )
    return Answer(200, view)


BUDGET = (
    Operation(
        id="reserveBudget",
        method="POST",
        path="/v1/budget/reservations",
        summary="Hold budget for something that is decided elsewhere: all lines or none.",
        handler=_reserve,
        asks=_ask_source,
        takes=ReservationIn,
        answers=Held,
        status=201,
        scopes=(Scope.BUDGET_RESERVE,),
        keyed=True,
        refuses=(
            "budget_below_commitments",
            "budget_exceeded",
            "budget_not_found",
            "budget_unknown",
            "date_in_past",
            "duplicate_document",
            "fx_rate_missing",
            "not_found",
            "too_many_decimals",
            "unknown_currency",
        ),
    ),
    Operation(
        id="readReservation",
        method="GET",
        path="/v1/budget/reservations/{id}",
        summary="A reservation and how it stands.",
        handler=_look,
        answers=ReservationView,
        scopes=(Scope.BUDGET_RESERVE,),
        refuses=("not_found",),
    ),
    Operation(
        id="releaseReservation",
        method="POST",
        path="/v1/budget/reservations/{id}/release",
        summary="Give a reservation back.",
        handler=_release,
        answers=Asked,
        status=202,
        scopes=(Scope.BUDGET_RESERVE,),
        keyed=True,
        refuses=("not_found",),
    ),
)
