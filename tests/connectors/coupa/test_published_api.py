"""What goes to Coupa keeps Coupa's published contract.

The contracts are ../shared/contracts/coupa/openapi-assets/0169-R39_Purchasing_API.json and
0164-R39_Core_Platform_API.json. Conditions on attributes, `fields` and `exported` stand in no
Swagger: they are Coupa's pages "API Operators", "API Return Formats" and "Special Actions and API
Notes" (docs/0007, 0008 and 0016), and their attributes are held against the Swagger's definitions.
"""

from __future__ import annotations

import json
import re
import time
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from jsonschema import Draft4Validator

from quaestor.connectors.coupa.asked import FIELDS
from quaestor.connectors.coupa.config import SCOPES, ReportRules
from quaestor.connectors.coupa.connector import CoupaConnector
from quaestor.connectors.coupa.reporting import render_report
from quaestor.connectors.coupa.simulator_rules import ATTRIBUTES
from quaestor.connectors.kit.attempt import Attempt, Exchange, open_attempt
from quaestor.connectors.kit.contract import Applied
from tests.connectors.coupa.installed import installed
from tests.connectors.coupa.subjects import a_report, refused

ROOT = Path(__file__).resolve().parents[3]
ASSETS = ROOT.parent / "shared/contracts/coupa/openapi-assets"
PURCHASING, CORE = "0169-R39_Purchasing_API.json", "0164-R39_Core_Platform_API.json"
OPERATORS = {"gt", "gt_or_eq", "in"}
OF_THE_PAGES = {"fields", "exported"}

RESOURCES = {
    "requisitions": (PURCHASING, "RequisitionHeader"),
    "suppliers": (CORE, "Supplier"),
    "users": (CORE, "User"),
    "accounts": (CORE, "Account"),
    "integration_history_records": (CORE, "IntegrationHistoryRecord"),
}


@cache
def swagger(name: str) -> dict[str, Any]:
    path = ASSETS / name
    if not path.exists():
        pytest.skip(f"Coupa's published contract is missing: {path}")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def definition(name: str, of: str) -> dict[str, Any]:
    found: dict[str, Any] = swagger(name)["definitions"][of]
    return found


def operation(method: str, path: str) -> dict[str, Any] | None:
    """The published operation, in whichever document it stands."""
    for name in (PURCHASING, CORE):
        document = swagger(name)
        for template, operations in document["paths"].items():
            pattern = document["basePath"] + re.sub(r"\{[^}]+\}", "[0-9]+", template)
            if re.fullmatch(pattern, path) and method.lower() in operations:
                found: dict[str, Any] = operations[method.lower()]
                return found
    return None


def unknown_fields(name: str, schema: dict[str, Any], fields: Any, at: str = "") -> list[str]:
    """The asked fields that the definition does not have, down to the last one."""
    schema = _resolved(name, schema)
    properties = schema.get("properties", {})
    found: list[str] = []
    for field in fields:
        if isinstance(field, str):
            found += [] if field in properties else [f"{at}{field}"]
            continue
        for part, below in field.items():
            if part not in properties:
                found.append(f"{at}{part}")
            else:
                found += unknown_fields(name, properties[part], below, f"{at}{part}.")
    return found


def _resolved(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return _resolved(name, definition(name, schema["$ref"].rsplit("/", 1)[1]))
    return _resolved(name, schema["items"]) if schema.get("type") == "array" else schema


def faults(exchange: Exchange) -> list[str]:
    """Where a request leaves the published contract."""
    parts = urlsplit(exchange.target)
    said = f"{exchange.method} {parts.path}"
    published = operation(exchange.method, parts.path)
    if published is None:
        return [f"{said} is not published"]
    name, of = RESOURCES[parts.path.removeprefix("/api/").split("/")[0]]
    declared = {one["name"]: one for one in published["parameters"] if one["in"] == "query"}
    found = []
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        attribute, _, operator = key.removesuffix("]").partition("[")
        if key in declared:
            allowed = declared[key].get("enum", [value])
            found += [] if value in allowed else [f"{said}: {key}={value}"]
        elif key not in OF_THE_PAGES:
            known = {one.replace("-", "_") for one in definition(name, of)["properties"]}
            found += [] if attribute in known else [f"{said}: unknown attribute {attribute}"]
            found += [] if operator in OPERATORS | {""} else [f"{said}: operator {operator}"]
    return found


async def everything(connector: CoupaConnector) -> list[Exchange]:
    """All requests of pulls, reports, look-ups and checks."""
    attempt = Attempt(time.monotonic() + 30, 10)
    with open_attempt(attempt):
        await connector.check()
        for stream in FIELDS:
            cursor = None
            for _ in range(3):
                cursor = (await connector.pull(stream, cursor)).cursor
        for command in (a_report("a" * 52), a_report("b" * 52, refusal=refused("no_lines"))):
            assert isinstance(await connector.submit(command, connector.render(command)), Applied)
            assert isinstance(await connector.find(command), Applied)
    return attempt.exchanges


async def test_every_request_is_one_that_coupa_publishes() -> None:
    async with installed(
        custom_fields=["erp-order-number"], report={"order_field": "erp-order-number"}
    ) as coupa:
        exchanges = await everything(coupa.connector)

    assert [fault for one in exchanges for fault in faults(one)] == []
    # Whatever else the client learns to ask belongs here.
    assert {
        f"{one.method} {re.sub('[0-9]+', 'N', urlsplit(one.target).path)}" for one in exchanges
    } == {
        "GET /api/requisitions",
        "GET /api/accounts",
        "GET /api/suppliers",
        "GET /api/users",
        "GET /api/integration_history_records",
        "PUT /api/requisitions/N",
        "POST /api/integration_history_records",
        "POST /api/integration_history_records/create_alert",
    }


async def test_every_request_of_an_installation_that_is_only_observed_is_published() -> None:
    async with installed(table={"mode": "observe"}) as coupa:
        attempt = Attempt(time.monotonic() + 30, 10)
        with open_attempt(attempt):
            cursor = (await coupa.connector.pull("requisitions", None)).cursor
            await coupa.connector.pull("requisitions", cursor)

    assert [fault for one in attempt.exchanges for fault in faults(one)] == []
    assert {one.method for one in attempt.exchanges} == {"GET"}


@pytest.mark.parametrize("stream", FIELDS)
def test_every_field_that_is_asked_for_is_published(stream: str) -> None:
    name, of = RESOURCES[stream]

    assert unknown_fields(name, definition(name, of), FIELDS[stream]) == []


def test_a_field_that_is_not_published_is_found() -> None:
    asked = ["id", "nonsense", {"requisition-lines": [{"account": ["segment-21"]}]}]

    unknown = unknown_fields(PURCHASING, definition(PURCHASING, "RequisitionHeader"), asked)

    assert unknown == ["nonsense", "requisition-lines.account.segment-21"]


@pytest.mark.parametrize(
    "command",
    [
        a_report(),
        a_report(state="partly_ordered", orders=("4500000001", "4500000002")),
        a_report(state="cancelled", orders=()),
        a_report(refusal=refused("budget_exceeded", node="it-de/2026")),
    ],
    ids=["ordered", "partly ordered", "cancelled", "refused"],
)
@pytest.mark.parametrize("integration", ["", "QUAESTOR"])
def test_every_record_keeps_the_published_definition(command: Any, integration: str) -> None:
    record = json.loads(render_report(command, ReportRules(integration=integration)))["record"]
    document = swagger(CORE)
    schema = document["definitions"]["IntegrationHistoryRecord"]
    known = set(schema["properties"])
    writable = {name for name in known if not schema["properties"][name].get("readOnly")}
    # An integration is only named here, by its unique code: what a new one needs is not given.
    plain = {name: value for name, value in record.items() if name != "integration"}

    # Its references lead into the same document.
    whole = {**schema, "definitions": document["definitions"]}
    errors = list(Draft4Validator(whole).iter_errors(plain))

    assert errors == []
    assert set(record) <= writable
    assert set(record.get("integration", {})) <= set(
        document["definitions"]["Integration"]["properties"]
    )


@pytest.mark.parametrize("resource", RESOURCES)
def test_our_simulator_knows_only_published_attributes(resource: str) -> None:
    name, of = RESOURCES[resource]

    # Custom fields are the installation's own (docs/0010, "Custom Field Namespace").
    assert ATTRIBUTES[resource] - {"custom-fields"} <= set(definition(name, of)["properties"])


def test_every_scope_is_published() -> None:
    published = {
        scope
        for name in (PURCHASING, CORE)
        for scope in swagger(name)["securityDefinitions"]["OAuth2ClientCredential"]["scopes"]
    }

    assert set(SCOPES) <= published
