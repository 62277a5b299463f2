"""Loading budgets: what a release says may be spent becomes balances, entry by entry.

A loaded budget is an entry of the ledger like any other, so that a balance stays the sum of its
entries (invariant I12). What stands against a budget is never touched here.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from quaestor.model.budget import BudgetNode
from quaestor.store import Connection

__all__ = ["load_budgets"]

_LOADED = "select budget from quaestor.budget_balance where node = $1 for no key update"
_LOAD = """
insert into quaestor.budget_balance
    (node, entity, parent, control, tolerance_pct, tolerance_amount, budget)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (node) do update
set parent = excluded.parent, control = excluded.control, budget = excluded.budget,
    tolerance_pct = excluded.tolerance_pct, tolerance_amount = excluded.tolerance_amount
"""
_ENTER = """
insert into quaestor.budget_entry (at, entity, node, effect, kind, budget)
values (quaestor.clock(), $1, $2, $3, 'load', $4)
"""


async def load_budgets(connection: Connection, nodes: Iterable[BudgetNode], *, release: str) -> int:
    """Set the budgets of these nodes, in the caller's transaction; returns how many changed."""
    changed = 0
    for node in _parents_first(nodes):
        known: Decimal | None = await connection.fetchval(_LOADED, node.key)
        before = known or Decimal(0)
        # What another system has stated since is not undone by a release.
        amount = before if node.is_live and known is not None else node.amount
        await connection.execute(
            _LOAD,
            node.key,
            node.entity,
            node.parent,
            node.control,
            node.tolerance_pct,
            node.tolerance_amount,
            amount,
        )
        if amount != before:
            changed += 1
            source = f"release:{release[:12]}"
            await connection.execute(_ENTER, node.entity, node.key, source, amount - before)
    return changed


def _parents_first(nodes: Iterable[BudgetNode]) -> list[BudgetNode]:
    """A parent before its children, at any depth; siblings in key order, as the ledger locks."""
    by_key = {node.key: node for node in nodes}

    def depth(node: BudgetNode) -> int:
        above = by_key.get(node.parent or "")
        return 0 if above is None else 1 + depth(above)

    return sorted(by_key.values(), key=lambda node: (depth(node), node.key))
