"""Every route asks for its scope, and what belongs to another entity does not exist (I27, N64).

The OpenAPI document is walked, so that a route which somebody adds is asked as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from quaestor.gateway.problems import STATUS
from quaestor.model.refusal import REFUSALS
from tests.support.database import TestDatabase
from tests.support.gateway import Gateway, Said, a_body, a_reservation, gateway_on, until, worker_on

FOREIGN = ("acme-us",)
DECISION = {"verdict": "approved", "version": 1}
# What each operation with a body is asked with.
BODIES: dict[str, Any] = {
    "validateRequisition": a_body(),
    "submitRequisition": a_body("R-2"),
    "cancelRequisition": {},
    "changeRequisition": a_body(),
    "reserveBudget": a_reservation("B-2"),
    "releaseReservation": None,
    "decideApproval": DECISION,
}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of everything that asks for a token."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if operation["security"]:
                yield method.upper(), path, operation


async def ask(gateway: Gateway, token: str, found: Any, ids: dict[str, str]) -> Said:
    """One request of this operation, with ids that exist."""
    method, path, operation = found
    name = operation["operationId"]
    for parameter in ("id", "list"):
        path = path.replace("{" + parameter + "}", ids.get(f"{name}.{parameter}", ids[parameter]))
    headers = {"If-Match": '"1"'}
    return await gateway.ask(method, path, BODIES.get(name), token=token, headers=headers)


async def furnish(gateway: Gateway, database: TestDatabase) -> dict[str, str]:
    """One of everything for acme-de; the ids by which it is asked."""
    async with worker_on(database, gateway) as worker:
        requisition = await gateway.ask("POST", "/v1/requisitions", a_body())
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
    held = str(reservation.json["id"])
    return {
        "id": document,
        "list": "cost-centers",
        "readReservation.id": held,
        "releaseReservation.id": held,
        "decideApproval.id": f"{document}.{name.replace('/', '.')}",
    }


async def test_without_its_scope_every_operation_refuses(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        document = (await gateway.ask("GET", "/openapi.json", token="")).json
        token = gateway.token(scopes=("something:else",))
        ids = {"id": "1", "list": "suppliers"}

        said = {
            found[2]["operationId"]: (await ask(gateway, token, found, ids)).code
            for found in operations(document)
        }

    assert len(said) == 13
    assert set(said.values()) == {(403, "insufficient_scope")}


async def test_without_a_token_every_operation_refuses(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        document = (await gateway.ask("GET", "/openapi.json", token="")).json

        said = {
            found[2]["operationId"]: (
                await gateway.ask(found[0], found[1], {}, headers={"Authorization": ""})
            ).code
            for found in operations(document)
        }

    assert set(said.values()) == {(401, "token_missing")}


async def test_what_belongs_to_another_entity_does_not_exist(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        ids = await furnish(gateway, database)
        document = (await gateway.ask("GET", "/openapi.json", token="")).json
        own, foreign = gateway.token(subject="ben.koch"), gateway.token(entities=FOREIGN)

        found = list(operations(document))
        foreigners = {one[2]["operationId"]: await ask(gateway, foreign, one, ids) for one in found}
        owners = {one[2]["operationId"]: await ask(gateway, own, one, ids) for one in found}

    lists = {"listApprovals", "readWorklist", "readReference"}
    assert {name: said.code for name, said in foreigners.items() if name not in lists} == {
        name: (404, "not_found") for name in foreigners if name not in lists
    }
    assert foreigners["listApprovals"].json["items"] == []
    assert foreigners["readWorklist"].json["items"] == []
    assert {item["code"] for item in foreigners["readReference"].json["items"]} == {
        "it-us",
        "sales-us",
    }
    assert {name for name, said in owners.items() if said.status == 404} == set()
    assert all(owners[name].json["items"] for name in lists)


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
