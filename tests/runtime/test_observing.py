"""A system that is only observed: what would be sent is shown, and nothing of it takes place."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from quaestor.audit.exchange import read_exchange
from quaestor.connectors.kit.contract import (
    ActionGuarantee,
    Ambiguous,
    Command,
    Guarantee,
    Permanent,
)
from quaestor.flows.kit.dossier import Document
from quaestor.flows.kit.effects import RequestApproval, Send
from quaestor.flows.kit.flow import Flow, Stage
from quaestor.flows.kit.step import Done, Step
from quaestor.model.event import Retry
from quaestor.model.refusal import refuse
from quaestor.runtime.case import Arrived, Case
from quaestor.runtime.observing import HELD, WOULD_SEND
from quaestor.runtime.posting import Limits, LookNow, SendNow, begin_send, send_answered
from quaestor.runtime.progress import Target, World, proceed
from quaestor.runtime.state import WorkState
from tests.support.engine import Memo

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
RETRY = Arrived(1, Retry("r1", NOW, "ben"))
ASKED = RequestApproval("approval/1/1", "workday", "0" * 64, 1, Decimal("9.00"), "EUR")
ORDER = Send("order", "erp", "create_order", "group")
FLOW = Flow(
    "proof",
    1,
    "memo",
    Memo,
    "first",
    {
        "first": Stage(lambda dossier: Step((ASKED, ORDER), "second")),
        "second": Stage(lambda dossier: Step((), Done("done"))),
    },
    lambda dossier, event: None,
)
TARGET = Target(
    "erp",
    lambda command: command.key.encode(),
    {"create_order": ActionGuarantee(Guarantee.SEARCH, settle_s=10.0)},
    findable=True,
)


def a_world(*, observed: bool, target: Target = TARGET) -> World:
    targets = {"erp": replace(target, observed=observed)}
    return World("proof", targets, lambda case, kinds: {}, Limits())


def a_case() -> Case:
    document = Document(1, "memo", "acme-de", "desk", "D1", "corr", 1, "0" * 64, Memo())
    return Case(document, FLOW, "r1", "first", WorkState(), "", None, 0, 0, NOW)


def test_what_would_be_sent_is_in_the_trail_and_nothing_is_intended() -> None:
    case = a_case()

    proceed(case, a_world(observed=True), NOW)

    parked = case.state.parked
    assert parked is not None
    assert (parked.refusal.code, parked.owner) == (HELD, "operator")
    assert (case.move, case.intents, case.state.sending, case.stage) == (None, {}, None, "first")
    assert [note.effect for note in case.notes] == ["hold", "park"]
    shown = read_exchange(case.notes[0].payloads[0])
    assert shown is not None
    assert (shown.method, shown.target, len(shown.request) > 20) == (
        WOULD_SEND,
        "create_order",
        True,
    )


def test_no_other_effect_of_that_step_takes_place() -> None:
    case = a_case()

    proceed(case, a_world(observed=True), NOW)

    assert (case.approvals, case.state.results) == ([], {})


@pytest.mark.parametrize(("observed", "sends"), [(True, False), (False, True)])
def test_only_a_person_and_only_in_earnest_lets_it_leave(observed: bool, sends: bool) -> None:
    case = a_case()
    proceed(case, a_world(observed=True), NOW)
    proceed(case, a_world(observed=False), NOW)
    waited = case.move
    case.events = [RETRY]

    proceed(case, a_world(observed=observed), NOW)

    assert waited is None
    assert isinstance(case.move, SendNow) is sends
    assert (case.state.parked is None) is sends


def test_what_was_intended_in_earnest_is_held_as_well() -> None:
    case = a_case()
    proceed(case, a_world(observed=False), NOW)
    case.move = None

    proceed(case, a_world(observed=True), NOW)

    assert case.move is None
    assert case.state.parked is not None
    assert case.state.parked.refusal.code == HELD


def test_what_was_perhaps_sent_is_still_looked_for() -> None:
    case = a_case()
    proceed(case, a_world(observed=False), NOW)
    row = case.intents["order"]
    row.core = begin_send(row.core, NOW, NOW)
    row.core = send_answered(row.core, NOW, Ambiguous("read time-out"), NOW)
    case.move = None
    later = datetime(2026, 11, 2, 12, 1, tzinfo=UTC)

    proceed(case, a_world(observed=True), later)

    assert isinstance(case.move, LookNow)


def test_what_could_not_be_expressed_is_refused_by_its_own_name() -> None:
    def render(command: Command) -> bytes:
        raise Permanent("no code", refuse("crosswalk_missing", kind="tax_code"))

    case = a_case()

    proceed(case, a_world(observed=True, target=replace(TARGET, render=render)), NOW)

    assert case.state.parked is not None
    assert case.state.parked.refusal.code == "crosswalk_missing"
