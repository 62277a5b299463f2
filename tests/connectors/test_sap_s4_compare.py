"""A document in SAP is compared by content, never believed by its reference."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings

from quaestor.connectors.sap_s4.compare import differences, is_deleted, same_code
from quaestor.connectors.sap_s4.mapping import OrderRules, order_payload, reference_of
from quaestor.model.order import PurchaseOrder
from tests.connectors.orders import KEY, a_line, a_split, an_order
from tests.connectors.sap_orders import document_of, orders

RULES = OrderRules()
SPLITS = [a_split("2500.00"), a_split("1250.00", cost_center="17101902")]
ORDER = an_order(
    [a_line(splits=SPLITS, need_by=date(2026, 12, 1)), a_line(2, quantity="1")],
    payment_terms="0004",
)
WANTED = order_payload(ORDER, reference_of(KEY), RULES)


def found(change: Callable[[dict[str, Any]], object]) -> tuple[str, ...]:
    """The differences after somebody changed SAP's document of `ORDER`."""
    document = document_of(ORDER)
    change(document)
    return differences(WANTED, RULES, document)


def items(document: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = document["to_PurchaseOrderItem"]["results"]
    return rows


def header(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document.update(fields)


def first(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: items(document)[0].update(fields)


def charged(number: int, **fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: items(document)[0]["to_AccountAssignment"]["results"][number].update(
        fields
    )


def scheduled(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: items(document)[0]["to_ScheduleLine"]["results"][0].update(fields)


@given(order=orders())
@settings(max_examples=150, deadline=None)
def test_saps_own_document_of_an_order_does_not_differ_from_it(order: PurchaseOrder) -> None:
    document = document_of(order)

    wanted = order_payload(order, reference_of(KEY), RULES)

    assert differences(wanted, RULES, document) == ()


OTHER_SPLITS = "lines[1].splits: charged to other accounts or in other shares"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (header(CompanyCode="1010"), "company_code: 1010 instead of 1710"),
        (header(Supplier="17300002"), "supplier: 17300002 instead of 17300001"),
        (header(DocumentCurrency="EUR"), "currency: EUR instead of USD"),
        (header(PurchasingOrganization="1"), "purchasing_organisation: 1 instead of 1710"),
        (header(PurchasingGroup="002"), "purchasing_group: 002 instead of 001"),
        (header(PurchaseOrderType="FO"), "document_type: FO instead of NB"),
        (header(PaymentTerms=""), "payment_terms: nothing instead of 0004"),
        (
            header(PurchaseOrderDate="/Date(0)/"),
            "order_date: /Date(0)/ instead of /Date(1794873600000)/",
        ),
        (
            header(CorrespncExternalReference="typed over"),
            f"reference: typed over instead of {KEY[:12]}",
        ),
        (first(OrderQuantity="5"), "lines[1].quantity: 5 instead of 3"),
        (first(OrderQuantity=3), "lines[1].quantity: 3 instead of 3"),
        (first(NetPriceAmount="1250.010"), "lines[1].unit_price: 1250.01 instead of 1250"),
        (first(NetPriceQuantity="10"), "lines[1].unit_price: 125 instead of 1250"),
        (first(NetPriceQuantity="0"), "lines[1].unit_price: nothing instead of 1250"),
        (
            first(PurchaseOrderItemText="Other"),
            "lines[1].description: Other instead of Notebook 14 inch",
        ),
        (first(MaterialGroup="A002"), "lines[1].material_group: A002 instead of A001"),
        (first(Plant="1720"), "lines[1].plant: 1720 instead of 1710"),
        (first(PurchaseOrderQuantityUnit="EA"), "lines[1].uom: EA instead of PC"),
        (first(TaxCode="I1"), "lines[1].tax_code: I1 instead of I0"),
        (
            first(AccountAssignmentCategory="P"),
            "lines[1].account_assignment_category: P instead of K",
        ),
        (first(PurchasingDocumentDeletionCode="L"), "lines[1]: deleted"),
        (
            scheduled(ScheduleLineDeliveryDate="/Date(0)/"),
            "lines[1].need_by: not the day commanded",
        ),
        (charged(0, CostCenter="17101303"), OTHER_SPLITS),
        (charged(1, GLAccount="61003009"), OTHER_SPLITS),
        (charged(0, PurgDocNetAmount="2500.010"), OTHER_SPLITS),
        (charged(1, IsDeleted=True), OTHER_SPLITS),
        (lambda document: items(document).pop(1), "lines[2]: missing"),
        (
            lambda document: items(document).append({"PurchaseOrderItem": "30"}),
            "item 30: not commanded",
        ),
    ],
)
def test_each_business_field_that_differs_is_named(
    change: Callable[[dict[str, Any]], object], expected: str
) -> None:
    assert found(change) == (expected,)


@pytest.mark.parametrize(
    "change",
    [
        header(Supplier="0017300001"),
        header(PaymentTerms="0004 "),
        header(YY1_Custom_PDH="x", LastChangeDateTime=None),
        first(NetPriceAmount="12500.000", NetPriceQuantity="10"),
        first(OrderQuantity="3.000"),
        first(PurchaseOrderItem="00001"),
        first(PurchaseOrderItemText="Notebook  14 inch "),
        charged(0, CostCenter="0017101301"),
        charged(0, MultipleAcctAssgmtDistrPercent="66.7"),
        lambda document: items(document)[0]["to_AccountAssignment"]["results"].reverse(),
        lambda document: items(document).reverse(),
    ],
)
def test_the_same_content_in_another_dress_is_no_difference(
    change: Callable[[dict[str, Any]], object],
) -> None:
    assert found(change) == ()


def test_differences_are_bounded_and_one_line_each() -> None:
    def vandal(document: dict[str, Any]) -> None:
        document["Supplier"] = "line\nbreak someone@example.com " + "x" * 500
        items(document).extend({"PurchaseOrderItem": str(number)} for number in range(100, 300))

    listed = found(vandal)

    assert len(listed) == 50
    assert all("\n" not in one and len(one) < 160 for one in listed)
    assert "someone@example.com" not in listed[0]


@pytest.mark.parametrize("document", [{}, {"to_PurchaseOrderItem": {"__deferred": {}}}])
def test_a_document_that_says_nothing_differs_in_everything(document: dict[str, Any]) -> None:
    listed = differences(WANTED, RULES, document)

    assert {"lines[1]: missing", "lines[2]: missing"} <= set(listed)
    assert f"reference: nothing instead of {KEY[:12]}" in listed


@pytest.mark.parametrize(
    ("document", "deleted"),
    [
        ({"PurchasingDocumentDeletionCode": "L"}, True),
        ({"to_PurchaseOrderItem": [{"PurchasingDocumentDeletionCode": "L"}]}, True),
        (
            {
                "to_PurchaseOrderItem": [
                    {"PurchasingDocumentDeletionCode": "L"},
                    {"PurchasingDocumentDeletionCode": ""},
                ]
            },
            False,
        ),
        ({"to_PurchaseOrderItem": [{"PurchasingDocumentDeletionCode": "S"}]}, False),
        ({"to_PurchaseOrderItem": []}, False),
        ({}, False),
    ],
)
def test_an_order_is_cancelled_when_it_or_each_of_its_items_is_deleted(
    document: dict[str, Any], deleted: bool
) -> None:
    assert is_deleted(document) is deleted


@pytest.mark.parametrize(
    ("there", "ours", "same"),
    [
        ("17300001", "0017300001", True),
        ("supl01", "SUPL01", True),
        ("0", "000", True),
        ("A001", "00A001", False),
        ("17300001", "17300002", False),
        ("", "0", False),
    ],
)
def test_codes_are_compared_as_sap_sees_them(there: str, ours: str, same: bool) -> None:
    assert same_code(there, ours) is same
