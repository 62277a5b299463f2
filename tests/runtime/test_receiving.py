"""Documents and events come in once; a later version waits until it is adopted."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime

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
