"""Dismiss: what was held while a system was observed is let go of, since it was done elsewhere."""

from __future__ import annotations

from quaestor.actions.asking import Asked, ask
from quaestor.actions.finding import DocumentRef
from quaestor.model.event import Dismiss
from quaestor.runtime.observing import HELD
from quaestor.store import Connection

__all__ = ["NotHeld", "dismiss"]


class NotHeld(Exception):
    """The document is not held by an observation: cancel it, or retry it."""


async def dismiss(
    connection: Connection, document: DocumentRef, *, by: str, reason: str = "", request_id: str
) -> Asked:
    """Ask for it, in the caller's transaction; a worker carries it out. Raises `NotHeld`.

    `by` is a person of the directory, `request_id` the asker's own: the same one asks once.
    """
    if document.parked_code != HELD:
        raise NotHeld(document.number)
    return await ask(
        connection,
        document,
        "dismiss",
        lambda event_id, at: Dismiss(event_id, at, by, reason=reason),
        request_id,
    )
