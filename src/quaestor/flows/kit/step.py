"""A step: the effects a stage asks for, and what comes next."""

from __future__ import annotations

from datetime import datetime

import msgspec

from quaestor.flows.kit.effects import Effect
from quaestor.model.refusal import Owner, Refusal

__all__ = ["Await", "Done", "Next", "Park", "Step"]


class Await(msgspec.Struct, frozen=True, tag="await"):
    """Sleep until one of these events has come, or the time is over.

    `events` are event type names (`"Decided"`); `then` is the stage that runs when one came,
    `on_timeout` the stage that runs at `until`. Time alone never approves (A16): a timeout stage
    escalates, parks or ends, it does not go on as if somebody had answered.
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
    """The end. `outcome` in finance words: ordered, cancelled, rejected."""

    outcome: str


Next = str | Await | Park | Done


class Step(msgspec.Struct, frozen=True):
    """What a stage decided. At most one `Send`: sends of one document never overtake each other.

    After a step with a `Send`, the stage named by `next` runs once the send is resolved.
    """

    do: tuple[Effect, ...]
    next: Next
