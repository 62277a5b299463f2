"""A case: one claimed document in memory, with what the running transaction decides about it.

A case lives from the claim until its lease is given back. The fence guarantees that nobody else
changes its work row meanwhile, so the outcome of a send is decided on the case as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from operator import attrgetter
from typing import Any, Literal

import msgspec

from quaestor.audit.payload import Retention
from quaestor.flows.kit.dossier import Document, Dossier, Result, SendView, request_of
from quaestor.flows.kit.effects import (
    Adjust,
    Commit,
    Consume,
    Release,
    Relieve,
    RequestApproval,
    Reserve,
    Start,
    Wake,
)
from quaestor.flows.kit.flow import Flow
from quaestor.model.event import Decided, Event
from quaestor.model.refusal import Refusal
from quaestor.runtime.inquiring import AskNow
from quaestor.runtime.posting import Intent, LookNow, SendNow, standing
from quaestor.runtime.state import Asking, SentIntent, WorkState

__all__ = [
    "Arrived",
    "BudgetEffect",
    "Case",
    "ClosedRequest",
    "IntentRow",
    "Note",
    "fresh_decisions",
]

BudgetEffect = Reserve | Adjust | Commit | Relieve | Release | Consume


class Arrived(msgspec.Struct, frozen=True):
    """An event in the inbox that no step has consumed yet."""

    inbox_id: int
    event: Event


class ClosedRequest(msgspec.Struct, frozen=True):
    """An approval request of this name is open no more."""

    name: str
    state: Literal["decided", "withdrawn"]


class Note(msgspec.Struct, frozen=True):
    """One transition, as the audit trail will state it; `kept_as` is why its payloads are kept."""

    effect: str
    outcome: str
    stage_before: str
    stage_after: str
    name: str = ""
    system: str = ""
    external_id: str = ""
    actor: str = ""
    to: str = ""
    attempt: int = 0
    refusal: Refusal | None = None
    details: Mapping[str, str] = {}
    payloads: tuple[bytes, ...] = ()
    kept_as: Retention = Retention.WIRE


@dataclass(slots=True)
class IntentRow:
    """A stored intent: the core that decides, and the bytes that are sent.

    `is_rewritten` says that the bytes of a row that `is_changed` are other ones as well.
    """

    core: Intent
    name: str
    system: str
    action: str
    generation: int
    lane: str
    command: bytes
    payload: bytes
    created_at: datetime
    number: str | None = None
    reconcile_at: datetime | None = None
    is_new: bool = False
    is_changed: bool = False
    is_rewritten: bool = False


@dataclass(slots=True)
class Case:
    """See the module. Everything below `budget` belongs to the transaction in progress."""

    document: Document
    flow: Flow
    release: str
    stage: str
    state: WorkState
    lane: str
    lane_since: datetime | None
    fence: int
    woken: int
    changed_at: datetime
    was_due: datetime | None = None
    events: list[Arrived] = field(default_factory=list)
    intents: dict[str, IntentRow] = field(default_factory=dict)
    later: Document | None = None
    lease_ends_monotonic: float = 0.0

    budget: list[BudgetEffect] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    consumed: list[int] = field(default_factory=list)
    children: list[Start] = field(default_factory=list)
    wakes: list[Wake] = field(default_factory=list)
    approvals: list[RequestApproval | ClosedRequest] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    adopted: bool = False
    move: SendNow | LookNow | AskNow | None = None
    due_at: datetime | None = None
    outcome: str | None = None

    def dossier(self, now: datetime, reads: Mapping[type, Any]) -> Dossier:
        """What a stage or `interrupted` is given."""
        return Dossier(
            document=self.document,
            stage=self.stage,
            now=now,
            results=self.state.results,
            events=tuple(arrived.event for arrived in self.events),
            sends={name: self._view(name, sent) for name, sent in self.state.sends.items()},
            later=self.later,
            reads=reads,
        )

    def _view(self, name: str, sent: SentIntent) -> SendView:
        state = standing(self.intents[name].core)
        return SendView(name, sent.key, sent.system, sent.action, sent.generation, state)

    def copy(self) -> Case:
        """A case to decide on, with nothing decided yet; this one stays as it is."""
        made = Case(*_fields_of_case(self))
        made.events = [*self.events]
        made.intents = {name: IntentRow(*_fields_of_row(row)) for name, row in self.intents.items()}
        fresh_decisions(made)
        return made

    def snapshot(self) -> tuple[Any, ...]:
        """What `restore` needs to undo the effects of a step that could not be taken whole."""
        lists: tuple[list[Any], ...] = (
            self.budget,
            self.notes,
            self.children,
            self.wakes,
            self.approvals,
        )
        held = (self.stage, self.state, dict(self.intents), self.outcome, self.document, self.later)
        return *held, self.adopted, [*self.passed], lists, [*map(len, lists)]

    def restore(self, snapshot: tuple[Any, ...]) -> None:
        """Back to the snapshot, once."""
        self.stage, self.state, self.intents, self.outcome, self.document = snapshot[:5]
        self.later, self.adopted, self.passed, lists, lengths = snapshot[5:]
        for each, length in zip(lists, lengths, strict=True):
            del each[length:]

    def keep(self, **changes: Any) -> None:
        """Replace fields of the persistent state."""
        self.state = msgspec.structs.replace(self.state, **changes)

    def keep_result(self, name: str, result: Result) -> None:
        """The newest result of this effect name."""
        self.keep(results={**self.state.results, name: result})

    def keep_asking(self, name: str, asking: Asking | None) -> None:
        """The question of this effect name as it waits; `None` once it waits no more."""
        others = {each: one for each, one in self.state.asking.items() if each != name}
        self.keep(asking=others if asking is None else {name: asking, **others})

    def consume(self, taken: list[Arrived]) -> None:
        """Mark events as used up by a step."""
        self.consumed.extend(arrived.inbox_id for arrived in taken)
        for arrived in taken:
            if isinstance(arrived.event, Decided):
                request = request_of(arrived.event, self.state.results)
                self.approvals.append(ClosedRequest(request or "", "decided"))
        self.events = [arrived for arrived in self.events if arrived not in taken]

    def note(
        self,
        effect: str,
        outcome: str,
        *,
        before: str | None = None,
        **more: Any,
    ) -> None:
        """Remember a transition for the audit trail; the stage after is the case's own.

        Stages that were passed and are in no entry yet are told by this one: without `before` it
        is the last of them whose step led here.
        """
        passed, self.passed = self.passed, []
        if before is None:
            before = passed.pop() if passed else self.stage
        if passed:
            more["details"] = {**more.get("details", {}), "by_way_of": " ".join(passed)}
        self.notes.append(Note(effect, outcome, before, self.stage, **more))

    @property
    def sending_row(self) -> IntentRow | None:
        """The intent that must be resolved before the next stage runs."""
        return self.intents[self.state.sending] if self.state.sending else None


# Each answer needs copies; these are made for a fraction of what `dataclasses.replace` takes.
_fields_of_case = attrgetter(*(each.name for each in fields(Case)))
_fields_of_row = attrgetter(*(each.name for each in fields(IntentRow)))


def fresh_decisions(case: Case) -> None:
    """Forget what an earlier transaction decided, once it is committed."""
    for row in case.intents.values():
        row.is_new = row.is_changed = row.is_rewritten = False
    case.budget, case.notes, case.consumed = [], [], []
    case.children, case.wakes, case.approvals = [], [], []
    case.passed = []
    case.adopted = False
    case.move, case.due_at = None, None
