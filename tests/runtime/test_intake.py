"""Many documents come in at once: as if one after the other, in a handful of statements."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from quaestor.runtime.intake import take_in_all, take_in_new
from quaestor.runtime.receiving import Inbound, Taken
from quaestor.store import Connection
from tests.support.database import TestDatabase
from tests.support.engine import MEMO_FLOW, Bench, FakeErp, Memo, bench_on, running

AT = datetime(2026, 11, 2, tzinfo=UTC)


def _memo(source_id: str, version: int = 1, text: str = "one") -> Inbound:
    content = f"{text:a<64}"[:64]
    body = Memo(text)
    return Inbound(
        "memo", "acme-de", "desk", source_id, source_id, version, content, AT, body, "desk"
    )


async def _take_all(bench: Bench, inbounds: Sequence[Inbound]) -> list[Taken]:
    async def work(connection: Connection) -> list[Taken]:
        return await take_in_all(connection, bench.recorder, MEMO_FLOW, "r1", inbounds)

    return await bench.database.run(work)


async def test_each_of_many_is_told_what_became_of_it_in_their_order(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database)
    first = await _take_all(bench, [_memo("D2"), _memo("D1")])

    taken = await _take_all(
        bench,
        [
            _memo("D3"),
            _memo("D1"),
            _memo("D2", version=2, text="two"),
            _memo("D3"),
            _memo("D1", text="other"),
        ],
    )

    assert [each.status for each in first] == ["accepted", "accepted"]
    assert [each.status for each in taken] == ["accepted", "known", "changed", "known", "differs"]
    assert taken[1].document_id == first[1].document_id
    assert taken[2].document_id == first[0].document_id
    assert taken[3] == Taken(taken[0].document_id, taken[0].correlation_id, "known")


async def test_what_must_be_new_leaves_what_is_known_alone(database: TestDatabase) -> None:
    bench = await bench_on(database)
    (known,) = await _take_all(bench, [_memo("D1")])
    given = [_memo("D2"), _memo("D1", version=2, text="two"), _memo("D2", version=2)]

    async def work(connection: Connection) -> list[Taken]:
        return await take_in_new(connection, bench.recorder, MEMO_FLOW, "r1", given)

    taken = await bench.database.run(work)

    assert [each.status for each in taken] == ["accepted", "known", "known"]
    assert [each.document_id for each in taken[1:]] == [known.document_id, taken[0].document_id]
    bodies = await bench.database.fetch("select version from quaestor.document_body")
    assert [row["version"] for row in bodies] == [1, 1]


async def test_what_came_in_together_goes_its_way_and_is_recorded_singly(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database, FakeErp())
    taken = await _take_all(bench, [_memo(f"D{number}") for number in range(120)])

    async with running(bench.engine()):
        await bench.until({"ordered": 120})

    received = await bench.database.fetch(
        "select document_id, correlation_id from quaestor.audit "
        "where convert_from(canonical, 'UTF8')::json ->> 'effect' = 'receive'"
    )
    assert {(row["document_id"], row["correlation_id"]) for row in received} == {
        (each.document_id, each.correlation_id) for each in taken
    }


async def test_crowds_that_bring_the_same_documents_each_make_them_once(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database)
    ids = [f"D{number:02}" for number in range(30)]
    crowds = [[_memo(each) for each in (ids if odd else reversed(ids))] for odd in (0, 1) * 4]

    taken = await asyncio.gather(*(_take_all(bench, crowd) for crowd in crowds))

    statuses = sorted(each.status for crowd in taken for each in crowd)
    assert statuses == ["accepted"] * 30 + ["known"] * 210


async def test_nothing_coming_in_is_nothing(database: TestDatabase) -> None:
    bench = await bench_on(database)

    taken = await _take_all(bench, [])

    assert taken == []
