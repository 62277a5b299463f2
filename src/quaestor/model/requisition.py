"""Purchase requisition: what an employee wants to buy, approved or on the way to it."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import msgspec

from quaestor.model.approval import ApprovalEvidence
from quaestor.model.coding import Split

__all__ = ["Requisition", "RequisitionLine"]


class RequisitionLine(msgspec.Struct, frozen=True):
    """One line; `amount` is quantity times unit price, half up to the minor unit.

    `splits` has at least one entry and adds up to `amount`. `supplier` is Quaestor's own code.
    """

    number: int
    description: str
    supplier: str
    quantity: Decimal
    uom: str
    unit_price: Decimal
    amount: Decimal
    splits: tuple[Split, ...]
    category: str = ""
    material: str | None = None
    need_by: date | None = None
    ship_to: str | None = None


class Requisition(msgspec.Struct, frozen=True):
    """One version of a requisition, in Quaestor's own codes.

    `source_system` and `source_id` say where it was born and never change; `version` rises with
    each change. `total` equals the sum of the lines, in `currency`, in major units.
    """

    source_system: str
    source_id: str
    number: str
    version: int
    entity: str
    requester: str
    currency: str
    total: Decimal
    lines: tuple[RequisitionLine, ...]
    submitted_at: datetime
    preparer: str | None = None
    beneficiary: str | None = None
    title: str = ""
    approval: ApprovalEvidence | None = None
