"""A step: the effects a stage asks for, and what comes next."""

from __future__ import annotations

from datetime import datetime

import msgspec

from quaestor.flows.kit.effects import Effect, Send
from quaestor.model.event import Event
from quaestor.model.refusal import Owner, Refusal

__all__ = ["Await", "Done", "Next", "Park", "Stay", "Step"]


class Await(msgspec.Struct, frozen=True, tag="await"):
    """Sleep until one of these events has come, or the time is over.

    `events` are event type names (`"Decided"`); `then` is the stage that runs when one came and
    is unconsumed, `on_timeout` the stage that runs at `until`. An event wins over the time. Time
    alone never approves (A16): a timeout stage escalates, parks or ends, it does not go on as if
    somebody had answered.
    """

    events: tuple[str, ...]
    then: str
    until: datetime | None = None
    on_timeout: str | None = None


class Park(msgspec.Struct, frozen=True, tag="park"):
    """A named exception that a person owns. `ways_out` are the actions offered to him.

    A retry runs `resume`, which is the stage that parked unless it says otherwise.
    """

    owner: Owner
    refusal: Refusal
    ways_out: tuple[str, ...] = ("retry", "cancel")
    resume: str | None = None


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The end. `outcome` in finance words: ordered, cancelled, rejected.

    The stage stays the one that said so. An event that comes later is still put before
    `interrupted`; a step from it takes the document up again (a cancellation of what is ordered).
    """

    outcome: str


class Stay(msgspec.Struct, frozen=True, tag="stay"):
    """Only from `interrupted`: the event is dealt with, and the document stays as it stands.

    A sleeper sleeps on until the same time, what is parked stays parked, what is done stays done.
    """


Next = str | Await | Park | Done | Stay


class Step(msgspec.Struct, frozen=True):
    """What a stage decided. At most one `Send`: sends of one document never overtake each other.

    After a step with a `Send` or `Withdraw`, the stage named by `next` runs once the send is
    resolved. `consumes` are events of the dossier that are dealt with by this step; a step from
    `interrupted` consumes the event it was asked about besides.
    """

    do: tuple[Effect, ...]
    next: Next
    consumes: tuple[Event, ...] = ()

    def __post_init__(self) -> None:
        if len(self.do) > 1 and sum(isinstance(effect, Send) for effect in self.do) > 1:
            raise ValueError("a step has at most one Send")
