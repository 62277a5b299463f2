"""Streams: each item once, nothing that is not understood is lost, one asks at a time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from quaestor.connectors.kit.contract import Delivered, Page, Transient
from quaestor.model.event import Cancel
from quaestor.model.refusal import refuse
from quaestor.runtime.pulling import ForDocument, NotUnderstood, Puller, Stream, Translated
from quaestor.runtime.receiving import Inbound
from tests.support.database import TestDatabase
from tests.support.engine import MEMO_FLOW, Bench, Memo, bench_on

AT = datetime(2026, 11, 2, tzinfo=UTC)


class Desk:
    """A source of items in pages of two; counts what it was asked with."""

    def __init__(self, *names: str) -> None:
        self.items = [Delivered(f"e-{name}", "memo", name, AT, name.encode()) for name in names]
        self.asked: list[str | None] = []
        self.trouble = False

    async def pull(self, stream: str, after: str | None) -> Page:
        self.asked.append(after)
        if self.trouble:
            raise Transient("the desk is closed")
        start = int(after or 0)
        items = tuple(self.items[start : start + 2])
        end = start + len(items)
        return Page(items, str(end), more=end < len(self.items))


def _translate(item: Delivered) -> Translated:
    match item.source_id:
        case "garbage":
            return NotUnderstood((refuse("source_document_invalid"),))
        case "nobody":
            return None
        case "cancel":
            cancel = Cancel(item.event_id, AT, "system:desk")
            return ForDocument("memo", "desk", "D1", cancel)
        case name:
            hash_ = name.encode().hex().ljust(64, "0")
            return Inbound("memo", "acme-de", "desk", name, name, 1, hash_, AT, Memo(name), "desk")


def _puller(bench: Bench, desk: Desk) -> tuple[Puller, Stream]:
    stream = Stream("desk", "memos", desk, _translate, MEMO_FLOW, every_s=0.0)
    return Puller(bench.database, bench.recorder, [stream], lambda: "r1"), stream


async def test_each_item_is_taken_in_once_however_often_it_is_delivered(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database)
    desk = Desk("D1", "D2", "D1", "D3")
    puller, stream = _puller(bench, desk)

    more = [await puller.once(stream) for _ in range(3)]

    assert more == [True, False, False]
    assert desk.asked == [None, "2", "4"]
    assert await bench.database.fetchval("select count(*) from quaestor.document") == 3


async def test_what_is_not_understood_stands_with_an_owner_until_it_is(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database)
    desk = Desk("garbage", "D1")
    puller, stream = _puller(bench, desk)

    await puller.once(stream)

    (row,) = await bench.database.fetch(
        "select owner, code, body, cleared_at from quaestor.inbound_refused"
    )
    assert (row["owner"], row["code"]) == ("operator", "source_document_invalid")
    assert row["body"] == b"garbage"
    assert row["cleared_at"] is None
    assert (puller.taken, puller.refused) == (1, 1)


async def test_an_event_wakes_the_document_that_it_is_about(database: TestDatabase) -> None:
    bench = await bench_on(database)
    desk = Desk("D1", "cancel", "nobody")
    puller, stream = _puller(bench, desk)

    await puller.once(stream)
    await puller.once(stream)

    kinds = await bench.database.fetch("select kind from quaestor.inbox")
    assert [row["kind"] for row in kinds] == ["Cancel"]


async def test_a_system_in_trouble_keeps_its_cursor_and_is_asked_later(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database)
    desk = Desk("D1", "D2", "D3")
    puller, stream = _puller(bench, desk)
    await puller.once(stream)
    desk.trouble = True

    await puller.once(stream)

    row = await bench.database.fetchrow(
        "select cursor, trouble, due_at > quaestor.clock() as later from quaestor.stream"
    )
    assert row is not None
    assert (row["cursor"], row["trouble"], row["later"]) == ("2", "the desk is closed", True)


async def test_only_one_worker_asks_a_stream_at_a_time(database: TestDatabase) -> None:
    bench = await bench_on(database)
    desk = Desk(*(f"D{number}" for number in range(40)))
    pullers = [_puller(bench, desk) for _ in range(5)]

    for _ in range(60):
        await asyncio.gather(*(puller.once(stream) for puller, stream in pullers))

    asked = [after for after in desk.asked if after != "40"]
    assert len(asked) == len(set(asked)) == 20
    assert await bench.database.fetchval("select count(*) from quaestor.document") == 40
