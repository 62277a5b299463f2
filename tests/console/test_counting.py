"""Counts on pages end at a limit, so a page costs the same however much waits."""

from __future__ import annotations

from datetime import timedelta

import pytest

from quaestor.bench.folder import ENTITY
from quaestor.bench.laying import lay_down
from quaestor.console.counting import Backlog, backlogs, due_first, parked_by_owner
from quaestor.console.wording import COUNTED_MAX, counted
from tests.support.database import TestDatabase


async def test_what_waits_for_people_is_counted_up_to_a_limit(database: TestDatabase) -> None:
    owner = await database.connect()
    async with owner.connection() as connection:
        await lay_down(connection, "a release", "parked-", COUNTED_MAX + 50, parked=True)
    gateway = await database.connect(role="quaestor_gateway")

    async with gateway.transaction(entities=[ENTITY]) as connection:
        own = await parked_by_owner(connection)
    async with gateway.transaction(entities=["elsewhere"]) as connection:
        others = await parked_by_owner(connection)

    assert own == {"requester": COUNTED_MAX + 1}
    assert others == {}


async def test_what_is_under_way_is_counted_by_system(database: TestDatabase) -> None:
    owner = await database.connect()
    async with owner.connection() as connection:
        await lay_down(connection, "a release", "due-", 7)
        await connection.execute(
            "update quaestor.work set lane = 'sap/' || entity, lane_since = quaestor.clock()"
            " where document_id in (select document_id from quaestor.work limit 3)"
        )
        found = await backlogs(connection, ["sap", "coupa"], [ENTITY])
        elsewhere = await backlogs(connection, ["sap", "coupa"], ["elsewhere"])

    assert {system: each.count for system, each in found.items()} == {"sap": 3, "": 4}
    assert found["sap"].oldest is not None
    assert found[""].oldest is None
    assert sum(found.values(), Backlog()).count == 7
    assert elsewhere == {}


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0"), (COUNTED_MAX, "10,000"), (COUNTED_MAX + 1, "over 10,000")]
)
def test_a_count_that_ended_at_its_limit_says_so(count: int, said: str) -> None:
    assert counted(count) == said


async def test_what_waits_for_a_system_is_listed_as_it_is_taken_up(database: TestDatabase) -> None:
    owner = await database.connect()
    async with owner.connection() as connection:
        await lay_down(connection, "a release", "due-", 5)
        ids = [row[0] for row in await connection.fetch("select document_id from quaestor.work")]
        await connection.executemany(
            "update quaestor.work set lane = $2, due_at = quaestor.clock() - $3::interval"
            " where document_id = $1",
            [
                (id_, f"sap/{entity}", timedelta(seconds=waited))
                for id_, entity, waited in zip(ids, "ababc", (10, 50, 40, 20, 30), strict=True)
            ],
        )
        first = await due_first(connection, "sap", ["a", "b"], 0, 3)
        rest = await due_first(connection, "sap", ["a", "b"], 3, 3)

    assert first == [ids[1], ids[2], ids[3]]
    assert rest == [ids[0]]
