"""One answer per Idempotency-Key, whatever happens meanwhile (I5-I7, specs N1-N7)."""

from __future__ import annotations

import asyncio
import json

import asyncpg
import pytest

from quaestor.gateway.idempotency import forget_expired
from tests.support.database import TestDatabase
from tests.support.gateway import Gateway, a_body, gateway_on

WAITING = "select count(*) from pg_locks where not granted"
LATER = "update quaestor.clock_offset set offset_by = '8 days'"


async def stored(database: TestDatabase) -> tuple[int, int, int]:
    owner = await database.connect()
    row = await owner.fetchrow(
        "select (select count(*) from quaestor.document), (select count(*) from quaestor.work), "
        "(select count(*) from quaestor.idempotency)"
    )
    return tuple(row)


async def until_one_waits(database: TestDatabase) -> None:
    owner = await database.connect()
    async with asyncio.timeout(10):
        # The database tells of a waiting lock to nobody who does not ask.
        while not await owner.fetchval(WAITING):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def twins(gateway: Gateway, count: int) -> list[tuple[int, bytes]]:
    token = gateway.token()
    said = await asyncio.gather(
        *(
            gateway.ask("POST", "/v1/requisitions", a_body(), key="twin", token=token)
            for _ in range(count)
        )
    )
    return [(one.status, one.raw) for one in said]


async def test_of_fifty_twins_one_executes_and_all_get_its_answer(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        answers = await twins(gateway, 50)

    assert {status for status, _ in answers} == {201}
    assert len({raw for _, raw in answers}) == 1
    assert await stored(database) == (1, 1, 1)


async def test_twins_at_two_gateways_get_one_answer(database: TestDatabase) -> None:
    async with gateway_on(database) as first, gateway_on(database) as second:
        answers = await asyncio.gather(twins(first, 25), twins(second, 25))

    both = [*answers[0], *answers[1]]
    assert {status for status, _ in both} == {201}
    assert len({raw for _, raw in both}) == 1
    assert await stored(database) == (1, 1, 1)


async def test_the_same_key_gets_the_same_answer_whatever_the_order_of_members(
    database: TestDatabase,
) -> None:
    body = a_body()
    turned = json.dumps(dict(reversed(body.items())), indent=3).encode()
    async with gateway_on(database) as gateway:
        first = await gateway.ask("POST", "/v1/requisitions", body, key="k")

        second = await gateway.ask("POST", "/v1/requisitions", key='"k"', raw=turned)

    assert (second.status, second.raw) == (201, first.raw)
    assert second.headers["Location"] == first.headers["Location"]
    assert await stored(database) == (1, 1, 1)


async def test_a_key_with_another_request_is_refused(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        await gateway.ask("POST", "/v1/requisitions", a_body("R-1"), key="k")

        said = await gateway.ask("POST", "/v1/requisitions", a_body("R-2"), key="k")

    assert said.code == (422, "idempotency_key_reused")
    assert await stored(database) == (1, 1, 1)


async def test_a_key_of_one_client_is_nothing_to_another(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        await gateway.ask("POST", "/v1/requisitions", a_body("R-1"), key="k")
        other = gateway.token(subject="other-portal")

        said = await gateway.ask("POST", "/v1/requisitions", a_body("R-2"), key="k", token=other)

    assert said.status == 201
    assert await stored(database) == (2, 2, 2)


async def test_a_refused_request_leaves_its_key_for_the_corrected_one(
    database: TestDatabase,
) -> None:
    async with gateway_on(database) as gateway:
        refused = await gateway.ask("POST", "/v1/requisitions", a_body(total="1.00"), key="k")

        said = await gateway.ask("POST", "/v1/requisitions", a_body(), key="k")

    assert refused.code == (422, "total_mismatch")
    assert said.status == 201


async def test_who_comes_while_the_first_still_runs_is_told_so(database: TestDatabase) -> None:
    owner = await database.connect()
    async with gateway_on(database) as gateway:
        async with owner.transaction() as holder:
            await holder.execute("lock table quaestor.document in access exclusive mode")
            first = asyncio.create_task(gateway.ask("POST", "/v1/requisitions", a_body(), key="k"))
            await until_one_waits(database)
            second = await gateway.ask("POST", "/v1/requisitions", a_body(), key="k")
        answered = await first

    assert second.code == (409, "request_in_progress")
    assert int(second.headers["Retry-After"]) >= 1
    assert answered.status == 201
    assert await stored(database) == (1, 1, 1)


async def test_after_its_time_a_key_is_new_but_the_document_is_not(database: TestDatabase) -> None:
    owner = await database.connect()
    async with gateway_on(database) as gateway:
        first = await gateway.ask("POST", "/v1/requisitions", a_body(), key="k")
        async with owner.transaction() as connection:
            await connection.execute(LATER)

        said = await gateway.ask("POST", "/v1/requisitions", a_body(), key="k")

    assert said.code == (409, "duplicate_document")
    assert said.json["document"] == first.json["id"]


@pytest.mark.parametrize(
    "statement",
    [
        "update quaestor.idempotency set status = 500",
        "delete from quaestor.idempotency where expires_at > quaestor.clock() returning 1",
    ],
)
async def test_an_answer_that_is_kept_can_neither_change_nor_go(
    database: TestDatabase, statement: str
) -> None:
    async with gateway_on(database) as gateway:
        await gateway.ask("POST", "/v1/requisitions", a_body(), key="k")
        gone = None
        try:
            async with gateway.services.database.transaction(entities=["acme-de"]) as connection:
                gone = await connection.fetchval(statement)
        except asyncpg.InsufficientPrivilegeError:
            pass

    assert gone is None
    assert await stored(database) == (1, 1, 1)


async def test_answers_past_their_time_are_forgotten(database: TestDatabase) -> None:
    owner = await database.connect()
    async with gateway_on(database) as gateway:
        await gateway.ask("POST", "/v1/requisitions", a_body(), key="k")
        async with owner.transaction() as connection:
            await connection.execute(LATER)

        await forget_expired(gateway.services.database, gateway.services.entities)

    assert await stored(database) == (1, 1, 0)
