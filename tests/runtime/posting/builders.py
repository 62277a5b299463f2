"""Builders that say only what a test is about. Times are seconds after `T0`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from quaestor.connectors.kit.contract import ActionGuarantee, Applied, Guarantee, Rejected
from quaestor.model.refusal import refuse
from quaestor.runtime.posting import Intent, IntentState, Limits

__all__ = [
    "APPLIED",
    "DIFFERENT",
    "LIMITS",
    "REJECTED",
    "SETTLE_S",
    "at",
    "in_doubt",
    "in_flight",
    "pending",
    "promise",
    "unsent",
]

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SETTLE_S = 60.0

APPLIED = Applied("4500000001")
DIFFERENT = Applied("4500000001", differences=("lines[2].quantity: 5 instead of 3",))
REJECTED = Rejected(refuse("erp_rejected", reason="period closed"))

LIMITS = Limits(
    failures_max=3,
    look_failures_max=4,
    unresolved_max_s=3_600.0,
    pending_max_s=7_200.0,
    key_margin_s=30.0,
    send_backoff_s=2.0,
    send_backoff_max_s=10.0,
    look_backoff_s=1.0,
    look_backoff_max_s=8.0,
)


def at(seconds: float) -> datetime:
    """An instant, in seconds after the first send."""
    return T0 + timedelta(seconds=seconds)


def promise(guarantee: Guarantee, **more: Any) -> ActionGuarantee:
    """A guarantee that settles in a minute; a `KEY` is remembered for ten."""
    defaults: dict[str, Any] = {"settle_s": SETTLE_S}
    if guarantee is Guarantee.KEY:
        defaults["remembered_for_s"] = 600.0
    return ActionGuarantee(guarantee, **{**defaults, **more})


def unsent(guarantee: Guarantee, **more: Any) -> Intent:
    """Nothing of it stands there."""
    promised = more.pop("promised", None) or promise(guarantee)
    defaults: dict[str, Any] = {"findable": guarantee is not Guarantee.NONE}
    return Intent(key="k" * 52, action="create_order", guarantee=promised, **{**defaults, **more})


def in_flight(guarantee: Guarantee, **more: Any) -> Intent:
    """Sent at zero, under a lease of thirty seconds, not answered."""
    defaults: dict[str, Any] = {
        "state": IntentState.IN_FLIGHT,
        "attempts": 1,
        "first_sent_at": at(0),
        "sent_at": at(0),
        "lease_until": at(30),
    }
    return unsent(guarantee, **{**defaults, **more})


def in_doubt(guarantee: Guarantee, **more: Any) -> Intent:
    """Sent at zero, time-out at five: perhaps applied, settled at sixty-five."""
    defaults: dict[str, Any] = {
        "state": IntentState.UNKNOWN,
        "attempts": 1,
        "failures": 1,
        "first_sent_at": at(0),
        "sent_at": at(0),
        "touched_at": at(5),
        "doubtful_since": at(0),
        "settled_at": at(65),
    }
    return unsent(guarantee, **{**defaults, **more})


def pending(guarantee: Guarantee, **more: Any) -> Intent:
    """Accepted there at five for later work."""
    return in_doubt(guarantee, **{"state": IntentState.PENDING, "failures": 0, **more})
