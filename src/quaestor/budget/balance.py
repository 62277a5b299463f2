"""Balances of budget nodes, and the entries of the ledger that move them.

A charge is entered on its node and rolled up to every ancestor. So the balance of a node holds
what was charged to it and to all below it; a node is judged from its own row (B6), and the
caller locks a node and its ancestors, never a subtree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from quaestor.budget.effects import BudgetLine
from quaestor.model.budget import Balances, BudgetNode

__all__ = [
    "Balance",
    "BudgetLoad",
    "DocumentHolding",
    "LedgerEntry",
    "apply",
    "as_lines",
    "by_node",
    "held_after",
    "loaded",
]

ZERO = Decimal(0)


class Balance(msgspec.Struct, frozen=True):
    """A budget and what stands against it, its descendants included.

    `as_of` is when another system's statement of the budget was true, where it is stated by one.
    """

    node: BudgetNode
    stands: Balances = Balances()
    as_of: datetime | None = None

    @property
    def available(self) -> Decimal:
        """What may still be taken here; negative when overspent."""
        return self.stands.available(self.node)


class LedgerEntry(msgspec.Struct, frozen=True):
    """One movement of one node; a balance is the sum of its entries (I12).

    `rolled_up` tells that the charge itself stands on a descendant.
    """

    node: str
    pre: Decimal = ZERO
    enc: Decimal = ZERO
    act: Decimal = ZERO
    rolled_up: bool = False

    @property
    def net(self) -> Decimal:
        """By how much this lowers what is available."""
        return self.pre + self.enc + self.act


class BudgetLoad(msgspec.Struct, frozen=True):
    """The budget of one node becomes the `amount` that `system` states, true at `as_of`; by
    `change` more than before.
    """

    node: str
    amount: Decimal
    change: Decimal
    as_of: datetime
    system: str


class DocumentHolding(msgspec.Struct, frozen=True):
    """What one document holds, per node charged: reserved, encumbered, booked as actual."""

    pre: Mapping[str, Decimal] = {}
    enc: Mapping[str, Decimal] = {}
    act: Mapping[str, Decimal] = {}

    @property
    def nodes(self) -> frozenset[str]:
        """The nodes that an effect on this document may move besides those it names."""
        return frozenset(self.pre) | frozenset(self.enc) | frozenset(self.act)


def apply(balances: Mapping[str, Balance], entries: Iterable[LedgerEntry]) -> dict[str, Balance]:
    """The balances after these entries, for the next decision on them. A new mapping."""
    after = dict(balances)
    for entry in entries:
        was = after[entry.node]
        stands = Balances(
            was.stands.pre + entry.pre, was.stands.enc + entry.enc, was.stands.act + entry.act
        )
        after[entry.node] = msgspec.structs.replace(was, stands=stands)
    return after


def loaded(balances: Mapping[str, Balance], loads: Sequence[BudgetLoad]) -> Mapping[str, Balance]:
    """The balances with these budgets."""
    if not loads:
        return balances
    after = dict(balances)
    for load in loads:
        was = after[load.node]
        node = msgspec.structs.replace(was.node, amount=load.amount)
        after[load.node] = msgspec.structs.replace(was, node=node, as_of=load.as_of)
    return after


def held_after(held: DocumentHolding, entries: Iterable[LedgerEntry]) -> DocumentHolding:
    """What the document holds after these entries; what came to zero is left out."""
    pre, enc, act = dict(held.pre), dict(held.enc), dict(held.act)
    for entry in entries:
        if entry.rolled_up:
            continue
        for column, change in ((pre, entry.pre), (enc, entry.enc), (act, entry.act)):
            if change:
                column[entry.node] = column.get(entry.node, ZERO) + change
    return DocumentHolding(*({n: a for n, a in c.items() if a} for c in (pre, enc, act)))


def as_lines(amounts: Mapping[str, Decimal]) -> tuple[BudgetLine, ...]:
    """One line per node with something in it, in key order."""
    return tuple(BudgetLine(node, amounts[node]) for node in sorted(amounts) if amounts[node])


def by_node(lines: Iterable[BudgetLine]) -> dict[str, Decimal]:
    """Lines of one key summed (B19)."""
    amounts: dict[str, Decimal] = {}
    for line in lines:
        amounts[line.node] = amounts.get(line.node, ZERO) + line.amount
    return amounts
