"""Requisitions that come in at once share a transaction, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

from structlog.testing import capture_logs

from tests.support.database import TestDatabase
from tests.support.gateway import Gateway, Said, a_body, gateway_on, until

TRANSACTIONS = "select count(distinct xmin::text) from quaestor.idempotency"
DOCUMENTS = "select source_id from quaestor.document order by source_id"


async def at_once(
    database: TestDatabase, gateway: Gateway, requests: list[tuple[str, dict[str, Any]]]
) -> list[Said]:
    """What each (key, body) was answered; all come while a first one is held up."""
    owner = await database.connect()
    token = gateway.token()
    async with owner.transaction() as holder:
        await holder.execute("lock table quaestor.document in access exclusive mode")
        first = asyncio.create_task(
            gateway.ask("POST", "/v1/requisitions", a_body("R-0"), key="k0", token=token)
        )
        await until(owner, "select count(*) > 0 from pg_locks where not granted")
        tasks = [
            asyncio.create_task(gateway.ask("POST", "/v1/requisitions", body, key=key, token=token))
            for key, body in requests
        ]
        # They were sent before this one; who is late all the same is in a group of his own.
        for _ in range(3):
            await gateway.ask("GET", "/readyz", token="")
    assert (await first).status == 201
    return list(await asyncio.gather(*tasks))


async def test_many_are_one_transaction_each_with_its_own_document(database: TestDatabase) -> None:
    owner = await database.connect()
    async with gateway_on(database) as gateway:
        said = await at_once(database, gateway, [(f"k{n}", a_body(f"R-{n}")) for n in range(1, 21)])

    assert [one.status for one in said] == [201] * 20
    assert len({one.json["id"] for one in said}) == 20
    assert await owner.fetchval("select count(*) from quaestor.idempotency") == 21
    assert await owner.fetchval(TRANSACTIONS) <= 5
    assert await owner.fetchval("select count(*) from quaestor.audit") >= 21


async def test_what_is_refused_takes_no_other_with_it(database: TestDatabase) -> None:
    owner = await database.connect()
    async with gateway_on(database) as gateway:
        said = await at_once(
            database,
            gateway,
            [
                ("k1", a_body("R-1")),
                ("k2", a_body("R-2", total="1.00")),
                ("k3", a_body("R-1")),
                ("k4", a_body("R-4", entity="acme-uk")),
                ("k5", a_body("R-0")),
                ("k0", a_body("R-6")),
                ("k7", a_body("R-7")),
            ],
        )
        again = await gateway.ask("POST", "/v1/requisitions", a_body("R-2"), key="k2")

    assert [one.code for one in said] == [
        (201, ""),
        (422, "total_mismatch"),
        (409, "duplicate_document"),
        (404, "not_found"),
        (409, "duplicate_document"),
        (422, "idempotency_key_reused"),
        (201, ""),
    ]
    assert said[2].json["document"] == said[0].json["id"]
    assert again.status == 201
    assert [row["source_id"] for row in await owner.fetch(DOCUMENTS)] == [
        "R-0",
        "R-1",
        "R-2",
        "R-7",
    ]


async def test_what_the_database_refuses_takes_no_other_with_it(database: TestDatabase) -> None:
    owner = await database.connect()
    async with gateway_on(database) as gateway:
        async with owner.transaction() as connection:
            await connection.execute("alter table quaestor.document add check (source_id <> 'R-2')")

        # A default log draws a traceback for so long that transactions end meanwhile.
        with capture_logs():
            said = await at_once(
                database, gateway, [(f"k{n}", a_body(f"R-{n}")) for n in range(1, 4)]
            )

    assert [one.code for one in said] == [(201, ""), (500, "unforeseen"), (201, "")]
    stored = [row["source_id"] for row in await owner.fetch(DOCUMENTS)]
    assert stored == ["R-0", "R-1", "R-3"]
