"""A crosswalk answers for a day, and says when it cannot."""

from __future__ import annotations

from datetime import date

import pytest

from quaestor.model.crosswalk import CrosswalkRow, Crosswalks, Missing

OLD = CrosswalkRow("sap", "cost_center", "sales", "1601", None, date(2025, 12, 31))
NEW = CrosswalkRow("sap", "cost_center", "sales", "1602", date(2026, 1, 1), None)
OTHER = CrosswalkRow("sap", "cost_center", "marketing", "1602")


@pytest.mark.parametrize(
    ("day", "code"),
    [
        (date(1999, 1, 1), "1601"),
        (date(2025, 12, 31), "1601"),
        (date(2026, 1, 1), "1602"),
        (date(2040, 1, 1), "1602"),
    ],
)
def test_a_code_is_the_one_of_its_day(day: date, code: str) -> None:
    book = Crosswalks.of([OLD, NEW])

    theirs = book.theirs("sap", "cost_center", "sales", day)

    assert theirs == code


def test_the_way_back_is_the_one_of_its_day_too() -> None:
    book = Crosswalks.of([OLD, NEW])

    ours = [
        book.ours("sap", "cost_center", "1601", day)
        for day in (date(2025, 12, 31), date(2026, 1, 1))
    ]

    assert ours[0] == "sales"
    assert isinstance(ours[1], Missing)


def test_a_missing_code_is_refused_with_all_that_is_needed_to_fill_it_in() -> None:
    book = Crosswalks.of([OLD])

    missing = book.theirs("sap", "cost_center", "legal", date(2026, 3, 1))

    assert isinstance(missing, Missing)
    assert missing.refusal().code == "crosswalk_missing"
    assert missing.refusal().details == {
        "system": "sap",
        "kind": "cost_center",
        "code": "legal",
        "on": "2026-03-01",
        "looked_for": "theirs",
    }


def test_two_of_our_codes_may_share_one_of_theirs() -> None:
    book = Crosswalks.of([NEW, OTHER])

    theirs = [
        book.theirs("sap", "cost_center", code, date(2026, 3, 1)) for code in ("sales", "marketing")
    ]

    assert theirs == ["1602", "1602"]


def test_the_way_back_from_a_shared_code_is_ambiguous_and_says_between_which() -> None:
    book = Crosswalks.of([NEW, OTHER])

    ours = book.ours("sap", "cost_center", "1602", date(2026, 3, 1))

    assert isinstance(ours, Missing)
    assert ours.refusal().code == "crosswalk_ambiguous"
    assert ours.refusal().details["candidates"] == "marketing, sales"
