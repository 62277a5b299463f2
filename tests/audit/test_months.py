"""Entries that stand in no month's partition are told, and moved into their months."""

from __future__ import annotations

from datetime import UTC, datetime

import asyncpg
import pytest

from quaestor.audit.append import EntryIds, append
from quaestor.audit.months import COUNTED_MAX, Outside, gather, look_outside, make_ahead
from quaestor.audit.verify import verify
from quaestor.store import Database
from quaestor.store.migrate import migrate
from tests.audit.builders import an_entry, append_entries, place_all
from tests.support.database import TestDatabase

MARCH = datetime(2031, 3, 31, 23, 59, 59, 999999, tzinfo=UTC)
APRIL = datetime(2031, 4, 1, tzinfo=UTC)
LONG_AGO = datetime(1999, 12, 31, tzinfo=UTC)

PARTITIONS = """
select tableoid::regclass::text as name, count(*) as entries from quaestor.audit group by 1
"""


async def append_at(pool: Database, *times: datetime) -> None:
    async with pool.transaction() as connection:
        ids = await EntryIds().take(connection, len(times))
        await append(
            connection, [an_entry(id=id_, at=at) for id_, at in zip(ids, times, strict=True)]
        )


async def gathered(pool: Database, at_most: int = COUNTED_MAX) -> int:
    async with pool.transaction() as connection:
        return await gather(connection, at_most=at_most)


async def outside(pool: Database) -> Outside:
    async with pool.connection() as connection:
        return await look_outside(connection)


async def test_entries_outside_of_months_are_told_by_name(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    await append_at(worker, MARCH, APRIL, LONG_AGO)

    found = await outside(worker)

    assert found.entries == 3
    assert [month.strftime("%Y-%m") for month in found.months] == ["1999-12", "2031-03", "2031-04"]
    assert found.refusal is not None
    assert (found.refusal.code, found.refusal.owner) == ("audit_outside_months", "operator")
    assert found.refusal.details == {"entries": "3", "oldest": "1999-12"}


async def test_where_every_entry_has_its_month_nothing_is_told(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    async with worker.transaction() as connection:
        await append_entries(connection, 3)

    found = await outside(worker)

    assert found == Outside(0, ())
    assert found.refusal is None


def test_more_than_is_counted_is_said_to_be_more() -> None:
    refusal = Outside(COUNTED_MAX + 1, (APRIL,)).refusal

    assert refusal is not None
    assert refusal.details["entries"] == "over 10000"


async def test_entries_are_moved_into_their_months_and_stay_provable(
    database: TestDatabase,
) -> None:
    worker = await database.connect("quaestor_worker")
    await append_at(worker, MARCH, APRIL, LONG_AGO, MARCH)
    async with worker.transaction() as connection:
        await append_entries(connection, 2)
    await place_all(worker)
    everything = "select * from quaestor.audit order by txid, id"
    before = await worker.fetch(everything)

    moved = await gathered(worker)

    partitions = {row["name"]: row["entries"] for row in await worker.fetch(PARTITIONS)}
    async with worker.connection() as connection:
        report = await verify(connection, [], [])
    assert moved == 4
    assert partitions["audit_1999_12"] == 1
    assert partitions["audit_2031_03"] == 2
    assert partitions["audit_2031_04"] == 1
    assert await worker.fetch(everything) == before
    assert await outside(worker) == Outside(0, ())
    assert (report.ok, report.leaves) == (True, 6)


async def test_the_new_months_and_what_is_left_are_guarded(database: TestDatabase) -> None:
    worker, owner = await database.connect("quaestor_worker"), await database.connect()
    await append_at(worker, MARCH)
    await gathered(worker)

    for table in ("audit_2031_03", "audit_other"):
        for statement in (f"delete from quaestor.{table}", f"truncate quaestor.{table}"):
            with pytest.raises(asyncpg.RestrictViolationError):
                await owner.fetch(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await worker.fetch(f"select from quaestor.{table}")


async def test_a_month_is_gathered_while_it_goes_on(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    await append_at(worker, MARCH)
    await gathered(worker)

    await append_at(worker, MARCH, APRIL)

    assert (await outside(worker)).entries == 1
    async with worker.transaction() as connection:
        await make_ahead(connection, 3)
    assert await gathered(worker) == 1


async def test_more_than_at_most_are_left_where_they_are(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    await append_at(worker, MARCH, MARCH, APRIL)

    few = await gathered(worker, at_most=2)
    many = await gathered(worker, at_most=3)

    assert (few, many) == (0, 3)


async def test_who_reads_the_trail_is_not_waited_for_for_long(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    await append_at(worker, MARCH)

    async with worker.transaction() as reader:
        await reader.fetch("select from quaestor.audit limit 1")
        with pytest.raises(asyncpg.LockNotAvailableError):
            async with worker.transaction() as connection:
                await gather(connection, lock_timeout_s=0.05)

    assert (await outside(worker)).entries == 1
    assert await gathered(worker) == 1


async def test_an_owner_who_is_no_superuser_moves_them_too(modest: str) -> None:
    await migrate(modest)
    async with await Database.connect(
        modest, role="quaestor_worker", application_name="tests"
    ) as worker:
        await append_at(worker, MARCH, APRIL)

        assert await gathered(worker) == 2
        assert await outside(worker) == Outside(0, ())
