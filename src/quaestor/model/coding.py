"""Account coding: where a cost is charged."""

from __future__ import annotations

from decimal import Decimal

import msgspec

__all__ = ["Coding", "Split"]


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
