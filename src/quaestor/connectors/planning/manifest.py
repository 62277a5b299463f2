"""What a planning system does for us: it says what may be spent."""

from __future__ import annotations

from quaestor.connectors.kit.contract import Manifest

__all__ = ["BUDGET_BALANCE", "MANIFEST"]

BUDGET_BALANCE = "budget_balance"

MANIFEST = Manifest(
    kind="planning",
    title="Planning: budgets over REST (a definition of our own)",
    questions=(BUDGET_BALANCE,),
)
