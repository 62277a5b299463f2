"""Riverside's own steps in the shipped flow: its tax codes, and one rule of its ledger.

A step is a pure function: it gets values and returns values. The flow calls it at its place, and
refuses an order in which anything was changed that had been approved; a tax code may be set.
"""

from __future__ import annotations

import msgspec

from quaestor.flows.kit.effects import Effect, Record
from quaestor.model.coding import Split
from quaestor.model.order import OrderLine, PurchaseOrder
from quaestor.model.refusal import Refusal, refuse
from quaestor.model.requisition import Requisition

__all__ = ["after_done", "before_post", "enrich"]

LINES_MAX = 40
FOREIGN_SUPPLIERS = {"nordlicht"}
# Austria: 20 % is the standard rate, 10 % the reduced one for books; a supplier from another
# member state invoices without tax, and the buyer owes it.
REVERSE_CHARGE, REDUCED, STANDARD = "RC", "V10", "V20"
REDUCED_CATEGORIES = {"books"}


def enrich(order: PurchaseOrder, requisition: Requisition) -> PurchaseOrder | Refusal:
    """Set the tax code of every split, in the ledger's own codes."""
    categories = {line.number: line.category for line in requisition.lines}
    lines = tuple(
        _taxed(line, _tax_code(order.group.supplier, categories[line.requisition_line]))
        for line in order.lines
    )
    return msgspec.structs.replace(order, lines=lines)


def before_post(order: PurchaseOrder, requisition: Requisition) -> Refusal | None:
    """The ledger prints one page per order."""
    if len(order.lines) > LINES_MAX:
        return refuse("too_many_lines", lines=str(len(order.lines)), lines_max=str(LINES_MAX))
    return None


def after_done(requisition: Requisition, numbers: dict[str, str]) -> tuple[Effect, ...]:
    """State in the audit trail which vouchers the purchasing department has to file."""
    return (Record("filed", {group: f"voucher {number}" for group, number in numbers.items()}),)


def _tax_code(supplier: str, category: str) -> str:
    if supplier in FOREIGN_SUPPLIERS:
        return REVERSE_CHARGE
    return REDUCED if category in REDUCED_CATEGORIES else STANDARD


def _taxed(line: OrderLine, tax_code: str) -> OrderLine:
    splits = tuple(
        Split(msgspec.structs.replace(split.coding, tax_code=tax_code), split.amount)
        for split in line.splits
    )
    return msgspec.structs.replace(line, splits=splits)
