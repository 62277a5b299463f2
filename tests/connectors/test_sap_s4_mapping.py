"""A purchase order in SAP's form: every field has its place, and SAP's own limits hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from msgspec.structs import replace

from quaestor.connectors.kit.contract import Permanent
from quaestor.connectors.kit.loss import Dispositions
from quaestor.connectors.sap_s4 import mapping as sap_mapping
from quaestor.connectors.sap_s4.mapping import (
    OrderRules,
    item_text,
    render_cancel,
    render_create,
    sap_date,
    sap_decimal,
)
from quaestor.model.order import OrderGroup, PurchaseOrder
from tests.connectors.orders import KEY, a_cancellation, a_command, a_line, a_split, an_order

RULES = OrderRules()
LONG = "Notebook 14 inch, 32 GB memory, 1 TB disk, docking station"
SPLITS = [a_split("2000.00"), a_split("1750.38", cost_center="17101902")]


def payload_of(order: PurchaseOrder, rules: OrderRules = RULES) -> Any:
    return json.loads(render_create(a_command(order), rules))


def refusal_of(order: PurchaseOrder, rules: OrderRules = RULES) -> str:
    with pytest.raises(Permanent) as caught:
        render_create(a_command(order), rules)
    assert caught.value.refusal.code == "connector_refused"
    return caught.value.refusal.details["field"]


def test_an_order_becomes_a_deep_insert() -> None:
    line = a_line(unit_price="1250.125", splits=SPLITS)
    order = an_order([line], payment_terms="0004")

    payload = payload_of(order)
    items = payload.pop("to_PurchaseOrderItem")

    assert payload == {
        "CompanyCode": "1710",
        "PurchaseOrderType": "NB",
        "Supplier": "17300001",
        "PurchasingOrganization": "1710",
        "PurchasingGroup": "001",
        "PurchaseOrderDate": "/Date(1794873600000)/",
        "DocumentCurrency": "USD",
        "CorrespncExternalReference": KEY[:12],
        "PaymentTerms": "0004",
    }
    assert [item["PurchaseOrderItem"] for item in items] == ["1"]


def test_a_line_becomes_an_item_with_its_assignments_schedule_and_note() -> None:
    line = a_line(description=LONG, unit_price="1250.125", splits=SPLITS, need_by=date(2026, 12, 1))

    item = payload_of(an_order([line]))["to_PurchaseOrderItem"][0]

    assert item == {
        "PurchaseOrderItem": "1",
        "PurchaseOrderItemText": "Notebook 14 inch, 32 GB memory, 1 TB dis",
        "Plant": "1710",
        "OrderQuantity": "3",
        "PurchaseOrderQuantityUnit": "PC",
        "OrderPriceUnit": "PC",
        "NetPriceAmount": "12501.25",
        "NetPriceQuantity": "10",
        "MaterialGroup": "A001",
        "TaxCode": "I0",
        "AccountAssignmentCategory": "K",
        "MultipleAcctAssgmtDistribution": "3",
        "PartialInvoiceDistribution": "2",
        "to_AccountAssignment": [
            {
                "AccountAssignmentNumber": "1",
                "GLAccount": "61003000",
                "CostCenter": "17101301",
                "PurgDocNetAmount": "2000.00",
            },
            {
                "AccountAssignmentNumber": "2",
                "GLAccount": "61003000",
                "CostCenter": "17101902",
                "PurgDocNetAmount": "1750.38",
            },
        ],
        "to_ScheduleLine": [
            {
                "ScheduleLine": "1",
                "ScheduleLineDeliveryDate": "/Date(1796083200000)/",
                "ScheduleLineOrderQuantity": "3",
            }
        ],
        "to_PurchaseOrderItemNote": [
            {"TextObjectType": "F01", "Language": "EN", "PlainLongText": LONG}
        ],
    }


# --- nothing is lost silently ---------------------------------------------------------------------


def fields_of(struct: type, prefix: str = "") -> set[str]:
    """Every field path of a noun; the group stays in our own codes and counts as one."""
    found: set[str] = set()
    for name, hint in get_type_hints(struct).items():
        inner = next((one for one in (hint, *get_args(hint)) if _is_struct(one)), None)
        found.add(prefix + name)
        if inner is not None and inner is not OrderGroup:
            found |= fields_of(inner, f"{prefix}{name}.")
    return found


def _is_struct(hint: object) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


@pytest.mark.parametrize("vendor", ["sap_s4", "bogus"])
def test_each_field_of_an_order_has_a_disposition_and_no_other_has(vendor: str) -> None:
    module = __import__(f"quaestor.connectors.{vendor}.mapping", fromlist=["DISPOSITIONS"])
    dispositions: Dispositions = module.DISPOSITIONS

    assert set(dispositions) == fields_of(PurchaseOrder)
    assert all(one.note for one in dispositions.values())


def line_with(**fields: Any) -> PurchaseOrder:
    return an_order([replace(a_line(), **fields)])


def split_with(**fields: Any) -> PurchaseOrder:
    return an_order([a_line(splits=[a_split("3750.00", **fields)])])


CHANGED: Mapping[str, PurchaseOrder] = {
    "target_system": replace(an_order(), target_system="other"),
    "requisition": replace(an_order(), requisition="other"),
    "requisition_version": replace(an_order(), requisition_version=9),
    "group": replace(an_order(), group=OrderGroup("other", "other", "EUR", "other", "other")),
    "company_code": an_order(company_code="1010"),
    "supplier": an_order(supplier="10300001"),
    "currency": replace(an_order(), currency="EUR"),
    "purchasing_organisation": an_order(purchasing_organisation="1010"),
    "purchasing_group": an_order(purchasing_group="002"),
    "order_date": an_order(order_date=date(2026, 11, 18)),
    "payment_terms": an_order(payment_terms="0001"),
    "document_type": an_order(document_type="ZNB"),
    "lines": an_order([a_line(), a_line(2)]),
    "lines.number": line_with(number=2),
    "lines.requisition_line": line_with(requisition_line=9),
    "lines.description": line_with(description="Other"),
    "lines.quantity": an_order([a_line(quantity="4")]),
    "lines.uom": line_with(uom="EA"),
    "lines.unit_price": an_order([a_line(unit_price="1250.01")]),
    "lines.splits": an_order([a_line(splits=[a_split("3000"), a_split("750")])]),
    "lines.material_group": line_with(material_group="A002"),
    "lines.material": line_with(material="TG11"),
    "lines.need_by": line_with(need_by=date(2026, 12, 1)),
    "lines.plant": line_with(plant="1720"),
    "lines.splits.coding": split_with(cost_center="17101902"),
    "lines.splits.coding.cost_center": split_with(cost_center="17101902"),
    "lines.splits.coding.gl_account": split_with(gl_account="61003001"),
    "lines.splits.coding.project": split_with(project="P.1710.01"),
    "lines.splits.coding.tax_code": split_with(tax_code="I1"),
}


@pytest.mark.parametrize("path", CHANGED)
def test_a_mapped_field_changes_the_bytes_and_a_dropped_one_does_not(path: str) -> None:
    same = payload_of(CHANGED[path]) == payload_of(an_order())

    assert same == (sap_mapping.DISPOSITIONS[path].kind == "dropped")


def test_the_shares_of_a_split_line_change_the_bytes() -> None:
    even = an_order([a_line(splits=[a_split("1875"), a_split("1875", cost_center="2")])])
    uneven = an_order([a_line(splits=[a_split("1874"), a_split("1876", cost_center="2")])])

    assert payload_of(even) != payload_of(uneven)


# --- what SAP cannot express ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "field"),
    [
        (an_order(stated_total="1.00"), "total"),
        (replace(an_order(), lines=(), total=Decimal(0)), "lines"),
        (an_order(company_code="17100"), "company_code"),
        (an_order(company_code=""), "company_code"),
        (an_order(supplier="17300001999"), "supplier"),
        (an_order(purchasing_group="0001"), "purchasing_group"),
        (an_order(document_type="TOOLONG"), "document_type"),
        (an_order(payment_terms="00045"), "payment_terms"),
        (an_order([a_line(number=100_000)]), "lines[100000].number"),
        (an_order([a_line(amount="3750.01")]), "lines[1].amount"),
        (an_order([a_line(uom="EACH")]), "lines[1].uom"),
        (an_order([a_line(plant=None)]), "lines[1].plant"),
        (an_order([a_line(quantity="0.0005", unit_price="1000000")]), "lines[1].quantity"),
        (an_order([a_line(unit_price="0.0000001", quantity="1")]), "lines[1].unit_price"),
        (an_order([a_line(unit_price="9999999999", quantity="1")]), "lines[1].unit_price"),
        (an_order([a_line(material="M" * 41)]), "lines[1].material"),
        (an_order([a_line(description=" \n ")]), "lines[1].description"),
        (an_order([a_line(material_group="")]), "lines[1].material_group"),
        (an_order([a_line(material_group="A00000000X")]), "lines[1].material_group"),
        (an_order([a_line(splits=[])]), "lines[1].splits"),
        (an_order([a_line(splits=[a_split("3749.99")])]), "lines[1].splits"),
        (
            an_order([a_line(splits=[a_split("3000"), a_split("750", tax_code="I1")])]),
            "lines[1].splits",
        ),
        (
            an_order([a_line(splits=[a_split("3000"), a_split("750", project="P.1")])]),
            "lines[1].splits",
        ),
        (
            an_order([a_line(splits=[a_split("3750", tax_code="I00")])]),
            "lines[1].splits.coding.tax_code",
        ),
        (
            an_order([a_line(splits=[a_split("3750", cost_center="17101301\x00")])]),
            "lines[1].splits.coding.cost_center",
        ),
        (
            an_order([a_line(splits=[a_split("3750", gl_account="")])]),
            "lines[1].splits.coding.gl_account",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_sap_cannot_express_is_refused_by_field_before_anything_is_stored(
    order: PurchaseOrder, field: str
) -> None:
    assert refusal_of(order) == field


def test_a_percentage_that_sap_cannot_hold_is_refused() -> None:
    third = an_order([a_line(splits=[a_split("1250"), a_split("2500", cost_center="2")])])

    assert refusal_of(third, OrderRules(distribution="percentage")) == "lines[1].splits.amount"


def test_a_command_without_an_order_or_number_is_refused() -> None:
    with pytest.raises(Permanent, match="there is no order to create"):
        render_create(replace(a_command(), order=None), RULES)

    with pytest.raises(Permanent, match="there is no SAP order number"):
        render_cancel(a_cancellation("4500000000') or ('1"))


# --- the installation's rules ---------------------------------------------------------------------


def test_what_a_line_leaves_open_comes_from_the_installation() -> None:
    rules = OrderRules(plants={"1710": "1730"}, material_group="A009", document_type="ZNB")
    order = an_order([a_line(plant=None, material_group="")])

    payload = payload_of(order, rules)
    item = payload["to_PurchaseOrderItem"][0]

    assert (payload["PurchaseOrderType"], item["Plant"], item["MaterialGroup"]) == (
        "ZNB",
        "1730",
        "A009",
    )


def test_the_reference_may_stand_in_the_internal_field() -> None:
    payload = payload_of(an_order(), OrderRules(reference_field="CorrespncInternalReference"))

    assert payload["CorrespncInternalReference"] == KEY[:12]
    assert "CorrespncExternalReference" not in payload


def test_a_split_may_be_shared_out_by_percentage() -> None:
    splits = [a_split("2812.50"), a_split("937.50", cost_center="17101902")]

    payload = payload_of(an_order([a_line(splits=splits)]), OrderRules(distribution="percentage"))
    item = payload["to_PurchaseOrderItem"][0]

    assert item["MultipleAcctAssgmtDistribution"] == "2"
    assert [row["MultipleAcctAssgmtDistrPercent"] for row in item["to_AccountAssignment"]] == [
        "75",
        "25",
    ]


def test_a_project_is_charged_in_place_of_the_cost_center() -> None:
    payload = payload_of(split_with(project="P.1710.01"))
    item = payload["to_PurchaseOrderItem"][0]

    assert item["AccountAssignmentCategory"] == "P"
    assert item["to_AccountAssignment"] == [
        {
            "AccountAssignmentNumber": "1",
            "GLAccount": "61003000",
            "WBSElementExternalID": "P.1710.01",
        }
    ]


@pytest.mark.parametrize(
    ("price", "currency", "expected"),
    [
        ("1250", "USD", ("1250.00", "1")),
        ("0.333", "USD", ("3.33", "10")),
        ("0.123456", "USD", ("1234.56", "10000")),
        ("0", "USD", ("0.00", "1")),
        ("1250", "JPY", ("1250", "1")),
        ("12.5", "JPY", ("125", "10")),
        ("1.5", "KWD", ("1.500", "1")),
        ("1.2345", "KWD", ("12.345", "10")),
    ],
)
def test_decimals_beyond_the_currency_go_into_the_price_unit(
    price: str, currency: str, expected: tuple[str, str]
) -> None:
    payload = payload_of(
        an_order([a_line(unit_price=price, currency=currency, quantity="1")], currency=currency)
    )
    item = payload["to_PurchaseOrderItem"][0]

    assert (item["NetPriceAmount"], item["NetPriceQuantity"]) == expected


@pytest.mark.parametrize(
    ("day", "text"),
    [
        (date(1970, 1, 1), "/Date(0)/"),
        (date(2016, 8, 4), "/Date(1470268800000)/"),
        (date(1969, 12, 31), "/Date(-86400000)/"),
    ],
)
def test_a_date_is_midnight_utc_in_milliseconds(day: date, text: str) -> None:
    assert sap_date(day) == text


@pytest.mark.parametrize(
    ("value", "text"), [("3", "3"), ("3.10", "3.1"), ("1E+3", "1000"), ("0.001", "0.001")]
)
def test_a_decimal_is_plain_text(value: str, text: str) -> None:
    assert sap_decimal(Decimal(value)) == text


def test_an_items_text_is_one_line_of_forty_characters_without_a_blank_at_its_end() -> None:
    assert item_text("  a\tb\nc ") == "a b c"
    assert item_text("x" * 39 + " yz") == "x" * 39
