"""What a restore may have hidden is looked for; what it cannot have hidden is left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from quaestor.connectors.kit.contract import (
    Absent,
    ActionGuarantee,
    Ambiguous,
    Command,
    Guarantee,
    Transient,
)
from quaestor.flows.kit.dossier import Document, Dossier
from quaestor.flows.kit.effects import Send
from quaestor.flows.kit.flow import Flow, Stage
from quaestor.flows.kit.step import Step
from quaestor.model.event import Event
from quaestor.runtime.case import Case
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
from quaestor.runtime.progress import Target, World, proceed
from quaestor.runtime.restored import SOURCE_SKEW, doubted, perhaps_posted
from quaestor.runtime.state import WorkState
from tests.support.engine import Memo

BEFORE = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
EARLIER, NOW = BEFORE - 3600 * SECOND, BEFORE + 3 * SOURCE_SKEW
SETTLE_S = 10.0
LIMITS = Limits()
PROMISE = ActionGuarantee(Guarantee.SEARCH, settle_s=SETTLE_S)


def an_intent() -> Intent:
    return new_intent("k" * 52, "create_order", PROMISE, findable=True)


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


def test_a_look_goes_back_to_where_the_lost_time_began() -> None:
    lost_since, changed_at = EARLIER, EARLIER - 90 * SECOND
    world = World(
        "proof",
        {"erp": Target("erp", lambda command: b"bytes", {"create_order": PROMISE}, True)},
        lambda case, kinds: {},
        LIMITS,
        find_first_before=BEFORE,
        lost_since=lost_since,
    )
    flow = Flow("proof", 1, "memo", Memo, "first", {"first": Stage(_sends)}, _is_undisturbed)
    document = Document(1, "memo", "acme-de", "desk", "D1", "corr", 1, "0" * 64, Memo())
    case = Case(document, flow, "r1", "first", WorkState(), "", None, 0, 0, changed_at)

    proceed(case, world, NOW)

    command = msgspec.json.decode(case.intents["order"].command, type=Command)
    assert case.move == LookNow()
    assert command.created_at == changed_at


def _sends(dossier: Dossier) -> Step:
    return Step((Send("order", "erp", "create_order", "group"),), "first")


def _is_undisturbed(dossier: Dossier, event: Event) -> None:
    return None
