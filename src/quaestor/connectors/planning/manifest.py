"""What a planning system does for us: it says what may be spent."""

from __future__ import annotations

from quaestor.connectors.kit.contract import Manifest
from quaestor.model.budget import BALANCE_QUESTION

__all__ = ["MANIFEST"]

MANIFEST = Manifest(
    kind="planning",
    title="Planning: budgets over REST (a definition of our own)",
    questions=(BALANCE_QUESTION,),
)
