"""Moving on in the changes: nothing is skipped, whatever shares a second and however pages fall."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quaestor.connectors.coupa.client import row_of
from quaestor.connectors.coupa.cursor import (
    BEGINNING,
    Cursor,
    CursorUnreadable,
    Known,
    Place,
    decode_cursor,
    event_id,
    moved,
    query_of,
)
from quaestor.connectors.coupa.simulator_query import page_of
from quaestor.connectors.coupa.simulator_rules import ATTRIBUTES
from quaestor.connectors.kit.contract import Transient

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
KNOWN = ATTRIBUTES["suppliers"]
STEPS_MAX = 200


def an_object(identity: int, second: int, name: str = "Kontor") -> dict[str, Any]:
    at = (START + timedelta(seconds=second)).isoformat()
    return {"id": identity, "name": name, "updated-at": at}


def a_row(identity: int, second: int, name: str = "Kontor") -> Any:
    return row_of(msgspec.json.encode(an_object(identity, second, name)))


class Reader:
    """Reads a table of objects page by page, as the connector does."""

    def __init__(self, page: int, overlap_s: int) -> None:
        self.page = page
        self.overlap = timedelta(seconds=overlap_s)
        self.place = Place(BEGINNING)
        self.told: list[tuple[int, str]] = []

    def step(self, table: dict[int, dict[str, Any]]) -> bool:
        found = page_of(list(table.values()), query_of(self.place, self.page), KNOWN)
        rows = [row_of(msgspec.json.encode(one)) for one in found]
        # Through its text, as the cursor travels.
        place = decode_cursor(msgspec.json.encode(Cursor(self.place)).decode()).place
        assert place is not None
        fresh, self.place, more = moved(place, rows, self.page, self.overlap)
        self.told += [(row.id, str(row.value["name"])) for row in fresh]
        return more

    def finish(self, table: dict[int, dict[str, Any]]) -> None:
        for _ in range(STEPS_MAX):
            if not self.step(table):
                return
        raise AssertionError("the reader does not come to an end")


@given(
    seconds=st.lists(st.integers(0, 4), max_size=25),
    page=st.integers(2, 7),
    overlap_s=st.integers(0, 3),
)
def test_each_object_is_told_once_however_many_share_a_second(
    seconds: list[int], page: int, overlap_s: int
) -> None:
    table = {nth: an_object(nth, second) for nth, second in enumerate(seconds, start=1)}
    reader = Reader(page, overlap_s)

    reader.finish(table)
    reader.finish(table)

    assert sorted(reader.told) == [(nth, "Kontor") for nth in sorted(table)]


@given(
    seconds=st.lists(st.integers(0, 3), min_size=1, max_size=15),
    edits=st.lists(st.tuples(st.integers(0, 14), st.booleans()), max_size=20),
    page=st.integers(2, 5),
)
def test_the_last_state_of_each_is_told_whatever_changes_between_the_pages(
    seconds: list[int], edits: list[tuple[int, bool]], page: int
) -> None:
    table = {nth: an_object(nth, second) for nth, second in enumerate(seconds, start=1)}
    reader = Reader(page, overlap_s=2)
    now = 4
    for step, (which, same_second) in enumerate(edits):
        reader.step(table)
        now += 0 if same_second else 1
        identity = which % len(seconds) + 1
        table[identity] = an_object(identity, now, f"Edit {step}")

    # An edit in the second that was being read by id is told in the next round, which begins
    # before that second.
    reader.finish(table)
    reader.finish(table)

    last = dict(reader.told)
    assert last == {identity: one["name"] for identity, one in table.items()}


def test_two_states_of_one_second_are_two_events() -> None:
    ids = {event_id(a_row(1, 0, "Before")), event_id(a_row(1, 0, "After"))}

    assert len(ids) == 2


def test_the_same_state_has_the_same_event_id_in_every_zone_and_writing() -> None:
    one = {"id": 1, "display-name": "K", "updated-at": "2026-03-01T09:00:00+01:00"}
    other = {"id": 1, "display_name": "K", "updated_at": "2026-03-01T00:00:00-08:00"}

    ids = {event_id(row_of(msgspec.json.encode(value))) for value in (one, other)}

    assert len(ids) == 1


def test_nothing_before_the_floor_is_asked_for() -> None:
    place = Place(START, floor=START)

    _, after, more = moved(place, [a_row(1, 5)], 50, timedelta(seconds=60))

    assert (after.since, more) == (START, False)
    assert after.known == {1: Known.of(a_row(1, 5))}


def test_a_time_is_asked_for_with_its_offset() -> None:
    query = query_of(Place(START), 50)

    assert query["updated_at[gt_or_eq]"] == "2026-03-01T08:00:00+00:00"


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2}', '{"place": {}}', "null"])
def test_a_cursor_of_another_make_is_not_read(text: str) -> None:
    with pytest.raises(CursorUnreadable):
        decode_cursor(text)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"id": 1},
        {"id": "x", "updated-at": "2026-03-01T09:00:00Z"},
        {"id": 1, "updated-at": "soon"},
        [],
        None,
    ],
)
def test_an_object_without_id_or_time_is_no_fact(value: object) -> None:
    with pytest.raises(Transient):
        row_of(msgspec.json.encode(value))
