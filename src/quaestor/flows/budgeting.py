"""What is asked about budgets before they are held, and what the answers state.

Where another system is the source of a budget, its amount is asked for before every reservation;
what it answered is handed to the ledger with the lines, and set and decided in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable

from quaestor.budget.effects import BudgetLine, StatedBudget
from quaestor.budget.keys import BudgetPolicy
from quaestor.budget.stating import BudgetSource, budget_unknown, stated_by
from quaestor.flows.charging import buyer_of
from quaestor.flows.kit.dossier import Answered, Dossier
from quaestor.flows.kit.effects import Inquire
from quaestor.model.budget import BALANCE_QUESTION, node_facts
from quaestor.model.refusal import Refusal, Refused

__all__ = ["budget_questions", "grown_old", "stated_budgets"]


def budget_questions(dossier: Dossier, lines: Iterable[BudgetLine]) -> tuple[Inquire, ...]:
    """One question for each budget that these lines are held against and another system states."""
    source = dossier.read(BudgetPolicy).source
    if source is None:
        return ()
    return _questions(source, source.asked_about(line.node for line in lines))


def stated_budgets(
    dossier: Dossier, lines: Iterable[BudgetLine]
) -> tuple[StatedBudget, ...] | Refusal:
    """What was answered; `budget_unknown` where that states nothing that can be relied on."""
    buyer, source = buyer_of(dossier), dossier.read(BudgetPolicy).source
    if isinstance(buyer, Refusal):
        return buyer
    if source is None:
        return ()
    stated: list[StatedBudget] = []
    for node in source.asked_about(line.node for line in lines):
        match dossier.results.get(_name(node)):
            case Answered(value, as_of, heard_at):
                currency = buyer.entity.base_currency
                said = stated_by(source, node, currency, value, as_of, heard_at)
            case Refused(refusal) if refusal.code != "check_unknown":
                said = refusal
            case _:
                said = budget_unknown(source, node, "no usable answer")
        if isinstance(said, Refusal):
            return said
        stated.append(said)
    return tuple(stated)


def grown_old(dossier: Dossier, stated: Iterable[StatedBudget]) -> tuple[Inquire, ...]:
    """What was good when it was heard and is too old by now: others were waited for meanwhile."""
    source = dossier.read(BudgetPolicy).source
    if source is None:
        return ()
    old = [each.node for each in stated if source.is_too_old(each.as_of, dossier.now)]
    return _questions(source, old)


def _questions(source: BudgetSource, nodes: Iterable[str]) -> tuple[Inquire, ...]:
    return tuple(
        Inquire(_name(node), source.system, BALANCE_QUESTION, node_facts(node)) for node in nodes
    )


def _name(node: str) -> str:
    return f"budget/{node}"
