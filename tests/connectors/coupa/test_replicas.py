"""Rows of replicas out of what Coupa delivers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from quaestor.connectors.coupa.replicas import supplier_row, user_row
from quaestor.connectors.kit.contract import Delivered
from quaestor.model.refusal import Refusal
from quaestor.model.replica import PersonRow, SupplierRow
from tests.connectors.coupa.installed import installed

SUPPLIER = {
    "id": 41,
    "name": "Helio Systems AG",
    "display-name": "Helio",
    "number": "SUP-1001",
    "status": "active",
    "on-hold": False,
    "buyer-hold": None,
    "payment-term": {"code": "Net 30"},
}
HELIO = SupplierRow("SUP-1001", "Helio", payment_terms="Net 30")
BLOCKED = SupplierRow("SUP-1001", "Helio", active=False, payment_terms="Net 30")
SUPPLIERS: list[tuple[str, dict[str, Any], SupplierRow | None]] = [
    ("as it is", {}, HELIO),
    ("inactive", {"status": "inactive"}, BLOCKED),
    ("draft", {"status": "draft"}, BLOCKED),
    ("without a status", {"status": None}, BLOCKED),
    ("on hold", {"on-hold": True}, BLOCKED),
    ("on hold by a buyer", {"buyer-hold": True}, BLOCKED),
    ("without a number", {"number": None}, None),
    ("without terms", {"payment-term": None}, SupplierRow("SUP-1001", "Helio")),
]
USER = {
    "id": 701,
    "login": "aberger",
    "employee-number": "20701",
    "firstname": "Ana",
    "lastname": "Berger",
    "active": True,
}
ANA = PersonRow("20701", "Ana Berger", login="aberger")
USERS: list[tuple[str, dict[str, Any], PersonRow | None]] = [
    ("as she is", {}, ANA),
    ("not said to be active", {"active": None}, msgspec.structs.replace(ANA, active=False)),
    ("without a number", {"employee-number": ""}, None),
    ("without a login", {"login": None}, None),
]


@pytest.mark.parametrize(
    ("changes", "row"), [case[1:] for case in SUPPLIERS], ids=[case[0] for case in SUPPLIERS]
)
def test_a_supplier_may_be_ordered_from_when_coupa_says_so(
    changes: dict[str, Any], row: SupplierRow | None
) -> None:
    assert supplier_row(msgspec.json.encode(SUPPLIER | changes)) == row


@pytest.mark.parametrize(
    ("changes", "row"), [case[1:] for case in USERS], ids=[case[0] for case in USERS]
)
def test_a_user_is_told_by_his_employee_number(
    changes: dict[str, Any], row: PersonRow | None
) -> None:
    assert user_row(msgspec.json.encode(USER | changes)) == row


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    found = supplier_row(body), user_row(body)

    assert all(isinstance(one, Refusal) for one in found)


async def test_what_is_asked_for_is_enough_for_a_row() -> None:
    async with installed() as coupa:
        delivered = [await _all(coupa.connector, stream) for stream in ("suppliers", "users")]

    suppliers = [supplier_row(item.body) for item in delivered[0]]
    users = [user_row(item.body) for item in delivered[1]]
    assert suppliers
    assert all(isinstance(row, SupplierRow) and row.active for row in suppliers)
    assert users
    assert all(isinstance(row, PersonRow) and row.active for row in users)


async def _all(connector: Any, stream: str) -> list[Delivered]:
    page = await connector.pull(stream, None)
    items = list(page.items)
    while page.more:
        page = await connector.pull(stream, page.cursor)
        items += page.items
    return items
