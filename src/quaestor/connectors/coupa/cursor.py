"""Where we stand in a stream of Coupa's, and the arithmetic of moving on. Pure.

Changes are read by `updated_at` in ascending order, from a time on and including it, so that an
object which changes while we read only moves towards the end. Several objects can share one
second: when a whole page does, that second is read by `id` instead (`tie`). At the end we step
back by the overlap, since what was written earlier may become visible later; what was delivered
from there on is remembered in `known`, and comes only once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from quaestor.connectors.coupa.client import Row

__all__ = [
    "BEGINNING",
    "Cursor",
    "CursorUnreadable",
    "Known",
    "Place",
    "decode_cursor",
    "event_id",
    "moved",
    "query_of",
]

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
# What is beyond is delivered again, with the same event id.
KNOWN_MAX = 1000


class Known(msgspec.Struct, frozen=True, array_like=True):
    """One state of an object that was delivered, or that our own mark made."""

    at: datetime
    digest: str

    @staticmethod
    def of(row: Row) -> Known:
        return Known(row.updated_at, row.digest)


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place in the changes. With `past` what happened at `since` itself is left behind; with
    `tie` only that second is read, from this id on. `known` has the last state by id. Nothing
    before `floor` is ever asked for.
    """

    since: datetime
    floor: datetime = BEGINNING
    past: bool = False
    tie: int | None = None
    known: Mapping[int, Known] = {}


class Cursor(msgspec.Struct, frozen=True, omit_defaults=True):
    """`marks` are the objects that the last page delivered and that are not marked as exported
    yet, each with a digest of what was delivered. `place` is `None` before the first answer.
    """

    place: Place | None = None
    marks: Mapping[int, str] = {}
    format: int = 1


class CursorUnreadable(Exception):
    """The cursor was not made by this connector."""


def decode_cursor(after: str | None) -> Cursor:
    """The cursor in this text. Raises `CursorUnreadable`."""
    if after is None:
        return Cursor()
    try:
        cursor = msgspec.json.decode(after, type=Cursor)
    except msgspec.DecodeError:
        raise CursorUnreadable from None
    if cursor.format != 1:
        raise CursorUnreadable
    return cursor


def event_id(row: Row) -> str:
    """The same for the same state of the object, whichever way and zone it came in."""
    return f"{row.id}@{row.updated_at:%Y-%m-%dT%H:%M:%SZ}-{row.digest}"


def query_of(place: Place, page: int) -> dict[str, str]:
    """The query that reads on from a place."""
    since = _text(place.since)
    if place.tie is not None:
        return {
            "updated_at": since,
            "id[gt]": str(place.tie),
            "order_by": "id",
            "dir": "asc",
            "limit": str(page),
        }
    operator = "gt" if place.past else "gt_or_eq"
    return {
        f"updated_at[{operator}]": since,
        "order_by": "updated_at",
        "dir": "asc",
        "limit": str(page),
    }


def moved(
    place: Place, rows: Sequence[Row], page: int, overlap: timedelta
) -> tuple[list[Row], Place, bool]:
    """What of a page is new, the place after it, and whether more is waiting."""
    if place.tie is not None:
        return _moved_in_tie(place, rows, page, overlap)
    if not rows and not place.past:
        return [], place, False
    fresh = [row for row in rows if not _is_known(place, row)]
    last = max((row.updated_at for row in rows), default=place.since)
    if len(rows) < page:
        start = max(place.floor, last - overlap)
        return fresh, _at(place, start, _remembered(place.known, rows, start)), False
    if all(row.updated_at == last for row in rows):
        # Nothing is delivered from here: the same second is read again, by id.
        return [], msgspec.structs.replace(place, since=last, past=False, tie=0), True
    return fresh, _at(place, last, _remembered(place.known, rows, last - overlap)), True


def _moved_in_tie(
    place: Place, rows: Sequence[Row], page: int, overlap: timedelta
) -> tuple[list[Row], Place, bool]:
    fresh = [row for row in rows if not _is_known(place, row)]
    known = _remembered(place.known, rows, place.since - overlap)
    if len(rows) < page:
        return fresh, msgspec.structs.replace(place, past=True, tie=None, known=known), True
    last = max(row.id for row in rows)
    return fresh, msgspec.structs.replace(place, tie=last, known=known), True


def _is_known(place: Place, row: Row) -> bool:
    """Whether we told this state last, whatever its time: a mark or a report of ours, or a change
    of what we do not ask for, moves the time alone."""
    known = place.known.get(row.id)
    return known is not None and known.digest == row.digest


def _at(place: Place, since: datetime, known: Mapping[int, Known]) -> Place:
    return Place(since, floor=place.floor, known=known)


def _remembered(
    known: Mapping[int, Known], rows: Iterable[Row], since: datetime
) -> dict[int, Known]:
    every = {**known, **{row.id: Known.of(row) for row in rows}}
    late = [(one.at, identity) for identity, one in every.items() if one.at >= since]
    return {identity: every[identity] for _, identity in sorted(late)[-KNOWN_MAX:]}


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
