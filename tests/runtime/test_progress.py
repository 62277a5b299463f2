"""Progress of one case, by values: what each step leads to, and what a flow may not ask for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from quaestor.connectors.kit.contract import (
    ActionGuarantee,
    Applied,
    Command,
    Guarantee,
    Permanent,
)
from quaestor.flows.kit.dossier import Document, Dossier, Withdrawn
from quaestor.flows.kit.effects import Adopt, Record, Send, Tell, Withdraw
from quaestor.flows.kit.flow import Flow, Stage
from quaestor.flows.kit.step import Await, Done, Park, Stay, Step
from quaestor.model.event import Cancel, Decided, Event, Retry
from quaestor.model.refusal import refuse
from quaestor.runtime.case import Arrived, Case
from quaestor.runtime.posting import Limits, SendNow, begin_send, send_answered
from quaestor.runtime.progress import Target, World, proceed
from quaestor.runtime.state import WorkState
from quaestor.runtime.stepping import note_waiting
from tests.support.engine import Memo

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
ORDER = Send("order", "erp", "create_order", "group")
CANCEL = Cancel("c1", NOW, "ana")
RETRY = Retry("r1", NOW, "ben")


def _never(dossier: Dossier, event: Event) -> Step | None:
    return None


def _flow(
    first: Callable[[Dossier], Step],
    interrupted: Callable[[Dossier, Event], Step | None] = _never,
    **more: Callable[[Dossier], Step],
) -> Flow:
    stages = {"first": Stage(first), **{name: Stage(run) for name, run in more.items()}}
    return Flow("proof", 1, "memo", Memo, "first", stages, interrupted)


def _case(flow: Flow, *events: Event) -> Case:
    document = Document(1, "memo", "acme-de", "desk", "D1", "corr", 1, "0" * 64, Memo())
    case = Case(document, flow, "r1", flow.first, WorkState(), "", None, 0, 0, NOW)
    case.events = [Arrived(number, event) for number, event in enumerate(events, start=1)]
    return case


def _world(steps_max: int = 50, **changes: object) -> World:
    def render(command: Command) -> bytes:
        if changes.get("unrenderable"):
            raise Permanent("no code", refuse("crosswalk_missing", kind="tax_code"))
        return b"bytes"

    promise = ActionGuarantee(Guarantee.SEARCH, settle_s=10.0)
    target = Target("erp", render, {"create_order": promise}, findable=True)
    before = changes.get("find_first_before")
    assert before is None or isinstance(before, datetime)
    return World("proof", {"erp": target}, lambda case, kinds: {}, Limits(), steps_max, before)


def _done(dossier: Dossier) -> Step:
    return Step((), Done("done"))


def test_stages_follow_each_other_until_the_end() -> None:
    case = _case(_flow(lambda d: Step((Record("seen", {"a": "1"}),), "second"), second=_done))

    proceed(case, _world(), NOW)

    assert case.outcome == "done"
    assert [note.effect for note in case.notes] == ["record", "step"]


def test_the_entry_of_an_effect_tells_the_step_that_led_to_it() -> None:
    seen = Record("seen", {"a": "1"})
    case = _case(
        _flow(lambda d: Step((), "second"), second=lambda d: Step((seen,), "third"), third=_done)
    )

    proceed(case, _world(), NOW)

    told = case.notes[0]
    assert (told.effect, told.stage_before, told.stage_after) == ("record", "second", "third")
    assert told.details == {"a": "1", "by_way_of": "first"}


def test_what_waits_for_a_slot_is_told_where_its_step_led() -> None:
    case = _case(_flow(lambda d: Step((ORDER,), "second"), second=_done))
    proceed(case, _world(), NOW)

    note_waiting(case)

    (told,) = case.notes
    assert (told.effect, told.stage_before, told.stage_after) == ("step", "first", "second")
    assert told.details == {"effects": "Send:order"}


def test_a_step_that_could_not_be_taken_whole_forgets_no_stage_on_the_way() -> None:
    told = Tell("told", "ana", "text")
    case = _case(_flow(lambda d: Step((), "second"), second=lambda d: Step((told, ORDER), "third")))

    proceed(case, _world(unrenderable=True), NOW)

    (parked,) = case.notes
    assert (parked.effect, parked.stage_before) == ("park", "first")


def test_a_send_is_an_intent_before_anything_else() -> None:
    case = _case(_flow(lambda d: Step((ORDER,), "second"), second=_done))

    proceed(case, _world(), NOW)

    row = case.intents["order"]
    assert (row.payload, row.is_new, case.stage) == (b"bytes", True, "second")
    assert isinstance(case.move, SendNow)
    assert case.outcome is None


def test_the_next_stage_runs_once_the_send_is_resolved() -> None:
    case = _case(_flow(lambda d: Step((ORDER,), "second"), second=_done))
    proceed(case, _world(), NOW)
    row = case.intents["order"]
    row.core = begin_send(row.core, NOW, NOW + timedelta(seconds=5))
    row.core = send_answered(row.core, NOW, Applied("4500000001"), NOW)

    proceed(case, _world(), NOW)

    assert case.outcome == "done"
    assert case.state.results["order"] == Applied("4500000001")
    assert row.number == "4500000001"


def test_an_answer_counts_before_the_event_that_came_with_it() -> None:
    seen: list[object] = []

    def interrupted(dossier: Dossier, event: Event) -> Step | None:
        seen.append(dossier.results.get("order"))
        return Step((), Stay())

    case = _case(_flow(lambda d: Step((ORDER,), "second"), interrupted, second=_done))
    proceed(case, _world(), NOW)
    row = case.intents["order"]
    row.core = begin_send(row.core, NOW, NOW + timedelta(seconds=5))
    row.core = send_answered(row.core, NOW, Applied("4500000001"), NOW)
    case.events = [Arrived(1, CANCEL)]

    proceed(case, _world(), NOW)

    assert seen == [Applied("4500000001")]


def test_a_withdrawal_of_what_never_left_ends_without_a_send() -> None:
    def interrupted(dossier: Dossier, event: Event) -> Step | None:
        return Step((Withdraw("order"),), "second") if dossier.unresolved else None

    case = _case(_flow(lambda d: Step((ORDER,), "second"), interrupted, second=_done), CANCEL)

    proceed(case, _world(), NOW)

    assert case.outcome == "done"
    assert case.state.results["order"] == Withdrawn(None)
    assert case.move is None


def test_a_stage_that_raises_parks_its_document_with_the_place_and_not_the_data() -> None:
    def broken(dossier: Dossier) -> Step:
        raise KeyError("a supplier's bank account")

    case = _case(_flow(broken))

    proceed(case, _world(), NOW)

    assert case.state.parked is not None
    refusal = case.state.parked.refusal
    assert refusal.code == "flow_failed"
    assert refusal.details == {"stage": "first", "error": "KeyError"}


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (Step((), "nowhere"), "flow_unknown"),
        (Step((Withdraw("order"),), "second"), "flow_failed"),
        (Step((Adopt("adopt", 2),), "second"), "flow_failed"),
        (Step((Send("order", "crm", "create_order", "g"),), "second"), "connector_refused"),
        (Step((Send("order", "erp", "paint_order", "g"),), "second"), "connector_refused"),
        (Step((ORDER,), Done("done")), "flow_failed"),
    ],
)
def test_what_the_vocabulary_does_not_allow_is_parked_by_name(step: Step, code: str) -> None:
    case = _case(_flow(lambda d: step, second=_done))

    proceed(case, _world(), NOW)

    assert case.state.parked is not None
    assert case.state.parked.refusal.code == code


def test_a_step_that_cannot_be_taken_whole_leaves_nothing_of_it() -> None:
    step = Step((Tell("told", "ana", "ordered"), ORDER), "second")
    case = _case(_flow(lambda d: step, second=_done))

    proceed(case, _world(unrenderable=True), NOW)

    assert case.state.parked is not None
    assert case.state.parked.refusal.code == "crosswalk_missing"
    assert (case.stage, case.intents, case.state.sending) == ("first", {}, None)
    assert [note.effect for note in case.notes] == ["park"]


def test_a_flow_that_runs_in_circles_is_parked_at_its_limit() -> None:
    case = _case(_flow(lambda d: Step((), "second"), second=lambda d: Step((), "first")))

    proceed(case, _world(steps_max=20), NOW)

    assert case.state.parked is not None
    assert case.state.parked.refusal.code == "steps_exhausted"
    assert case.state.steps == 20


def test_a_retry_takes_a_parked_document_up_again() -> None:
    refusal = refuse("erp_rejected")
    case = _case(_flow(lambda d: Step((), Park("finance", refusal, resume="second")), second=_done))
    proceed(case, _world(), NOW)
    case.events = [Arrived(1, RETRY)]

    proceed(case, _world(), NOW)

    assert case.outcome == "done"
    assert case.consumed == [1]


def test_an_event_wins_over_the_time() -> None:
    waiting = Await(("Decided",), "second", until=NOW, on_timeout="late")
    decided = Decided("d1", NOW, "ana", request="approval")
    late = Stage(lambda d: Step((), Done("late")))
    flow = _flow(
        lambda d: Step((), waiting), second=lambda d: Step((), Done("decided"), consumes=d.events)
    )
    flow = Flow(
        flow.name, 1, "memo", Memo, "first", {**flow.stages, "late": late}, flow.interrupted
    )
    case = _case(flow, decided)

    proceed(case, _world(), NOW + timedelta(days=1))

    assert case.outcome == "decided"


def test_time_that_is_over_runs_the_stage_for_it() -> None:
    waiting = Await(("Decided",), "second", until=NOW, on_timeout="late")
    flow = _flow(
        lambda d: Step((), waiting), second=_done, late=lambda d: Step((), Done("expired"))
    )
    case = _case(flow)

    proceed(case, _world(), NOW + timedelta(seconds=1))

    assert case.outcome == "expired"


def test_a_sleeper_is_due_when_its_time_is_over() -> None:
    waiting = Await(("Decided",), "second", until=NOW + timedelta(days=2), on_timeout="second")
    case = _case(_flow(lambda d: Step((), waiting), second=_done))

    proceed(case, _world(), NOW)

    assert case.due_at == NOW + timedelta(days=2)
    assert case.outcome is None


def test_an_event_that_is_dealt_with_leaves_a_parked_document_parked() -> None:
    case = _case(
        _flow(
            lambda d: Step((), Park("finance", refuse("erp_rejected"))),
            lambda d, e: Step((), Stay()),
        )
    )
    proceed(case, _world(), NOW)
    case.events = [Arrived(7, CANCEL)]

    proceed(case, _world(), NOW)

    assert case.state.parked is not None
    assert case.consumed == [7]


def test_after_a_restore_what_was_known_before_is_looked_for_first() -> None:
    case = _case(_flow(lambda d: Step((ORDER,), "second"), second=_done))

    proceed(case, _world(find_first_before=NOW + timedelta(seconds=1)), NOW)

    assert not isinstance(case.move, SendNow)
    assert case.intents["order"].core.look_first
