"""What goes to SAP and what our simulator answers keep the vendor's published contract.

The contract is ../shared/contracts/sap-s4hana/API_PURCHASEORDER_PROCESS_SRV.edmx.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given, settings

from quaestor.connectors.kit.attempt import Attempt, Exchange, open_attempt
from quaestor.connectors.kit.contract import Applied
from quaestor.connectors.kit.kind import SimulatorOptions
from quaestor.connectors.kit.rig import Rig
from quaestor.connectors.sap_s4.config import SERVICE_PATH
from quaestor.connectors.sap_s4.mapping import OrderRules, render_create
from quaestor.connectors.sap_s4.simulator import SapSimulator
from quaestor.connectors.sap_s4.simulator_rules import ENTITIES, NAVIGATIONS
from quaestor.model.order import PurchaseOrder
from tests.connectors.orders import a_cancellation, a_command, a_line, a_split, an_order
from tests.connectors.sap_orders import CONTRACT, Direct, contract, orders
from tests.connectors.subjects import sap

HEADER = "A_PurchaseOrderType"
TYPES = {
    "s": "Edm.String",
    "d": "Edm.Decimal",
    "t": "Edm.DateTime",
    "o": "Edm.DateTimeOffset",
    "b": "Edm.Boolean",
}


def payload_of(order: PurchaseOrder, **rules: Any) -> Any:
    return json.loads(render_create(a_command(order), OrderRules(**rules)))


@given(order=orders())
@settings(max_examples=150, deadline=None)
def test_every_rendered_order_keeps_saps_published_contract(order: PurchaseOrder) -> None:
    payload = payload_of(order)

    assert contract().faults(HEADER, payload, creates=True) == []


@pytest.mark.parametrize(
    "order",
    [
        an_order(),
        an_order([a_line(splits=[a_split("2500"), a_split("1250", cost_center="17101902")])]),
        an_order([a_line(description="A description that is longer than forty characters")]),
        an_order([a_line(splits=[a_split("3750", project="P.1710.01")])], payment_terms="0004"),
    ],
    ids=["plain", "split", "long text", "project"],
)
@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"reference_field": "CorrespncInternalReference", "note_id": ""},
        {"item_step": 10, "document_type": "ZNB"},
    ],
    ids=["defaults", "internal reference", "steps of ten"],
)
def test_each_rule_of_an_installation_keeps_the_contract(
    order: PurchaseOrder, rules: dict[str, Any]
) -> None:
    payload = payload_of(order, **rules)

    assert contract().faults(HEADER, payload, creates=True) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"CompanyCode": "17100"}, f"{HEADER}.CompanyCode is '17100', not Edm.String 4 characters"),
        ({"PurchaseOrderDate": "2026-11-17"}, f"{HEADER}.PurchaseOrderDate is '2026-11-17'"),
        ({"NetPrice": "1"}, f"{HEADER}.NetPrice is not a property"),
        ({"ReleaseIsNotCompleted": True}, f"{HEADER}.ReleaseIsNotCompleted is not creatable"),
        ({"to_PurchaseOrderNote": []}, f"{HEADER}.to_PurchaseOrderNote is not insertable"),
        ({"Supplier": ""}, f"{HEADER}.Supplier is mandatory"),
        ({"CashDiscount1Percent": "100.5"}, f"{HEADER}.CashDiscount1Percent is '100.5'"),
        ({"CashDiscount1Percent": 2.5}, f"{HEADER}.CashDiscount1Percent is 2.5"),
    ],
)
def test_the_contract_catches_what_it_forbids(change: dict[str, Any], fault: str) -> None:
    payload = {**payload_of(an_order()), **change}

    faults = contract().faults(HEADER, payload, creates=True)

    assert [found[: len(fault)] for found in faults] == [fault]


@given(order=orders())
@settings(max_examples=50, deadline=None)
def test_what_the_simulator_answers_keeps_the_contract(order: PurchaseOrder) -> None:
    direct = Direct(SapSimulator(SimulatorOptions()))

    created = direct.create(render_create(a_command(order), OrderRules()))
    page = direct.data(direct.ask("GET", "/A_PurchaseOrder", expand="to_PurchaseOrderItem"))
    judge = contract()

    assert judge.faults(HEADER, created, creates=False) == []
    assert [judge.faults(HEADER, found, creates=False) for found in page["results"]] == [[]]
    assert judge.types[HEADER].properties.keys() >= ENTITIES[HEADER].keys()


@pytest.mark.parametrize("entity", ENTITIES)
def test_the_simulators_field_table_says_what_the_contract_says(entity: str) -> None:
    published = contract().types[entity]

    mine = {
        field.name: (
            TYPES[field.type],
            field.length or None if field.type == "s" else None,
            (field.length, field.scale) if field.type == "d" else None,
            field.given,
        )
        for field in ENTITIES[entity].values()
    }
    theirs = {
        one.name: (
            one.type,
            one.max_length,
            (one.precision, one.scale) if one.type == "Edm.Decimal" else None,
            one.creatable,
        )
        for one in published.properties.values()
        if one.name in mine
    }

    assert mine == theirs


def test_the_simulators_navigations_are_those_that_a_create_may_go_through() -> None:
    published = contract().types

    for entity, below in NAVIGATIONS.items():
        found = {name: published[entity].navigations[name] for name in below}
        assert found == {name: (target, True) for name, target in below.items()}


def test_the_vendors_recorded_answers_keep_it_but_for_a_newer_field() -> None:
    sample = CONTRACT.parent / "samples/sandbox.A_PurchaseOrder.list.json"
    judge = contract()

    recorded = msgspec.json.decode(sample.read_bytes())["d"]["results"]
    faults = {fault for one in recorded for fault in judge.faults(HEADER, one, creates=False)}

    assert faults == {f"{HEADER}.PurchasingCollectiveNumber is not a property"}


PAGED = {"$filter", "$expand", "$skiptoken"}
NEEDS = {"POST": "creatable", "DELETE": "deletable"}


def request_faults(exchange: Exchange) -> list[str]:
    """Where a request leaves the contract: its entity set, its key, its options, its body."""
    parts = urlsplit(exchange.target)
    below, said = parts.path.removeprefix(SERVICE_PATH), f"{exchange.method} {parts.path}"
    if exchange.method == "GET" and below in ("/", "/$metadata"):
        return []
    named = re.fullmatch(r"/(\w+)(\('[0-9]{1,10}'\))?", below)
    if named is None or named[1] not in contract().sets:
        return [f"{said} leads to no entity set"]
    entity = contract().types[contract().sets[named[1]]]
    found = [] if not named[2] or len(entity.keys) == 1 else [f"{said} has another key"]
    found += [f"{said} knows no {one}" for one in parse_qs(parts.query) if one not in PAGED]
    if (named[1], NEEDS.get(exchange.method, "addressable")) in contract().forbidden:
        found.append(f"{said} is not allowed")
    if exchange.request_body:
        payload = json.loads(exchange.request_body)
        found += contract().faults(entity.name, payload, creates=True)
    return found


async def test_every_request_of_a_working_day_is_one_that_the_contract_allows() -> None:
    attempt = Attempt(send_before=float("inf"), total_timeout_s=5.0)
    async with Rig(sap()) as rig:
        one = rig.connector
        with open_attempt(attempt):
            await one.check()
            created = await one.submit(a_command(), one.render(a_command()))
            assert isinstance(created, Applied)
            cancel = a_cancellation(created.number)
            await one.find(a_command())
            await one.submit(cancel, one.render(cancel))
            await one.find(cancel)

    sent = {
        f"{each.method} {re.sub('[0-9]{10}', 'N', urlsplit(each.target).path)}"
        for each in attempt.exchanges
    }
    assert [fault for each in attempt.exchanges for fault in request_faults(each)] == []
    # Whatever else the client learns to ask belongs here.
    assert sent == {
        f"GET {SERVICE_PATH}/",
        f"GET {SERVICE_PATH}/$metadata",
        f"GET {SERVICE_PATH}/A_PurchaseOrder",
        f"POST {SERVICE_PATH}/A_PurchaseOrder",
        f"GET {SERVICE_PATH}/A_PurchaseOrder('N')",
        f"DELETE {SERVICE_PATH}/A_PurchaseOrder('N')",
    }


@pytest.mark.parametrize(
    ("method", "below"),
    [
        ("GET", "/A_PurchaseOrders"),
        ("GET", "/A_PurchaseOrder?$find=1"),
        ("DELETE", "/A_PurchaseOrderItem('4500000000')"),
        ("POST", "/$batch"),
    ],
)
def test_a_request_that_the_contract_does_not_know_is_found(method: str, below: str) -> None:
    exchange = Exchange(method, SERVICE_PATH + below, (), b"", 200, (), b"", 0)

    assert len(request_faults(exchange)) == 1


async def test_the_look_up_asks_by_fields_and_expands_by_paths_of_the_contract() -> None:
    async with Rig(sap()) as rig:
        await rig.find(a_command())
        query = parse_qs(urlsplit(rig.exchanges[0].target).query)
    types = contract().types
    header = types[HEADER]

    asked = re.findall(r"(\w+) (?:eq|ge) ", query["$filter"][0])
    below = {path.rpartition("/")[2] for path in query["$expand"][0].split(",")}

    assert len(asked) == 4
    assert all(header.properties[name].filterable for name in asked)
    assert below <= {*header.navigations, *types["A_PurchaseOrderItemType"].navigations}
