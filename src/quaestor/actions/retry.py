"""Retry: a parked document is tried again, after its owner has put right what was in the way."""

from __future__ import annotations

from quaestor.actions.asking import Asked, ask
from quaestor.actions.finding import DocumentRef
from quaestor.model.event import Retry
from quaestor.store import Connection

__all__ = ["NothingParked", "retry"]


class NothingParked(Exception):
    """The document is not parked: there is nothing to retry."""


async def retry(
    connection: Connection, document: DocumentRef, *, by: str, request_id: str
) -> Asked:
    """Ask for another try, in the caller's transaction. Raises `NothingParked`.

    `by` is a person of the directory, `request_id` the asker's own: the same one asks once.
    """
    if document.parked_code is None:
        raise NothingParked(document.number)
    return await ask(
        connection, document, "retry", lambda event_id, at: Retry(event_id, at, by), request_id
    )
