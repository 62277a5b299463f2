"""Suppliers and users as rows of a replica. Pure.

A supplier may be ordered from when its status in Coupa is active and nobody holds it: a buyer's
hold asks for a review of each order there, which an order made by us would pass by. A user is told
by his employee number, by which the system that owns people knows him.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from quaestor.connectors.coupa.asked import member
from quaestor.model.refusal import Refusal, refuse
from quaestor.model.replica import PersonRow, SupplierRow

__all__ = ["supplier_row", "user_row"]

_HOLDS = ("on-hold", "buyer-hold")


def supplier_row(body: bytes) -> SupplierRow | Refusal | None:
    """One supplier as Coupa delivers it; `None` for one without a number to be named by."""
    value = _object(body)
    if isinstance(value, Refusal):
        return value
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


def user_row(body: bytes) -> PersonRow | Refusal | None:
    """One user as Coupa delivers him; `None` for one without a login or an employee number."""
    value = _object(body)
    if isinstance(value, Refusal):
        return value
    number, login = _text(value, "employee-number"), _text(value, "login")
    if not number or not login:
        return None
    name = f"{_text(value, 'firstname')} {_text(value, 'lastname')}".strip()
    return PersonRow(number, name, login=login, active=member(value, "active") is True)


def _object(body: bytes) -> Mapping[str, Any] | Refusal:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        return refuse("source_document_invalid", expected="a JSON object")


def _text(value: Mapping[str, Any], name: str) -> str:
    found = member(value, name)
    return found if isinstance(found, str) else ""
