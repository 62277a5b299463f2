"""Two codes for one of ours on one day are found before anything is posted with either."""

from __future__ import annotations

from datetime import date

import pytest

from quaestor.masterdata.crosswalks import overlaps
from quaestor.model.crosswalk import CrosswalkRow


def row(their_code: str, first: date | None, last: date | None, line: int) -> CrosswalkRow:
    return CrosswalkRow("sap", "tax_code", "vat", their_code, first, last, f"sap.csv:{line}")


JUNE, JULY = date(2026, 6, 30), date(2026, 7, 1)

MEETING = [
    ([row("V1", None, None, 2), row("V2", None, None, 3)], 1),
    ([row("V1", None, JULY, 2), row("V2", JULY, None, 3)], 1),
    ([row("V1", JULY, None, 2), row("V2", None, JULY, 3)], 1),
    ([row("V1", None, None, 2), row("V1", None, None, 3)], 1),
    ([row("V1", None, None, 2), row("V2", JUNE, JUNE, 3), row("V3", JULY, JULY, 4)], 2),
]


@pytest.mark.parametrize(("rows", "count"), MEETING)
def test_rows_whose_days_meet_are_found(rows: list[CrosswalkRow], count: int) -> None:
    found = overlaps(rows)

    assert len(found) == count


def test_rows_that_follow_each_other_do_not_overlap() -> None:
    rows = [row("V1", None, JUNE, 2), row("V2", JULY, None, 3)]

    found = overlaps(rows)

    assert found == ()


def test_the_same_code_elsewhere_is_another_code() -> None:
    rows = [
        CrosswalkRow("sap", "tax_code", "vat", "V1"),
        CrosswalkRow("oracle", "tax_code", "vat", "X1"),
        CrosswalkRow("sap", "gl_account", "vat", "154000"),
    ]

    found = overlaps(rows)

    assert found == ()


def test_an_overlap_names_both_rows_with_their_days_and_places() -> None:
    rows = [row("V1", None, JULY, 2), row("V2", JUNE, None, 3)]

    (found,) = overlaps(rows)

    assert str(found) == (
        "tax_code 'vat' has two codes in 'sap' on the same days: 'V1' from the beginning until "
        "2026-07-01 (sap.csv:2), and 'V2' from 2026-06-30 until further notice (sap.csv:3)"
    )
