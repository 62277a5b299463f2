"""Budget: what may be spent where, and what is already spoken for.

Source of the terms and of the sum: specs section 5.3. `pre` is reserved by requisitions, `enc`
ordered, `act` invoiced.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import msgspec

__all__ = ["BALANCE_QUESTION", "Balances", "BudgetNode", "Control", "node_facts", "node_key"]

# What a system that states budgets is asked, with the facts of `node_facts`.
BALANCE_QUESTION = "budget_balance"

Control = Literal["absolute", "advisory"]


class BudgetNode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One budget, in the base currency of its entity, in major units.

    `absolute` refuses what does not fit; `advisory` reserves and warns (B9). Where both
    tolerances are set, the smaller counts (B10). `parent` is the key of the node above (B6).
    The amount of one that `is_live` is stated by another system: what stands here is where it
    begins.
    """

    key: str
    entity: str
    amount: Decimal
    control: Control = "absolute"
    tolerance_pct: Decimal | None = None
    tolerance_amount: Decimal | None = None
    parent: str | None = None
    is_live: bool = False

    @property
    def tolerance(self) -> Decimal:
        """What may be spent beyond the budget, unrounded."""
        by_share = None
        if self.tolerance_pct is not None:
            by_share = self.amount * self.tolerance_pct / 100
        given = [one for one in (by_share, self.tolerance_amount) if one is not None]
        return min(given, default=Decimal(0))


class Balances(msgspec.Struct, frozen=True):
    """What stands against a budget, in its currency. None of the three is negative (B18)."""

    pre: Decimal = Decimal(0)
    enc: Decimal = Decimal(0)
    act: Decimal = Decimal(0)

    def available(self, node: BudgetNode) -> Decimal:
        """What is left of the node, tolerance included; negative where invoices overran it."""
        return node.amount + node.tolerance - self.pre - self.enc - self.act


def node_key(entity: str, fiscal_year: int, cost_center: str, account: str | None = None) -> str:
    """`entity/fiscal year/cost center`, with the account where it is budgeted by account."""
    key = f"{entity}/{fiscal_year}/{cost_center}"
    return key if account is None else f"{key}/{account}"


def node_facts(key: str) -> Mapping[str, str]:
    """The parts of a node's key below its entity, by name."""
    names = ("fiscal_year", "cost_center", "account")
    return dict(zip(names, key.split("/", 3)[1:], strict=False))
