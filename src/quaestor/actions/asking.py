"""Asking: what a person wants of a document goes into its inbox, once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from quaestor.actions.finding import DocumentRef
from quaestor.model.event import Event
from quaestor.runtime.receiving import tell_document
from quaestor.store import Connection

__all__ = ["Asked", "ask"]

_NOW = "select quaestor.clock()"


class Asked(msgspec.Struct, frozen=True):
    """What was asked of which document; `is_new` is false for a request that was here before."""

    document: DocumentRef
    event_id: str
    is_new: bool


async def ask(
    connection: Connection,
    document: DocumentRef,
    action: str,
    event: Callable[[str, datetime], Event],
    request_id: str,
) -> Asked:
    """Put the event into the inbox and wake the document, in the caller's transaction."""
    event_id = f"{action}:{request_id}"
    now = await connection.fetchval(_NOW)
    is_new = await tell_document(connection, document.id, "actions", event(event_id, now))
    return Asked(document, event_id, is_new)
