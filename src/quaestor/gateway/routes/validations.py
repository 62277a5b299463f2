"""Validation while typing (DESIGN D15): every check's verdict, within one deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from quaestor.actions.checking import (
    ask_budget_source,
    budget_lines,
    budget_verdict,
    check_values,
)
from quaestor.gateway.operation import Answer, Call, Operation
from quaestor.gateway.shapes import RequisitionIn, requisition_of
from quaestor.model.refusal import Refusal, refuse
from quaestor.model.requisition import Requisition
from quaestor.security.authorization import Scope, permit_entity
from quaestor.store.errors import StoreError
from quaestor.validation.checks import CheckVerdict, Verdict

__all__ = ["VALIDATIONS"]

# What only those may see who may reserve (N58).
_BUDGET_FIGURES = frozenset({"available", "needed", "short"})


class VerdictView(msgspec.Struct, frozen=True):
    """One check. `code` names what stands against it; `as_of` is when what it knows was true, and
    `age_s` how long ago that is, in seconds.
    """

    check: str
    verdict: Verdict
    as_of: datetime | None
    age_s: int | None
    code: str | None
    line: int | None
    details: Mapping[str, str]


class ValidationView(msgspec.Struct, frozen=True):
    """The worst verdict, and each one. `unknown` refuses submission, not typing."""

    verdict: Verdict
    checks: tuple[VerdictView, ...]


async def _validate(call: Call, _: None) -> Answer:
    body: RequisitionIn = call.body
    permit_entity(call.caller, body.entity)
    now = datetime.now(UTC)
    requisition = requisition_of(body, now=now, version=body.version or 1)
    verdicts = list(check_values(call.services.reads, requisition, now))
    if any(each.verdict == "refuse" and each.check == "structure" for each in verdicts):
        # What does not add up has no amount to ask the budget about.
        verdicts.append(CheckVerdict("budget", "unknown", None, _unknown("structure")))
    else:
        verdicts.append(await _budget(call, requisition, now))
    said = {each.verdict for each in verdicts}
    worst: Verdict = "refuse" if "refuse" in said else "unknown" if "unknown" in said else "pass"
    may_see = Scope.BUDGET_RESERVE in call.caller.scopes
    views = tuple(_view(each, now, may_see=may_see) for each in verdicts)
    return Answer(200, ValidationView(worst, views))


async def _budget(call: Call, requisition: Requisition, now: datetime) -> CheckVerdict:
    """The budget's verdict, or that it could not be asked in time."""
    services = call.services
    try:
        async with asyncio.timeout(services.limits.validation_deadline_s):
            stated = await ask_budget_source(
                services.asked,
                services.reads,
                requisition,
                now=now,
                within_s=services.limits.source_deadline_s,
            )
            lines = budget_lines(services.reads, requisition, now, stated)
            if isinstance(lines, CheckVerdict):
                return lines
            nodes = (line.node for line in lines)
            balances = await services.balances.read(call.caller.entities, nodes)
            return budget_verdict(lines, balances, now, stated)
    except (StoreError, TimeoutError):
        return CheckVerdict("budget", "unknown", None, _unknown("ledger"))


def _unknown(what: str) -> Refusal:
    return refuse("check_unknown", check="budget", missing=what)


def _view(each: CheckVerdict, now: datetime, *, may_see: bool) -> VerdictView:
    refusal = each.refusal
    details = dict(refusal.details) if refusal is not None else {}
    if each.check == "budget" and not may_see:
        details = {name: text for name, text in details.items() if name not in _BUDGET_FIGURES}
    return VerdictView(
        check=each.check,
        verdict=each.verdict,
        as_of=each.as_of,
        age_s=None if each.as_of is None else max(0, int((now - each.as_of).total_seconds())),
        code=refusal.code if refusal is not None else None,
        line=each.line,
        details=details,
    )


VALIDATIONS = (
    Operation(
        id="validateRequisition",
        method="POST",
        path="/v1/validations",
        summary="Check a requisition while it is written; nothing is stored.",
        handler=_validate,
        takes=RequisitionIn,
        answers=ValidationView,
        scopes=(Scope.REQUISITIONS_WRITE, Scope.REQUISITIONS_READ),
        mode="free",
        refuses=("not_found",),
    ),
)
