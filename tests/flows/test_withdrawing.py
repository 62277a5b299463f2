"""A request that its decider has is taken back, once, when nobody needs his decision any more."""

from __future__ import annotations

import msgspec
import pytest

from quaestor.flows.kit.effects import Record
from quaestor.flows.kit.step import Await
from quaestor.model.approval import Verdict
from quaestor.model.event import Decided
from tests.flows.elsewhere import Elsewhere, decided_there, driver_with_platform
from tests.flows.world import (
    NODE_100,
    NOW,
    a_line,
    a_requisition,
    applied,
    as_document,
    cancel,
    changed,
    evidence,
    retry,
)
from tests.support.flow_driver import FlowDriver

FIRST = a_requisition(a_line(amount="400.00"))
SECOND = a_requisition(a_line(amount="450.00"), version=2)


def waiting_there() -> tuple[FlowDriver, Elsewhere]:
    """Version 1 stands at the platform and waits for a decision."""
    driver, elsewhere = driver_with_platform(FIRST).start(), Elsewhere()
    elsewhere.answer(driver)
    assert isinstance(driver.waiting, Await)
    return driver, elsewhere


def ended_there(number: str) -> Decided:
    return Decided(f"ended-{number}", NOW, "workday", reference=number)


def laid_aside(driver: FlowDriver) -> list[str]:
    """`outcome decided_by votes` of everything that was recorded and did not count."""
    return [
        f"{e.facts['outcome']} {e.facts['decided_by']} {e.facts['votes']}"
        for _, step in driver.steps
        for e in step.do
        if isinstance(e, Record) and e.name.startswith("decision_laid_aside/")
    ]


def test_a_cancellation_takes_the_request_back_there_once() -> None:
    driver, elsewhere = waiting_there()

    driver.deliver(cancel())
    elsewhere.finish(driver)

    assert driver.actions() == [
        "submit_requisition approval",
        "cancel_requisition approval",
        "report_status report",
    ]
    assert driver.sent[1].cancels == "rq1"
    assert (driver.outcome, elsewhere.requests, driver.open_requests) == ("cancelled", {}, [])


def test_the_budget_is_free_before_the_platform_has_answered() -> None:
    driver, _ = waiting_there()

    driver.deliver(cancel())

    assert driver.sending == "taken_back/approval/1/1"
    assert driver.balances[NODE_100].stands.pre == 0


def test_a_change_takes_the_former_version_back_and_hands_the_new_one_over() -> None:
    driver, elsewhere = waiting_there()

    driver.arrives(as_document(SECOND), changed(SECOND))
    elsewhere.answer(driver)
    elsewhere.answer(driver)

    assert [send.order_group for send in driver.sent] == [
        "approval/1/1",
        "approval/1/1",
        "approval/2/1",
    ]
    assert elsewhere.requests == {"approval/2/1": "rq3"}
    assert driver.open_requests == ["approval/2/1"]


def test_a_request_that_expired_is_taken_back_before_the_requester_is_told() -> None:
    driver, elsewhere = waiting_there()

    driver.passes(days=31)
    elsewhere.finish(driver)

    assert driver.parked == "approval_expired"
    assert (elsewhere.requests, elsewhere.reports) == ({}, ["refused"])
    assert driver.told[-1].refusal is not None
    assert driver.told[-1].refusal.details == {"request": "approval/1/1"}


def test_a_decision_that_comes_after_its_request_was_taken_back_is_not_counted() -> None:
    driver, elsewhere = waiting_there()
    driver.passes(days=31)
    elsewhere.finish(driver)

    driver.deliver(decided_there("rq1", FIRST), retry())
    elsewhere.answer(driver)

    assert driver.open_requests == ["approval/1/2"]
    assert isinstance(driver.waiting, Await)
    assert laid_aside(driver) == ["no_open_request workday ben: approved"]


@pytest.mark.parametrize("verdict", ["approved", "rejected"])
def test_a_decision_on_version_1_says_nothing_about_version_2(verdict: Verdict) -> None:
    driver, elsewhere = waiting_there()
    driver.arrives(as_document(SECOND), changed(SECOND))
    elsewhere.answer(driver)
    elsewhere.answer(driver)

    driver.deliver(decided_there("rq1", FIRST, verdict=verdict))

    assert driver.open_requests == ["approval/2/1"]
    assert isinstance(driver.waiting, Await)
    assert laid_aside(driver) == [f"no_open_request workday ben: {verdict}"]


def test_a_decision_under_a_number_that_we_never_gave_is_not_counted() -> None:
    driver, _ = waiting_there()

    driver.deliver(decided_there("a copy of it", FIRST))

    assert isinstance(driver.waiting, Await)
    assert laid_aside(driver) == ["no_open_request workday ben: approved"]


@pytest.mark.parametrize("verdict", ["approved", "rejected"])
def test_what_another_system_decided_is_recorded_and_decides_nothing(verdict: Verdict) -> None:
    driver, elsewhere = waiting_there()
    said = msgspec.structs.replace(evidence(FIRST, "ben", verdict), decided_by="coupa")
    theirs = Decided("c", NOW, "coupa", "approval/1/1", said)

    driver.deliver(theirs)
    still_waiting = isinstance(driver.waiting, Await)
    elsewhere.finish(driver)

    assert still_waiting
    assert laid_aside(driver) == [f"other_decider coupa ben: {verdict}"]
    assert driver.outcome == "ordered"


def test_a_request_that_the_platform_ended_undecided_goes_back_to_the_requester() -> None:
    driver, elsewhere = waiting_there()

    driver.deliver(ended_there("rq1"))
    elsewhere.finish(driver)
    parked, reports = driver.parked, list(elsewhere.reports)
    driver.deliver(retry())
    elsewhere.finish(driver)

    assert (parked, reports) == ("approval_undecided", ["refused"])
    assert driver.outcome == "ordered"
    assert driver.sent[-3].order_group == "approval/1/2"


def test_an_approval_that_was_rescinded_before_we_looked_orders_nothing() -> None:
    driver, elsewhere = waiting_there()

    driver.deliver(decided_there("rq1", FIRST), ended_there("rq1"))
    elsewhere.finish(driver)

    assert driver.parked == "approval_undecided"
    assert elsewhere.orders == {}
    assert laid_aside(driver) == ["no_open_request workday ben: approved"]


def test_an_end_of_a_request_that_is_not_open_any_more_disturbs_nobody() -> None:
    driver, elsewhere = waiting_there()
    driver.arrives(as_document(SECOND), changed(SECOND))
    elsewhere.answer(driver)
    elsewhere.answer(driver)

    driver.deliver(ended_there("rq1"))

    assert isinstance(driver.waiting, Await)
    assert driver.open_requests == ["approval/2/1"]


def test_a_process_that_ended_there_keeps_no_cancellation_from_being_complete() -> None:
    driver, elsewhere = waiting_there()
    elsewhere.refuses = {"cancel_requisition": "approval_ended_there"}

    driver.deliver(cancel())
    elsewhere.finish(driver)

    assert driver.outcome == "cancelled"


def test_a_request_that_the_platform_does_not_give_back_is_the_operators_until_it_does() -> None:
    driver, elsewhere = waiting_there()
    elsewhere.refuses = {"cancel_requisition": "approval_request_refused"}
    driver.deliver(cancel())
    elsewhere.finish(driver)
    parked, held = driver.parked, driver.balances[NODE_100].stands.pre
    elsewhere.refuses = {}

    driver.deliver(retry())
    elsewhere.finish(driver)

    assert (parked, held) == ("approval_not_withdrawn", 0)
    assert driver.outcome == "cancelled"


def test_a_refusal_to_give_it_back_holds_up_no_new_version() -> None:
    driver, elsewhere = waiting_there()
    elsewhere.refuses = {"cancel_requisition": "approval_request_refused"}

    driver.arrives(as_document(SECOND), changed(SECOND))
    elsewhere.answer(driver)

    assert driver.actions()[-1] == "submit_requisition approval"
    assert driver.sent[-1].requisition == SECOND


def test_a_handing_over_whose_answer_was_lost_is_found_and_taken_back() -> None:
    driver, elsewhere = driver_with_platform(FIRST).start(), Elsewhere()
    driver.left_the_wire()

    driver.deliver(cancel())
    driver.answer(applied("rq1"))
    elsewhere.finish(driver)

    assert driver.actions()[:2] == ["submit_requisition approval", "cancel_requisition approval"]
    assert driver.outcome == "cancelled"


def test_a_handing_over_that_left_nothing_needs_no_taking_back() -> None:
    driver, elsewhere = driver_with_platform(FIRST).start(), Elsewhere()
    driver.left_the_wire()

    driver.deliver(cancel())
    driver.answer(None)
    elsewhere.finish(driver)

    assert driver.actions() == ["submit_requisition approval", "report_status report"]
    assert driver.outcome == "cancelled"
