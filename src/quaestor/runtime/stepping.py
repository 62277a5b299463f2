"""What the trail says of a step: an entry of its own only where no entry of an effect says it.

See docs/decisions/0009: each transition that took place has one entry.
"""

from __future__ import annotations

from msgspec.structs import replace

from quaestor.flows.kit.effects import (
    Adjust,
    Commit,
    Consume,
    Effect,
    Record,
    Release,
    Relieve,
    Reserve,
    Send,
    Tell,
)
from quaestor.flows.kit.step import Await, Done, Park, Stay, Step
from quaestor.runtime.case import Case

__all__ = ["note_step", "note_waiting", "passes"]

# Effects that have an entry of their own in the transaction of their step.
_TOLD = frozenset({Record, Tell, Reserve, Adjust, Commit, Relieve, Release, Consume, Send})


def passes(case: Case, step: Step, before: str, told: int) -> bool:
    """Whether the step only goes on, and the entries of its effects tell it.

    The newest entry since there were `told` of them is its own; otherwise the next entry says
    which stage it left.
    """
    if not isinstance(step.next, str) or not _TOLD.issuperset(map(type, step.do)):
        return False
    if len(case.notes) > told:
        case.notes[-1] = replace(case.notes[-1], stage_after=case.stage)
    else:
        case.passed.append(before)
    return True


def note_step(case: Case, step: Step, before: str) -> None:
    """The entry of a step, with what it had done and where it went."""
    case.note(
        "step",
        _outcome_of(step),
        before=before,
        refusal=step.next.refusal if isinstance(step.next, Park) else None,
        details={"effects": " ".join(map(_label, step.do))} if step.do else {},
    )


def note_waiting(case: Case) -> None:
    """At the end of the transaction: the way to a send that waits for a slot, or is looked for."""
    if case.passed:
        sending = case.state.sending
        case.note("step", "next", details={"effects": f"Send:{sending}"} if sending else {})


def _label(effect: Effect) -> str:
    return f"{type(effect).__name__}:{effect.name}"


def _outcome_of(step: Step) -> str:
    match step.next:
        case Await():
            return "awaiting"
        case Park():
            return "parked"
        case Done(outcome):
            return f"done:{outcome}"
        case Stay():
            return "stays"
        case _:
            return "next"
