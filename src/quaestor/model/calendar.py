"""Calendar: fiscal years and periods of an entity, and the days nobody works."""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

__all__ = ["Calendar", "Period"]


class Period(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fiscal period with its first and last day, both inclusive."""

    year: int
    number: int
    first: date
    last: date


class Calendar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fiscal year begins on the first of `first_month` and is named by the calendar year of
    its start or its end. `periods`, where given, win over the months: a 4-4-5 calendar lists
    them.
    """

    id: str
    first_month: int = 1
    named_by: Literal["start", "end"] = "end"
    periods: tuple[Period, ...] = ()
    holidays: tuple[date, ...] = ()

    def period_on(self, day: date) -> Period | None:
        """The period of that day; `None` where periods are listed and none holds the day."""
        if self.periods:
            return next((one for one in self.periods if one.first <= day <= one.last), None)
        number = (day.month - self.first_month) % 12 + 1
        first = day.replace(day=1)
        after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
        return Period(self._year(day), number, first, date.fromordinal(after.toordinal() - 1))

    def fiscal_year(self, day: date) -> int | None:
        """The fiscal year's name, as `period_on`."""
        if not self.periods:
            return self._year(day)
        period = self.period_on(day)
        return None if period is None else period.year

    def _year(self, day: date) -> int:
        started = day.year if day.month >= self.first_month else day.year - 1
        crosses = self.first_month != 1 and self.named_by == "end"
        return started + 1 if crosses else started
