"""Every route asks for its scope, and what belongs to another entity does not exist (I27, N64).

The OpenAPI document is walked. An operation that is added fails here until it stands in `ASKED`
(or in `OPEN`, if it asks for no token), with what it is asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from quaestor.gateway.problems import STATUS
from quaestor.model.refusal import REFUSALS
from tests.support.database import TestDatabase
from tests.support.gateway import (
    ALL_SCOPES,
    Gateway,
    Said,
    a_body,
    a_reservation,
    gateway_on,
    until,
    worker_on,
)

FOREIGN = ("acme-us",)


@dataclass(frozen=True)
class Asked:
    """How an operation is asked about what acme-de has.

    `about` names what its path leads to: the key of `furnish`, several where several lead there;
    empty for a list and for what creates. `holds` says whether a list shows something of acme-de.
    """

    about: tuple[str, ...] = ()
    body: Any = None
    holds: Callable[[Any], bool] | None = None


def of_acme_de(page: Any) -> bool:
    return any(item["entity"] == "acme-de" for item in page["items"])


ASKED: Mapping[str, Asked] = {
    "validateRequisition": Asked(body=a_body()),
    "submitRequisition": Asked(body=a_body("R-2")),
    "readRequisition": Asked(("requisition",)),
    "cancelRequisition": Asked(("requisition",), {}),
    "changeRequisition": Asked(("requisition",), a_body()),
    "reserveBudget": Asked(body=a_reservation("B-2")),
    "readReservation": Asked(("reservation",)),
    "releaseReservation": Asked(("reservation",)),
    "listApprovals": Asked(holds=of_acme_de),
    "decideApproval": Asked(("request",), {"verdict": "approved", "version": 1}),
    "readReference": Asked(
        ("list",),
        holds=lambda page: any("acme-de" in item["entities"] for item in page["items"]),
    ),
    "readTrace": Asked(("correlation", "number", "requisition")),
    "readWorklist": Asked(holds=of_acme_de),
}
# What asks for no token, and what it says to nobody in particular.
OPEN: Mapping[str, tuple[str, str, int]] = {
    "receiveWebhook": ("POST", "/v1/webhooks/coupa", 404),
    "grantWebhookToken": ("POST", "/v1/webhooks/coupa/token", 404),
    "health": ("GET", "/healthz", 200),
    "readiness": ("GET", "/readyz", 200),
    "explainProblem": ("GET", "/problems/not_found", 200),
}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def guarded(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Those that ask for a token."""
    return [found for found in operations(document) if found[2]["security"]]


async def ask(gateway: Gateway, token: str, found: Any, ids: Mapping[str, str]) -> list[Said]:
    """A request of this operation for each thing that leads to what it is about."""
    method, path, operation = found
    asked, answers = ASKED[operation["operationId"]], []
    for about in asked.about or ("",):
        target = path.replace("{id}", ids.get(about, "1")).replace("{list}", ids.get(about, "1"))
        headers = {"If-Match": '"1"'}
        answers.append(await gateway.ask(method, target, asked.body, token=token, headers=headers))
    return answers


async def furnish(gateway: Gateway, database: TestDatabase) -> dict[str, str]:
    """One of everything for acme-de; what leads to it."""
    async with worker_on(database, gateway) as worker:
        requisition = await gateway.ask("POST", "/v1/requisitions", a_body(number="PR-1"))
        reservation = await gateway.ask("POST", "/v1/budget/reservations", a_reservation())
        blocked = await gateway.ask("POST", "/v1/requisitions", a_body("R-9"))
        name = await until(
            worker,
            "select name from quaestor.approval_request where document_id = $1 and state = 'open'",
            requisition.json["id"],
        )
        await worker.fetchval(
            "update quaestor.work set parked_owner = 'finance', parked_code = 'flow_failed', "
            "parked = $2, parked_at = quaestor.clock() where document_id = $1 returning 1",
            blocked.json["id"],
            b'{"type":"park","owner":"finance","refusal":{"code":"flow_failed","owner":"finance"}}',
        )
    document = str(requisition.json["id"])
    return {
        "requisition": document,
        "number": "PR-1",
        "correlation": requisition.json["correlation_id"],
        "reservation": str(reservation.json["id"]),
        "request": f"{document}.{name.replace('/', '.')}",
        "list": "cost-centers",
    }


async def test_every_operation_of_the_document_is_asked_here(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        document = (await gateway.ask("GET", "/openapi.json", token="")).json

        open_ones = {
            name: (await gateway.ask(method, path, {}, headers={"Authorization": ""})).status
            for name, (method, path, _) in OPEN.items()
        }

    found = {operation["operationId"]: path for _, path, operation in operations(document)}
    assert found.keys() == {*ASKED, *OPEN}
    assert {each[2]["operationId"] for each in guarded(document)} == {*ASKED}
    assert {name for name, path in found.items() if name in ASKED and "{" in path} == {
        name for name, asked in ASKED.items() if asked.about
    }
    assert open_ones == {name: status for name, (_, _, status) in OPEN.items()}


async def test_without_its_scope_every_operation_refuses(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        document = (await gateway.ask("GET", "/openapi.json", token="")).json

        said = {}
        for found in guarded(document):
            others = tuple(set(ALL_SCOPES) - set(found[2]["x-scopes"]))
            answers = await ask(gateway, gateway.token(scopes=others), found, {})
            said[found[2]["operationId"]] = {answer.code for answer in answers}

    assert said == {name: {(403, "insufficient_scope")} for name in ASKED}


async def test_without_a_token_every_operation_refuses(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        document = (await gateway.ask("GET", "/openapi.json", token="")).json

        said = {
            found[2]["operationId"]: (
                await gateway.ask(found[0], found[1], {}, headers={"Authorization": ""})
            ).code
            for found in guarded(document)
        }

    assert said == dict.fromkeys(ASKED, (401, "token_missing"))


async def test_what_belongs_to_another_entity_does_not_exist(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        ids = await furnish(gateway, database)
        document = (await gateway.ask("GET", "/openapi.json", token="")).json
        foreign = gateway.token(entities=FOREIGN)
        before = await stored(database)

        said = {
            found[2]["operationId"]: await ask(gateway, foreign, found, ids)
            for found in guarded(document)
        }

    lists = {name for name, asked in ASKED.items() if asked.holds is not None}
    assert {name: {one.code for one in said[name]} for name in said.keys() - lists} == {
        name: {(404, "not_found")} for name in said.keys() - lists
    }
    assert {name: holding(name, said[name]) for name in lists} == dict.fromkeys(lists, False)
    assert await stored(database) == before


async def test_what_belongs_to_the_callers_entity_is_there(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        ids = await furnish(gateway, database)
        document = (await gateway.ask("GET", "/openapi.json", token="")).json
        own = gateway.token(subject="ben.koch")

        # The last first, so that nothing is cancelled before it is looked at.
        said = {
            found[2]["operationId"]: await ask(gateway, own, found, ids)
            for found in sorted(guarded(document))
        }

    lists = {name for name, asked in ASKED.items() if asked.holds is not None}
    assert {
        name for name, answers in said.items() if any(a.status == 404 for a in answers)
    } == set()
    assert {name: holding(name, said[name]) for name in lists} == dict.fromkeys(lists, True)


async def test_a_foreign_entity_that_is_named_in_a_filter_shows_nothing(
    database: TestDatabase,
) -> None:
    async with gateway_on(database) as gateway:
        await furnish(gateway, database)
        foreign = gateway.token(entities=FOREIGN)

        parked = await gateway.ask("GET", "/v1/worklist?entity=acme-de", token=foreign)
        pending = await gateway.ask("GET", "/v1/approvals?pending_for=ben.koch", token=foreign)

    assert [said.json["items"] for said in (parked, pending)] == [[], []]


def holding(name: str, answers: list[Said]) -> bool:
    holds = ASKED[name].holds
    assert holds is not None
    assert {answer.status for answer in answers} == {200}
    return any(holds(answer.json) for answer in answers)


async def stored(database: TestDatabase) -> list[int]:
    """How much stands in the tables that a caller could write to."""
    owner = await database.connect()
    tables = ("document", "document_body", "inbox", "idempotency", "audit", "budget_entry")
    return [await owner.fetchval(f"select count(*) from quaestor.{table}") for table in tables]


async def test_a_token_for_another_environment_is_refused(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        token = gateway.token(environment="production")

        said = await gateway.ask("POST", "/v1/requisitions", a_body(), token=token)

    assert said.code == (403, "environment_differs")


async def test_a_source_document_of_another_entity_is_a_duplicate_that_says_nothing(
    database: TestDatabase,
) -> None:
    async with gateway_on(database) as gateway:
        await gateway.ask("POST", "/v1/requisitions", a_body())
        foreign = gateway.token(entities=FOREIGN)
        line = a_body()["lines"][0]
        coding = {"cost_center": "it-us", "gl_account": "it-hardware"}
        lines = [{**line, "splits": [{"coding": coding, "amount": "3600.00"}]}]
        body = a_body(entity="acme-us", requester="dan.moore", currency="USD", lines=lines)

        said = await gateway.ask("POST", "/v1/requisitions", body, token=foreign)

    assert said.code == (409, "duplicate_document")
    assert "document" not in said.json


async def test_bad_tokens_beyond_the_limit_are_held_up_and_good_ones_are_not(
    database: TestDatabase,
) -> None:
    async with gateway_on(database) as gateway:
        bad = [(await gateway.ask("GET", "/v1/worklist", token="x.y.z")).code for _ in range(101)]

        good = await gateway.ask("GET", "/v1/worklist")

    assert bad[:100] == [(401, "token_invalid")] * 100
    assert bad[100] == (429, "rate_limited")
    assert good.status == 200


@pytest.mark.parametrize("code", sorted(STATUS))
def test_every_status_belongs_to_a_refusal(code: str) -> None:
    assert code in REFUSALS
