"""The intent: all that is known about one effect in one system, as a value.

It is committed before the first byte leaves and after every answer, loss and look; whoever reads
it next, on any worker, decides the same (DESIGN D3). It converts to and from JSON with msgspec.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from quaestor.connectors.kit.contract import ActionGuarantee, Applied, Guarantee, Rejected
from quaestor.flows.kit.dossier import Withdrawn
from quaestor.model.refusal import Refusal

__all__ = [
    "MAY_REPEAT",
    "Intent",
    "IntentState",
    "Limits",
    "LookNow",
    "Move",
    "Outcome",
    "ParkSend",
    "Resolved",
    "SendNow",
    "WaitUntil",
    "later",
]

Outcome = Applied | Rejected | Withdrawn

# Under these a send in doubt is answered by sending the same bytes again (DESIGN §4).
MAY_REPEAT = (Guarantee.KEY, Guarantee.UNIQUE, Guarantee.REPEATABLE)


class IntentState(StrEnum):
    """`UNSENT` surely nothing of it stands there; `UNKNOWN` perhaps; `PENDING` accepted there."""

    UNSENT = "unsent"
    IN_FLIGHT = "in_flight"
    UNKNOWN = "unknown"
    PENDING = "pending"
    RESOLVED = "resolved"


class Intent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One effect, named by its posting key. All instants are aware database time.

    `attempts` counts sends begun, ever. `failures` and `look_failures` count what went wrong with
    this document since a person last looked at it; trouble of the whole system is not counted
    (DESIGN D6). `looks` counts look-ups since the last send.

    `settled_at` is set exactly while some send is perhaps applied: it is the instant from which
    nothing of it can commit any more and all of it can be found, so that a look which started
    then or later may be trusted to find nothing. `doubtful_since` is when the first send of that
    doubt began. `absence_trusted` says that such a look once decided something, `repeated` that a
    send in doubt was answered by another: both have to be reconciled later, and `reported` is
    what that brought up last. `exists` is the system's own word that the reference is taken
    there; `applied` is our document, where it is known but a person has to judge it.
    """

    key: str
    action: str
    guarantee: ActionGuarantee
    findable: bool
    state: IntentState = IntentState.UNSENT
    attempts: int = 0
    looks: int = 0
    failures: int = 0
    look_failures: int = 0
    first_sent_at: datetime | None = None
    sent_at: datetime | None = None
    lease_until: datetime | None = None
    doubtful_since: datetime | None = None
    settled_at: datetime | None = None
    touched_at: datetime | None = None
    not_before: datetime | None = None
    resumed_at: datetime | None = None
    reconciled_at: datetime | None = None
    withdrawn: bool = False
    exists: bool = False
    look_first: bool = False
    forbidden: bool = False
    absence_trusted: bool = False
    repeated: bool = False
    reported: tuple[str, ...] = ()
    rejected: Rejected | None = None
    applied: Applied | None = None
    parked: Refusal | None = None
    outcome: Outcome | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one intent may cost before a person is asked. Times are seconds.

    `key_margin_s` is how long a send may take from the decision to its last byte (queue, lease);
    a `KEY` system must still remember us then. Back-off doubles from `..._s` to `..._max_s`.
    """

    failures_max: int = 8
    look_failures_max: int = 20
    unresolved_max_s: float = 86_400.0
    pending_max_s: float = 86_400.0
    key_margin_s: float = 120.0
    send_backoff_s: float = 2.0
    send_backoff_max_s: float = 300.0
    look_backoff_s: float = 1.0
    look_backoff_max_s: float = 300.0


class SendNow(msgspec.Struct, frozen=True, tag="send_now"):
    """Ask the flow once more, commit `begin_send`, then send the stored bytes."""


class LookNow(msgspec.Struct, frozen=True, tag="look_now"):
    """Ask the system what an earlier send left behind."""


class WaitUntil(msgspec.Struct, frozen=True, tag="wait_until"):
    """Nothing may be done before `at`."""

    at: datetime


class Resolved(msgspec.Struct, frozen=True, tag="resolved_move"):
    """The flow goes on with this result."""

    result: Outcome


class ParkSend(msgspec.Struct, frozen=True, tag="park_send"):
    """A person has to act; the refusal names who. `retried` is the way back."""

    refusal: Refusal


Move = SendNow | LookNow | WaitUntil | Resolved | ParkSend


def later(first: datetime | None, second: datetime | None) -> datetime | None:
    """The later of two instants, of which either may be unknown."""
    if first is None or second is None:
        return first or second
    return max(first, second)
