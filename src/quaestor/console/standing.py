"""Where a document stands, who has it, and what comes next. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from quaestor.console.advice import next_step
from quaestor.console.wording import words
from quaestor.flows.kit.step import Park
from quaestor.model.refusal import REFUSALS

__all__ = ["Order", "Standing", "Work", "order_of", "standing"]

_UNDER_WAY = {"unknown": ("perhaps there", "doubt"), "pending": ("taken in there", "")}
_EVENTS = {"Decided": "a decision", "Cancel": "a cancellation", "Changed": "a change"}


class _Awaiting(msgspec.Struct, frozen=True):
    events: tuple[str, ...] = ()
    until: datetime | None = None
    on_timeout: str | None = None


class _Sent(msgspec.Struct, frozen=True):
    key: str = ""
    system: str = ""


class _State(msgspec.Struct, frozen=True):
    """The part of a `WorkState` that is shown; what an older release wrote is read as well."""

    sends: Mapping[str, _Sent] = {}
    sending: str | None = None
    awaiting: _Awaiting | None = None


class _Intent(msgspec.Struct, frozen=True):
    state: str = ""
    settled_at: datetime | None = None
    not_before: datetime | None = None


class _OrderTotal(msgspec.Struct, frozen=True):
    total: str = ""
    currency: str = ""
    supplier: str = ""


class _Command(msgspec.Struct, frozen=True):
    order: _OrderTotal | None = None


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """The row of a document in `work`, with the circuits that are open and its intents by key."""

    stage: str
    state: bytes
    due_at: datetime | None
    lane: str
    parked: bytes | None
    parked_at: datetime | None
    done_at: datetime | None
    outcome: str | None
    intents: Mapping[str, bytes] = {}
    troubles: Mapping[str, datetime | None] = {}


class Standing(msgspec.Struct, frozen=True):
    """`word` is the state, `tone` is `good`, `bad`, `doubt` or empty; `owner` has to act, if
    anybody. `next` happens at `due`, from now on where there is none.
    """

    word: str
    tone: str
    owner: str
    next: str
    due: datetime | None = None
    refusal: str = ""
    meaning: str = ""
    details: Mapping[str, str] = {}
    ways_out: tuple[str, ...] = ()
    since: datetime | None = None


class Order(msgspec.Struct, frozen=True):
    """An order that was made, or is being made, in a ledger."""

    system: str
    number: str
    supplier: str
    total: str
    currency: str
    word: str
    tone: str
    key: str


def standing(work: Work) -> Standing:
    """Where it stands."""
    if work.parked is not None:
        return _parked(work)
    if work.outcome is not None:
        tone = "good" if work.outcome == "ordered" else ""
        text = "Nothing more happens, unless somebody changes or cancels it."
        return Standing(words(work.outcome), tone, "", text, since=work.done_at)
    state = msgspec.json.decode(work.state, type=_State)
    if state.sending is not None:
        return _sending(work, state.sends.get(state.sending, _Sent()))
    if state.awaiting is not None:
        return _awaiting(work, state.awaiting)
    text = f"A worker takes up {words(work.stage)}."
    return Standing(f"at work: {words(work.stage)}", "", "", text, work.due_at)


def _parked(work: Work) -> Standing:
    assert work.parked is not None
    park = msgspec.json.decode(work.parked, type=Park)
    kind = REFUSALS.get(park.refusal.code)
    return Standing(
        word=f"waits for {park.owner}",
        tone="bad",
        owner=park.owner,
        next=next_step(park.refusal.code, park.owner),
        refusal=park.refusal.code,
        meaning=kind.meaning if kind else "",
        details=park.refusal.details,
        ways_out=park.ways_out,
        since=work.parked_at,
    )


def _sending(work: Work, sent: _Sent) -> Standing:
    intent = msgspec.json.decode(work.intents.get(sent.key, b"{}"), type=_Intent)
    system = sent.system
    if system in work.troubles:
        text = f"{system} is in trouble. It goes on by itself once {system} answers again."
        tone = "doubt" if intent.state == "unknown" else ""
        return Standing(f"waits for {system}", tone, "", text, work.due_at)
    match intent.state:
        case "unknown":
            text = f"Quaestor looks for it in {system} before anything is sent again."
            due = max(filter(None, (intent.settled_at, work.due_at)), default=None)
            return Standing(f"perhaps applied in {system}", "doubt", "", text, due)
        case "pending":
            text = f"Quaestor asks {system} what became of it."
            return Standing(f"taken in by {system}", "", "", text, work.due_at)
        case "in_flight":
            return Standing(f"sent to {system}", "", "", f"{system} answers.", None)
    due = max(filter(None, (intent.not_before, work.due_at)), default=None)
    return Standing(f"to be sent to {system}", "", "", f"It is sent to {system}.", due)


def _awaiting(work: Work, awaiting: _Awaiting) -> Standing:
    events = " or ".join(_EVENTS.get(name, words(name).lower()) for name in awaiting.events)
    text = f"It goes on with {events}"
    if awaiting.until is not None and awaiting.on_timeout:
        text += f", or with {words(awaiting.on_timeout)} when the time is over"
    return Standing(f"waits for {events}", "", "", f"{text}.", awaiting.until)


def order_of(row: Mapping[str, Any]) -> Order:
    """An order by the row of its intent."""
    command = msgspec.json.decode(row["command"], type=_Command)
    total = command.order or _OrderTotal()
    intent = msgspec.json.decode(row["core"], type=_Intent)
    if row["number"]:
        word, tone = "stands there", "good"
    elif row["resolved_at"] is not None:
        word, tone = "not there", "bad"
    else:
        word, tone = _UNDER_WAY.get(intent.state, ("on its way", ""))
    return Order(
        system=row["system"],
        number=row["number"] or "",
        supplier=total.supplier,
        total=total.total,
        currency=total.currency,
        word=word,
        tone=tone,
        key=row["key"],
    )
