"""What an answer, a loss and a look do to an intent, one sentence each."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from quaestor.connectors.kit.contract import (
    Absent,
    AlreadyExists,
    Ambiguous,
    Guarantee,
    NotKnown,
    Pending,
    Permanent,
    Several,
    Submitted,
    Transient,
)
from quaestor.model.refusal import refuse
from quaestor.runtime.posting import (
    Intent,
    IntentState,
    LookNow,
    ParkSend,
    SendNow,
    begin_look,
    begin_send,
    looked,
    next_move,
    perhaps_sent,
    send_answered,
    send_lost,
    told,
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

CANNOT = Permanent("no code", refuse("connector_refused", reason="no code in the crosswalk"))


def _again(guarantee: Guarantee, **more: object) -> Intent:
    """In flight for the second time, while the first send is still in doubt."""
    return in_flight(guarantee, attempts=2, doubtful_since=at(-20), settled_at=at(45), **more)


# --- beginning ------------------------------------------------------------------------------------


def test_beginning_a_send_counts_it_and_remembers_the_first() -> None:
    first = begin_send(unsent(KEY), at(0), at(30))
    doubted = send_answered(first, at(5), Ambiguous("reset"), at(5))

    second = begin_send(doubted, at(9), at(39))

    assert (first.attempts, first.first_sent_at, first.lease_until) == (1, at(0), at(30))
    assert (second.attempts, second.first_sent_at, second.sent_at) == (2, at(0), at(9))
    assert (first.repeated, second.repeated) == (False, True)


@pytest.mark.parametrize(
    "intent",
    [
        in_flight(SEARCH),
        in_doubt(SEARCH),
        in_doubt(NONE),
        in_doubt(KEY, withdrawn=True),
        in_doubt(KEY, promised=promise(KEY, resend="never")),
        unsent(SEARCH, forbidden=True),
        unsent(SEARCH, parked=refuse("connector_refused")),
        unsent(SEARCH, state=IntentState.RESOLVED, outcome=APPLIED),
    ],
    ids=["flying", "search", "none", "withdrawn", "never", "forbidden", "parked", "resolved"],
)
def test_the_second_lock_refuses_a_send_that_may_not_leave(intent: Intent) -> None:
    with pytest.raises(ValueError, match="no send may leave"):
        begin_send(intent, at(100), at(130))


@pytest.mark.parametrize("state", [IntentState.UNSENT, IntentState.UNKNOWN, IntentState.RESOLVED])
def test_an_answer_needs_a_send_in_flight(state: IntentState) -> None:
    with pytest.raises(ValueError, match="no send is in flight"):
        send_answered(unsent(SEARCH, state=state), at(1), APPLIED, at(1))


@pytest.mark.parametrize(
    "act",
    [
        lambda intent: send_lost(intent, at(30)),
        lambda intent: begin_look(intent, at(30)),
        lambda intent: looked(intent, at(30), at(31), APPLIED),
        lambda intent: told(intent, at(31), APPLIED),
        lambda intent: perhaps_sent(intent, at(31)),
    ],
    ids=["send_lost", "begin_look", "looked", "told", "perhaps_sent"],
)
def test_nothing_is_done_to_what_has_ended(act: Callable[[Intent], Intent]) -> None:
    resolved = unsent(SEARCH, state=IntentState.RESOLVED, outcome=APPLIED)

    with pytest.raises(ValueError, match="resolved"):
        act(resolved)


@pytest.mark.parametrize(
    "act",
    [
        lambda intent: begin_look(intent, at(1)),
        lambda intent: looked(intent, at(1), at(2), APPLIED),
        lambda intent: told(intent, at(2), APPLIED),
        lambda intent: perhaps_sent(intent, at(2)),
    ],
    ids=["begin_look", "looked", "told", "perhaps_sent"],
)
def test_a_send_in_flight_is_looked_for_by_nobody(act: Callable[[Intent], Intent]) -> None:
    with pytest.raises(ValueError, match="in_flight"):
        act(in_flight(SEARCH))


# --- the whole value ------------------------------------------------------------------------------


def test_beginning_a_send_forgets_the_waits_before_it() -> None:
    waited = unsent(SEARCH, attempts=1, first_sent_at=at(-9), looks=3, not_before=at(-1))

    after = begin_send(waited, at(0), at(30))

    assert after == in_flight(SEARCH, attempts=2, first_sent_at=at(-9))


def test_an_answer_in_doubt_changes_exactly_this() -> None:
    after = send_answered(in_flight(SEARCH), at(5), Ambiguous("timed out"), at(5))

    assert after == in_doubt(SEARCH)


def test_a_send_surely_not_applied_changes_exactly_this() -> None:
    after = send_answered(in_flight(SEARCH), at(5), Transient("refused", system=False), at(5))

    first = {"attempts": 1, "first_sent_at": at(0), "sent_at": at(0)}
    assert after == unsent(SEARCH, failures=1, touched_at=at(5), **first)


def test_beginning_a_look_changes_exactly_this() -> None:
    after = begin_look(in_doubt(SEARCH, looks=2, not_before=at(8)), at(9))

    assert after == in_doubt(SEARCH, looks=3, touched_at=at(9))


def test_a_hit_ends_everything_that_only_served_the_way() -> None:
    on_the_way = in_doubt(
        UNIQUE, look_first=True, not_before=at(6), exists=True, looks=1, lease_until=at(30)
    )

    after = looked(on_the_way, at(8), at(9), APPLIED)

    assert after == in_flight(
        UNIQUE,
        state=IntentState.RESOLVED,
        outcome=APPLIED,
        touched_at=at(9),
        lease_until=None,
        failures=1,
        looks=1,
        exists=True,
    )


def test_a_trusted_absence_ends_the_doubt_and_all_that_belongs_to_it() -> None:
    doubted = in_doubt(SEARCH, look_first=True, applied=DIFFERENT, looks=1)

    after = looked(doubted, at(65), at(66), Absent())

    first = {"attempts": 1, "first_sent_at": at(0), "sent_at": at(0), "failures": 1, "looks": 1}
    assert after == unsent(SEARCH, touched_at=at(66), absence_trusted=True, **first)


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("guarantee", EVERY)
def test_applied_and_rejected_end_a_send(guarantee: Guarantee) -> None:
    applied = send_answered(in_flight(guarantee), at(1), APPLIED, at(1))
    rejected = send_answered(in_flight(guarantee), at(1), REJECTED, at(1))

    assert (applied.state, applied.outcome) == (IntentState.RESOLVED, APPLIED)
    assert (rejected.state, rejected.outcome) == (IntentState.RESOLVED, REJECTED)


@pytest.mark.parametrize("guarantee", EVERY)
@pytest.mark.parametrize("answer", [Ambiguous("reset"), NotKnown("what is this")])
def test_an_answer_that_never_came_means_perhaps_applied(
    guarantee: Guarantee, answer: NotKnown
) -> None:
    after = send_answered(in_flight(guarantee), at(7), answer, at(6))

    assert (after.state, after.settled_at) == (IntentState.UNKNOWN, at(66))
    assert (after.failures, after.doubtful_since) == (1, at(0))


@pytest.mark.parametrize("guarantee", EVERY)
def test_transient_means_that_this_send_was_surely_not_applied(guarantee: Guarantee) -> None:
    after = send_answered(in_flight(guarantee), at(1), Transient("refused", system=False), at(1))

    assert (after.state, after.settled_at, after.failures) == (IntentState.UNSENT, None, 1)


@pytest.mark.parametrize("guarantee", [KEY, UNIQUE, REPEATABLE])
@pytest.mark.parametrize("answer", [Transient("refused"), REJECTED, CANNOT], ids=repr)
def test_an_earlier_doubt_outlives_every_failure_of_a_later_send(
    guarantee: Guarantee, answer: Submitted | NotKnown
) -> None:
    after = send_answered(_again(guarantee), at(20), answer, at(20))

    assert (after.state, after.settled_at) == (IntentState.UNKNOWN, at(45))
    assert after.outcome is None


@pytest.mark.parametrize("answer", [Transient("down"), Ambiguous("502", system=True)], ids=repr)
def test_trouble_of_the_whole_system_is_not_counted_against_the_document(answer: NotKnown) -> None:
    after = send_answered(in_flight(SEARCH), at(1), answer, at(1))

    assert after.failures == 0


def test_the_vendors_retry_after_is_obeyed() -> None:
    after = send_answered(in_flight(SEARCH), at(1), Transient("429", retry_after_s=40), at(1))

    assert after.not_before == at(41)


def test_permanent_asks_a_person_and_retrying_sends_again() -> None:
    after = send_answered(in_flight(SEARCH), at(1), CANNOT, at(1))

    assert (after.state, after.parked) == (IntentState.UNSENT, CANNOT.refusal)


def test_a_document_that_differs_is_kept_and_judged_by_a_person() -> None:
    after = send_answered(in_flight(SEARCH), at(1), DIFFERENT, at(1))

    move = next_move(after, at(2), LIMITS)
    assert isinstance(move, ParkSend)
    assert (move.refusal.code, move.refusal.owner) == ("erp_document_differs", "finance")
    assert move.refusal.details["number"] == DIFFERENT.number
    assert after.applied == DIFFERENT


def test_a_document_that_differs_is_not_forgotten_by_a_look_that_misses_it() -> None:
    differs = send_answered(in_flight(SEARCH), at(1), DIFFERENT, at(1))

    after = looked(differs, at(70), at(71), Absent())

    assert (after.state, after.exists) == (IntentState.UNKNOWN, True)


@pytest.mark.parametrize("guarantee", [KEY, UNIQUE, REPEATABLE])
def test_a_second_doubt_is_as_old_as_the_first_and_settles_with_the_last(
    guarantee: Guarantee,
) -> None:
    after = send_answered(_again(guarantee), at(8), Ambiguous("reset"), at(8))
    before = send_answered(_again(guarantee), at(8), Ambiguous("reset"), at(-50))

    assert (after.doubtful_since, after.settled_at) == (at(-20), at(68))
    assert before.settled_at == at(45)


def test_the_word_that_it_exists_leads_to_a_look_and_never_to_rejected() -> None:
    after = send_answered(in_flight(UNIQUE), at(1), AlreadyExists(), at(1))

    assert next_move(after, at(1), LIMITS) == LookNow()
    assert after.rejected is None


def test_pending_waits_for_the_system() -> None:
    after = send_answered(in_flight(SEARCH), at(1), Pending("job 7"), at(1))

    assert (after.state, after.settled_at) == (IntentState.PENDING, at(61))


def test_a_lost_send_settles_from_the_end_of_the_lease() -> None:
    after = send_lost(in_flight(SEARCH), at(30))

    assert after == in_doubt(SEARCH, touched_at=at(30), settled_at=at(90))


# --- looks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("guarantee", [KEY, UNIQUE, REPEATABLE, SEARCH])
def test_a_hit_is_trusted_whenever_it_comes(guarantee: Guarantee) -> None:
    after = looked(in_doubt(guarantee), at(6), at(7), APPLIED)

    assert (after.state, after.outcome) == (IntentState.RESOLVED, APPLIED)


def test_a_look_that_started_before_it_settled_is_not_trusted_to_find_nothing() -> None:
    after = looked(in_doubt(SEARCH), at(64.999), at(70), Absent())

    assert (after.state, after.settled_at) == (IntentState.UNKNOWN, at(65))
    assert next_move(after, at(72), LIMITS) == LookNow()


def test_a_look_that_started_when_it_settled_is_trusted_and_it_is_sent_again() -> None:
    after = looked(begin_look(in_doubt(SEARCH), at(65)), at(65), at(66), Absent())

    assert (after.state, after.absence_trusted) == (IntentState.UNSENT, True)
    assert next_move(after, at(66), LIMITS) == SendNow()


def test_a_trusted_absence_confirms_a_rejection_that_came_in_doubt() -> None:
    after = looked(in_doubt(UNIQUE, rejected=REJECTED), at(65), at(66), Absent())

    assert after.outcome == REJECTED


def test_a_hit_overrules_a_rejection_that_came_in_doubt() -> None:
    after = looked(in_doubt(UNIQUE, rejected=REJECTED), at(8), at(9), APPLIED)

    assert after.outcome == APPLIED


def test_policy_forbids_sending_again_what_once_was_in_doubt() -> None:
    never = in_doubt(SEARCH, promised=promise(SEARCH, resend="never"))

    after = looked(never, at(65), at(66), Absent())

    assert next_move(after, at(66), LIMITS) == ParkSend(refuse("resend_forbidden"))


def test_policy_does_not_forbid_sending_again_what_surely_never_arrived() -> None:
    never = in_flight(SEARCH, promised=promise(SEARCH, resend="never"))

    after = send_answered(never, at(1), Transient("connection refused"), at(1))

    assert next_move(after, at(3), LIMITS) == SendNow()


def test_several_documents_are_a_persons_incident_with_all_numbers() -> None:
    after = looked(in_doubt(SEARCH), at(6), at(7), Several(("4500000001", "4500000002")))

    numbers = "4500000001, 4500000002"
    assert after.parked == refuse("erp_duplicate", numbers=numbers)


def test_several_documents_are_not_forgotten_by_a_look_that_misses_them() -> None:
    several = looked(in_doubt(SEARCH), at(6), at(7), Several(("4500000001", "4500000002")))

    after = looked(several, at(70), at(71), Absent())

    assert (after.state, after.exists) == (IntentState.UNKNOWN, True)


def test_a_hit_with_other_content_is_a_conflict_of_references() -> None:
    after = looked(in_doubt(SEARCH), at(6), at(7), DIFFERENT)

    assert after.parked is not None
    assert after.parked.code == "erp_reference_conflict"


def test_a_document_known_to_differ_is_not_called_a_conflict_later() -> None:
    differs = send_answered(in_flight(SEARCH), at(1), DIFFERENT, at(1))

    after = looked(differs, at(70), at(71), DIFFERENT)

    assert after.parked is not None
    assert after.parked.code == "erp_document_differs"


def test_a_failed_look_stays_unknown_and_never_leads_to_a_create() -> None:
    once = looked(in_doubt(SEARCH), at(70), at(71), Transient("slow", system=False))
    down = looked(in_doubt(SEARCH), at(70), at(71), Transient("down"))
    garbled = looked(in_doubt(SEARCH), at(70), at(71), Ambiguous("garbled"))
    refused = looked(in_doubt(SEARCH), at(70), at(71), CANNOT)

    assert [each.state for each in (once, down, garbled, refused)] == [IntentState.UNKNOWN] * 4
    assert [each.look_failures for each in (once, down, garbled, refused)] == [1, 0, 1, 0]
    assert refused.parked == CANNOT.refusal


def test_a_job_that_ended_without_a_document_settles_once_more() -> None:
    gone = looked(pending(SEARCH), at(100), at(101), Absent())
    sure = looked(gone, at(161), at(162), Absent())

    assert (gone.state, gone.settled_at) == (IntentState.UNKNOWN, at(161))
    assert sure.state is IntentState.UNSENT


def test_a_job_that_is_found_pending_is_waited_for() -> None:
    after = looked(in_doubt(UNIQUE, exists=True), at(6), at(7), Pending("job 7"))

    assert (after.state, after.exists) == (IntentState.PENDING, False)


def test_a_unique_reference_that_leads_nowhere_is_asked_for_once_more() -> None:
    lost = looked(in_doubt(UNIQUE, exists=True), at(65), at(66), Absent())

    assert next_move(lost, at(68), LIMITS) == SendNow()
    assert (lost.state, lost.look_failures) == (IntentState.UNKNOWN, 1)


@pytest.mark.parametrize(
    "taken",
    [
        in_doubt(KEY, exists=True),
        in_doubt(REPEATABLE, exists=True),
        in_doubt(SEARCH, exists=True),
        in_doubt(UNIQUE, exists=True, promised=promise(UNIQUE, resend="never")),
        in_doubt(UNIQUE, exists=True, withdrawn=True),
        in_doubt(UNIQUE, exists=True, rejected=REJECTED),
    ],
    ids=["key", "repeatable", "search", "never", "withdrawn", "rejected"],
)
def test_a_reference_that_is_taken_but_leads_nowhere_ends_no_doubt(taken: Intent) -> None:
    after = looked(taken, at(65), at(66), Absent())

    assert (after.outcome, after.exists, after.look_failures) == (None, True, 1)
    assert after.settled_at is not None


# --- a restore ------------------------------------------------------------------------------------


@pytest.mark.parametrize("guarantee", [KEY, UNIQUE, REPEATABLE, SEARCH])
def test_after_a_restore_it_is_looked_for_before_its_first_send(guarantee: Guarantee) -> None:
    restored = perhaps_sent(unsent(guarantee), at(0))
    nothing = looked(restored, at(60), at(61), Absent())
    there = looked(restored, at(1), at(2), APPLIED)

    assert next_move(restored, at(1), LIMITS) == LookNow()
    assert next_move(nothing, at(61), LIMITS) == SendNow()
    assert there.outcome == APPLIED


def test_a_restore_changes_exactly_this() -> None:
    waited = unsent(SEARCH, touched_at=at(-50))

    after = perhaps_sent(waited, at(0))

    doubt = {"doubtful_since": at(0), "settled_at": at(60), "look_first": True}
    assert after == unsent(SEARCH, state=IntentState.UNKNOWN, **doubt)


def test_policy_does_not_forbid_the_first_send_after_a_restore() -> None:
    restored = perhaps_sent(unsent(SEARCH, promised=promise(SEARCH, resend="never")), at(0))

    nothing = looked(restored, at(60), at(61), Absent())

    assert next_move(nothing, at(61), LIMITS) == SendNow()
