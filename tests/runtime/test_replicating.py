"""Replicas in the database: a list is staged page by page, and let in whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from quaestor.connectors.kit.contract import Delivered, Page, Transient
from quaestor.model.refusal import refuse
from quaestor.model.replica import PersonRow, Replica
from quaestor.runtime.lanes import Lanes
from quaestor.runtime.pulling import NotUnderstood, Puller, Stream, Translated
from quaestor.runtime.replica_book import ReplicaBook
from quaestor.store import Connection
from tests.support.database import TestDatabase
from tests.support.engine import Bench, bench_on

AT = datetime(2026, 11, 2, tzinfo=UTC)
PAGE = 4


@dataclass
class Office:
    """A personnel office: first everybody in pages, then who changed since."""

    people: dict[str, PersonRow] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    trouble: bool = False

    def has(self, count: int) -> None:
        """So many people, the first of them everybody's manager."""
        ids = [f"{number:03}" for number in range(count)]
        self.people = {one: PersonRow(one, f"P {one}", manager=ids[0]) for one in ids}
        self.people[ids[0]] = PersonRow(ids[0], "Head")

    def change(self, row: PersonRow) -> None:
        self.people[row.id] = row
        self.changed.append(row.id)

    async def pull(self, stream: str, after: str | None) -> Page:
        self.asked.append(after)
        if self.trouble:
            raise Transient("closed", system=False)
        if after == "changes":
            told, self.changed = self.changed, []
            return Page(tuple(self._item(one) for one in told), "changes")
        start = int(after or 0)
        ids = sorted(self.people)
        more = start + PAGE < len(ids)
        items = tuple(self._item(one) for one in ids[start : start + PAGE])
        return Page(items, str(start + PAGE) if more else "changes", more)

    def _item(self, one: str) -> Delivered:
        return Delivered(f"e-{one}", "worker", one, AT, one.encode())

    def translate(self, item: Delivered) -> Translated:
        row = self.people[item.source_id]
        garbled = row.name == "garbled"
        return NotUnderstood((refuse("source_document_invalid"),)) if garbled else row


@dataclass
class Place:
    """An office, who asks it, and what is known of it."""

    bench: Bench
    office: Office
    puller: Puller
    stream: Stream
    book: ReplicaBook

    async def ask(self, times: int = 1) -> None:
        """Ask so often, each time as if it were due."""
        for _ in range(times):
            await self.bench.database.run(_make_due)
            await self.puller.once(self.stream)
        await self.book.refresh()

    @property
    def replica(self) -> Replica | None:
        return self.book.find("employee", "workday")

    async def refused(self) -> list[tuple[str, bool]]:
        rows = await self.bench.database.fetch(
            "select code, cleared_at is null as open from quaestor.inbound_refused order by id"
        )
        return [(row["code"], row["open"]) for row in rows]


async def _make_due(connection: Connection) -> None:
    await connection.execute("update quaestor.stream set due_at = quaestor.clock()")


async def a_place(database: TestDatabase, count: int = 10) -> Place:
    bench, office = await bench_on(database), Office()
    office.has(count)
    stream = Stream("workday", "workers", office, office.translate, replica="employee")
    lanes = Lanes({"workday": 1})
    puller = Puller(bench.database, bench.recorder, [stream], lambda: "r", lanes, lambda: 0.5)
    return Place(bench, office, puller, stream, ReplicaBook(bench.database))


async def test_a_list_holds_when_its_last_page_is_in(database: TestDatabase) -> None:
    place = await a_place(database)

    await place.ask(2)
    before = place.replica
    await place.ask()

    assert before is None
    assert place.replica is not None
    assert place.replica.rows == place.office.people
    assert place.office.asked == [None, "4", "8"]


async def test_a_change_makes_another_version_and_no_change_only_a_younger_one(
    database: TestDatabase,
) -> None:
    place = await a_place(database)
    await place.ask(3)
    first = place.replica
    await place.ask()
    same = place.replica
    place.office.change(replace_row(place.office.people["003"], active=False))
    await place.ask()

    assert first is not None
    assert same is not None
    assert place.replica is not None
    assert (same.version, place.replica.version) == (first.version, first.version + 1)
    assert first.as_of < same.as_of < place.replica.as_of
    assert same.rows is first.rows
    assert not place.replica.rows["003"].active


async def test_a_shrunken_list_is_refused_stays_out_and_is_asked_for_again(
    database: TestDatabase,
) -> None:
    place = await a_place(database)
    await place.ask(3)
    first = place.replica
    place.stream = replace(place.stream, whole_every_s=0.0)
    place.office.has(8)

    await place.ask(2)
    shrunken = place.replica
    refused = await place.refused()
    place.office.has(10)
    await place.ask(3)

    assert shrunken == first
    assert refused == [("directory_shrink_guard", True)]
    assert await place.refused() == [("directory_shrink_guard", False)]
    assert place.replica is not None
    assert first is not None
    assert place.replica.as_of > first.as_of


async def test_a_circle_of_managers_is_refused_and_everything_is_read_again(
    database: TestDatabase,
) -> None:
    place = await a_place(database)
    await place.ask(3)
    first = place.replica
    place.office.change(replace_row(place.office.people["000"], manager="003"))

    await place.ask()
    circular = place.replica
    place.office.change(replace_row(place.office.people["000"], manager=None))
    await place.ask(3)

    assert circular == first
    assert place.office.asked[-3:] == [None, "4", "8"]
    assert place.replica is not None
    assert place.replica.rows == place.office.people


async def test_trouble_in_the_middle_of_a_list_goes_on_where_it_was(database: TestDatabase) -> None:
    place = await a_place(database)
    await place.ask()
    place.office.trouble = True
    await place.ask(2)
    place.office.trouble = False

    await place.ask(2)

    assert place.office.asked == [None, "4", "4", "4", "8"]
    assert place.replica is not None
    assert len(place.replica.rows) == 10


async def test_after_a_day_everything_is_read_again_and_who_left_is_gone(
    database: TestDatabase,
) -> None:
    place = await a_place(database, 20)
    await place.ask(5)
    place.stream = replace(place.stream, whole_every_s=0.0)
    del place.office.people["019"]

    await place.ask(5)

    assert place.replica is not None
    assert len(place.replica.rows) == 19


async def test_a_row_that_is_not_understood_stands_with_an_owner(database: TestDatabase) -> None:
    place = await a_place(database)
    place.office.change(PersonRow("004", "garbled", manager="000"))

    await place.ask(3)

    assert await place.refused() == [("source_document_invalid", True)]
    assert place.replica is not None
    assert len(place.replica.rows) == 9


@pytest.mark.parametrize("role", ["quaestor_gateway", "quaestor_reader"])
async def test_whoever_answers_requests_reads_the_lists_and_writes_none(
    database: TestDatabase, role: str
) -> None:
    place = await a_place(database)
    await place.ask(3)
    other = await database.connect(role=role)
    book = ReplicaBook(other, ["acme-de"])

    await book.refresh()

    found = book.find("employee", "workday")
    assert found is not None
    assert found.rows == place.office.people
    with pytest.raises(Exception, match="permission denied"):
        await other.fetch("delete from quaestor.replica_row returning 1")


def replace_row(row: PersonRow, **changes: object) -> PersonRow:
    """The row with these fields."""
    given = {name: getattr(row, name) for name in row.__struct_fields__}
    return PersonRow(**{**given, **changes})
