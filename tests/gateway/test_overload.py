"""Above what it can take the gateway says so at once, and health still answers (I35)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace

from quaestor.gateway.services import GatewayLimits
from tests.support.database import TestDatabase
from tests.support.gateway import Gateway, Said, a_body, gateway_on, until


async def held_up(gateway: Gateway, count: int, who: str) -> list[asyncio.Task[Said]]:
    def ask(number: int) -> Coroutine[None, None, Said]:
        # What may be done for other entities is done in a transaction of its own.
        token = gateway.token(subject=who, entities=("acme-de", f"of-{who}-{number}"))
        return gateway.ask("POST", "/v1/requisitions", a_body(f"{who}-{number}"), token=token)

    return [asyncio.create_task(ask(number)) for number in range(count)]


async def test_who_finds_no_room_is_told_when_to_come_again(database: TestDatabase) -> None:
    limits = GatewayLimits(at_once_max=4, per_client_max=3)
    owner = await database.connect()
    async with gateway_on(database, limits=limits) as gateway:
        async with owner.transaction() as holder:
            await holder.execute("lock table quaestor.document in access exclusive mode")
            first = await held_up(gateway, 3, "one")
            await until(owner, "select count(*) = 3 from pg_locks where not granted")
            (greedy,) = await asyncio.gather(*await held_up(gateway, 1, "one"))
            second = await held_up(gateway, 1, "two")
            await until(owner, "select count(*) = 4 from pg_locks where not granted")
            late = await gateway.ask("GET", "/v1/worklist", token=gateway.token(subject="two"))
            health = await gateway.ask("GET", "/healthz", token="")
            ready = await gateway.ask("GET", "/readyz", token="")
        accepted = await asyncio.gather(*first, *second)

    assert greedy.code == (429, "rate_limited")
    assert late.code == (503, "overloaded")
    assert int(late.headers["Retry-After"]) >= 1
    assert (health.status, ready.status) == (200, 200)
    assert [said.status for said in accepted] == [201] * 4


async def test_three_times_too_much_is_answered_and_what_was_taken_is_stored(
    database: TestDatabase,
) -> None:
    limits = GatewayLimits(at_once_max=20, per_client_max=20)
    owner = await database.connect()
    async with gateway_on(database, limits=limits) as gateway:
        said = await asyncio.gather(*await held_up(gateway, 60, "one"))

    taken = sum(one.status == 201 for one in said)
    stored = await owner.fetchval("select count(*) from quaestor.document")
    assert taken == stored >= 20
    assert {one.status for one in said} <= {201, 429, 503}


async def test_a_database_that_is_gone_is_said(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        await gateway.services.database.terminate()

        refused = await gateway.ask("POST", "/v1/requisitions", a_body(), key="k")
        ready = await gateway.ask("GET", "/readyz", token="")
        health = await gateway.ask("GET", "/healthz", token="")

    assert refused.code == (503, "storage_unavailable")
    assert ready.code == (503, "storage_unavailable")
    assert health.status == 200


async def test_a_gateway_whose_release_is_unknown_is_not_ready(database: TestDatabase) -> None:
    async with gateway_on(database, change=lambda found: replace(found, release="0")) as gateway:
        said = await gateway.ask("GET", "/readyz", token="")

    assert said.code == (503, "not_ready")
