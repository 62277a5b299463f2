"""What a restore may have hidden is looked for; what it cannot have hidden is left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from quaestor.connectors.kit.contract import (
    Absent,
    ActionGuarantee,
    Ambiguous,
    Guarantee,
    Transient,
)
from quaestor.runtime.intent import Intent, IntentState, Limits, LookNow, SendNow, WaitUntil
from quaestor.runtime.posting import (
    begin_look,
    begin_send,
    looked,
    new_intent,
    next_move,
    retried,
    send_answered,
    send_lost,
)
from quaestor.runtime.restored import SOURCE_SKEW, doubted, perhaps_posted

BEFORE = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
EARLIER, NOW = BEFORE - 3600 * SECOND, BEFORE + 3 * SOURCE_SKEW
SETTLE_S = 10.0
LIMITS = Limits()


def an_intent() -> Intent:
    promise = ActionGuarantee(Guarantee.SEARCH, settle_s=SETTLE_S)
    return new_intent("k" * 52, "create_order", promise, findable=True)


def a_sent() -> Intent:
    return begin_send(an_intent(), EARLIER, EARLIER + 60 * SECOND)


@pytest.mark.parametrize(
    ("changed_at", "perhaps"),
    [
        (EARLIER, True),
        (BEFORE, True),
        (BEFORE + SOURCE_SKEW, True),
        (BEFORE + SOURCE_SKEW + SECOND, False),
        (NOW, False),
        (NOW + SECOND, True),
    ],
)
def test_a_document_may_have_been_sent_unless_it_is_surely_newer(
    changed_at: datetime, perhaps: bool
) -> None:
    assert perhaps_posted(changed_at, NOW, BEFORE) is perhaps


def test_nothing_is_suspected_where_nothing_was_lost() -> None:
    assert not perhaps_posted(EARLIER, NOW, None)
    assert doubted(an_intent(), EARLIER, None) == an_intent()


def test_an_unsent_intent_of_before_is_looked_for_before_it_is_sent() -> None:
    refused = send_answered(a_sent(), EARLIER, Transient("busy"), EARLIER)
    assert refused.state is IntentState.UNSENT

    suspected = doubted(refused, EARLIER, BEFORE)
    searched = begin_look(suspected, NOW)
    cleared = looked(searched, NOW, NOW, Absent())

    assert next_move(suspected, NOW, LIMITS) == LookNow()
    assert next_move(cleared, NOW, LIMITS) == SendNow()
    assert doubted(cleared, NOW, BEFORE) == cleared


def test_absence_is_trusted_only_when_what_was_lost_has_settled() -> None:
    unknown = send_answered(a_sent(), EARLIER, Ambiguous("no answer"), EARLIER)

    suspected = doubted(unknown, EARLIER, BEFORE)

    settled_at = BEFORE + timedelta(seconds=SETTLE_S)
    assert suspected.settled_at == settled_at
    seen = looked(begin_look(suspected, BEFORE), BEFORE, BEFORE, Absent())
    assert isinstance(next_move(seen, BEFORE, LIMITS), WaitUntil)


def test_one_that_was_in_flight_is_doubted_when_its_lease_is_over() -> None:
    flying = a_sent()
    lost = send_lost(flying, EARLIER + 60 * SECOND)

    assert doubted(flying, EARLIER, BEFORE) == flying
    assert doubted(lost, EARLIER, BEFORE).settled_at == BEFORE + timedelta(seconds=SETTLE_S)


def test_a_doubt_is_raised_once_and_survives_a_retry() -> None:
    suspected = doubted(an_intent(), EARLIER, BEFORE)

    assert doubted(suspected, EARLIER, BEFORE) == suspected
    assert next_move(retried(suspected, NOW), NOW, LIMITS) == LookNow()


def test_what_was_written_since_is_left_alone() -> None:
    assert doubted(an_intent(), BEFORE + SECOND, BEFORE) == an_intent()
