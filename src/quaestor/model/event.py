"""Events: facts that reach a document from outside or from another document."""

from __future__ import annotations

from datetime import datetime

import msgspec

from quaestor.model.approval import ApprovalEvidence

__all__ = ["Cancel", "Changed", "Decided", "Dismiss", "Event", "Retry", "Woken", "event_name"]


class _Happened(msgspec.Struct, frozen=True):
    """`event_id` is the sender's own id, unique per source; `by` a person or a system."""

    event_id: str
    at: datetime
    by: str


class Cancel(_Happened, frozen=True, tag="cancel"):
    """Somebody wants this document no more."""

    reason: str = ""


class Changed(_Happened, frozen=True, tag="changed"):
    """A later version arrived; it is stored beside the document until a stage adopts it."""

    version: int = 0
    content_hash: str = ""


class Decided(_Happened, frozen=True, tag="decided"):
    """A platform or a person decided the approval request of this name.

    A platform that knows no names of ours gives the number that the request has there in
    `reference`. A decision with neither counts for whatever request is open.
    """

    request: str = ""
    evidence: ApprovalEvidence | None = None
    reference: str = ""


class Dismiss(_Happened, frozen=True, tag="dismiss"):
    """It was dealt with elsewhere: nothing of it is to be sent, neither now nor later."""

    reason: str = ""


class Retry(_Happened, frozen=True, tag="retry"):
    """A person wants a parked document tried again."""


class Woken(_Happened, frozen=True, tag="woken"):
    """A related document says that something changed there."""

    document: int = 0


Event = Cancel | Changed | Decided | Dismiss | Retry | Woken


def event_name(event: Event) -> str:
    """The name that `Await.events` uses: the type's own."""
    return type(event).__name__
