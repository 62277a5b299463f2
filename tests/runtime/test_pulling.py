"""Streams: each item once, nothing that is not understood is lost, one asks at a time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from quaestor.connectors.kit.attempt import Exchange, current_attempt
from quaestor.connectors.kit.contract import Delivered, NotKnown, Page, Transient
from quaestor.model.event import Cancel
from quaestor.model.refusal import refuse
from quaestor.runtime.lanes import Lanes
from quaestor.runtime.pulling import ForDocument, NotUnderstood, Puller, Stream, Translated
from quaestor.runtime.receiving import Inbound
from quaestor.runtime.worklist import read_not_understood
from tests.support.database import TestDatabase
from tests.support.engine import MEMO_FLOW, Bench, Memo, bench_on

AT = datetime(2026, 11, 2, tzinfo=UTC)


class Desk:
    """A source of items in pages of two; counts what it was asked with."""

    def __init__(self, *names: str) -> None:
        self.items = [Delivered(f"e-{name}", "memo", name, AT, name.encode()) for name in names]
        self.asked: list[str | None] = []
        self.trouble: NotKnown | None = None

    async def pull(self, stream: str, after: str | None) -> Page:
        self.asked.append(after)
        if self.trouble is not None:
            raise self.trouble
        attempt = current_attempt()
        assert attempt is not None
        attempt.exchanges.append(
            Exchange("GET", f"/memos?after={after}", (), b"", 200, (), b"of others as well", 1.5)
        )
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
    puller = Puller(
        bench.database, bench.recorder, [stream], lambda: "r1", Lanes({"desk": 1}), lambda: 0.5
    )
    return puller, stream


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


async def test_what_is_not_understood_is_read_by_its_owner_alone(database: TestDatabase) -> None:
    bench = await bench_on(database)
    puller, stream = _puller(bench, Desk("garbage", "D1"))
    await puller.once(stream)

    async with bench.database.connection() as connection:
        operators = await read_not_understood(connection, owner="operator")
        finances = await read_not_understood(connection, owner="finance")

    assert [(one.system, one.source_id, one.refusal) for one in operators] == [
        ("desk", "garbage", "source_document_invalid")
    ]
    assert finances == []


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
    desk.trouble = Transient("the desk is closed", system=False)

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


_PAUSE = "select extract(epoch from due_at - asked_at)::float8 from quaestor.stream"
_ENTRIES = "select canonical from quaestor.audit order by id"


async def test_what_a_system_asks_for_is_obeyed_to_the_second(database: TestDatabase) -> None:
    bench = await bench_on(database)
    desk = Desk("D1")
    desk.trouble = Transient("429 Too Many Requests", retry_after_s=120.0)
    puller, stream = _puller(bench, desk)

    await puller.once(stream)

    assert await bench.database.fetchval(_PAUSE) == pytest.approx(120.5, abs=0.5)
    assert puller.lanes.circuit("desk").open


async def test_a_right_that_a_stream_lacks_does_not_stop_the_sends(database: TestDatabase) -> None:
    bench = await bench_on(database)
    desk = Desk("D1")
    desk.trouble = Transient("403 Forbidden", code="connector_auth_failed")
    puller, stream = _puller(bench, desk)

    await puller.once(stream)

    assert not puller.lanes.circuit("desk").open
    assert await bench.database.fetchval("select trouble from quaestor.stream") == "403 Forbidden"


async def test_trouble_makes_the_pauses_longer_and_an_answer_ends_them(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database)
    desk = Desk("D1")
    desk.trouble = Transient("the desk is closed", system=False)
    puller, stream = _puller(bench, desk)
    pauses = []

    for _ in range(3):
        await puller.once(stream)
        pauses.append(round(await bench.database.fetchval(_PAUSE)))
        await _make_due(database)
    desk.trouble = None
    await puller.once(stream)

    assert pauses == [8, 15, 30]
    assert await bench.database.fetchval("select failures from quaestor.stream") == 0


async def test_an_open_circuit_is_probed_by_one_pull_and_closed_by_its_answer(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database)
    desk = Desk("D1")
    puller, stream = _puller(bench, desk)
    puller.lanes.circuit("desk").trouble(0.0, "down", wait_s=1e12, jitter=0.0)

    await puller.once(stream)
    held = list(desk.asked)
    puller.lanes.circuit("desk").probe_at = 0.0
    await puller.once(stream)

    assert held == []
    assert desk.asked == [None]
    assert not puller.lanes.circuit("desk").open


async def test_a_pull_waits_for_a_slot_that_sends_have_taken(database: TestDatabase) -> None:
    bench = await bench_on(database)
    desk = Desk("D1")
    puller, stream = _puller(bench, desk)
    puller.lanes.take("desk/acme-de", 0.0)

    await puller.once(stream)

    assert desk.asked == []


async def test_the_trail_says_how_a_document_was_asked_for_and_holds_no_others_data(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database)
    desk = Desk("D1")
    puller, stream = _puller(bench, desk)

    await puller.once(stream)

    (entry,) = await bench.database.fetch(_ENTRIES)
    assert "GET /memos?after=None → 200, 2 ms" in bytes(entry["canonical"]).decode()
    assert b"of others" not in bytes(entry["canonical"])


async def test_a_page_that_brings_nothing_leaves_nothing_in_the_trail(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database)
    desk = Desk("D1")
    puller, stream = _puller(bench, desk)

    for _ in range(5):
        await puller.once(stream)

    assert len(desk.asked) == 5
    assert len(await bench.database.fetch(_ENTRIES)) == 1


async def test_a_hint_that_comes_while_a_page_is_asked_for_is_followed_at_once(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database)
    desk = Hinted("D1", database=database)
    puller, stream = _puller(bench, desk)
    stream = replace(stream, every_s=3600.0)

    await puller.once(stream)
    await puller.once(stream)
    await puller.once(stream)

    assert desk.asked == [None, "1"]


async def test_a_stream_that_is_not_due_is_left_alone_until_it_is(database: TestDatabase) -> None:
    bench = await bench_on(database)
    desk, stop = Heard("D1"), asyncio.Event()
    puller, stream = _puller(bench, desk)
    puller.streams, puller.poll_s = [replace(stream, every_s=3600.0)], 0.01

    running = asyncio.create_task(puller.run(stop))
    await asyncio.wait_for(desk.heard.get(), 10)
    await _hint(database)
    await asyncio.wait_for(desk.heard.get(), 10)
    stop.set()
    await running

    assert desk.asked == [None, "1"]


class Heard(Desk):
    """Says when it was asked."""

    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        self.heard: asyncio.Queue[None] = asyncio.Queue()

    async def pull(self, stream: str, after: str | None) -> Page:
        self.heard.put_nowait(None)
        return await super().pull(stream, after)


class Hinted(Desk):
    """The first page is overtaken by a hint."""

    def __init__(self, *names: str, database: TestDatabase) -> None:
        super().__init__(*names)
        self._database = database

    async def pull(self, stream: str, after: str | None) -> Page:
        if after is None:
            await _hint(self._database)
        return await super().pull(stream, after)


async def _make_due(database: TestDatabase) -> None:
    owner = await database.connect()
    await owner.fetch("update quaestor.stream set due_at = quaestor.clock() returning true")


async def _hint(database: TestDatabase) -> None:
    owner = await database.connect()
    await owner.fetch(
        "update quaestor.stream set hinted_at = quaestor.clock(), due_at = quaestor.clock()"
        " returning true"
    )
