"""The faults of the catalogue that a send can meet (specs/controls.md §2), told one by one."""

from __future__ import annotations

from quaestor.connectors.kit.contract import (
    Absent,
    AlreadyExists,
    Ambiguous,
    Guarantee,
    Permanent,
    Transient,
)
from quaestor.model.refusal import refuse
from quaestor.runtime.posting import (
    Intent,
    IntentState,
    LookNow,
    ParkSend,
    Resolved,
    SendNow,
    WaitUntil,
    begin_look,
    begin_send,
    looked,
    next_move,
    send_answered,
    send_lost,
)
from tests.runtime.posting.builders import APPLIED, DIFFERENT, LIMITS, at, unsent

SEARCH, UNIQUE, KEY = Guarantee.SEARCH, Guarantee.UNIQUE, Guarantee.KEY


def _timed_out(guarantee: Guarantee = SEARCH) -> Intent:
    """Sent at zero; the answer did not come within ten seconds."""
    sent = begin_send(unsent(guarantee), at(0), at(30))
    return send_answered(sent, at(10), Ambiguous("read timed out"), at(10))


def test_f1_an_accepted_order_whose_answer_was_lost_is_found_and_posted() -> None:
    lost = _timed_out()

    found = looked(begin_look(lost, at(11)), at(11), at(12), APPLIED)

    assert next_move(lost, at(11), LIMITS) == LookNow()
    assert next_move(found, at(12), LIMITS) == Resolved(APPLIED)


def test_f2_a_500_after_the_commit_is_a_lost_answer() -> None:
    sent = begin_send(unsent(SEARCH), at(0), at(30))

    answered = send_answered(sent, at(1), Ambiguous("500 without envelope", system=True), at(1))

    assert next_move(answered, at(2), LIMITS) == LookNow()


def test_f3_a_500_before_the_commit_is_sent_again_once_nothing_is_found() -> None:
    lost = _timed_out()

    nothing = looked(begin_look(lost, at(70)), at(70), at(71), Absent())
    again = begin_send(nothing, at(71), at(101))

    assert next_move(nothing, at(71), LIMITS) == SendNow()
    assert (again.key, again.attempts) == (lost.key, 2)


def test_f4_a_commit_after_a_first_negative_look_is_waited_for() -> None:
    lost = _timed_out()

    early = looked(begin_look(lost, at(20)), at(20), at(21), Absent())
    late = looked(begin_look(early, at(70)), at(70), at(71), APPLIED)

    assert next_move(early, at(21), LIMITS) == WaitUntil(at(23))
    assert next_move(late, at(71), LIMITS) == Resolved(APPLIED)


def test_f5_a_failing_look_up_creates_nothing_and_ends_with_finance() -> None:
    intent = _timed_out()

    for second in range(70, 70 + LIMITS.look_failures_max):
        slow = Transient("read timed out", system=False)
        intent = looked(begin_look(intent, at(second)), at(second), at(second), slow)

    move = next_move(intent, at(200), LIMITS)
    assert isinstance(move, ParkSend)
    assert (move.refusal.code, move.refusal.owner) == ("outcome_unknown", "finance")


def test_f7_a_reference_that_leads_to_another_companys_document_is_a_conflict() -> None:
    sent = begin_send(unsent(UNIQUE), at(0), at(30))
    exists = send_answered(sent, at(1), AlreadyExists(), at(1))

    found = looked(begin_look(exists, at(1)), at(1), at(2), DIFFERENT)

    move = next_move(found, at(2), LIMITS)
    assert isinstance(move, ParkSend)
    assert (move.refusal.code, move.refusal.owner) == ("erp_reference_conflict", "finance")


def test_f8_a_killed_worker_leaves_a_doubt_that_another_resolves() -> None:
    begun = begin_send(unsent(SEARCH), at(0), at(30))

    claimed = send_lost(begun, at(30))
    found = looked(begin_look(claimed, at(31)), at(31), at(32), APPLIED)

    assert next_move(begun, at(29), LIMITS) == WaitUntil(at(30))
    assert next_move(claimed, at(31), LIMITS) == LookNow()
    assert next_move(found, at(32), LIMITS) == Resolved(APPLIED)


def test_f20_a_system_that_is_down_for_hours_costs_no_attempt() -> None:
    intent = unsent(SEARCH)

    for second in range(0, 3_000, 30):
        sent = begin_send(intent, at(second), at(second + 30))
        intent = send_answered(sent, at(second), Transient("connection refused"), at(second))

    assert (intent.state, intent.failures, intent.attempts) == (IntentState.UNSENT, 0, 100)
    assert next_move(intent, at(3_000), LIMITS) == SendNow()


def test_f21_a_retry_after_is_obeyed() -> None:
    sent = begin_send(unsent(KEY), at(0), at(30))

    throttled = send_answered(sent, at(1), Transient("429", retry_after_s=45), at(1))

    assert next_move(throttled, at(40), LIMITS) == WaitUntil(at(46))
    assert next_move(throttled, at(46), LIMITS) == SendNow()


def test_f24_a_document_that_lacks_a_line_is_not_created_again() -> None:
    sent = begin_send(unsent(SEARCH), at(0), at(30))

    differs = send_answered(sent, at(1), DIFFERENT, at(1))

    move = next_move(differs, at(9_999), LIMITS)
    assert isinstance(move, ParkSend)
    assert (move.refusal.code, move.refusal.owner) == ("erp_document_differs", "finance")


def test_a_document_that_cannot_be_expressed_is_for_whoever_keeps_the_crosswalk() -> None:
    missing = Permanent("no code", refuse("crosswalk_missing", code="CC-9"))
    sent = begin_send(unsent(SEARCH), at(0), at(30))

    refused = send_answered(sent, at(1), missing, at(1))

    assert next_move(refused, at(2), LIMITS) == ParkSend(missing.refusal)
