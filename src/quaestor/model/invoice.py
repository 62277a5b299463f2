"""Supplier invoice: what somebody wants to be paid for."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

import msgspec

__all__ = ["Invoice", "InvoiceLine", "TaxLine"]


class InvoiceLine(msgspec.Struct, frozen=True):
    """One line; `amount` is quantity times price, divided by `price_unit`, half up (M10)."""

    number: int
    description: str
    quantity: Decimal
    uom: str
    unit_price: Decimal
    amount: Decimal
    order: str | None = None
    order_line: int | None = None
    price_unit: Decimal = Decimal(1)
    tax_code: str | None = None


class TaxLine(msgspec.Struct, frozen=True):
    """Tax of one code over the whole document: the base, the rate in per cent, the amount."""

    tax_code: str
    base: Decimal
    rate_pct: Decimal
    amount: Decimal


class Invoice(msgspec.Struct, frozen=True):
    """One invoice or credit note; amounts are positive, in major units of `currency`.

    `number` is the supplier's. `gross` is lines, charges and tax together (M10).
    """

    source_system: str
    source_id: str
    number: str
    entity: str
    supplier: str
    invoice_date: date
    received_on: date
    currency: str
    gross: Decimal
    lines: tuple[InvoiceLine, ...]
    kind: Literal["invoice", "credit_note"] = "invoice"
    charges: Decimal = Decimal(0)
    taxes: tuple[TaxLine, ...] = ()
    credits: str | None = None
    remit_to: str | None = None
