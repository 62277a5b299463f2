"""Steps with defaults: a test says only what it is about."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from quaestor.audit.trace import Step, Trace

__all__ = ["AT", "a_step", "a_trace", "begun", "lost_answer", "sent"]

AT = datetime(2026, 11, 22, 14, 2, tzinfo=UTC)


def a_step(after_s: float = 0.0, effect: str = "step", outcome: str = "next", **more: Any) -> Step:
    given = {"document_id": 1, "actor": "system:quaestor", "leaf": 0, **more}
    at = AT + timedelta(seconds=after_s)
    return Step(
        entry=int(after_s * 1000) + 1,
        at=at,
        entity="acme-de",
        **{"effect": effect, "outcome": outcome, **given},
    )


def begun(after_s: float, **more: Any) -> Step:
    return sent(after_s, "begun", **more)


def sent(after_s: float, outcome: str, **more: Any) -> Step:
    return a_step(after_s, "send", outcome, **{"system": "sap", "name": "order", **more})


def lost_answer() -> list[Step]:
    """Sent at one second, no answer at two, found at six."""
    number = {"number": "4500000001"}
    return [
        a_step(0, "receive", "accepted", system="coupa", version=1, stage_after="posting"),
        begun(1, attempt=1),
        sent(2, "ambiguous", attempt=1),
        a_step(6, "look", "applied", system="sap", external_ids=number),
        a_step(6.1, "step", "done:ordered", stage_before="posting", stage_after="posting"),
    ]


def a_trace(steps: Iterable[Step], **more: Any) -> Trace:
    given = {"asked": "c-1", "matched": "correlation id", "correlation_id": "c-1", **more}
    return Trace(document_ids=(1,), steps=tuple(steps), **given)
