"""The dossier: everything a stage may know. Values only; no stage reads anything else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec

from quaestor.budget.effects import (
    BudgetResult,
    Committed,
    Consumed,
    Released,
    Relieved,
    Reserved,
)
from quaestor.connectors.kit.contract import Applied, Rejected
from quaestor.model.event import Decided, Event
from quaestor.model.refusal import Refused

__all__ = [
    "Answered",
    "ApprovalRequested",
    "ApprovalWithdrawn",
    "Committed",
    "Consumed",
    "HANDED",
    "Document",
    "Dossier",
    "Refused",
    "Released",
    "Relieved",
    "Reserved",
    "Result",
    "SendView",
    "Withdrawn",
    "request_of",
]

Read = TypeVar("Read")


class Withdrawn(msgspec.Struct, frozen=True, tag="withdrawn"):
    """A withdrawn send will never be sent again; `left` is the document it left there, if any."""

    left: Applied | None


class Answered(msgspec.Struct, frozen=True, tag="answered"):
    """A system's answer to an inquiry, true at `as_of` and heard at `heard_at`."""

    value: Mapping[str, str]
    as_of: datetime
    heard_at: datetime


class ApprovalRequested(msgspec.Struct, frozen=True, tag="approval_requested"):
    """The request stands since `requested_at`; `Decided` events name it."""

    request: str
    requested_at: datetime | None = None


class ApprovalWithdrawn(msgspec.Struct, frozen=True, tag="approval_withdrawn"):
    """The request of this name was taken back; a decision on it does not count any more."""

    request: str


Result = (
    BudgetResult | Withdrawn | Answered | ApprovalRequested | ApprovalWithdrawn | Applied | Rejected
)


# The name of a send that hands an approval request over begins so; the request's name follows.
HANDED = "handed/"


def request_of(decided: Decided, results: Mapping[str, Result]) -> str | None:
    """The name of the request that was decided: empty where the decision names none, `None` where
    it is about something that was never handed over from here.
    """
    if decided.request or not decided.reference:
        return decided.request
    for name, result in results.items():
        match result:
            case Applied(number) | Withdrawn(left=Applied(number)) if name.startswith(HANDED):
                if number == decided.reference:
                    return name.removeprefix(HANDED)
    return None


class SendView(msgspec.Struct, frozen=True):
    """How a send of this document stands.

    `unsent` no byte has left; `unresolved` perhaps applied; `resolved` see the result of its name.
    """

    name: str
    key: str
    system: str
    action: str
    generation: int
    state: Literal["unsent", "unresolved", "resolved"]


class Document(msgspec.Struct, frozen=True):
    """The business document. `body` is its canonical noun; `content_hash` is hex SHA-256."""

    id: int
    type: str
    entity: str
    source_system: str
    source_id: str
    correlation_id: str
    version: int
    content_hash: str
    body: Any


class Dossier(msgspec.Struct, frozen=True):
    """What a stage is given.

    `now` is database time, aware UTC. `events` have come and nobody consumed them yet, oldest
    first. `results` hold the newest result of each effect name. `reads` hold what the stage
    declared, by the declared type. `stage` is the stage about to run; while a send is unresolved
    it is the stage that follows it. `later` is a version that has arrived and was not adopted.
    """

    document: Document
    stage: str
    now: datetime
    results: Mapping[str, Result] = {}
    events: tuple[Event, ...] = ()
    sends: Mapping[str, SendView] = {}
    later: Document | None = None
    reads: Mapping[type, Any] = {}

    def read(self, kind: type[Read]) -> Read:
        """What was declared under `reads`; a `KeyError` for what was not declared."""
        value: Read = self.reads[kind]
        return value

    @property
    def unresolved(self) -> SendView | None:
        """The send that is not resolved yet, sent or not; there is at most one."""
        return next((send for send in self.sends.values() if send.state != "resolved"), None)
