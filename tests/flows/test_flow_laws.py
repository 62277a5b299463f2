"""Laws of the flow from requisition to order, on random dossiers and on random histories."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from quaestor.budget.effects import Committed, Released, Reserved
from quaestor.connectors.kit.contract import Applied, Rejected
from quaestor.flows.kit.dossier import (
    ApprovalRequested,
    ApprovalWithdrawn,
    Dossier,
    Refused,
    SendView,
    Withdrawn,
)
from quaestor.flows.kit.effects import Adopt, Send
from quaestor.flows.kit.reads import EntityBook
from quaestor.flows.kit.step import Await, Done, Park, Stay, Step
from quaestor.flows.requisition_to_order import REQUISITION_TO_ORDER
from quaestor.model.event import Cancel, Changed, Decided, Event, Retry, Woken
from quaestor.model.refusal import refuse
from quaestor.model.requisition import Requisition
from quaestor.validation.facts import ChartReplica, SupplierReplica
from tests.flows.world import (
    NOW,
    a_driver,
    a_line,
    a_requisition,
    approved,
    as_document,
    cancel,
    changed,
    decided,
    evidence,
    reads,
    rejected_by_ledger,
    retry,
)
from tests.support.flow_driver import FlowDriver

GROUPS = ("acme/DE01/EUR/central/", "bolt/DE01/EUR/central/")
REFUSED = refuse("budget_exceeded", nodes="x")

# --- any dossier ----------------------------------------------------------------------------------

LINES = (
    (),
    (a_line(1),),
    (a_line(1), a_line(2, supplier="bolt", cost_center="CC200")),
    (a_line(1), a_line(1)),
    (a_line(1, supplier="nobody"),),
    (a_line(1, cost_center="CC999"), a_line(2, cost_center="")),
    (a_line(1, amount="999999.99"),),
    (a_line(1, amount="0.00"),),
)
MADE = [
    msgspec.structs.replace(a_requisition(*lines, version=version), lines=lines, entity=entity)
    for lines in LINES
    for version, entity in ((1, "DE01"), (2, "DE01"), (1, "ZZ99"))
]
DOCUMENTS = [
    as_document(one) for made in MADE for one in (made, approved(made), approved(made, "ana"))
]
LATER = as_document(a_requisition(version=3))
WORLDS = {decider: reads(decider=decider) for decider in ("workday", None)}

documents_there = st.builds(
    Applied,
    st.sampled_from(["4500000001", "4500000002"]),
    st.sampled_from([(), ("total: 1 instead of 2",)]),
    st.booleans(),
)
any_result = st.one_of(
    documents_there,
    st.builds(Withdrawn, st.none() | documents_there),
    st.just(rejected_by_ledger()),
    st.just(Refused(REFUSED)),
    st.just(Reserved((), NOW)),
    st.just(Committed((), NOW)),
    st.just(Released()),
    st.builds(ApprovalRequested, st.just("approval/1/1"), st.none() | st.just(NOW)),
    st.just(ApprovalWithdrawn("approval/1/1")),
)
effect_names = st.sampled_from(
    ["reservation", "approval/1/1", "approval/1/2", "approval/2/1"]
    + [f"{what}/{group}" for what in ("order", "commit", "cancel", "relieve") for group in GROUPS]
)


send_views = st.dictionaries(
    effect_names.filter(lambda name: name.startswith(("order/", "cancel/"))),
    st.sampled_from(["unsent", "unresolved", "resolved"]),
    max_size=3,
).map(
    lambda states: {
        name: SendView(name, "k", "sap", f"{name.split('/')[0]}_order", 1, state)
        for name, state in states.items()
    }
)


def events_about(requisition: Requisition) -> list[Event]:
    return [
        cancel(),
        retry(),
        Woken("w", NOW, "sap", 7),
        changed(requisition),
        Changed("c", NOW, "coupa", 2, "x" * 64),
        decided("approval/1/1", requisition),
        decided("approval/2/1", requisition, by="ana"),
        decided("", requisition, verdict="rejected"),
        Decided("d", NOW, "workday", "approval/1/1", None),
    ]


@st.composite
def dossiers(draw: st.DrawFn) -> Dossier:
    document = draw(st.sampled_from(DOCUMENTS))
    world = dict(WORLDS[draw(st.sampled_from(["workday", None]))])
    match draw(st.integers(0, 9)):
        case 0:
            world[EntityBook] = EntityBook({}, {})
        case 1:
            world[SupplierReplica] = None
        case 2:
            world[ChartReplica] = None
    return Dossier(
        document=document,
        stage=draw(st.sampled_from(sorted(REQUISITION_TO_ORDER.stages))),
        now=NOW + timedelta(days=draw(st.integers(0, 60))),
        results=draw(st.dictionaries(effect_names, any_result, max_size=6)),
        events=tuple(draw(st.lists(st.sampled_from(events_about(document.body)), max_size=3))),
        sends=draw(send_views),
        later=draw(st.none() | st.just(LATER)),
        reads=world,
    )


def check(dossier: Dossier, step: Step, *, interrupts: bool) -> None:
    """What holds of every step."""
    assert sum(isinstance(effect, Send) for effect in step.do) <= 1
    assert all(event in dossier.events for event in step.consumes)
    match step.next:
        case str(stage):
            assert stage in REQUISITION_TO_ORDER.stages
        case Await() as awaiting:
            assert awaiting.then in REQUISITION_TO_ORDER.stages
            assert awaiting.on_timeout in REQUISITION_TO_ORDER.stages
            assert awaiting.until is not None
        case Park() as park:
            assert (park.resume or dossier.stage) in REQUISITION_TO_ORDER.stages
            assert park.ways_out
        case Stay():
            assert interrupts
        case Done():
            assert not any(isinstance(effect, Send) for effect in step.do)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(dossiers())
def test_every_stage_answers_every_dossier_and_the_same_one_alike(dossier: Dossier) -> None:
    stage = REQUISITION_TO_ORDER.stages[dossier.stage]
    given_to_it = msgspec.structs.replace(
        dossier, reads={kind: dossier.reads[kind] for kind in stage.reads}
    )

    step = stage.run(given_to_it)

    assert step == stage.run(given_to_it)
    check(dossier, step, interrupts=False)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(dossiers())
def test_every_event_at_every_stage_is_answered_without_a_send(dossier: Dossier) -> None:
    for event in dossier.events:
        step = REQUISITION_TO_ORDER.interrupted(dossier, event)

        assert step == REQUISITION_TO_ORDER.interrupted(dossier, event)
        if step is not None:
            check(dossier, step, interrupts=True)
            assert not any(isinstance(effect, Send) for effect in step.do)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(dossiers())
def test_a_cancellation_is_never_left_for_later(dossier: Dossier) -> None:
    assert REQUISITION_TO_ORDER.interrupted(dossier, Cancel("x", NOW, "ana")) is not None


# --- any history ----------------------------------------------------------------------------------

VERSIONS = {
    1: a_requisition(a_line(1), a_line(2, supplier="bolt", cost_center="CC200"), version=1),
    2: a_requisition(a_line(1, amount="500.00"), version=2),
    3: a_requisition(a_line(1, supplier="bolt", amount="90.00"), version=3),
}


class Ledger:
    """What the ERP holds, whatever we are told of it."""

    def __init__(self) -> None:
        self.created: list[str] = []
        self.standing: dict[str, str] = {}

    def take(self, send: Send) -> Applied:
        if send.action == "cancel_order":
            self.standing = {g: n for g, n in self.standing.items() if n != send.cancels}
            return Applied(send.cancels or "")
        assert send.order_group not in self.standing, "a second order for one group"
        number = f"45{len(self.created):08}"
        self.created.append(send.order_group)
        self.standing[send.order_group] = number
        return Applied(number)


class RequisitionHistories(RuleBasedStateMachine):
    """One requisition, an ERP that may lose its answers, people who change their minds."""

    @initialize(
        comes_approved=st.sampled_from([True, True, False]),
        budget=st.sampled_from(["1000.00", "1000.00", "450.00"]),
    )
    def is_submitted(self, comes_approved: bool, budget: str) -> None:
        self.ledger = Ledger()
        self.lost: Applied | Rejected | None = None
        self.cancelled = False
        self.count = 0
        first = approved(VERSIONS[1], "cleo") if comes_approved else VERSIONS[1]
        self.driver: FlowDriver = a_driver(first, budget=budget).start()

    def fresh(self) -> str:
        self.count += 1
        return f"event-{self.count}"

    @property
    def on_the_wire(self) -> Send | None:
        return self.driver.sent[-1] if self.driver.sending else None

    @precondition(lambda self: self.driver.sending is not None)
    @rule(refuses=st.sampled_from([False, False, True]), answer_is_lost=st.booleans())
    def is_sent(self, refuses: bool, answer_is_lost: bool) -> None:
        """The first send, or a resend; what stands there already is found instead."""
        if not self.driver.may_be_sent():
            return
        send = self.on_the_wire
        assert send is not None
        if self.lost is None:
            self.lost = rejected_by_ledger() if refuses else self.ledger.take(send)
        self.driver.left_the_wire()
        if not answer_is_lost:
            self.is_found()

    @precondition(lambda self: self.driver.sending is not None)
    @rule()
    def is_found(self) -> None:
        """The look-up after a lost answer. Nothing there is an answer only after a withdrawal."""
        withdrawn = not self.driver.may_be_sent()
        if self.driver.sending is None or (self.lost is None and not withdrawn):
            return
        answer, self.lost = self.lost, None
        self.driver.answer(answer)

    @rule(really=st.sampled_from([False, False, True]))
    def somebody_cancels(self, really: bool) -> None:
        if not really:
            return
        self.cancelled = True
        self.driver.deliver(Cancel(self.fresh(), NOW, "ana"))

    @rule(version=st.sampled_from([2, 3]))
    def somebody_changes(self, version: int) -> None:
        later = VERSIONS[version]
        event = Changed(self.fresh(), NOW, "coupa", version, as_document(later).content_hash)
        if version > self.driver.document.version:
            self.driver.arrives(as_document(later), event)
        else:
            self.driver.deliver(event)

    @precondition(lambda self: self.driver.open_requests)
    @rule(verdict=st.sampled_from(["approved", "approved", "approved", "rejected"]))
    def the_decider_decides(self, verdict: Any) -> None:
        given = evidence(self.driver.document.body, "cleo", verdict)
        request = self.driver.open_requests[-1]
        self.driver.deliver(Decided(self.fresh(), NOW, "workday", request, given))

    @rule(
        by=st.sampled_from(["cleo", "ana"]),
        on=st.sampled_from([1, 2, 3]),
        request=st.sampled_from(["", "approval/1/1", "approval/2/1", "approval/3/1"]),
    )
    def a_decision_comes_astray(self, by: str, on: int, request: str) -> None:
        given = evidence(VERSIONS[on], by)
        self.driver.deliver(Decided(self.fresh(), NOW, "workday", request, given))

    @rule()
    def finance_retries(self) -> None:
        self.driver.deliver(Retry(self.fresh(), NOW, "fay"))

    @rule(days=st.integers(1, 40))
    def time_passes(self, days: int) -> None:
        self.driver.passes(days=days)

    @invariant()
    def what_is_cancelled_stands_nowhere(self) -> None:
        if self.driver.outcome == "cancelled":
            assert self.ledger.standing == {}
            assert self.driver.holding.pre == {}
            assert self.driver.holding.enc == {}
            assert self.driver.open_requests == []

    @invariant()
    def after_a_cancellation_no_order_is_created_any_more(self) -> None:
        if self.cancelled and self.on_the_wire is not None and self.driver.may_be_sent():
            assert self.on_the_wire.action == "cancel_order"

    @invariant()
    def what_is_ordered_stands_once_and_is_encumbered_in_full(self) -> None:
        if self.driver.outcome == "ordered":
            body = self.driver.document.body
            assert len(self.ledger.created) == len(set(self.ledger.created))
            assert set(self.ledger.standing) == {
                f"{line.supplier}/DE01/EUR/central/" for line in body.lines
            }
            assert sum(self.driver.holding.enc.values(), Decimal(0)) == body.total
            assert self.driver.holding.pre == {}

    @invariant()
    def what_is_rejected_holds_nothing(self) -> None:
        if self.driver.outcome == "rejected":
            assert self.driver.holding.pre == {}
            assert self.ledger.standing == {}

    @invariant()
    def the_document_moves_or_somebody_or_something_is_named(self) -> None:
        waiting = self.driver.waiting
        assert self.driver.sending or isinstance(waiting, Await | Park | Done)

    @invariant()
    def nothing_is_ordered_but_the_version_that_was_approved(self) -> None:
        is_approved = False
        for stage, step in self.driver.steps:
            if any(isinstance(effect, Adopt) for effect in step.do):
                is_approved = False
            if stage in ("approving", "deciding") and step.next == "ordering":
                is_approved = True
            creates = [e for e in step.do if isinstance(e, Send) and e.action == "create_order"]
            assert is_approved or not creates


TestRequisitionHistories = RequisitionHistories.TestCase
TestRequisitionHistories.settings = settings(
    max_examples=100,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
