"""Purchase order: the commitment that is posted into the ledger, one per order group."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from functools import lru_cache
from urllib.parse import quote

import msgspec

from quaestor.model.coding import Split

__all__ = ["OrderGroup", "OrderLine", "PurchaseOrder"]


class OrderGroup(msgspec.Struct, frozen=True, order=True):
    """What lines must share to stand in one order (DESIGN D3).

    Quaestor's own codes; `ship_to` is empty unless the ERP needs one order per address.
    """

    supplier: str
    entity: str
    currency: str
    purchasing_organisation: str
    ship_to: str = ""

    @property
    def key(self) -> str:
        """The group as one stable string, part of the posting key; never changes its form.

        Each part is percent-encoded, so that no two groups share a string.
        """
        parts = (
            self.supplier,
            self.entity,
            self.currency,
            self.purchasing_organisation,
            self.ship_to,
        )
        return "/".join(map(_encoded, parts))


@lru_cache(maxsize=4096)
def _encoded(part: str) -> str:
    """The same few codes are asked for at every stage of every document."""
    return quote(part, safe="")


class OrderLine(msgspec.Struct, frozen=True):
    """One order line. `requisition_line` leads back to the line that asked for it."""

    number: int
    requisition_line: int
    description: str
    quantity: Decimal
    uom: str
    unit_price: Decimal
    amount: Decimal
    splits: tuple[Split, ...]
    material_group: str = ""
    material: str | None = None
    need_by: date | None = None
    plant: str | None = None


class PurchaseOrder(msgspec.Struct, frozen=True):
    """One order for one target system, all codes in that system's language.

    `group` stays in Quaestor's own codes. `order_date` is the date in the entity's time zone.
    """

    target_system: str
    requisition: str
    requisition_version: int
    group: OrderGroup
    company_code: str
    supplier: str
    currency: str
    purchasing_organisation: str
    purchasing_group: str
    order_date: date
    total: Decimal
    lines: tuple[OrderLine, ...]
    payment_terms: str | None = None
    document_type: str = ""
