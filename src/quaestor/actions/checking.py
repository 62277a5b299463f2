"""Checking a requisition at the door, before anything of it is stored.

The same checks as in the flow, plus the budget as it stands at this moment, by its source's own
word where another system states it. The budget's verdict is a look and no reservation: who comes
second may still find it spent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from quaestor.actions.stating import Stated, ask_budgets, left_unasked
from quaestor.budget.balance import Balance, DocumentHolding
from quaestor.budget.decide import decide
from quaestor.budget.effects import BudgetLine, Reserve
from quaestor.budget.keys import BudgetPolicy, charge
from quaestor.flows.kit.reads import EntityBook
from quaestor.model.calendar import Calendar
from quaestor.model.employee import Directory
from quaestor.model.entity import Entity
from quaestor.model.rates import Rates
from quaestor.model.refusal import Refusal, Refused, refuse
from quaestor.model.requisition import Requisition
from quaestor.runtime.inquiring import AnswerLink
from quaestor.runtime.ledger import balance_of
from quaestor.store import Connection, Database
from quaestor.store.database import entities_setting
from quaestor.validation.checks import CheckVerdict, ValidationFacts, validate
from quaestor.validation.facts import ChartReplica, SupplierReplica, ValidationPolicy

__all__ = [
    "Reads",
    "ask_budget_source",
    "budget_lines",
    "budget_verdict",
    "check_values",
    "obstacles",
    "read_balances",
]

Reads = Callable[[str, str, tuple[type, ...]], Mapping[type, Any]]

# A clock may run ahead by as much; a document of tomorrow is a mistake.
_AHEAD_MAX = timedelta(minutes=5)
_BALANCES = "select * from quaestor.balances_of($1, $2)"
_KINDS = (
    EntityBook,
    BudgetPolicy,
    ChartReplica,
    Directory,
    Rates,
    SupplierReplica,
    ValidationPolicy,
)


def check_values(reads: Reads, requisition: Requisition, now: datetime) -> list[CheckVerdict]:
    """Every verdict that needs no database, the door's own first."""
    known = reads("requisition", requisition.entity, _KINDS)
    found = known[EntityBook].find(requisition.entity)
    facts = ValidationFacts(
        now=now,
        policy=known[ValidationPolicy],
        entity=found[0] if found else None,
        suppliers=known[SupplierReplica],
        chart=known[ChartReplica],
    )
    verdicts = list(validate(requisition, facts))
    pieces = [_verdict("structure", now, refusal) for refusal in _pieces(requisition, facts)]
    if pieces:
        verdicts = [*pieces, *(each for each in verdicts if each.check != "structure")]
    own = [*_times(requisition, facts), *_people(requisition, known[Directory])]
    blank = _blank_coding(requisition)
    # A blank account finds no budget, and that is what its author has to know (N59).
    first = next((n for n, each in enumerate(verdicts) if each.check != "structure"), 0)
    verdicts[first:first] = [_verdict("document", now, refusal) for refusal in (*own, *blank)]
    return verdicts


async def ask_budget_source(
    links: Mapping[str, AnswerLink],
    reads: Reads,
    requisition: Requisition,
    *,
    now: datetime,
    within_s: float,
) -> Stated:
    """What the source of the budget states now; nothing where there is none, or nothing to ask.

    Never within a transaction: it is waited for.
    """
    known = reads("requisition", requisition.entity, _KINDS)
    found, policy = known[EntityBook].find(requisition.entity), known[BudgetPolicy]
    if found is None or policy.source is None:
        return ()
    lines = _charged(known, found, requisition)
    if isinstance(lines, Refusal):
        return ()
    return await ask_budgets(links, policy, found[0], lines, now=now, within_s=within_s)


def budget_lines(
    reads: Reads, requisition: Requisition, now: datetime, stated: Stated = ()
) -> tuple[BudgetLine, ...] | CheckVerdict:
    """What is held against the balances; the verdict itself where no balance would change it."""
    if isinstance(stated, Refusal):
        if stated.code in ("budget_unknown", "question_unanswerable"):
            return CheckVerdict("budget", "unknown", None, stated)
        return _verdict("budget", now, stated)
    known = reads("requisition", requisition.entity, _KINDS)
    found = known[EntityBook].find(requisition.entity)
    if found is None:
        return _verdict("budget", now, refuse("entity_unknown", entity=requisition.entity))
    lines = _charged(known, found, requisition)
    if isinstance(lines, Refusal):
        return _verdict("budget", now, lines)
    missing = left_unasked(known[BudgetPolicy], lines, stated)
    if missing is not None:
        return CheckVerdict("budget", "unknown", None, missing)
    return lines


async def read_balances(
    source: Connection | Database, entities: Iterable[str], nodes: Iterable[str]
) -> dict[str, Balance]:
    """The balances of these nodes and of all above them, as callers of these entities see them."""
    rows = await source.fetch(_BALANCES, entities_setting(entities), sorted(set(nodes)))
    return {row["node"]: balance_of(row) for row in rows}


def budget_verdict(
    lines: tuple[BudgetLine, ...],
    balances: Mapping[str, Balance],
    now: datetime,
    stated: Stated = (),
) -> CheckVerdict:
    """Whether the budget has what these lines ask for, as the ledger stands and its source
    stated; true as of the oldest statement.
    """
    assert not isinstance(stated, Refusal)
    effect = Reserve("reservation", lines, stated)
    result = decide(balances, DocumentHolding(), effect, as_of=now).result
    as_of = min((each.as_of for each in stated), default=now)
    if isinstance(result, Refused):
        return _verdict("budget", as_of, result.refusal)
    return CheckVerdict("budget", "pass", as_of)


def _charged(
    known: Mapping[type, Any], found: tuple[Entity, Calendar], requisition: Requisition
) -> tuple[BudgetLine, ...] | Refusal:
    entity, calendar = found
    return charge(
        (split for line in requisition.lines for split in line.splits),
        requisition.currency,
        entity=entity,
        calendar=calendar,
        on=entity.local_date(requisition.submitted_at),
        rates=known[Rates],
        policy=known[BudgetPolicy],
    )


def obstacles(verdicts: Iterable[CheckVerdict]) -> list[Refusal]:
    """What stands against submission: refusals first, then what is unknown (DESIGN D15)."""
    found = [each for each in verdicts if each.verdict != "pass"]
    found.sort(key=lambda each: each.verdict == "unknown")
    return [each.refusal for each in found if each.refusal is not None]


def _verdict(check: str, now: datetime, refusal: Refusal) -> CheckVerdict:
    return CheckVerdict(check, "refuse", now, refusal)


def _pieces(requisition: Requisition, facts: ValidationFacts) -> Iterable[Refusal]:
    """What comes in pieces is not a question of decimals (N31)."""
    whole_units = facts.policy.limits.whole_units
    for line in requisition.lines:
        if line.uom in whole_units and line.quantity % 1:
            yield refuse("quantity_not_integral", where=f"lines[{line.number}].quantity")


def _times(requisition: Requisition, facts: ValidationFacts) -> Iterable[Refusal]:
    if requisition.submitted_at > facts.now + _AHEAD_MAX:
        yield refuse("date_in_future", where="submitted_at")
    if facts.entity is None:
        return
    today = facts.entity.local_date(facts.now)
    for line in requisition.lines:
        if line.need_by is not None and line.need_by < today:
            yield refuse("date_in_past", where=f"lines[{line.number}].need_by")


def _people(requisition: Requisition, directory: Directory) -> Iterable[Refusal]:
    for role in ("requester", "preparer", "beneficiary"):
        person = getattr(requisition, role)
        if person is not None and directory.find(person) is None:
            yield refuse("person_unknown", where=role)


def _blank_coding(requisition: Requisition) -> Iterable[Refusal]:
    for line in requisition.lines:
        for split in line.splits:
            if not split.coding.cost_center or not split.coding.gl_account:
                yield refuse("budget_not_found", where=f"lines[{line.number}].splits")
