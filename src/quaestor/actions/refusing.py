"""Refusing: what stands against an act, as a value to raise; nothing of the act took place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quaestor.model.refusal import Refusal

__all__ = ["NotAccepted"]


class NotAccepted(Exception):
    """The act is refused. The first refusal stands for all; `facts` are safe to show."""

    def __init__(self, *refusals: Refusal, facts: Mapping[str, Any] | None = None) -> None:
        self.refusals: Sequence[Refusal] = refusals
        self.facts = dict(facts or {})
        super().__init__(refusals[0].code)

    @property
    def refusal(self) -> Refusal:
        """The refusal that stands for all."""
        return self.refusals[0]
