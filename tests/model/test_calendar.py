"""A fiscal year is the entity's own, whatever the calendar on the wall says."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from quaestor.model.calendar import Calendar, Period
from quaestor.model.entity import LedgerFrom
from tests.support.builders import an_entity

YEARS = [
    (Calendar("c"), date(2026, 1, 1), 2026, 1, date(2026, 1, 1), date(2026, 1, 31)),
    (Calendar("c"), date(2026, 12, 31), 2026, 12, date(2026, 12, 1), date(2026, 12, 31)),
    (Calendar("c", 4), date(2026, 3, 31), 2026, 12, date(2026, 3, 1), date(2026, 3, 31)),
    (Calendar("c", 4), date(2026, 4, 1), 2027, 1, date(2026, 4, 1), date(2026, 4, 30)),
    (Calendar("c", 4, "start"), date(2026, 3, 31), 2025, 12, date(2026, 3, 1), date(2026, 3, 31)),
    (Calendar("c", 4, "start"), date(2026, 4, 1), 2026, 1, date(2026, 4, 1), date(2026, 4, 30)),
    (Calendar("c"), date(2028, 2, 29), 2028, 2, date(2028, 2, 1), date(2028, 2, 29)),
]


@pytest.mark.parametrize(("calendar", "day", "year", "number", "first", "last"), YEARS)
def test_a_day_falls_into_the_period_of_its_fiscal_year(
    calendar: Calendar, day: date, year: int, number: int, first: date, last: date
) -> None:
    period = calendar.period_on(day)

    assert period == Period(year, number, first, last)


def test_listed_periods_win_over_months() -> None:
    january = Period(2026, 1, date(2025, 12, 29), date(2026, 1, 25))
    calendar = Calendar("4-4-5", periods=(january,))

    found = [calendar.period_on(day) for day in (date(2025, 12, 31), date(2026, 1, 26))]

    assert found == [january, None]


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Pacific/Kiritimati", date(2026, 1, 1)),
        ("Europe/Berlin", date(2025, 12, 31)),
        ("Pacific/Pago_Pago", date(2025, 12, 30)),
    ],
)
def test_the_date_of_a_document_is_the_date_where_its_entity_is(zone: str, day: date) -> None:
    entity = an_entity(time_zone=zone)

    local = entity.local_date(datetime(2025, 12, 31, 10, 30, tzinfo=UTC))

    assert local == day


def test_the_offset_in_which_an_instant_is_written_does_not_matter() -> None:
    entity = an_entity(time_zone="Europe/Berlin")
    written = datetime(2026, 1, 1, 4, 0, tzinfo=timezone(timedelta(hours=9)))

    local = entity.local_date(written)

    assert local == date(2025, 12, 31)


def test_an_entity_that_changed_its_ledger_has_each_in_its_time() -> None:
    entity = an_entity(
        ledgers=[LedgerFrom("sap", date(2026, 7, 1)), LedgerFrom("old", date(2019, 1, 1))]
    )

    ledgers = [
        entity.ledger_on(day)
        for day in (date(2018, 12, 31), date(2019, 1, 1), date(2026, 6, 30), date(2026, 7, 1))
    ]

    assert ledgers == [None, "old", "old", "sap"]
