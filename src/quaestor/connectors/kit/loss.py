"""The loss report: what a mapping did not carry over, and why.

Every field of a vendor's document is mapped, defaulted, or dropped with a reason (DESIGN D14). A
mapping declares it field by field in a table; a test holds the table against the vendor's
published contract, and the report says what of it happened to one document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Literal

import msgspec

__all__ = ["Disposition", "Dispositions", "Loss", "LossReport", "dropped", "mapped"]


class Disposition(msgspec.Struct, frozen=True):
    """What happens to one field: mapped to the canonical field named in `note`, or dropped for
    the reason in it.
    """

    kind: Literal["mapped", "dropped"]
    note: str


Dispositions = Mapping[str, Disposition]


class Loss(msgspec.Struct, frozen=True):
    """One kind of loss in one document. `path` has no line numbers, `times` counts them.

    Only the path is kept, never the value: it may be personal.
    """

    path: str
    kind: Literal["dropped", "defaulted", "unknown"]
    reason: str
    times: int = 1


class LossReport(msgspec.Struct, frozen=True, dict=True):
    """Everything that was not carried over, ordered by path.

    `find` finds it, when somebody wants to see it: most documents are carried on unseen.
    """

    find: Callable[[], tuple[Loss, ...]] = tuple

    @cached_property
    def losses(self) -> tuple[Loss, ...]:
        return self.find()

    def of_kind(self, kind: Literal["dropped", "defaulted", "unknown"]) -> tuple[Loss, ...]:
        """The losses of one kind. `unknown` are fields the mapping has never heard of."""
        return tuple(loss for loss in self.losses if loss.kind == kind)


def mapped(target: str) -> Disposition:
    """The field goes to this canonical field."""
    return Disposition("mapped", target)


def dropped(reason: str) -> Disposition:
    """The field goes nowhere, for this reason."""
    return Disposition("dropped", reason)
