"""Cancel: somebody wants a document no more.

It takes effect at every stage: what was never sent is released, what is in doubt is never sent
again, and what stands in the ledger is cancelled there.
"""

from __future__ import annotations

from quaestor.actions.asking import Asked, ask
from quaestor.actions.finding import DocumentRef
from quaestor.model.event import Cancel
from quaestor.store import Connection

__all__ = ["cancel"]


async def cancel(
    connection: Connection, document: DocumentRef, *, by: str, reason: str = "", request_id: str
) -> Asked:
    """Ask for the cancellation, in the caller's transaction; a worker carries it out.

    `by` is a person of the directory, `request_id` the asker's own: the same one asks once.
    """
    return await ask(
        connection,
        document,
        "cancel",
        lambda event_id, at: Cancel(event_id, at, by, reason=reason),
        request_id,
    )
