"""Documents and events come in once; a later version waits until it is adopted."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime

import msgspec
import pytest

from quaestor.model.event import Cancel
from quaestor.runtime.receiving import Inbound, Taken, new_correlation_id, take_in
from quaestor.store import Connection
from tests.support.database import TestDatabase
from tests.support.engine import MEMO_FLOW, Bench, Memo, bench_on

AT = datetime(2026, 11, 2, tzinfo=UTC)


def _inbound(version: int = 1, content_hash: str = "a" * 64, text: str = "one") -> Inbound:
    return Inbound(
        "memo", "acme-de", "desk", "D1", "D1", version, content_hash, AT, Memo(text), "desk"
    )


class Page(msgspec.Struct):
    """A body that knows its version."""

    version: int


def _unnumbered(content_hash: str) -> Inbound:
    inbound = _inbound(content_hash=content_hash)
    return msgspec.structs.replace(inbound, body=Page(1), numbered=False)


_DEADLOCKS = """
select pg_stat_get_db_deadlocks(oid) from pg_database where datname = current_database()
"""
_WAITING = "select exists (select from pg_locks where not granted)"


async def _somebody_waits(bench: Bench) -> None:
    async with asyncio.timeout(5):
        while not await bench.database.fetchval(_WAITING):
            continue


async def _take(bench: Bench, inbound: Inbound) -> Taken:
    async def work(connection: Connection) -> Taken:
        return await take_in(connection, bench.recorder, MEMO_FLOW, "r1", inbound)

    return await bench.database.run(work)


@pytest.mark.parametrize(
    ("second", "status"),
    [
        (_inbound(), "known"),
        (_inbound(content_hash="b" * 64, text="two"), "differs"),
        (_inbound(version=2, content_hash="b" * 64, text="two"), "changed"),
    ],
)
async def test_what_comes_again_is_told_apart(
    database: TestDatabase, second: Inbound, status: str
) -> None:
    bench = await bench_on(database)
    first = await _take(bench, _inbound())

    taken = await _take(bench, second)

    assert (first.status, taken.status) == ("accepted", status)
    assert taken.document_id == first.document_id
    assert taken.correlation_id == first.correlation_id


async def test_an_older_version_that_comes_late_changes_nothing(database: TestDatabase) -> None:
    bench = await bench_on(database)
    await _take(bench, _inbound(version=3))

    taken = await _take(bench, _inbound(version=2, content_hash="b" * 64))

    assert taken.status == "older"


async def test_fifty_twins_at_once_are_one_document(database: TestDatabase) -> None:
    bench = await bench_on(database)

    taken = await asyncio.gather(*(_take(bench, _inbound()) for _ in range(50)))

    assert sorted(each.status for each in taken) == ["accepted"] + ["known"] * 49
    assert len({each.document_id for each in taken}) == 1


async def test_changes_without_numbers_at_once_each_become_a_version(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database)
    await _take(bench, _inbound())
    changes = [_unnumbered(f"{number}" * 64) for number in range(2, 8)]

    taken = await asyncio.gather(*(_take(bench, each) for each in changes))

    kept = await bench.database.fetch("select version from quaestor.document_body order by 1")
    assert [each.status for each in taken] == ["changed"] * 6
    assert [row["version"] for row in kept] == [1, 2, 3, 4, 5, 6, 7]


async def test_one_change_that_comes_twice_at_once_is_known_the_second_time(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database)
    await _take(bench, _inbound())
    change = _inbound(version=2, content_hash="b" * 64, text="two")

    taken = await asyncio.gather(*(_take(bench, change) for _ in range(6)))

    assert sorted(each.status for each in taken) == ["changed"] + ["known"] * 5


async def test_a_change_waits_for_a_worker_that_adopts_the_one_before(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database)
    first = await _take(bench, _inbound())
    change = _inbound(version=2, content_hash="b" * 64, text="two")

    async with bench.database.transaction() as worker:
        await worker.execute("select from quaestor.work for update")
        coming = asyncio.create_task(_take(bench, change))
        await _somebody_waits(bench)
        await worker.execute("update quaestor.document set version = 1")
    taken = await coming

    deadlocks = await bench.database.fetchval(_DEADLOCKS)
    assert (taken.document_id, taken.status, deadlocks) == (first.document_id, "changed", 0)


async def test_an_event_wakes_its_document_once(database: TestDatabase) -> None:
    bench = await bench_on(database)
    taken = await _take(bench, _inbound())
    event = Cancel("c1", AT, "system:desk")

    told = [await bench.tell(taken.document_id, event) for _ in range(3)]

    woken = await bench.database.fetchval("select woken from quaestor.work")
    assert told == [True, False, False]
    assert woken == 1


def test_correlation_ids_are_version_seven_and_grow() -> None:
    ids = [new_correlation_id() for _ in range(200)]

    pattern = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert all(re.fullmatch(pattern, each) for each in ids)
    assert [each[:13] for each in ids] == sorted(each[:13] for each in ids)
    assert len(set(ids)) == 200
