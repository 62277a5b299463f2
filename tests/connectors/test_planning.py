"""Planning answers what may be spent, says as of when, and states nothing that it does not know.

Requests and answers are held against our own src/quaestor/connectors/planning/openapi.yaml.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from quaestor.connectors.kit.attempt import Attempt, open_attempt
from quaestor.connectors.kit.config import http_wire
from quaestor.connectors.kit.contract import (
    DEADLINE_PASSED,
    Answer,
    Answers,
    Connector,
    NotKnown,
    Permanent,
    Pulls,
    Question,
    Submits,
    Transient,
)
from quaestor.connectors.kit.faults import FaultyProxy, WireFault, cut_points
from quaestor.connectors.kit.kind import SimulatorOptions
from quaestor.connectors.kit.simulator import Simulator
from quaestor.connectors.planning.config import PlanningConfig
from quaestor.connectors.planning.connector import KIND, PlanningConnector
from quaestor.connectors.planning.manifest import MANIFEST
from quaestor.connectors.planning.mapping import AnswerUnusable, budget_answer, budget_target
from quaestor.connectors.planning.simulator import PlanningSimulator
from quaestor.security.secrets import Secret

OPENAPI = Path(__file__).resolve().parents[2] / "src/quaestor/connectors/planning/openapi.yaml"
TOKEN = "canary-7f3a91-never-shown"
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
NOWHERE = "http://127.0.0.1:9"


def a_question(**facts: str) -> Question:
    """The budget of it-de in 2026, unless told otherwise."""
    given = {"fiscal_year": "2026", "cost_center": "it-de", **facts}
    return Question("budget_balance", "acme-de", given)


def a_budget(**given: Any) -> bytes:
    """The service's answer to `a_question`; a member that is `None` is left out."""
    budget = {
        "entity": "acme-de",
        "fiscal_year": 2026,
        "cost_center": "it-de",
        "mode": "gross",
        "currency": "EUR",
        "amount": "5000000.00",
        "as_of": "2026-11-23T08:59:00+00:00",
        **given,
    }
    return msgspec.json.encode({name: one for name, one in budget.items() if one is not None})


class Service:
    """The running service with a connector to it."""

    def __init__(self, connector: PlanningConnector, control: str, proxy: FaultyProxy) -> None:
        self.connector = connector
        self.proxy = proxy
        self.attempt = Attempt(send_before=float("inf"), total_timeout_s=1.0)
        self._control = control

    async def answer(self, question: Question) -> Answer | NotKnown:
        """Ask once within an attempt; not-knowing as a value."""
        with open_attempt(self.attempt):
            try:
                return await self.connector.answer(question)
            except NotKnown as error:
                return error

    async def put(self, method: str, path: str, value: object) -> None:
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, f"{self._control}{path}", json=value) as answer,
        ):
            assert answer.status == 200


@asynccontextmanager
async def a_service(*, url: str | None = None, **options: Any) -> AsyncIterator[Service]:
    vendor = PlanningSimulator(SimulatorOptions(extra={"token": TOKEN, **options}))
    async with (
        Simulator(vendor) as ready,
        FaultyProxy(ready.url, watch="GET /budgets") as proxy,
    ):
        table = {
            "connector": "planning",
            "base_url": url or proxy.url,
            "auth": {"kind": "bearer", "token": "env:PLANNING_TOKEN"},
        }
        config = msgspec.convert(table, PlanningConfig)
        wire = http_wire(config, lambda reference: Secret(TOKEN))
        yield Service(PlanningConnector(config, wire), ready.control, proxy)
        await wire.close()


# --- the definition -------------------------------------------------------------------------------


def test_our_definition_is_a_good_openapi_document() -> None:
    document = yaml.safe_load(OPENAPI.read_text(encoding="utf-8"))

    validate(document)

    assert "Quaestor's own, no vendor's" in document["info"]["description"]


def test_the_manifest_agrees_with_the_methods() -> None:
    config = PlanningConfig(connector="planning", base_url=NOWHERE)
    connector = PlanningConnector(config, http_wire(config, Secret))

    assert isinstance(connector, Connector)
    assert isinstance(connector, Answers)
    assert not isinstance(connector, Submits | Pulls)
    assert connector.manifest == KIND.manifest == MANIFEST
    assert (MANIFEST.questions, MANIFEST.actions, MANIFEST.streams) == (("budget_balance",), {}, ())


async def test_what_goes_over_the_wire_keeps_our_definition() -> None:
    planned = {"entity": "acme-de", "cost_center": "r d", "amount": "1.00", "account": "61"}
    async with a_service(budgets=[planned]) as service:
        await service.answer(a_question(cost_center="r d", account="61"))
        await service.answer(a_question())
        exchanges = service.attempt.exchanges

    document = yaml.safe_load(OPENAPI.read_text(encoding="utf-8"))
    schemas = {200: "Budget", 404: "Problem"}
    faults = [
        error.message
        for one in exchanges
        for error in Draft202012Validator(
            {
                "$ref": f"#/components/schemas/{schemas[one.status]}",
                "components": document["components"],
            }
        ).iter_errors(json.loads(one.response_body))
    ]
    assert [(one.target, one.status) for one in exchanges] == [
        ("/budgets/acme-de/2026/r%20d?account=61", 200),
        ("/budgets/acme-de/2026/it-de", 404),
    ]
    assert faults == []


# --- answers --------------------------------------------------------------------------------------


async def test_a_budget_is_answered_in_gross_and_with_its_age() -> None:
    async with a_service(lag_s=3600) as service:
        before = datetime.now(UTC) - timedelta(seconds=3600)
        answer = await service.answer(a_question())

    assert isinstance(answer, Answer)
    assert answer.value == {
        "node": "acme-de/2026/it-de",
        "mode": "gross",
        "currency": "EUR",
        "budget": "5000000.00",
        "consumed_elsewhere": "0.00",
    }
    assert before <= answer.as_of <= before + timedelta(seconds=60)


async def test_an_answer_without_an_age_states_no_fact() -> None:
    async with a_service() as service:
        await service.put("PATCH", "/documents/acme-de/2026/it-de", {"as_of": None})
        answer = await service.answer(a_question())

    assert isinstance(answer, Transient)
    assert answer.code == "check_unknown"


def test_an_old_answer_is_handed_on_with_its_age() -> None:
    answer = budget_answer(
        a_budget(as_of="2026-01-01T01:00:00+01:00"), a_question(), NOW, timedelta(seconds=5)
    )

    assert answer.as_of == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"as_of": None}, "as_of"),
        ({"as_of": "2026-11-23T08:59:00"}, "as_of has no offset"),
        ({"as_of": "2026-11-23T09:00:06+00:00"}, "as_of lies in the future"),
        ({"as_of": "yesterday"}, "as_of"),
        ({"mode": "net"}, "the mode is not gross"),
        ({"amount": 5000000.0}, "amount"),
        ({"amount": "5e6"}, "an amount is not a plain decimal"),
        ({"amount": "NaN"}, "an amount is not a plain decimal"),
        ({"consumed_elsewhere": "1,00"}, "an amount is not a plain decimal"),
        ({"currency": "eur"}, "the currency"),
        ({"cost_center": "sales-de"}, "another budget"),
        ({"fiscal_year": 2027}, "another budget"),
        ({"entity": "acme-us"}, "another budget"),
        ({"account": "61"}, "another budget"),
    ],
)
def test_what_is_no_fact_is_not_taken_for_one(given: dict[str, Any], why: str) -> None:
    with pytest.raises(AnswerUnusable, match=why):
        budget_answer(a_budget(**given), a_question(), NOW, timedelta(seconds=5))


def test_clocks_may_differ_a_little_and_unknown_fields_are_passed_over() -> None:
    body = a_budget(as_of="2026-11-23T09:00:05+00:00", steward={"name": ["x", None]})

    answer = budget_answer(body, a_question(), NOW, timedelta(seconds=5))

    assert answer.value["budget"] == "5000000.00"


@pytest.mark.parametrize(
    "facts",
    [
        {"fiscal_year": "26"},
        {"cost_center": ".."},
        {"fiscal_year": "2026/x"},
        {"cost_center": ""},
        {"account": "6/1"},
    ],
)
async def test_a_question_that_names_no_budget_is_not_sent(facts: dict[str, str]) -> None:
    async with a_service() as service:
        answer = await service.answer(a_question(**facts))

    assert isinstance(answer, Permanent)
    assert answer.refusal.code == "connector_refused"
    assert service.attempt.exchanges == []


def test_a_code_cannot_leave_its_place_in_the_path() -> None:
    target = budget_target(a_question(cost_center="..?y#z"))

    assert target == "/budgets/acme-de/2026/..%3Fy%23z"


async def test_another_question_is_refused() -> None:
    async with a_service() as service:
        answer = await service.answer(Question("stock", "acme-de"))

    assert isinstance(answer, Permanent)
    assert answer.refusal.code == "connector_refused"


async def test_a_budget_that_planning_does_not_have_is_named() -> None:
    async with a_service() as service:
        answer = await service.answer(a_question(cost_center="nowhere"))

    assert isinstance(answer, Permanent)
    assert answer.refusal.code == "budget_not_found"
    assert answer.refusal.details["cost_center"] == "nowhere"


# --- not knowing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["drop_after_commit", "500_after_commit", "reset", "hang"])
async def test_a_broken_exchange_is_never_a_fact(fault: str) -> None:
    async with a_service() as service:
        await service.put("PUT", "/faults", [{"on": "GET /budgets", "do": fault, "seconds": 30}])
        broken = await service.answer(a_question())
        again = await service.answer(a_question())

    assert isinstance(broken, Transient)
    assert isinstance(again, Answer)


async def test_too_many_questions_are_obeyed() -> None:
    async with a_service() as service:
        await service.put("PUT", "/faults", [{"on": "GET /budgets", "do": "429", "seconds": 7}])
        answer = await service.answer(a_question())

    assert isinstance(answer, Transient)
    assert answer.retry_after_s == 7.0


async def test_a_lapsed_token_is_renewed_once() -> None:
    async with a_service() as service:
        await service.put("PUT", "/faults", [{"on": "GET /budgets", "do": "expire_token"}])
        answer = await service.answer(a_question())

    assert isinstance(answer, Answer)
    assert [one.status for one in service.attempt.exchanges] == [401, 200]


async def test_an_answer_cut_anywhere_is_never_a_fact() -> None:
    async with a_service() as service:
        await service.answer(a_question())
        points = cut_points(service.proxy.answered_bytes)
        for after in points:
            service.proxy.plan(WireFault(on="GET /budgets", do="cut", after_bytes=after))
            answer = await service.answer(a_question())
            assert isinstance(answer, Transient), after

    assert len(set(points)) == 16


async def test_nobody_listening_opens_the_systems_circuit() -> None:
    async with a_service(url=NOWHERE) as service:
        answer = await service.answer(a_question())
        probes = await service.connector.check()

    assert isinstance(answer, Transient)
    assert answer.system
    assert [probe.name for probe in probes if not probe.good and probe.fix] == ["network"]


async def test_a_question_that_comes_too_late_is_not_sent() -> None:
    async with a_service() as service:
        service.attempt.send_before = 0.0
        answer = await service.answer(a_question())

    assert isinstance(answer, Transient)
    assert answer.code == DEADLINE_PASSED


async def test_a_good_installation_is_found_good() -> None:
    async with a_service() as service:
        probes = await service.connector.check()

    assert [(probe.name, probe.good) for probe in probes] == [
        ("network", True),
        ("credentials", True),
        ("budgets", True),
        ("fields", True),
    ]


async def test_the_token_is_never_shown() -> None:
    async with a_service() as service:
        answers = [
            await service.answer(a_question()),
            await service.answer(a_question(account="x")),
        ]
        shown = repr((answers, service.attempt.exchanges, vars(service.connector)))

    assert len(service.attempt.exchanges) == 2
    assert TOKEN not in shown
