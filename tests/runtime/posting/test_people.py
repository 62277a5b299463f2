"""Withdrawing, retrying, telling what stands there, and looking again later."""

from __future__ import annotations

import pytest

from quaestor.connectors.kit.contract import (
    Absent,
    Ambiguous,
    Applied,
    Found,
    Guarantee,
    Pending,
    Permanent,
    Several,
    Transient,
)
from quaestor.flows.kit.dossier import Withdrawn
from quaestor.model.refusal import Refusal, refuse
from quaestor.runtime.posting import (
    Intent,
    IntentState,
    LookNow,
    ParkSend,
    SendNow,
    looked,
    next_move,
    reconcile_due,
    reconciled,
    retried,
    send_answered,
    standing,
    told,
    withdraw,
)
from tests.runtime.posting.builders import (
    APPLIED,
    DIFFERENT,
    LIMITS,
    REJECTED,
    at,
    in_doubt,
    in_flight,
    pending,
    promise,
    unsent,
)

KEY, UNIQUE, REPEATABLE = Guarantee.KEY, Guarantee.UNIQUE, Guarantee.REPEATABLE
SEARCH, NONE = Guarantee.SEARCH, Guarantee.NONE
EVERY = list(Guarantee)

BOTH = Several(("4500000001", "4500000002"))
DUPLICATE = refuse("erp_duplicate", numbers="4500000001, 4500000002")


def _resolved(outcome: object, **more: object) -> Intent:
    defaults = {"state": IntentState.RESOLVED, "touched_at": at(0), "absence_trusted": True}
    return unsent(SEARCH, outcome=outcome, **{**defaults, **more})


# --- withdraw -------------------------------------------------------------------------------------


@pytest.mark.parametrize("guarantee", EVERY)
def test_withdrawing_what_was_never_sent_leaves_nothing(guarantee: Guarantee) -> None:
    after = withdraw(unsent(guarantee), at(0))

    assert after.outcome == Withdrawn(None)


@pytest.mark.parametrize("guarantee", EVERY)
def test_withdrawing_in_flight_waits_for_what_is_left(guarantee: Guarantee) -> None:
    flying = withdraw(in_flight(guarantee), at(1))

    applied = send_answered(flying, at(2), APPLIED, at(2))
    rejected = send_answered(flying, at(2), REJECTED, at(2))
    not_applied = send_answered(flying, at(2), Transient("refused"), at(2))
    cannot = send_answered(flying, at(2), Permanent("x", refuse("connector_refused")), at(2))
    perhaps = send_answered(flying, at(2), Ambiguous("reset"), at(2))

    assert flying.state is IntentState.IN_FLIGHT
    assert applied.outcome == Withdrawn(APPLIED)
    assert [each.outcome for each in (rejected, not_applied, cannot)] == [Withdrawn(None)] * 3
    assert (perhaps.state, perhaps.outcome) == (IntentState.UNKNOWN, None)


@pytest.mark.parametrize("guarantee", [KEY, UNIQUE, REPEATABLE, SEARCH])
def test_withdrawing_in_doubt_looks_and_never_sends(guarantee: Guarantee) -> None:
    doubted = withdraw(in_doubt(guarantee), at(6))

    found = looked(doubted, at(7), at(8), APPLIED)
    early = looked(doubted, at(7), at(8), Absent())
    sure = looked(doubted, at(65), at(66), Absent())

    assert next_move(doubted, at(7), LIMITS) == LookNow()
    assert found.outcome == Withdrawn(APPLIED)
    assert early.outcome is None
    assert sure.outcome == Withdrawn(None)


def test_withdrawing_in_doubt_where_nobody_can_be_asked_is_for_finance() -> None:
    doubted = withdraw(in_doubt(NONE), at(6))

    move = next_move(doubted, at(99), LIMITS)
    assert move == ParkSend(refuse("outcome_unknown", attempts="1"))


@pytest.mark.parametrize(
    ("outcome", "left"), [(APPLIED, APPLIED), (REJECTED, None), (Withdrawn(APPLIED), APPLIED)]
)
def test_withdrawing_what_has_ended_tells_what_is_left(
    outcome: object, left: Applied | None
) -> None:
    ended = _resolved(outcome, withdrawn=isinstance(outcome, Withdrawn))

    after = withdraw(ended, at(5))

    assert after.outcome == Withdrawn(left)
    assert after.withdrawn


def test_withdrawing_a_document_that_differs_leaves_that_document() -> None:
    differs = send_answered(in_flight(SEARCH), at(1), DIFFERENT, at(1))

    after = withdraw(differs, at(2))

    assert after.outcome == Withdrawn(DIFFERENT)


def test_withdrawing_never_takes_a_strangers_document_for_ours() -> None:
    doubted = withdraw(in_doubt(SEARCH), at(6))

    conflict = looked(doubted, at(7), at(8), DIFFERENT)
    several = looked(doubted, at(7), at(8), BOTH)

    assert conflict.parked is not None
    assert conflict.parked.code == "erp_reference_conflict"
    assert several.parked == DUPLICATE


def test_withdrawing_pending_work_waits_for_its_document() -> None:
    accepted = withdraw(pending(SEARCH), at(6))

    still = looked(accepted, at(7), at(8), Pending("job 7"))
    done = looked(still, at(9), at(10), APPLIED)

    assert done.outcome == Withdrawn(APPLIED)


def test_withdrawing_a_parked_intent_takes_it_up_again() -> None:
    parked = in_doubt(SEARCH, parked=DUPLICATE, look_failures=4)

    after = withdraw(parked, at(100))

    assert after == in_doubt(SEARCH, withdrawn=True)


def test_withdrawing_twice_is_withdrawing_once() -> None:
    once = withdraw(in_doubt(SEARCH), at(6))

    assert withdraw(once, at(7)) == once


# --- retried and told -----------------------------------------------------------------------------


def test_a_retry_starts_the_counts_afresh_and_keeps_the_doubt() -> None:
    tired = in_doubt(SEARCH, failures=3, look_failures=4, parked=DUPLICATE)

    after = retried(tired, at(100))

    assert (after.failures, after.look_failures, after.parked) == (0, 0, None)
    assert (after.state, after.settled_at) == (IntentState.UNKNOWN, at(65))
    assert next_move(after, at(100), LIMITS) == LookNow()


def test_a_retry_changes_exactly_this() -> None:
    stuck = in_doubt(
        KEY,
        failures=3,
        looks=5,
        look_failures=4,
        not_before=at(500),
        rejected=REJECTED,
        parked=DUPLICATE,
    )

    after = retried(stuck, at(100))

    fresh = {"failures": 0, "touched_at": None, "resumed_at": at(100)}
    assert after == in_doubt(KEY, rejected=REJECTED, **fresh)


def test_a_retry_of_what_was_refused_forgets_the_refusal() -> None:
    after = retried(_resolved(REJECTED, rejected=REJECTED), at(100))

    fresh = {"absence_trusted": True, "resumed_at": at(100)}
    assert after == unsent(SEARCH, **fresh)


def test_a_retry_leaves_a_send_in_flight_to_come_back() -> None:
    flying = in_flight(SEARCH)

    assert retried(flying, at(5)) == flying


@pytest.mark.parametrize(
    "intent",
    [
        unsent(SEARCH, attempts=3, failures=3),
        unsent(SEARCH, attempts=1, first_sent_at=at(-9_999)),
        in_doubt(SEARCH, look_failures=4),
        in_doubt(SEARCH, doubtful_since=at(-9_999)),
        pending(SEARCH, doubtful_since=at(-9_999)),
    ],
    ids=["attempts", "age", "looks", "unknown for long", "pending for long"],
)
def test_a_retry_lifts_every_limit(intent: Intent) -> None:
    before = next_move(intent, at(100), LIMITS)

    after = next_move(retried(intent, at(100)), at(100), LIMITS)

    assert isinstance(before, ParkSend)
    assert after in (SendNow(), LookNow())


def test_a_retry_keeps_a_withdrawal_that_is_not_finished() -> None:
    after = retried(in_doubt(SEARCH, withdrawn=True, look_failures=4), at(100))

    assert after.withdrawn


@pytest.mark.parametrize("outcome", [REJECTED, Withdrawn(None)])
def test_what_left_nothing_may_be_sent_again_under_its_key(outcome: object) -> None:
    after = retried(_resolved(outcome, withdrawn=True), at(100))

    assert next_move(after, at(100), LIMITS) == SendNow()
    assert not after.withdrawn


@pytest.mark.parametrize("outcome", [APPLIED, Withdrawn(APPLIED)])
def test_what_left_a_document_is_never_sent_again(outcome: object) -> None:
    with pytest.raises(ValueError, match="a document stands there"):
        retried(_resolved(outcome), at(100))


def test_a_person_who_looked_ends_the_doubt() -> None:
    there = told(in_doubt(NONE), at(100), APPLIED)
    gone = told(in_doubt(NONE), at(100), Absent())
    left = told(in_doubt(NONE, withdrawn=True), at(100), APPLIED)
    clear = told(in_doubt(NONE, withdrawn=True), at(100), Absent())
    refused = told(in_doubt(KEY, rejected=REJECTED), at(100), Absent())

    assert there.outcome == APPLIED
    assert next_move(gone, at(100), LIMITS) == SendNow()
    assert left.outcome == Withdrawn(APPLIED)
    assert clear.outcome == Withdrawn(None)
    assert refused.outcome == REJECTED


def test_what_a_person_told_is_all_that_is_left_of_the_doubt() -> None:
    stuck = in_doubt(
        UNIQUE, exists=True, applied=DIFFERENT, parked=DUPLICATE, look_failures=4, looks=2
    )

    gone = told(stuck, at(100), Absent())
    there = told(stuck, at(100), APPLIED)

    first = {"attempts": 1, "first_sent_at": at(0), "sent_at": at(0)}
    assert gone == unsent(UNIQUE, absence_trusted=True, resumed_at=at(100), **first)
    assert (there.outcome, there.parked, there.settled_at) == (APPLIED, None, None)


def test_a_person_may_permit_what_policy_forbids() -> None:
    never = in_doubt(SEARCH, promised=promise(SEARCH, resend="never"))
    forbidden = looked(never, at(65), at(66), Absent())

    permitted = told(forbidden, at(100), Absent())

    assert next_move(forbidden, at(100), LIMITS) == ParkSend(refuse("resend_forbidden"))
    assert next_move(permitted, at(100), LIMITS) == SendNow()


@pytest.mark.parametrize(
    ("intent", "view"),
    [
        (unsent(SEARCH), "unsent"),
        (in_flight(SEARCH), "unresolved"),
        (in_doubt(SEARCH), "unresolved"),
        (pending(SEARCH), "unresolved"),
        (_resolved(APPLIED), "resolved"),
    ],
)
def test_a_flow_sees_how_a_send_stands(intent: Intent, view: str) -> None:
    assert standing(intent) == view


# --- reconciliation -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("intent", "due"),
    [
        (_resolved(APPLIED), 3_600),
        (_resolved(APPLIED, reconciled_at=at(5_000)), 8_600),
        (_resolved(APPLIED, absence_trusted=False, repeated=True), 3_600),
        (_resolved(APPLIED, absence_trusted=False), None),
        (_resolved(APPLIED, findable=False), None),
        (_resolved(APPLIED, reconciled_at=at(86_400)), None),
    ],
    ids=["first", "next", "repeated", "sent once", "not findable", "long enough"],
)
def test_what_rests_on_a_claim_is_looked_at_again(intent: Intent, due: float | None) -> None:
    expected = None if due is None else at(due)

    assert reconcile_due(intent, 3_600, until_s=86_400) == expected


@pytest.mark.parametrize(
    ("intent", "found", "refusal"),
    [
        (_resolved(APPLIED), APPLIED, None),
        (_resolved(APPLIED), Absent(), None),
        (_resolved(APPLIED), Pending("job"), None),
        (_resolved(APPLIED), BOTH, DUPLICATE),
        (_resolved(APPLIED), Applied("4500000002"), DUPLICATE),
        (_resolved(Withdrawn(APPLIED)), Applied("4500000002"), DUPLICATE),
        (_resolved(Withdrawn(None)), BOTH, DUPLICATE),
        (_resolved(Withdrawn(None)), APPLIED, refuse("erp_document_late", numbers="4500000001")),
        (_resolved(REJECTED), APPLIED, refuse("erp_document_late", numbers="4500000001")),
        (in_doubt(SEARCH, parked=refuse("outcome_unknown")), BOTH, DUPLICATE),
    ],
)
def test_reconciliation_reports_by_name_what_should_not_be(
    intent: Intent, found: Found, refusal: Refusal | None
) -> None:
    after, reported = reconciled(intent, at(9_000), found)

    assert reported == refusal
    assert after.reconciled_at == at(9_000)


def test_the_same_finding_is_reported_once_and_a_new_one_again() -> None:
    once, first = reconciled(_resolved(APPLIED), at(9_000), BOTH)
    twice, second = reconciled(once, at(9_900), BOTH)
    _, third = reconciled(twice, at(9_950), Several((*BOTH.numbers, "4500000003")))

    assert first == DUPLICATE
    assert second is None
    assert third is not None
    assert third.details["numbers"] == "4500000001, 4500000002, 4500000003"


def test_reconciliation_resolves_a_parked_intent_whose_document_came_up() -> None:
    parked = in_doubt(SEARCH, absence_trusted=True, parked=refuse("outcome_unknown"))

    after, reported = reconciled(parked, at(9_000), APPLIED)

    assert (after.outcome, after.parked, reported) == (APPLIED, None, None)


def test_reconciliation_leaves_a_send_in_flight_alone() -> None:
    flying = in_flight(SEARCH, absence_trusted=True)

    assert reconciled(flying, at(9_000), BOTH) == (flying, None)
