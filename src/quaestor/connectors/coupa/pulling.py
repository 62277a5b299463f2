"""The streams: new requisitions from a moving set, and changes of everything by time.

Requisitions that are approved and not marked as exported are the set. Paging it by offset would
skip some as soon as one leaves it, so its first page is read again and again: asking with a cursor
marks what that page delivered, which takes it out of the set. When the set is empty, changes of
what was exported before are read by `updated_at`. Coupa's flag is not reset by an edit there, so
the change of an exported requisition is seen by its time alone.

In mode `observe` nothing is marked, so the set cannot be read to its end that way: what is in it is
read by `updated_at` as well, from its oldest to its newest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from quaestor.connectors.coupa.asked import FIELDS, PATHS
from quaestor.connectors.coupa.client import CoupaClient, Listed, Refused, Row
from quaestor.connectors.coupa.config import CoupaConfig
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
from quaestor.connectors.coupa.manifest import REQUISITIONS
from quaestor.connectors.kit.contract import Delivered, Page, Permanent, Transient
from quaestor.model.refusal import refuse

__all__ = ["Pulling"]

KINDS = {"requisitions": "requisition", "suppliers": "supplier", "users": "user"}
# Marks are requests of their own; so many are under way at a time.
MARKS_AT_A_TIME = 5
_NOT_FOUND = 404


class Pulling:
    """Reads the streams of one installation. Keeps nothing: all it knows stands in the cursor."""

    def __init__(self, config: CoupaConfig, client: CoupaClient) -> None:
        self._config = config
        self._client = client
        self._overlap = timedelta(seconds=config.pulls.overlap_s)

    async def pull(self, stream: str, after: str | None) -> Page:
        """The next page. Raises `Transient` or `Permanent`."""
        if stream not in FIELDS:
            raise Permanent(f"there is no stream {stream}", self._refusal("cursor_unreadable"))
        try:
            cursor = decode_cursor(after)
        except CursorUnreadable:
            raise Permanent(
                "the cursor is not this connector's", self._refusal("cursor_unreadable")
            ) from None
        if stream == REQUISITIONS:
            return await self._requisitions(cursor)
        return await self._changes(stream, cursor, {})

    # --- requisitions ---------------------------------------------------------------------------

    async def _requisitions(self, cursor: Cursor) -> Page:
        statuses = self._config.pulls.statuses
        wanted = (
            {"status": statuses[0]} if len(statuses) == 1 else {"status[in]": ",".join(statuses)}
        )
        new = {"exported": "false", **wanted}
        if self._config.mode == "observe":
            return await self._changes(REQUISITIONS, Cursor(cursor.place), new)
        cursor = await self._acknowledged(cursor)
        query = {
            **new,
            "order_by": "id",
            "dir": "asc",
            "limit": str(self._config.pulls.page),
        }
        listed = await self._listed(REQUISITIONS, query)
        place = cursor.place or _begun(listed)
        if listed.rows:
            self._refuse_standstill(listed.rows, place)
            marks = {row.id: row.digest for row in listed.rows}
            return _page(REQUISITIONS, listed.rows, Cursor(place, marks), more=True)
        return await self._changes(REQUISITIONS, Cursor(place), {"exported": "true"})

    async def _acknowledged(self, cursor: Cursor) -> Cursor:
        """Mark what the last page delivered; a mark that meets a newer state is left to the
        changes, which bring that state."""
        if cursor.place is None:
            return cursor
        known = dict(cursor.place.known)
        ids = list(cursor.marks)
        for start in range(0, len(ids), MARKS_AT_A_TIME):
            some = ids[start : start + MARKS_AT_A_TIME]
            marked = await asyncio.gather(
                *(self._marked(identity) for identity in some), return_exceptions=True
            )
            for identity, row in zip(some, marked, strict=True):
                if isinstance(row, BaseException):
                    raise row
                if row is not None and row.digest == cursor.marks[identity]:
                    # Its time moved with our own mark, and nothing else did.
                    known[identity] = Known.of(row)
        return Cursor(replace(cursor.place, known=known))

    async def _marked(self, identity: int) -> Row | None:
        path = f"{PATHS[REQUISITIONS]}/{identity}"
        row = await self._client.mark_exported(path, FIELDS[REQUISITIONS])
        if isinstance(row, Refused):
            if row.status == _NOT_FOUND:
                return None
            raise row.permanent(self._config.system)
        return row

    def _refuse_standstill(self, rows: Sequence[Row], place: Place) -> None:
        """A page of nothing but what we marked a moment ago would come for ever."""
        if all(place.known.get(row.id) == Known.of(row) for row in rows):
            raise Transient("Coupa keeps requisitions as not exported", system=False)

    # --- changes --------------------------------------------------------------------------------

    async def _changes(self, stream: str, cursor: Cursor, where: Mapping[str, str]) -> Page:
        place = cursor.place or Place(BEGINNING)
        page = self._config.pulls.page
        listed = await self._listed(stream, {**where, **query_of(place, page)})
        rows, place, more = moved(place, listed.rows, page, self._overlap)
        return _page(stream, rows, Cursor(place), more=more)

    async def _listed(self, stream: str, query: Mapping[str, str]) -> Listed:
        listed = await self._client.listed(PATHS[stream], query, FIELDS[stream])
        if isinstance(listed, Refused):
            raise listed.permanent(self._config.system)
        return listed

    def _refusal(self, code: str) -> Any:
        return refuse(code, system=self._config.system)


def _begun(listed: Listed) -> Place:
    """Changes count from the first answer on: what was exported before is not ours to tell."""
    if listed.answered_at is None:
        raise Transient("the answer has no Date, so there is no beginning", system=False)
    return Place(listed.answered_at, floor=listed.answered_at)


def _page(stream: str, rows: Sequence[Row], cursor: Cursor, *, more: bool) -> Page:
    items = tuple(_delivered(stream, row) for row in rows)
    return Page(items, msgspec.json.encode(cursor).decode(), more)


def _delivered(stream: str, row: Row) -> Delivered:
    kind = KINDS.get(stream, "account")
    return Delivered(event_id(row), kind, str(row.id), row.updated_at, row.body)
