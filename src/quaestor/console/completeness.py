"""Whether a trace is whole: every stage follows from the one before, every send has its end,
every step has its place in the tree. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from quaestor.audit.trace import Step, Trace
from quaestor.console.timeline import Doubt

__all__ = ["Completeness", "completeness"]

_SHOWN_MAX = 5


class Completeness(msgspec.Struct, frozen=True):
    """`state` is `whole`, `open` where something is still under way, `broken`, or `archived` where
    steps may be in the file of a month.

    `sealed` of `steps` have their place in the tree; `remarks` name what is missing.
    """

    state: str
    steps: int
    sealed: int
    remarks: tuple[str, ...]


def completeness(trace: Trace, doubts: Sequence[Doubt] = ()) -> Completeness:
    """How whole the trace is, and what is missing; `doubts` are those of its timeline."""
    steps = trace.steps
    # The beginning of what is archived is not missing, it is elsewhere.
    broken = [] if trace.archived else [*_missing_stages(steps)]
    broken += _missing_content(steps)
    if trace.truncated:
        broken.append(f"Only the first {len(steps):,} steps are read.")
    waiting = [*_open_sends(steps)]
    waiting += [
        f"What step {doubt.first} sent is perhaps applied in {doubt.lane.name}."
        for doubt in doubts
        if doubt.until is None
    ]
    unsealed = sum(step.leaf is None for step in steps)
    if unsealed:
        waiting.append(f"{unsealed:,} of the newest steps wait for their place in the tree.")
    if trace.archived:
        waiting.append(f"Further steps may be in the files of {', '.join(trace.archived)}.")
    remarks = [*broken, *waiting]
    if len(remarks) > _SHOWN_MAX:
        remarks[_SHOWN_MAX:] = [f"And {len(remarks) - _SHOWN_MAX:,} more."]
    state = "archived" if trace.archived else "open" if waiting else "whole"
    state = "broken" if broken else state
    return Completeness(state, len(steps), len(steps) - unsealed, tuple(remarks))


def _missing_stages(steps: Sequence[Step]) -> Iterator[str]:
    """A step begins in a stage that an earlier entry of its document led to or stood in."""
    entered: dict[int | None, set[str]] = {}
    for number, step in enumerate(steps, 1):
        known = entered.setdefault(step.document_id, set())
        if step.erased:
            # What it said is gone; that it was there is proved by its leaf.
            known.add("")
            continue
        way = [*step.details.get("by_way_of", "").split(), step.stage_before, step.stage_after]
        stages = [stage for stage in way if stage]
        if stages and known and stages[0] not in known and "" not in known:
            yield f"Before step {number} the stage {stages[0]} has no beginning."
        known.update(stages)


def _missing_content(steps: Sequence[Step]) -> Iterator[str]:
    for number, step in enumerate(steps, 1):
        if any(each.state == "missing" for each in step.wire):
            yield f"What step {number} refers to is missing."
        if any(each.state == "unreadable" for each in step.wire):
            yield f"What step {number} refers to cannot be read."


def _open_sends(steps: Sequence[Step]) -> Iterator[str]:
    """A send that began and has not been answered, lost or resolved."""
    begun: dict[tuple[int | None, str], int] = {}
    for number, step in enumerate(steps, 1):
        key = step.document_id, step.system
        if step.effect == "send" and step.outcome == "begun":
            begun[key] = number
        elif step.effect in ("send", "look", "resolve"):
            begun.pop(key, None)
    for (_, system), number in begun.items():
        yield f"The send to {system} that began in step {number} has no outcome yet."
