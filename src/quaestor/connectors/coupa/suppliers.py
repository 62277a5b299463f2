"""Suppliers as rows of a replica. Pure.

A supplier may be ordered from when its status in Coupa is active and nobody holds it: a buyer's
hold asks for a review of each order there, which an order made by us would pass by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from quaestor.connectors.coupa.asked import member
from quaestor.model.refusal import Refusal, refuse
from quaestor.model.replica import SupplierRow

__all__ = ["supplier_row"]

_HOLDS = ("on-hold", "buyer-hold")


def supplier_row(body: bytes) -> SupplierRow | Refusal | None:
    """One supplier as Coupa delivers it; `None` for one without a number to be named by."""
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return refuse("source_document_invalid", expected="a JSON object")
    if not isinstance(value, Mapping):
        return refuse("source_document_invalid", expected="a JSON object")
    number = _text(value, "number")
    if not number:
        return None
    terms = member(value, "payment-term")
    held = any(member(value, name) is True for name in _HOLDS)
    return SupplierRow(
        id=number,
        name=_text(value, "display-name") or _text(value, "name"),
        # Who is not said to be active is not.
        active=_text(value, "status") == "active" and not held,
        payment_terms=_text(terms, "code") if isinstance(terms, Mapping) else "",
    )


def _text(value: Mapping[str, Any], name: str) -> str:
    found = member(value, name)
    return found if isinstance(found, str) else ""
