"""A purchase order as bogus takes it: our own names in JSON, decimals as strings. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from quaestor.connectors.kit.loss import Dispositions, dropped, mapped
from quaestor.model.order import PurchaseOrder

__all__ = ["DISPOSITIONS", "differences", "order_payload", "render"]

_CROSSREF = "Quaestor's cross-reference leads from the vendor's number back to it"

DISPOSITIONS: Dispositions = {
    "target_system": dropped("it names the system itself"),
    "requisition": dropped(_CROSSREF),
    "requisition_version": dropped(_CROSSREF),
    "group": dropped("it stays in Quaestor's own codes"),
    "company_code": mapped("company_code"),
    "supplier": mapped("supplier"),
    "currency": mapped("currency"),
    "purchasing_organisation": mapped("purchasing_organisation"),
    "purchasing_group": mapped("purchasing_group"),
    "order_date": mapped("order_date"),
    "total": mapped("total"),
    "payment_terms": mapped("payment_terms"),
    "document_type": mapped("document_type"),
    "lines": mapped("lines"),
    "lines.number": mapped("lines.number"),
    "lines.requisition_line": dropped(_CROSSREF),
    "lines.description": mapped("lines.description"),
    "lines.quantity": mapped("lines.quantity"),
    "lines.uom": mapped("lines.uom"),
    "lines.unit_price": mapped("lines.unit_price"),
    "lines.amount": mapped("lines.amount"),
    "lines.splits": mapped("lines.splits"),
    "lines.material_group": mapped("lines.material_group"),
    "lines.material": mapped("lines.material"),
    "lines.need_by": mapped("lines.need_by"),
    "lines.plant": mapped("lines.plant"),
    "lines.splits.coding": mapped("lines.splits.coding"),
    "lines.splits.amount": mapped("lines.splits.amount"),
    "lines.splits.coding.cost_center": mapped("lines.splits.coding.cost_center"),
    "lines.splits.coding.gl_account": mapped("lines.splits.coding.gl_account"),
    "lines.splits.coding.project": mapped("lines.splits.coding.project"),
    "lines.splits.coding.tax_code": mapped("lines.splits.coding.tax_code"),
}


def order_payload(order: PurchaseOrder, reference: str) -> dict[str, Any]:
    """The order in bogus's names."""
    payload: dict[str, Any] = msgspec.to_builtins(order)
    for line in payload["lines"]:
        del line["requisition_line"]
    for name in ("target_system", "requisition", "requisition_version", "group"):
        del payload[name]
    return {"reference": reference, **payload}


def render(order: PurchaseOrder, reference: str) -> bytes:
    """The bytes to store and send."""
    return msgspec.json.encode(order_payload(order, reference))


def differences(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> tuple[str, ...]:
    """Each field of `wanted` that is not so there; what the vendor adds is the vendor's."""
    return tuple(_compared("", wanted, there))


def _compared(at: str, wanted: object, there: object) -> Iterator[str]:
    if isinstance(wanted, Mapping) and isinstance(there, Mapping):
        for name, value in wanted.items():
            yield from _compared(f"{at}.{name}" if at else name, value, there.get(name))
    elif isinstance(wanted, list | tuple) and isinstance(there, list | tuple):
        if len(wanted) != len(there):
            yield f"{at}: {len(there)} instead of {len(wanted)}"
        for number, (one, other) in enumerate(zip(wanted, there, strict=False), start=1):
            yield from _compared(f"{at}[{number}]", one, other)
    elif wanted != there:
        yield f"{at}: {str(there)[:60]} instead of {str(wanted)[:60]}"
