"""The posting core: what may be done next about one effect in one system, so that it happens once.

Sans-I/O and pure: intents in, intents and moves out; every instant is given. The runtime commits
the new intent before it acts on it. Everything it may do is a move of `next_move`:

                    begin_send (committed before the first byte)
      ┌────────┐ ────────────────────────────────────────────► ┌───────────┐
      │ UNSENT │ ◄──────────────────────────────────────────── │ IN_FLIGHT │◄──────────┐
      └────────┘   Transient, Permanent, no earlier doubt      └───────────┘           │
        │    ▲                                                   │  │    │   begin_send │
        │    │ Absent, from a look that started           Pending│  │    │   (KEY, UNIQUE,
        │    │ at or after settled_at                            │  │    │    REPEATABLE)│
        │    │                  Ambiguous, AlreadyExists,        │  │    │              │
        │    │                  send_lost, any failure while an  │  │    │              │
        │    │   ┌─────────┐    earlier send is in doubt         │  │    │              │
        │    └───│ UNKNOWN │ ◄───────────────────────────────────┼──┘    │              │
        │        └─────────┘ ────────────────────────────────────┼───────┼──────────────┘
        │          │   ▲ Absent (the job ended: settle again)    ▼       │
        │          │   └───────────────────────────────────── ┌─────────┐│
        │          │                      found Pending ────► │ PENDING ││
        │          │                                          └─────────┘│
        │          │ found Applied                 found Applied │       │ Applied, Rejected
        ▼          ▼                                             ▼       ▼
      ┌──────────────────────────────────────────────────────────────────────┐
      │ RESOLVED: Applied · Rejected · Withdrawn(left)                       │
      └──────────────────────────────────────────────────────────────────────┘

Parking is not a state: a parked intent keeps all that it knows (`parked` is the refusal), and
`retried` takes it up again without forgetting a doubt. Precedence where several things are true:
a document found or confirmed > a person's refusal > withdrawn > rejected > sending again.

`send_answered`, `looked`, `withdraw` and `send_lost` are applied to the intent as it is stored at
that moment, in the fenced transaction that stores the result. A worker that claims an intent
which is `IN_FLIGHT` by a dead worker calls `send_lost` first.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from msgspec.structs import replace

from quaestor.connectors.kit.contract import (
    Absent,
    ActionGuarantee,
    AlreadyExists,
    Ambiguous,
    Applied,
    Found,
    Guarantee,
    NotKnown,
    Pending,
    Permanent,
    Rejected,
    Several,
    Submitted,
    Transient,
)
from quaestor.flows.kit.dossier import Withdrawn
from quaestor.model.refusal import Refusal, refuse
from quaestor.runtime.intent import (
    MAY_REPEAT,
    Intent,
    IntentState,
    Limits,
    LookNow,
    Move,
    Outcome,
    ParkSend,
    Resolved,
    SendNow,
    WaitUntil,
    later,
)
from quaestor.runtime.posting_move import next_move

__all__ = [
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
    "begin_look",
    "begin_send",
    "perhaps_sent",
    "looked",
    "new_intent",
    "next_move",
    "reconcile_due",
    "reconciled",
    "retried",
    "send_answered",
    "send_lost",
    "standing",
    "told",
    "withdraw",
]


def new_intent(key: str, action: str, guarantee: ActionGuarantee, *, findable: bool) -> Intent:
    """Nothing sent yet. `findable` says that the system can be asked by our reference."""
    return Intent(key=key, action=action, guarantee=guarantee, findable=findable)


# --- sending ------------------------------------------------------------------------------------


def begin_send(intent: Intent, now: datetime, lease_until: datetime) -> Intent:
    """The intent to be committed before the first byte; the send may not outlive `lease_until`.

    Raises `ValueError` where no send may leave: withdrawn, parked, resolved, in flight, or in
    doubt under a guarantee that does not allow it. The runtime never gets there through
    `next_move`; this is the second lock on the same door.
    """
    in_doubt = intent.state in (IntentState.UNKNOWN, IntentState.PENDING)
    if (
        intent.withdrawn
        or intent.forbidden
        or intent.parked is not None
        or intent.state in (IntentState.IN_FLIGHT, IntentState.RESOLVED)
        or (in_doubt and intent.guarantee.guarantee not in MAY_REPEAT)
        or (in_doubt and intent.guarantee.resend == "never")
    ):
        raise ValueError(f"no send may leave for an intent that is {intent.state}")
    return replace(
        intent,
        state=IntentState.IN_FLIGHT,
        attempts=intent.attempts + 1,
        looks=0,
        first_sent_at=intent.first_sent_at or now,
        sent_at=now,
        lease_until=lease_until,
        repeated=intent.repeated or in_doubt,
        not_before=None,
    )


def send_answered(
    intent: Intent, now: datetime, answer: Submitted | NotKnown, last_byte_by: datetime
) -> Intent:
    """What the send in flight came to.

    `last_byte_by` is when the last byte of the request can have left us. An exception that is
    none of the three kinds counts as perhaps applied. Raises `ValueError` when none is in flight.
    """
    if intent.state is not IntentState.IN_FLIGHT:
        raise ValueError(f"no send is in flight: the intent is {intent.state}")
    intent = replace(intent, touched_at=now)
    match answer:
        case Applied():
            return _applied(intent, now, answer, "erp_document_differs")
        case Pending():
            return replace(_doubtful(intent, last_byte_by), state=IntentState.PENDING)
        case Rejected():
            return _rest(replace(intent, rejected=answer), now)
        case AlreadyExists():
            return _rest(replace(_doubtful(intent, last_byte_by), exists=True), now)
        case Transient():
            return _rest(_retrylater(_counted(intent, answer.system), now, answer), now)
        case Permanent():
            parked = None if intent.withdrawn else answer.refusal
            return _rest(replace(intent, parked=parked), now)
        case Ambiguous():
            return _rest(_counted(_doubtful(intent, last_byte_by), answer.system), now)
        case _:
            return _rest(_counted(_doubtful(intent, last_byte_by), system=False), now)


def send_lost(intent: Intent, lease_until: datetime) -> Intent:
    """The worker died, or its lease ran out, with a send in flight: perhaps applied.

    Where the last byte is unknown it may have left until the end of the lease, as it was last
    renewed. Raises `ValueError` when no send is in flight.
    """
    if intent.state is not IntentState.IN_FLIGHT:
        raise ValueError(f"no send is in flight: the intent is {intent.state}")
    lost = _counted(_doubtful(intent, lease_until), system=False)
    return _rest(replace(lost, touched_at=lease_until), lease_until)


def _doubtful(intent: Intent, last_byte_by: datetime) -> Intent:
    settles = last_byte_by + timedelta(seconds=intent.guarantee.settle_s)
    return replace(
        intent,
        settled_at=later(settles, intent.settled_at),
        doubtful_since=intent.doubtful_since or intent.sent_at or last_byte_by,
    )


def _counted(intent: Intent, system: bool) -> Intent:
    return intent if system else replace(intent, failures=intent.failures + 1)


def _retrylater(intent: Intent, now: datetime, answer: Transient) -> Intent:
    if answer.retry_after_s is None:
        return intent
    return replace(intent, not_before=now + timedelta(seconds=answer.retry_after_s))


def _rest(intent: Intent, now: datetime) -> Intent:
    """Where an intent comes to rest: in doubt while some send is; otherwise what was decided."""
    if intent.settled_at is not None:
        return replace(intent, state=IntentState.UNKNOWN, lease_until=None)
    if intent.withdrawn:
        return _resolved(intent, now, Withdrawn(None))
    if intent.rejected is not None:
        return _resolved(intent, now, intent.rejected)
    return replace(intent, state=IntentState.UNSENT, lease_until=None)


def _resolved(intent: Intent, now: datetime, outcome: Outcome) -> Intent:
    return replace(
        intent,
        state=IntentState.RESOLVED,
        outcome=outcome,
        settled_at=None,
        doubtful_since=None,
        look_first=False,
        lease_until=None,
        not_before=None,
        parked=None,
        touched_at=now,
    )


def _applied(intent: Intent, now: datetime, applied: Applied, differs: str) -> Intent:
    """A document stands there. One that differs is a person's to judge, not a second create."""
    ours = intent.applied is not None and intent.applied.number == applied.number
    confirmed = differs == "erp_document_differs" or ours
    if applied.differences and not (intent.withdrawn and confirmed):
        code = "erp_document_differs" if confirmed else differs
        refusal = refuse(code, number=applied.number, differences="; ".join(applied.differences))
        known = applied if confirmed else intent.applied
        doubtful = _doubtful(intent, now)
        return _rest(replace(doubtful, exists=True, applied=known, parked=refusal), now)
    return _resolved(intent, now, Withdrawn(applied) if intent.withdrawn else applied)


# --- looking ------------------------------------------------------------------------------------


def begin_look(intent: Intent, now: datetime) -> Intent:
    """Counts a look-up before it is made, so that one which kills the worker is counted too."""
    if intent.state in (IntentState.IN_FLIGHT, IntentState.RESOLVED):
        raise ValueError(f"there is nothing to look for: the intent is {intent.state}")
    return replace(intent, looks=intent.looks + 1, touched_at=now, not_before=None)


def looked(intent: Intent, started_at: datetime, now: datetime, found: Found | NotKnown) -> Intent:
    """What a look-up that started at `started_at` found.

    A hit is trusted whenever it comes; `Absent` only from a look that started at or after
    `settled_at`. Raises `ValueError` while a send is in flight and after the end.
    """
    if intent.state in (IntentState.IN_FLIGHT, IntentState.RESOLVED):
        raise ValueError(f"there is nothing to look for: the intent is {intent.state}")
    intent = replace(intent, touched_at=now)
    match found:
        case Applied():
            return _applied(intent, now, found, "erp_reference_conflict")
        case Several():
            numbers = ", ".join(found.numbers)
            refusal = refuse("erp_duplicate", numbers=numbers)
            return _rest(replace(_doubtful(intent, now), exists=True, parked=refusal), now)
        case Pending():
            # The job is what took the reference; when it has ended, nothing speaks for a document.
            return replace(_doubtful(intent, now), state=IntentState.PENDING, exists=False)
        case Absent():
            return _absent(intent, started_at, now)
        case Permanent():
            return replace(intent, parked=found.refusal)
        case Transient():
            counted = intent.look_failures + (0 if found.system else 1)
            return replace(_retrylater(intent, now, found), look_failures=counted)
        case _:
            return replace(intent, look_failures=intent.look_failures + 1)


def _absent(intent: Intent, started_at: datetime, now: datetime) -> Intent:
    if intent.state is IntentState.PENDING:
        # The job over there has ended since it was last seen: what it made may not show yet.
        return _rest(_doubtful(intent, now), now)
    if intent.settled_at is None or started_at < intent.settled_at:
        return intent
    if intent.exists:
        # Two of the system's own words contradict each other. Where its reference is unique the
        # same bytes may ask it once more (what took the reference may be gone); a person then.
        may_ask = (
            intent.guarantee.guarantee is Guarantee.UNIQUE
            and intent.guarantee.resend == "allowed"
            and not intent.withdrawn
            and intent.rejected is None
        )
        counted = intent.look_failures + 1
        return replace(intent, exists=not may_ask, look_failures=counted)
    return _rest(_nothing_there(intent, intent.guarantee.resend == "never"), now)


def _nothing_there(intent: Intent, forbidden: bool) -> Intent:
    return replace(
        intent,
        settled_at=None,
        doubtful_since=None,
        exists=False,
        look_first=False,
        applied=None,
        absence_trusted=True,
        forbidden=forbidden and intent.attempts > 0,
    )


# --- what people and flows say ------------------------------------------------------------------


def withdraw(intent: Intent, now: datetime) -> Intent:
    """Never send it again; the outcome will be `Withdrawn`, with the document left there, if any.

    Idempotent. A send in flight is left to come back: its answer says what is left.
    """
    match intent.outcome:
        case Applied():
            return replace(intent, withdrawn=True, outcome=Withdrawn(intent.outcome))
        case Rejected():
            return replace(intent, withdrawn=True, outcome=Withdrawn(None))
        case Withdrawn():
            return intent
    intent = replace(intent, withdrawn=True, parked=None, look_failures=0)
    if intent.state in (IntentState.IN_FLIGHT, IntentState.PENDING):
        return intent
    if intent.applied is not None:
        return _resolved(intent, now, Withdrawn(intent.applied))
    return _rest(intent, now)


def retried(intent: Intent, now: datetime) -> Intent:
    """A person wants a parked intent taken up again, or a flow sends under the same key again.

    It belongs to every way of parking, also to those that `next_move` finds by its limits. The
    counts start afresh; every doubt stays, and a send in flight is left to come back. What was
    refused or withdrawn and left nothing may be sent again. Raises `ValueError` for what left a
    document.
    """
    if intent.state is IntentState.IN_FLIGHT:
        return intent
    left_nothing = isinstance(intent.outcome, Rejected) or intent.outcome == Withdrawn(None)
    if not (intent.outcome is None or left_nothing):
        raise ValueError("a document stands there")
    return replace(
        intent,
        state=IntentState.UNSENT if left_nothing else intent.state,
        outcome=None,
        withdrawn=False if left_nothing else intent.withdrawn,
        rejected=None if left_nothing else intent.rejected,
        parked=None,
        looks=0,
        failures=0,
        look_failures=0,
        touched_at=None,
        not_before=None,
        resumed_at=now,
    )


def told(intent: Intent, now: datetime, found: Applied | Absent) -> Intent:
    """A person has looked in the system and answers for what stands there: it is final.

    `Absent` also permits another send where policy forbids one. Raises as `looked` does.
    """
    if intent.state in (IntentState.IN_FLIGHT, IntentState.RESOLVED):
        raise ValueError(f"there is nothing to tell: the intent is {intent.state}")
    if isinstance(found, Applied):
        return _resolved(intent, now, Withdrawn(found) if intent.withdrawn else found)
    told_so = replace(_nothing_there(intent, forbidden=False), parked=None, touched_at=now)
    rested = _rest(told_so, now)
    return rested if rested.state is IntentState.RESOLVED else retried(rested, now)


def perhaps_sent(intent: Intent, last_byte_by: datetime) -> Intent:
    """Somebody whose record is lost may have sent it (a restore): look before the first send.

    `last_byte_by` is the newest instant at which that can have been. Raises as `looked` does.
    """
    if intent.state in (IntentState.IN_FLIGHT, IntentState.RESOLVED):
        raise ValueError(f"an intent that is {intent.state} speaks for itself")
    suspected = replace(_doubtful(intent, last_byte_by), look_first=True, touched_at=None)
    return suspected if suspected.state is IntentState.PENDING else _rest(suspected, last_byte_by)


def standing(intent: Intent) -> Literal["unsent", "unresolved", "resolved"]:
    """How a flow sees the send (`SendView.state`)."""
    match intent.state:
        case IntentState.RESOLVED:
            return "resolved"
        case IntentState.UNSENT:
            return "unsent"
        case _:
            return "unresolved"


# --- reconciliation -----------------------------------------------------------------------------


def reconcile_due(
    intent: Intent, reconcile_every_s: float, until_s: float = 30 * 86_400.0
) -> datetime | None:
    """When an intent that rests is to be looked at again; `None` where nothing calls for it.

    A settle time and a remembered key are an installation's claims about its ERP. Where one of
    them is wrong a second document can come up later; looking again every `reconcile_every_s`,
    for `until_s` after the intent came to rest, finds it (DESIGN D3). What was neither sent
    twice nor believed to be absent needs no such look.
    """
    rested = intent.touched_at or intent.resumed_at
    calls_for_it = intent.absence_trusted or intent.repeated
    if not (calls_for_it and intent.findable) or rested is None:
        return None
    last = max(rested, intent.reconciled_at or rested)
    if last >= rested + timedelta(seconds=until_s):
        return None
    return last + timedelta(seconds=reconcile_every_s)


def reconciled(intent: Intent, now: datetime, found: Found) -> tuple[Intent, Refusal | None]:
    """What the later look means: a second document, one that nobody owns, or nothing new.

    Each set of numbers is refused once. A parked intent whose document is found after all is
    resolved or parked by what was found, as by `looked`; one in flight is left alone.
    """
    if intent.state is IntentState.IN_FLIGHT:
        return intent, None
    intent = replace(intent, reconciled_at=now)
    if isinstance(found, Absent | Pending):
        return intent, None
    if intent.outcome is None:
        after = looked(intent, now, now, found)
        news = after.parked if after.parked != intent.parked else None
        return replace(after, touched_at=intent.touched_at), news
    numbers = found.numbers if isinstance(found, Several) else (found.number,)
    match intent.outcome:
        case Applied(number=ours) | Withdrawn(left=Applied(number=ours)):
            return _report(intent, "erp_duplicate", {ours, *numbers})
        case _:
            code = "erp_duplicate" if len(numbers) > 1 else "erp_document_late"
            return _report(intent, code, set(numbers))


def _report(intent: Intent, code: str, numbers: set[str]) -> tuple[Intent, Refusal | None]:
    known = tuple(sorted(numbers))
    if known == intent.reported or (code == "erp_duplicate" and len(known) < 2):
        return intent, None
    return replace(intent, reported=known), refuse(code, numbers=", ".join(known))
