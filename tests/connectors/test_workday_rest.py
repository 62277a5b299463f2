"""What is asked of Workday's REST and what our simulator answers keep Workday's own OpenAPI.

The files are ../shared/contracts/workday/openapi/workday-business-processes-events-api-openapi.yml
and …-eventsteps-api-openapi.yml.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from quaestor.connectors.kit.attempt import Attempt, Exchange, open_attempt
from tests.connectors.workday_requisitions import a_submission, a_tenant, contract_file

FILES = ("events", "eventsteps")
BASE = "/businessProcess/v1"


@cache
def contract(name: str) -> dict[str, Any]:
    path = contract_file(f"openapi/workday-business-processes-{name}-api-openapi.yml")
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def operation(exchange: Exchange) -> tuple[dict[str, Any], dict[str, Any]]:
    """The document and the operation that an exchange belongs to."""
    parts = urlsplit(exchange.target).path.removeprefix(BASE).strip("/").split("/")
    for name in FILES:
        for path, methods in contract(name)["paths"].items():
            wanted = path.strip("/").split("/")
            same = len(wanted) == len(parts) and all(
                one == two or one.startswith("{") for one, two in zip(wanted, parts, strict=True)
            )
            if same and exchange.method.lower() in methods:
                return contract(name), methods[exchange.method.lower()]
    raise AssertionError(f"Workday has no operation {exchange.method} {exchange.target}")


def faults(exchange: Exchange) -> list[str]:
    """What the contract says against a request and its answer."""
    document, described = operation(exchange)
    known = {one["name"] for one in described.get("parameters", ()) if one["in"] == "query"}
    asked = dict(parse_qsl(urlsplit(exchange.target).query))
    found = [f"unknown parameter {name}" for name in asked if name not in known]
    if exchange.request_body:
        found += invalid(document, described["requestBody"], exchange.request_body)
    answer = described["responses"].get(str(exchange.status))
    if answer is None:
        return [*found, f"no answer {exchange.status}"]
    # The table of codes of a 400 stands in a description; its body has no schema there.
    return found + (invalid(document, answer, exchange.response_body) if answer["content"] else [])


def invalid(document: dict[str, Any], described: dict[str, Any], body: bytes) -> list[str]:
    schema = {
        **described["content"]["application/json"]["schema"],
        "components": document["components"],
    }
    validator = Draft202012Validator(schema, format_checker=validator_for({}).FORMAT_CHECKER)
    return [error.message for error in validator.iter_errors(json.loads(body))]


async def test_the_stream_of_decisions_asks_and_is_answered_as_published() -> None:
    attempt = Attempt(send_before=float("inf"), total_timeout_s=5.0)
    steps = [
        {"by": "manager", "after_ms": 0, "actor": "31003", "comment": "For Ben"},
        {"by": "finance", "after_ms": 0, "do": "deny", "comment": "No budget"},
    ]

    async with a_tenant(routing={"steps": steps}) as tenant:
        with open_attempt(attempt):
            await tenant.submit(a_submission())
            page = await tenant.connector.pull("decisions", None)
            await tenant.connector.pull("decisions", page.cursor)
            await tenant.connector.check()

    rest = [one for one in attempt.exchanges if one.target.startswith(BASE)]
    assert [urlsplit(one.target).path.rpartition("/")[2] for one in rest] == [
        "events",
        "completedSteps",
        "events",
        "events",
    ]
    assert [fault for one in rest for fault in faults(one)] == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"target": f"{BASE}/events?who=me"}, "unknown parameter who"),
        ({"status": 302}, "no answer 302"),
        ({"response_body": b'{"data":[{"status":{"descriptor":"x"}}]}'}, "'id' is a required"),
        ({"response_body": b'{"data":[{"creationDate":7}]}'}, "7 is not of type 'string'"),
    ],
)
def test_the_contract_catches_what_it_forbids(change: dict[str, Any], fault: str) -> None:
    given = {"target": f"{BASE}/events", "status": 200, "response_body": b"{}", **change}
    exchange = Exchange(
        method="GET",
        request_headers=(),
        request_body=b"",
        response_headers=(),
        elapsed_ms=0,
        **given,
    )

    found = faults(exchange)

    assert [one[: len(fault)] for one in found] == [fault]
