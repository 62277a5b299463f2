"""The decision of the posting core: the one thing that may be done now about an intent."""

from __future__ import annotations

from datetime import datetime, timedelta

from quaestor.connectors.kit.contract import Guarantee
from quaestor.model.refusal import Refusal, refuse
from quaestor.runtime.intent import (
    MAY_REPEAT,
    Intent,
    IntentState,
    Limits,
    LookNow,
    Move,
    ParkSend,
    Resolved,
    SendNow,
    WaitUntil,
    later,
)

__all__ = ["next_move"]

_DOUBLINGS_MAX = 30


def next_move(intent: Intent, now: datetime, limits: Limits) -> Move:
    """The one thing that may be done now; the order of the cases is their precedence."""
    if intent.outcome is not None:
        return Resolved(intent.outcome)
    if intent.parked is not None:
        return ParkSend(intent.parked)
    if intent.state is IntentState.IN_FLIGHT:
        assert intent.lease_until is not None
        return WaitUntil(intent.lease_until)
    if intent.state is IntentState.UNSENT:
        return _send_surely(intent, now, limits)
    if intent.guarantee.guarantee is Guarantee.NONE:
        return ParkSend(_outcome_unknown(intent))
    if _may_repeat(intent, now, limits):
        return _at(_send_due(intent, limits), now, SendNow())
    if intent.findable:
        return _look(intent, now, limits)
    return ParkSend(_outcome_unknown(intent))


def _send_surely(intent: Intent, now: datetime, limits: Limits) -> Move:
    """Nothing of it stands there: send, unless a limit or a policy says no."""
    if intent.forbidden:
        return ParkSend(refuse("resend_forbidden"))
    if intent.failures >= limits.failures_max:
        return ParkSend(refuse("send_attempts_exhausted", attempts=str(intent.attempts)))
    if _older(intent, intent.first_sent_at, now, limits.unresolved_max_s):
        return ParkSend(refuse("lane_wait_exceeded", attempts=str(intent.attempts)))
    return _at(_send_due(intent, limits), now, SendNow())


def _may_repeat(intent: Intent, now: datetime, limits: Limits) -> bool:
    """Whether an unknown send may be answered by sending the same bytes again (DESIGN §4)."""
    promise = intent.guarantee
    if intent.state is IntentState.PENDING or promise.guarantee not in MAY_REPEAT:
        return False
    if intent.withdrawn or intent.exists or intent.rejected is not None:
        return False
    if promise.resend == "never" or intent.failures >= limits.failures_max:
        return False
    if _older(intent, intent.doubtful_since, now, limits.unresolved_max_s):
        return False
    if intent.look_first and (intent.findable or promise.guarantee is Guarantee.KEY):
        return False
    if promise.guarantee is Guarantee.KEY and promise.remembered_for_s is not None:
        # The bytes may arrive as late as the settle time after the last of them was sent.
        assert intent.doubtful_since is not None
        arrives = now + timedelta(seconds=limits.key_margin_s + promise.settle_s)
        return arrives < intent.doubtful_since + timedelta(seconds=promise.remembered_for_s)
    return True


def _look(intent: Intent, now: datetime, limits: Limits) -> Move:
    """Ask the system, with back-off, until it has told or a limit is reached."""
    assert intent.settled_at is not None
    if intent.look_failures >= limits.look_failures_max:
        return ParkSend(_look_exhausted(intent))
    if intent.state is IntentState.PENDING:
        if _older(intent, intent.doubtful_since, now, limits.pending_max_s):
            return ParkSend(refuse("erp_still_pending"))
    elif now > intent.settled_at and _older(
        intent, intent.doubtful_since, now, limits.unresolved_max_s
    ):
        return ParkSend(_look_exhausted(intent))
    return _at(_look_due(intent, limits), now, LookNow())


def _look_exhausted(intent: Intent) -> Refusal:
    if intent.exists:
        # Taken there, yet not ours to be seen: another company's document (fault F7).
        return refuse("erp_reference_conflict", found="reference taken, no document visible")
    return _outcome_unknown(intent)


def _outcome_unknown(intent: Intent) -> Refusal:
    details = {"attempts": str(intent.attempts)}
    if intent.rejected is not None:
        details["rejected"] = intent.rejected.refusal.code
    return refuse("outcome_unknown", **details)


def _at(due: datetime | None, now: datetime, move: Move) -> Move:
    return move if due is None or due <= now else WaitUntil(due)


def _send_due(intent: Intent, limits: Limits) -> datetime | None:
    if intent.touched_at is None or intent.attempts == 0 or intent.looks > 0:
        # Nothing to wait for: the first send, or a look has used the time since the last one.
        return intent.not_before
    wait_s = _doubled(limits.send_backoff_s, limits.send_backoff_max_s, intent.failures - 1)
    return later(intent.touched_at + timedelta(seconds=wait_s), intent.not_before)


def _look_due(intent: Intent, limits: Limits) -> datetime | None:
    if intent.touched_at is None or (intent.exists and intent.looks == 0):
        return intent.not_before
    wait_s = _doubled(limits.look_backoff_s, limits.look_backoff_max_s, intent.looks)
    due = intent.touched_at + timedelta(seconds=wait_s)
    # The look that may be trusted is the one worth waiting for: not a moment later than settled.
    if intent.settled_at is not None and intent.touched_at < intent.settled_at < due:
        due = intent.settled_at
    return later(due, intent.not_before)


def _doubled(base_s: float, max_s: float, doublings: int) -> float:
    return float(min(max_s, base_s * 2 ** max(0, min(doublings, _DOUBLINGS_MAX))))


def _older(intent: Intent, since: datetime | None, now: datetime, max_s: float) -> bool:
    start = later(since, intent.resumed_at)
    return start is not None and now - start > timedelta(seconds=max_s)
