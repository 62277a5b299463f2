"""Which budget node a split charges, and with how much.

The node's key is made of the entity, the fiscal year of the charge's date by the entity's own
calendar (I34), the cost center and, where budgets are kept by account, the budget account. What
cannot be charged to a node is refused, never let through unchecked (B15, N59).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal

import msgspec

from quaestor.budget.balance import ZERO, as_lines
from quaestor.budget.effects import BudgetLine
from quaestor.budget.stating import BudgetSource
from quaestor.model.budget import node_key
from quaestor.model.calendar import Calendar
from quaestor.model.coding import Coding, Split
from quaestor.model.entity import Entity
from quaestor.model.rates import Rates
from quaestor.model.refusal import Refusal, refuse

__all__ = ["BudgetPolicy", "charge"]


class BudgetPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How codings find their budget.

    `by_account` keeps budgets per cost center and account; else per cost center alone.
    `budget_accounts` gathers GL accounts under one budgeted account; an account that is not
    listed is budgeted under its own code. `source` is who states the amounts, if not our ledger.
    """

    by_account: bool = True
    budget_accounts: Mapping[str, str] = {}
    source: BudgetSource | None = None


def charge(
    splits: Iterable[Split],
    currency: str,
    *,
    entity: Entity,
    calendar: Calendar,
    on: date,
    rates: Rates,
    policy: BudgetPolicy,
) -> tuple[BudgetLine, ...] | Refusal:
    """What these splits charge, one line per node in key order, in the entity's base currency.

    Each split is converted on its own at the rate of `on`, half up (B8), and then summed: so the
    parts of a requisition, ordered one by one, add up to what was reserved for the whole.
    Refuses with `budget_not_found` or `fx_rate_missing`, the first in the order of the splits.
    """
    amounts: dict[str, Decimal] = {}
    year = calendar.fiscal_year(on)
    for split in splits:
        node = _node(split.coding, entity, year, on, policy)
        if isinstance(node, Refusal):
            return node
        amount = rates.convert(split.amount, currency, entity.base_currency, on)
        if amount is None:
            return refuse(
                "fx_rate_missing", currency=currency, to=entity.base_currency, on=on.isoformat()
            )
        amounts[node] = amounts.get(node, ZERO) + amount
    return as_lines(amounts)


def _node(
    coding: Coding, entity: Entity, year: int | None, on: date, policy: BudgetPolicy
) -> str | Refusal:
    """The budget key of one coding; `budget_not_found` where the day or a code is missing."""
    if year is None:
        return refuse("budget_not_found", entity=entity.id, on=on.isoformat())
    account = policy.budget_accounts.get(coding.gl_account, coding.gl_account)
    if not coding.cost_center or (policy.by_account and not account):
        return refuse(
            "budget_not_found",
            entity=entity.id,
            cost_center=coding.cost_center,
            account=coding.gl_account,
        )
    return node_key(entity.id, year, coding.cost_center, account if policy.by_account else None)
