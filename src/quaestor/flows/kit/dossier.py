"""The dossier: everything a stage may know. Values only; no stage reads anything else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from quaestor.connectors.kit.contract import Applied, Rejected
from quaestor.flows.kit.effects import BudgetLine
from quaestor.model.event import Event
from quaestor.model.refusal import Refusal

__all__ = [
    "Answered",
    "ApprovalRequested",
    "Committed",
    "Consumed",
    "Document",
    "Dossier",
    "Refused",
    "Released",
    "Relieved",
    "Reserved",
    "Result",
    "SendView",
    "Withdrawn",
]


class Reserved(msgspec.Struct, frozen=True, tag="reserved"):
    """The budget holds these lines for the document; `as_of` is when it was decided."""

    lines: tuple[BudgetLine, ...]
    as_of: datetime


class Committed(msgspec.Struct, frozen=True, tag="committed"):
    """The budget carries these lines as an encumbrance."""

    lines: tuple[BudgetLine, ...]
    as_of: datetime


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """An effect was refused, by name; nothing of it took place."""

    refusal: Refusal


class Released(msgspec.Struct, frozen=True, tag="released"):
    """What was still reserved is free again; empty when nothing was."""

    lines: tuple[BudgetLine, ...] = ()


class Relieved(msgspec.Struct, frozen=True, tag="relieved"):
    """The encumbrance was lowered by these lines."""

    lines: tuple[BudgetLine, ...] = ()


class Consumed(msgspec.Struct, frozen=True, tag="consumed"):
    """Actuals were booked."""

    actuals: tuple[BudgetLine, ...] = ()


class Withdrawn(msgspec.Struct, frozen=True, tag="withdrawn"):
    """A withdrawn send will never be sent again; `left` is the document it left there, if any."""

    left: Applied | None


class Answered(msgspec.Struct, frozen=True, tag="answered"):
    """A system's answer to an inquiry, true at `as_of`."""

    value: Mapping[str, str]
    as_of: datetime


class ApprovalRequested(msgspec.Struct, frozen=True, tag="approval_requested"):
    """The request stands; `Decided` events name it."""

    request: str


Result = (
    Reserved
    | Committed
    | Refused
    | Released
    | Relieved
    | Consumed
    | Withdrawn
    | Answered
    | ApprovalRequested
    | Applied
    | Rejected
)


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

    def read(self, kind: type) -> Any:
        """What was declared under `reads`; a `KeyError` for what was not declared."""
        return self.reads[kind]
