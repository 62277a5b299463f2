"""Which checks apply to a requisition, and the verdict of each.

Every check that applies is made, so that a person sees all faults at once. The first refusal in
the order of `CHECKS`, and within a check of the lines, stands for the whole:

1. `structure`   says one thing and adds up; its own precedence in `validation.requisition`
2. `entity`      `entity_unknown`
3. `supplier`    `supplier_unknown`, `supplier_blocked`, `supplier_not_approved` (N56)
4. `coding`      `invalid_account_combination` (N57)

A check whose replica is missing or too old answers `unknown`. Unknown refuses submission, not
typing (DESIGN D15).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Literal

import msgspec

from quaestor.model.entity import Entity
from quaestor.model.refusal import Refusal, refuse
from quaestor.model.requisition import Requisition, RequisitionLine
from quaestor.validation.facts import ChartReplica, SupplierReplica, ValidationPolicy
from quaestor.validation.requisition import check_requisition

__all__ = [
    "CHECKS",
    "CheckVerdict",
    "ValidationFacts",
    "Verdict",
    "first_obstacle",
    "validate",
]

Verdict = Literal["pass", "refuse", "unknown"]
Source = Literal["document", "replica"]


class ValidationFacts(msgspec.Struct, frozen=True):
    """Everything the checks may know. `now` is aware; `None` is what could not be read."""

    now: datetime
    policy: ValidationPolicy
    entity: Entity | None
    suppliers: SupplierReplica | None
    chart: ChartReplica | None


class CheckVerdict(msgspec.Struct, frozen=True):
    """One check's verdict, true at `as_of` (`None` where nothing could be asked).

    `refusal` is given with `refuse` and `unknown`; `line` is the requisition line, if it is one.
    """

    check: str
    verdict: Verdict
    as_of: datetime | None
    refusal: Refusal | None = None
    line: int | None = None


_Fault = tuple[Refusal, int | None]


class _Check(msgspec.Struct, frozen=True):
    """A check and its source: the document itself, or a replica that can be too old."""

    name: str
    source: Source
    faults: Callable[[Requisition, ValidationFacts], Iterable[_Fault]]
    as_of: Callable[[ValidationFacts], datetime | None] = lambda facts: facts.now
    max_age_s: Callable[[ValidationPolicy], int | None] = lambda policy: None


def validate(requisition: Requisition, facts: ValidationFacts) -> tuple[CheckVerdict, ...]:
    """Every verdict, in the order of `CHECKS`: one `pass` per check, or each of its faults."""
    return tuple(verdict for check in CHECKS for verdict in _verdicts(check, requisition, facts))


def first_obstacle(verdicts: Iterable[CheckVerdict]) -> Refusal | None:
    """What stands against submission: the first refusal, else the first unknown, else nothing."""
    found = [verdict for verdict in verdicts if verdict.verdict != "pass"]
    found.sort(key=lambda verdict: verdict.verdict == "unknown")
    return found[0].refusal if found else None


def _verdicts(
    check: _Check, requisition: Requisition, facts: ValidationFacts
) -> Iterator[CheckVerdict]:
    as_of = check.as_of(facts)
    if as_of is None or _too_old(as_of, check.max_age_s(facts.policy), facts.now):
        seen = "never" if as_of is None else as_of.isoformat()
        refusal = refuse("check_unknown", check=check.name, as_of=seen)
        yield CheckVerdict(check.name, "unknown", as_of, refusal)
        return
    faults = [
        CheckVerdict(check.name, "refuse", as_of, refusal, line)
        for refusal, line in check.faults(requisition, facts)
    ]
    yield from faults or [CheckVerdict(check.name, "pass", as_of)]


def _too_old(as_of: datetime, max_age_s: int | None, now: datetime) -> bool:
    return max_age_s is not None and now - as_of > timedelta(seconds=max_age_s)


def _structure(requisition: Requisition, facts: ValidationFacts) -> Iterator[_Fault]:
    for refusal in check_requisition(requisition, facts.policy.limits):
        yield refusal, None


def _entity(requisition: Requisition, facts: ValidationFacts) -> Iterator[_Fault]:
    if facts.entity is None:
        yield refuse("entity_unknown", entity=requisition.entity), None


def _supplier(requisition: Requisition, facts: ValidationFacts) -> Iterator[_Fault]:
    suppliers = facts.suppliers.suppliers if facts.suppliers else {}
    for line in requisition.lines:
        supplier = suppliers.get(line.supplier)
        if supplier is None:
            yield refuse("supplier_unknown", supplier=line.supplier), line.number
        elif supplier.status == "blocked":
            yield refuse("supplier_blocked", supplier=line.supplier), line.number
        elif requisition.entity not in supplier.entities:
            entity = requisition.entity
            yield (
                refuse("supplier_not_approved", supplier=line.supplier, entity=entity),
                line.number,
            )


def _coding(requisition: Requisition, facts: ValidationFacts) -> Iterator[_Fault]:
    if facts.entity is None or facts.chart is None:
        return
    # The day of the charge, as for the budget: a center may close while an approval is waited for.
    today = facts.entity.local_date(facts.now)
    for line in requisition.lines:
        yield from _coding_of(line, requisition.entity, facts.chart, today)


def _coding_of(
    line: RequisitionLine, entity: str, chart: ChartReplica, today: date
) -> Iterator[_Fault]:
    for split in line.splits:
        center = chart.cost_centers.get((entity, split.coding.cost_center))
        account = chart.accounts.get(split.coding.gl_account)
        closed = ""
        if center is None or not _open(center.open_from, center.open_to, today):
            closed = "cost_center"
        elif (
            account is None
            or not _open(account.open_from, account.open_to, today)
            or (account.entities and entity not in account.entities)
        ):
            closed = "gl_account"
        elif center.accounts and account.id not in center.accounts:
            closed = "combination"
        if closed:
            refusal = refuse(
                "invalid_account_combination",
                closed=closed,
                cost_center=split.coding.cost_center,
                gl_account=split.coding.gl_account,
            )
            yield refusal, line.number


def _open(first: date | None, last: date | None, today: date) -> bool:
    return (first is None or first <= today) and (last is None or today <= last)


CHECKS: tuple[_Check, ...] = (
    _Check("structure", "document", _structure),
    _Check("entity", "document", _entity),
    _Check(
        "supplier",
        "replica",
        _supplier,
        lambda facts: facts.suppliers.as_of if facts.suppliers else None,
        lambda policy: policy.supplier_max_age_s,
    ),
    _Check(
        "coding",
        "replica",
        _coding,
        lambda facts: facts.chart.as_of if facts.chart else None,
        lambda policy: policy.chart_max_age_s,
    ),
)
