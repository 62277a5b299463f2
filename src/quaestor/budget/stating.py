"""Budgets that another system states: which are asked about, and what its answer says.

The mode is gross: the source says what was planned and what others spend of it; what goes through
us is counted by our own ledger alone. An answer without an age that can be relied on states
nothing (DESIGN D13).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

import msgspec

from quaestor.budget.effects import StatedBudget
from quaestor.model.refusal import Refusal, refuse

__all__ = ["BudgetSource", "budget_unknown", "stated_by"]


class BudgetSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The system that states budgets, and the age in seconds beyond which it is not relied on.

    `nodes` are those that it states, each with the node above it.
    """

    system: str
    max_age_s: int
    nodes: Mapping[str, str | None] = {}

    def asked_about(self, charged: Iterable[str]) -> tuple[str, ...]:
        """These nodes and those above them, as far as the source states them; in key order.

        A document is held against all of them (B6), so none may be out of date.
        """
        found: set[str] = set()
        for node in charged:
            at: str | None = node
            while at is not None and at in self.nodes and at not in found:
                found.add(at)
                at = self.nodes[at]
        return tuple(sorted(found))

    def is_too_old(self, as_of: datetime, at: datetime) -> bool:
        """Whether what was true at `as_of` is not relied on any more `at` this instant."""
        return at - as_of > timedelta(seconds=self.max_age_s)


def stated_by(
    source: BudgetSource,
    node: str,
    currency: str,
    value: Mapping[str, str],
    as_of: datetime,
    heard_at: datetime,
) -> StatedBudget | Refusal:
    """What an answer about this node says in the base currency, if it says anything.

    `budget_unknown` for one that was too old when it was heard, of another mode or currency, or
    without an amount.
    """
    if source.is_too_old(as_of, heard_at):
        age = str(int((heard_at - as_of).total_seconds()))
        return budget_unknown(source, node, "too old", age_s=age, max_age_s=str(source.max_age_s))
    if (value.get("mode"), value.get("currency")) != ("gross", currency):
        return budget_unknown(source, node, "another mode or currency")
    try:
        planned = Decimal(value["budget"])
        elsewhere = Decimal(value.get("consumed_elsewhere", "0"))
    except (KeyError, InvalidOperation):
        return budget_unknown(source, node, "no amount")
    if not (planned.is_finite() and elsewhere.is_finite()):
        return budget_unknown(source, node, "no amount")
    return StatedBudget(node, planned - elsewhere, as_of, source.system)


def budget_unknown(source: BudgetSource, node: str, why: str, **details: str) -> Refusal:
    """The refusal of what the source does not state."""
    return refuse("budget_unknown", node=node, system=source.system, why=why, **details)
