"""A trace for machines: one object for each entry of the trail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from quaestor.audit.entry import Entry
from quaestor.connectors.kit.attempt import Exchange

__all__ = ["step", "wire"]

_LEFT_OUT = frozenset({"format", "id", "entity", "correlation_id", "payloads", "content_hash"})


def step(entry: Entry, exchanges: Iterable[Exchange]) -> dict[str, Any]:
    """One step: what, when, by whom, under which versions, and what went over the wire."""
    members = msgspec.structs.asdict(entry)
    found = {name: value for name, value in members.items() if name not in _LEFT_OUT and value}
    exchanged = [wire(exchange) for exchange in exchanges]
    return {"entry": entry.id, **found, **({"wire": exchanged} if exchanged else {})}


def wire(exchange: Exchange) -> dict[str, Any]:
    """One request and its answer; secrets were masked when it was recorded."""
    return {
        "method": exchange.method,
        "target": exchange.target,
        "status": exchange.status,
        "elapsed_ms": round(exchange.elapsed_ms, 1),
        **({"broke": exchange.broke} if exchange.broke else {}),
        "request": _body(exchange.request_body),
        "response": _body(exchange.response_body),
    }


def _body(body: bytes) -> Any:
    """The JSON value of a body that is JSON, else its text."""
    try:
        return msgspec.json.decode(body) if body else None
    except msgspec.DecodeError:
        return body.decode(errors="replace")
