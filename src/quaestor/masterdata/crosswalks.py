"""Crosswalk rows that contradict each other, found before they are used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date

import msgspec

from quaestor.model.crosswalk import CrosswalkRow, Crosswalks, Missing

__all__ = ["Crosswalks", "CrosswalkRow", "Missing", "Overlap", "overlaps"]


class Overlap(msgspec.Struct, frozen=True):
    """Two rows give one of our codes two of theirs on the same days."""

    first: CrosswalkRow
    second: CrosswalkRow

    def __str__(self) -> str:
        return (
            f"{self.first.kind} {self.first.our_code!r} has two codes in {self.first.system!r} "
            f"on the same days: {_told(self.first)}, and {_told(self.second)}"
        )


def overlaps(rows: Iterable[CrosswalkRow]) -> tuple[Overlap, ...]:
    """Every pair of neighbouring rows of one of our codes whose days meet, ordered by code.

    The same row twice is an overlap too: the second changes nothing, and nobody meant it.
    Several of our codes may share one of theirs; only the way back is then ambiguous.
    """
    by_code: dict[tuple[str, str, str], list[CrosswalkRow]] = defaultdict(list)
    for row in rows:
        by_code[row.system, row.kind, row.our_code].append(row)
    found = []
    for _, same in sorted(by_code.items()):
        latest: CrosswalkRow | None = None
        for row in sorted(same, key=_first_day):
            if latest is not None and _first_day(row) <= _last_day(latest):
                found.append(Overlap(latest, row))
            if latest is None or _last_day(row) > _last_day(latest):
                latest = row
    return tuple(found)


def _first_day(row: CrosswalkRow) -> date:
    return row.valid_from or date.min


def _last_day(row: CrosswalkRow) -> date:
    return row.valid_to or date.max


def _told(row: CrosswalkRow) -> str:
    begin = "the beginning" if row.valid_from is None else row.valid_from.isoformat()
    end = "further notice" if row.valid_to is None else row.valid_to.isoformat()
    where = f" ({row.origin})" if row.origin else ""
    return f"{row.their_code!r} from {begin} until {end}{where}"
