"""The way of one purchase: where it is, what happened, what comes next, and whether it is whole."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from quaestor.audit.exchange import WireExchange
from quaestor.audit.telling import request_bytes
from quaestor.audit.trace import STEPS_MAX, Attachment, Trace, trace
from quaestor.console.asking import Ask, Go, Page, Refused, Reply, at_most
from quaestor.console.completeness import completeness
from quaestor.console.drawing import drawn
from quaestor.console.finding import nothing_known
from quaestor.console.reading import DocumentView, documents_of
from quaestor.console.timeline import Row, timeline
from quaestor.security.authorization import Scope
from quaestor.store import Connection

__all__ = ["STEP", "TRACE", "Exchanged", "exchanged"]

_ENTRY_MAX = 2**53


class Exchanged(msgspec.Struct, frozen=True):
    """One request on the wire. Its bodies are shown in place while the page has room for them."""

    exchange: WireExchange
    sent_bytes: int
    is_shown: bool


async def _trace(ask: Ask, connection: Connection) -> Reply | Go:
    asked = ask.path["id"]
    found = await trace(connection, asked)
    if found is None:
        return await nothing_known(connection, asked)
    documents = await documents_of(connection, found.correlation_id)
    line = timeline(found.steps)
    zone = _zone(ask, documents, found)
    per_page = ask.services.limits.steps_per_page
    first = min(at_most(ask.query.get("from"), 1), max(1, len(line.rows)))
    rows = line.rows[first - 1 : first - 1 + per_page]
    shows = {
        "trace": found,
        "documents": documents,
        "line": line,
        "rows": rows,
        "first": first,
        "last": first + len(rows) - 1,
        "previous": max(1, first - per_page) if first > 1 else None,
        "following": first + per_page if first + per_page <= len(line.rows) else None,
        "wires": exchanged(rows, ask.services.limits.wire_chars_per_page),
        "whole": completeness(found, line.doubts),
        "picture": drawn(line, zone),
        "zone": zone,
        "steps_max": STEPS_MAX,
    }
    return Reply("trace.html", shows, refreshable=True)


async def _step(ask: Ask, connection: Connection) -> Reply | Go:
    found = await trace(connection, ask.path["id"])
    entry = at_most(ask.path["entry"], _ENTRY_MAX)
    line = timeline(found.steps) if found is not None else None
    row = next((row for row in line.rows if row.step.entry == entry), None) if line else None
    if found is None or line is None or row is None:
        raise Refused(404, "not_found")
    documents = await documents_of(connection, found.correlation_id)
    shows = {
        "trace": found,
        "row": row,
        "wires": exchanged([row], None)[row.number],
        "earlier": line.rows[row.number - 2] if row.number > 1 else None,
        "later": line.rows[row.number] if row.number < len(line.rows) else None,
        "zone": _zone(ask, documents, found),
    }
    return Reply("step.html", shows)


def exchanged(rows: Sequence[Row], chars_max: int | None) -> dict[int, tuple[Exchanged, ...]]:
    """What went over the wire, by the number of the row; bodies as far as `chars_max` reaches."""
    left = chars_max
    found: dict[int, tuple[Exchanged, ...]] = {}
    for row in rows:
        made = []
        for exchange in _exchanges(row.step.wire):
            chars = len(exchange.request) + len(exchange.response) + len(exchange.target)
            is_shown = left is None or chars <= left
            if left is not None and is_shown:
                left -= chars
            made.append(Exchanged(exchange, request_bytes(exchange), is_shown))
        found[row.number] = tuple(made)
    return found


def _exchanges(wire: Sequence[Attachment]) -> list[WireExchange]:
    return [each.exchange for each in wire if each.exchange is not None]


def _zone(ask: Ask, documents: Sequence[DocumentView], found: Trace) -> str:
    entities = {view.entity for view in documents} | {step.entity for step in found.steps}
    zones = {ask.services.zones.get(entity, "UTC") for entity in entities}
    return zones.pop() if len(zones) == 1 else "UTC"


_QUERY = ("from",)
TRACE = Page("/console/trace/{id:str}", _trace, (Scope.TRACES_READ,), query=_QUERY)
STEP = Page("/console/trace/{id:str}/steps/{entry:str}", _step, (Scope.TRACES_READ,))
