"""Our SAP is as odd as the vendor's, and never kinder."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quaestor.connectors.kit.kind import SimulatorOptions
from quaestor.connectors.kit.simulated import SimAnswer
from quaestor.connectors.sap_s4.mapping import OrderRules, reference_of, render_create
from quaestor.connectors.sap_s4.simulator import SapSimulator
from quaestor.model.order import PurchaseOrder
from tests.connectors.orders import KEY, a_command, a_line, a_split, an_order
from tests.connectors.sap_orders import Direct


class Clock:
    """Monotonic seconds that stand still until they are moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def a_sap(*, settle_s: float = 0.0, clock: Clock | None = None, **extra: Any) -> Direct:
    options = SimulatorOptions(settle_s=settle_s, extra=extra)
    return Direct(SapSimulator(options, now=clock or Clock()))


def body_of(order: PurchaseOrder | None = None, **header: Any) -> bytes:
    payload = json.loads(render_create(a_command(order or an_order()), OrderRules()))
    return json.dumps({**payload, **header}).encode()


def item_changed(**fields: Any) -> bytes:
    payload = json.loads(body_of())
    payload["to_PurchaseOrderItem"][0].update(fields)
    return json.dumps(payload).encode()


def error_of(answer: SimAnswer) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(answer.body)["error"]
    return error


# --- login, tokens, forms -------------------------------------------------------------------------


def test_a_wrong_password_meets_a_login_page() -> None:
    answer = a_sap().ask("GET", "/", {"authorization": "Basic bm90OmhpbQ=="})

    assert (answer.status, dict(answer.headers)["Content-Type"]) == (401, "text/html")


@pytest.mark.parametrize(
    "headers",
    [{"x-csrf-token": ""}, {"x-csrf-token": "made up"}, {"cookie": ""}, {"cookie": "a=b"}],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_token_holds_only_with_the_cookies_of_its_session(
    method: str, headers: dict[str, str]
) -> None:
    answer = a_sap().ask(method, "/A_PurchaseOrder", headers, body_of())

    assert (answer.status, dict(answer.headers)["x-csrf-token"]) == (403, "Required")


def test_the_token_of_one_session_does_not_hold_in_another() -> None:
    direct = a_sap()
    first = direct.headers["x-csrf-token"]
    direct.token()

    answer = direct.ask("POST", "/A_PurchaseOrder", {"x-csrf-token": first}, body_of())

    assert answer.status == 403


def test_a_session_ends() -> None:
    clock = Clock()
    direct = a_sap(clock=clock, token_life_s=60.0)
    clock.now += 61

    answer = direct.ask("POST", "/A_PurchaseOrder", body=body_of())

    assert answer.status == 403


def test_it_speaks_xml_unless_json_is_asked_for() -> None:
    direct = a_sap()

    shown = direct.ask("GET", "/A_PurchaseOrder", {"accept": "*/*"})
    refused = direct.ask("GET", "/A_PurchaseOrder('1')", {"accept": "*/*"})
    asked = direct.ask("GET", "/A_PurchaseOrder", {"accept": "*/*"}, format="json")

    assert shown.body.startswith(b"<?xml")
    assert refused.body.startswith(b"<?xml")
    assert direct.data(asked) == {"results": []}


# --- creating -------------------------------------------------------------------------------------


def test_it_numbers_dates_and_completes_what_it_creates() -> None:
    created = a_sap().create(body_of())
    item = created["to_PurchaseOrderItem"]["results"][0]

    assert created["PurchaseOrder"] == "4500000000"
    assert created["CreationDate"].startswith("/Date(")
    assert created["ExchangeRate"] == "1.00000"
    assert created["CashDiscount1Percent"] == "0.000"
    assert created["YY1_RetentionType_PDHF"] == 3
    assert (item["NetPriceAmount"], item["OrderQuantity"]) == ("1250.000", "3")
    assert item["to_AccountAssignment"]["results"][0]["ControllingArea"] == "A000"


def test_it_accepts_the_same_order_twice() -> None:
    direct = a_sap()

    numbers = [direct.create(body_of())["PurchaseOrder"] for _ in range(2)]

    assert numbers == ["4500000000", "4500000001"]
    assert len(direct.vendor.documents(KEY)) == 2


def test_number_like_codes_come_back_without_leading_zeros() -> None:
    created = a_sap().create(body_of(an_order(supplier="0017300001")))

    assert created["Supplier"] == "17300001"


def test_its_last_change_is_sometimes_null() -> None:
    direct = a_sap()

    moments = {direct.create(body_of())["LastChangeDateTime"] is None for _ in range(40)}

    assert moments == {True, False}


@pytest.mark.parametrize(("above", "waiting"), [("3749.99", True), ("3750", False)])
def test_an_order_worth_more_than_the_threshold_waits_for_saps_own_release(
    above: str, waiting: bool
) -> None:
    created = a_sap(release_above=above).create(body_of())

    assert created["ReleaseIsNotCompleted"] is waiting


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "005056A509B11ED1B9BF9F46AAF5D5E4"),
        (b"[]", "005056A509B11EE1B9A8FEC11C21578E"),
        (body_of(Unheard="x"), "005056A509B11EE1B9A8FEC11C21578E"),
        (body_of(CorrespncExternalReference="x" * 13), "005056A509B11EE1B9A8FEC11C21D78E"),
        (body_of(PurchaseOrderDate="2026-11-17"), "005056A509B11EE1B9A8FEC11C21D78E"),
        (body_of(to_PurchaseOrderItem="x"), "005056A509B11ED1B9BF9F46AAF5D5E4"),
        (body_of(to_PurchaseOrderItem=[]), "06/057"),
        (body_of(Supplier=""), "06/083"),
        (body_of(PurchasingGroup=""), "06/083"),
        (body_of(DocumentCurrency="US"), "SG/105"),
        (body_of(PurchaseOrderType="QQ"), "06/001"),
        (item_changed(OrderQuantity=3), "005056A509B11EE1B9A8FEC11C21D78E"),
        (item_changed(OrderQuantity="3.0001"), "005056A509B11EE1B9A8FEC11C21D78E"),
        (item_changed(OrderQuantity="0"), "06/018"),
        (item_changed(PurchaseOrderItem=""), "06/436"),
        (item_changed(Plant=""), "ME/083"),
        (item_changed(PurchaseOrderQuantityUnit=""), "ME/083"),
        (item_changed(MaterialGroup=""), "ME/062"),
        (item_changed(NetPriceAmount="1.005"), "ME/048"),
        (item_changed(to_AccountAssignment=[]), "ME/061"),
        (item_changed(AccountAssignmentCategory=""), "ME/340"),
        (item_changed(AccountAssignmentCategory="P"), "KI/235"),
        (
            item_changed(to_AccountAssignment=[{"GLAccount": "1", "CostCenter": "2"}] * 2),
            "ME/071",
        ),
        (
            item_changed(
                MultipleAcctAssgmtDistribution="3",
                PartialInvoiceDistribution="2",
                to_AccountAssignment=[
                    {"GLAccount": "1", "CostCenter": "2", "PurgDocNetAmount": "1.00"}
                ]
                * 2,
            ),
            "ME/072",
        ),
        (
            item_changed(
                MultipleAcctAssgmtDistribution="2",
                PartialInvoiceDistribution="2",
                to_AccountAssignment=[
                    {"GLAccount": "1", "CostCenter": "2", "MultipleAcctAssgmtDistrPercent": "40"}
                ]
                * 2,
            ),
            "ME/073",
        ),
    ],
)
def test_what_it_does_not_take_it_refuses_in_saps_envelope(body: bytes, code: str) -> None:
    direct = a_sap()

    answer = direct.ask("POST", "/A_PurchaseOrder", body=body)
    error = error_of(answer)

    assert (answer.status, error["code"]) == (400, code)
    assert error["message"]["lang"] == "en"
    assert error["innererror"]["errordetails"][0]["severity"] == "error"
    assert direct.vendor.documents(None) == []


# --- asking ---------------------------------------------------------------------------------------


def filtered(direct: Direct, text: str) -> list[str]:
    page = direct.data(direct.ask("GET", "/A_PurchaseOrder", filter=text))
    return [row["PurchaseOrder"] for row in page["results"]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"CorrespncExternalReference eq '{reference_of(KEY)}'", True),
        (f"CorrespncExternalReference eq '{reference_of(KEY).upper()}'", False),
        ("CompanyCode eq '1710' and Supplier eq '0017300001'", True),
        ("CompanyCode eq '1710' and Supplier eq '17300002'", False),
        ("CreationDate ge datetime'2016-01-01T00:00:00'", True),
        ("CreationDate ge datetime'2116-01-01T00:00:00'", False),
        ("Supplier eq 'O''Neill'", False),
    ],
)
def test_it_filters_by_equality_and_by_date(text: str, found: bool) -> None:
    direct = a_sap()
    direct.create(body_of())

    assert filtered(direct, text) == (["4500000000"] if found else [])


@pytest.mark.parametrize(
    "text",
    [
        "CompanyCode eq 1710",
        "CompanyCode ne '1710'",
        "CompanyCode eq '1710' or CompanyCode eq '1010'",
        "CompanyCode eq '1710' and",
        "startswith(CompanyCode,'17')",
        "(CompanyCode eq '1710')",
        "Nothing eq 'x'",
        "CompanyCode eq datetime'2016-01-01T00:00:00'",
        "CreationDate ge '2016-01-01'",
        "CreationDate ge datetime'2016-13-01T00:00:00'",
        "CompanyCode eq 'it's'",
    ],
)
def test_it_refuses_what_it_does_not_know_in_a_filter(text: str) -> None:
    answer = a_sap().ask("GET", "/A_PurchaseOrder", filter=text)

    assert (answer.status, error_of(answer)["code"][:14]) == (400, "/IWBEP/CM_MGW_")


def test_it_pages_with_an_absolute_address_that_keeps_the_question() -> None:
    direct = a_sap(page_size=2)
    for _ in range(5):
        direct.create(body_of())

    first = direct.data(direct.ask("GET", "/A_PurchaseOrder", filter="CompanyCode eq '1710'"))
    third = direct.data(
        direct.ask("GET", "/A_PurchaseOrder", filter="CompanyCode eq '1710'", skiptoken="4")
    )

    assert len(first["results"]) == 2
    assert first["__next"].startswith("http://sap.example/sap/opu/odata/sap/")
    assert "CompanyCode%20eq%20" in first["__next"]
    assert "$skiptoken=2" in first["__next"]
    assert (len(third["results"]), third.get("__next")) == (1, None)


@pytest.mark.parametrize("option", ["orderby", "select", "search"])
def test_it_refuses_a_query_option_it_does_not_know(option: str) -> None:
    answer = a_sap().ask("GET", "/A_PurchaseOrder", **{option: "x"})

    assert answer.status == 400


def test_what_is_not_expanded_is_deferred() -> None:
    direct = a_sap()
    direct.create(body_of())

    plain = direct.data(direct.ask("GET", "/A_PurchaseOrder('4500000000')"))
    deep = direct.data(
        direct.ask("GET", "/A_PurchaseOrder('4500000000')", expand="to_PurchaseOrderItem")
    )
    item = deep["to_PurchaseOrderItem"]["results"][0]

    assert "__deferred" in plain["to_PurchaseOrderItem"]
    assert "__deferred" in item["to_AccountAssignment"]


def test_an_unknown_navigation_is_refused() -> None:
    direct = a_sap()
    direct.create(body_of())

    answer = direct.ask("GET", "/A_PurchaseOrder", expand="to_Nothing")

    assert answer.status == 400


def test_a_created_order_is_seen_later_at_most_after_the_settle_time() -> None:
    clock = Clock()
    direct = a_sap(settle_s=10.0, clock=clock)
    direct.create(body_of())

    at_once = filtered(direct, "CompanyCode eq '1710'")
    by_number = direct.ask("GET", "/A_PurchaseOrder('4500000000')").status
    clock.now += 10
    later = filtered(direct, "CompanyCode eq '1710'")

    assert (at_once, by_number, later) == ([], 404, ["4500000000"])
    assert len(direct.vendor.documents(KEY)) == 1


# --- deleting -------------------------------------------------------------------------------------


def test_deleting_marks_all_items_and_the_order_stays_readable() -> None:
    direct = a_sap()
    direct.create(body_of(an_order([a_line(), a_line(2)])))

    status = direct.ask("DELETE", "/A_PurchaseOrder('4500000000')").status
    order = direct.data(
        direct.ask("GET", "/A_PurchaseOrder('4500000000')", expand="to_PurchaseOrderItem")
    )
    codes = [
        row["PurchasingDocumentDeletionCode"] for row in order["to_PurchaseOrderItem"]["results"]
    ]

    assert (status, codes) == (204, ["L", "L"])


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"items": {"PurchasingDocumentDeletionCode": "L"}}, 400),
        ({"items": {"IsFinallyInvoiced": True}}, 400),
        ({}, 204),
    ],
)
def test_what_is_deleted_or_has_follow_on_documents_is_not_deleted(
    change: dict[str, Any], status: int
) -> None:
    direct = a_sap()
    direct.create(body_of())
    direct.vendor.edit("4500000000", change)

    assert direct.ask("DELETE", "/A_PurchaseOrder('4500000000')").status == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/A_PurchaseOrder('4599999999')", 404),
        ("PATCH", "/A_PurchaseOrder('4500000000')", 405),
        ("GET", "/A_PurchaseOrderItem", 404),
        ("GET", "/$metadata", 200),
    ],
)
def test_the_rest_of_the_service(method: str, path: str, status: int) -> None:
    assert a_sap().ask(method, path).status == status


def test_a_split_by_amount_that_adds_up_is_taken() -> None:
    order = an_order([a_line(splits=[a_split("1250.00"), a_split("2500.00", cost_center="2")])])

    created = a_sap().create(body_of(order))
    rows = created["to_PurchaseOrderItem"]["results"][0]["to_AccountAssignment"]["results"]

    assert [row["PurgDocNetAmount"] for row in rows] == ["1250.000", "2500.000"]
