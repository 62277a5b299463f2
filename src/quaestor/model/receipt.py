"""Goods receipt: what arrived for an order, or was sent back."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

import msgspec

__all__ = ["Receipt", "ReceiptLine"]


class ReceiptLine(msgspec.Struct, frozen=True):
    """One line; `quantity` is positive, the kind says the direction.

    `accepted` is the inspected and accepted part, `None` before the inspection.
    """

    number: int
    order_line: int
    quantity: Decimal
    uom: str
    kind: Literal["received", "returned"] = "received"
    accepted: Decimal | None = None


class Receipt(msgspec.Struct, frozen=True):
    """One receipt. `order` is the order's number in its ledger, `target_system`.

    `reverses` is the number of the receipt that this one takes back.
    """

    source_system: str
    source_id: str
    number: str
    entity: str
    target_system: str
    order: str
    received_on: date
    received_by: str
    lines: tuple[ReceiptLine, ...]
    reverses: str | None = None
