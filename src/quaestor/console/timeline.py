"""The steps of a trace as rows in lanes, with waits and doubts between them. Pure.

A lane is a system, Quaestor itself, or the people. A doubt is a span in which something was
perhaps applied: it begins with the send whose answer never came, and ends with whatever told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

import msgspec

from quaestor.audit.telling import elapsed, milliseconds, told
from quaestor.audit.trace import Step
from quaestor.console.wording import duration

__all__ = ["PEOPLE", "QUAESTOR", "WAIT_MIN_MS", "Doubt", "Lane", "Row", "Timeline", "timeline"]

QUAESTOR = "quaestor"
PEOPLE = "people"
WAIT_MIN_MS = 1000

_IN_DOUBT = frozenset({"ambiguous", "lost", "perhaps_lost"})
_TOLD_BY_LOOK = frozenset({"absent", "applied", "several"})
_TOLD_BY_SEND = frozenset({"applied", "rejected"})
_TROUBLE = frozenset({"ambiguous", "lost", "perhaps_lost", "permanent", "rejected", "transient"})


class Lane(msgspec.Struct, frozen=True):
    """One lane; `number` counts from 1 and is its colour. `steps` is how many stand in it."""

    number: int
    name: str
    steps: int


class Row(msgspec.Struct, frozen=True):
    """One step. `wait` says how long and for what nothing happened before it, else empty.

    `tone` is `good`, `bad`, `doubt` or empty. `in_doubt` are the numbers of
    lanes that something is perhaps applied in at that moment; `wait_in_doubt` says so of the wait.
    """

    number: int
    step: Step
    lane: Lane
    sentence: str
    since: str
    wait: str
    tone: str
    in_doubt: tuple[int, ...]
    wait_in_doubt: bool


class Doubt(msgspec.Struct, frozen=True):
    """Something was perhaps applied in a lane, from the row `first` to the row `last`.

    `until` is none while it still is so.
    """

    lane: Lane
    first: int
    last: int
    since: datetime
    until: datetime | None


class Timeline(msgspec.Struct, frozen=True):
    """All of it, in the order of the trail."""

    lanes: tuple[Lane, ...]
    rows: tuple[Row, ...]
    doubts: tuple[Doubt, ...]


def timeline(steps: Sequence[Step], names: Mapping[str, str] = MappingProxyType({})) -> Timeline:
    """Rows, lanes and doubts of these steps; `names` of people, for those who may know."""
    placed = [lane_of(step) for step in steps]
    lanes = {name: Lane(n, name, placed.count(name)) for n, name in enumerate(_order(placed), 1)}
    doubts = tuple(_doubts(steps, lanes))
    rows = []
    covering = _covering(doubts, len(steps))
    for index, step in enumerate(steps):
        before = steps[index - 1] if index else step
        rows.append(
            Row(
                number=index + 1,
                step=step,
                lane=lanes[placed[index]],
                sentence=told(step, names) or step.effect,
                since=elapsed(milliseconds(steps[0], step)),
                wait=_wait(before, step),
                tone=_tone(step),
                in_doubt=covering[index],
                wait_in_doubt=index > 0 and not {*covering[index - 1]}.isdisjoint(covering[index]),
            )
        )
    return Timeline(tuple(lanes.values()), tuple(rows), doubts)


def lane_of(step: Step) -> str:
    """Where a step took place: in a system, with people, or here."""
    if step.effect == "tell" or step.actor.startswith("sub:"):
        return PEOPLE
    if step.system:
        return step.system
    if step.details.get("decided_by"):
        return step.details["decided_by"]
    acting = step.actor.removeprefix("system:")
    return acting if step.effect == "event" and acting else QUAESTOR


def _order(placed: Sequence[str]) -> list[str]:
    """The source first, then ourselves, then the others as they came up, and people last."""
    seen = list(dict.fromkeys(placed))
    first = [name for name in seen[:1] if name not in (QUAESTOR, PEOPLE)]
    others = [name for name in seen if name not in (*first, QUAESTOR, PEOPLE)]
    here, people = ([name] if name in seen else [] for name in (QUAESTOR, PEOPLE))
    return [*first, *here, *others, *people]


def _wait(before: Step, step: Step) -> str:
    ms = milliseconds(before, step)
    if ms < WAIT_MIN_MS:
        return ""
    return f"{duration(ms)} {_waited_for(before)}"


def _waited_for(before: Step) -> str:
    if before.effect == "send" and before.outcome in _IN_DOUBT:
        return "until nothing of it could be applied any more"
    if before.effect == "send" and before.outcome == "begun":
        return "for an answer"
    if before.refusal:
        owner = before.details.get("owner", "")
        return f"for {owner}" if owner else "for a person"
    if before.outcome == "awaiting":
        return "for a decision"
    return "without a step"


def _tone(step: Step) -> str:
    if step.effect in ("send", "look") and step.outcome in _IN_DOUBT:
        return "doubt"
    if step.refusal or (step.effect == "send" and step.outcome in _TROUBLE):
        return "bad"
    sent = step.effect in ("send", "look", "resolve") and step.outcome == "applied"
    return "good" if sent or step.outcome.startswith("done:") else ""


def _doubts(steps: Sequence[Step], lanes: Mapping[str, Lane]) -> list[Doubt]:
    """One span per doubt; a document has one send under way at a time."""
    begun: dict[int | None, int] = {}
    open_: dict[int | None, int] = {}
    found: list[tuple[int, Doubt]] = []

    def close(document: int | None, last: int, until: datetime | None) -> None:
        first = open_.pop(document)
        since = steps[first].at
        found.append(
            (first, Doubt(lanes[lane_of(steps[first])], first + 1, last + 1, since, until))
        )

    for index, step in enumerate(steps):
        document = step.document_id
        if step.effect == "send" and step.outcome == "begun":
            begun[document] = index
        elif step.effect == "send" and step.outcome in _IN_DOUBT:
            open_.setdefault(document, begun.get(document, index))
        elif document in open_ and _tells(step):
            close(document, index, step.at)
    for document in list(open_):
        close(document, len(steps) - 1, None)
    return [doubt for _, doubt in sorted(found, key=lambda pair: pair[0])]


def _tells(step: Step) -> bool:
    match step.effect:
        case "look":
            return step.outcome in _TOLD_BY_LOOK
        case "send":
            return step.outcome in _TOLD_BY_SEND
    return step.effect == "resolve"


def _covering(doubts: Sequence[Doubt], count: int) -> list[tuple[int, ...]]:
    covered: list[tuple[int, ...]] = [()] * count
    for doubt in doubts:
        for index in range(doubt.first - 1, doubt.last):
            covered[index] = (*covered[index], doubt.lane.number)
    return covered
