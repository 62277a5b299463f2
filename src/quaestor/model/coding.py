"""Account coding: where a cost is charged."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec

__all__ = ["Coding", "CostCenter", "GLAccount", "Split"]


class Coding(msgspec.Struct, frozen=True):
    """Cost center, GL account, and where used a project and a tax code, in one code language.

    On a requisition the codes are Quaestor's own; on an order they are the target system's.
    """

    cost_center: str
    gl_account: str
    project: str | None = None
    tax_code: str | None = None


class Split(msgspec.Struct, frozen=True):
    """One share of a line: an amount in the line's currency, charged to one coding."""

    coding: Coding
    amount: Decimal


class CostCenter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who carries a cost. Open from `valid_from` to `valid_to`, both inclusive; `owner` is a
    person.
    """

    id: str
    entity: str
    name: str = ""
    owner: str | None = None
    valid_from: date | None = None
    valid_to: date | None = None

    def open_on(self, day: date) -> bool:
        """Whether it may be charged on that day."""
        begun = self.valid_from is None or self.valid_from <= day
        return begun and (self.valid_to is None or day <= self.valid_to)


class GLAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of cost. `entities` and `cost_centers` it may be used with; empty allows all."""

    id: str
    name: str = ""
    entities: tuple[str, ...] = ()
    cost_centers: tuple[str, ...] = ()
    closed: bool = False

    def allows(self, entity: str, cost_center: str) -> bool:
        """Whether this combination may be charged."""
        known_here = not self.entities or entity in self.entities
        fits = not self.cost_centers or cost_center in self.cost_centers
        return known_here and fits and not self.closed
