"""Orders in a ledger's own codes, with defaults: a test says only what it is about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from quaestor.connectors.kit.contract import Command
from quaestor.model.coding import Coding, Split
from quaestor.model.money import extended_amount, total
from quaestor.model.order import OrderGroup, OrderLine, PurchaseOrder

__all__ = ["KEY", "a_cancellation", "a_command", "a_line", "a_split", "an_order"]

KEY = "q3mzr5tdy4hbp6vgs2alj3ecu5oi7k4qf6nxw2mzr5tdyk7qfn2x"


def a_split(
    amount: str,
    *,
    cost_center: str = "17101301",
    gl_account: str = "61003000",
    project: str | None = None,
    tax_code: str | None = "I0",
) -> Split:
    return Split(Coding(cost_center, gl_account, project, tax_code), Decimal(amount))


def a_line(
    number: int = 1,
    *,
    requisition_line: int | None = None,
    description: str = "Notebook 14 inch",
    quantity: str = "3",
    uom: str = "PC",
    unit_price: str = "1250.00",
    currency: str = "USD",
    amount: str | None = None,
    splits: Sequence[Split] | None = None,
    material_group: str = "A001",
    material: str | None = None,
    need_by: date | None = None,
    plant: str | None = "1710",
) -> OrderLine:
    """A line that adds up, unless `amount` or `splits` say otherwise."""
    exact = extended_amount(Decimal(quantity), Decimal(unit_price), currency)
    stated = exact if amount is None else Decimal(amount)
    return OrderLine(
        number=number,
        requisition_line=number if requisition_line is None else requisition_line,
        description=description,
        quantity=Decimal(quantity),
        uom=uom,
        unit_price=Decimal(unit_price),
        amount=stated,
        splits=(a_split(str(stated)),) if splits is None else tuple(splits),
        material_group=material_group,
        material=material,
        need_by=need_by,
        plant=plant,
    )


def an_order(
    lines: Sequence[OrderLine] | None = None,
    *,
    requisition: str = "20417",
    company_code: str = "1710",
    supplier: str = "17300001",
    currency: str = "USD",
    purchasing_organisation: str = "1710",
    purchasing_group: str = "001",
    order_date: date = date(2026, 11, 17),
    payment_terms: str | None = None,
    document_type: str = "",
    stated_total: str | None = None,
) -> PurchaseOrder:
    """An order that adds up, with one line unless told otherwise."""
    given = tuple([a_line(currency=currency)] if lines is None else lines)
    exact = total(line.amount for line in given)
    return PurchaseOrder(
        target_system="sap",
        requisition=requisition,
        requisition_version=1,
        group=OrderGroup("helio-systems", "acme-us", currency, "it"),
        company_code=company_code,
        supplier=supplier,
        currency=currency,
        purchasing_organisation=purchasing_organisation,
        purchasing_group=purchasing_group,
        order_date=order_date,
        total=exact if stated_total is None else Decimal(stated_total),
        lines=given,
        payment_terms=payment_terms,
        document_type=document_type,
    )


def a_command(
    order: PurchaseOrder | None = None, *, key: str = KEY, created_at: datetime | None = None
) -> Command:
    """Create this order. It was first decided now: simulators date their documents today."""
    return Command(
        key=key,
        system="sap",
        action="create_order",
        entity="acme-us",
        created_at=datetime.now(UTC) if created_at is None else created_at,
        order=an_order() if order is None else order,
    )


def a_cancellation(number: str, *, key: str = KEY[::-1]) -> Command:
    return Command(
        key=key,
        system="sap",
        action="cancel_order",
        entity="acme-us",
        created_at=datetime.now(UTC),
        cancels=number,
    )
