"""What becomes of a requisition goes home, last; the decider is asked where he works."""

from __future__ import annotations

from quaestor.connectors.kit.contract import Applied, Rejected
from quaestor.flows.kit.reads import Routing
from quaestor.flows.kit.step import Await
from quaestor.model.refusal import refuse
from tests.flows.world import a_driver, a_requisition, applied, approved, cancel, decided, retry

HOME = Routing(reports_to=frozenset({"coupa"}))


def test_the_order_numbers_go_home_when_everything_is_ordered() -> None:
    driver = a_driver(approved(a_requisition()), routing=HOME).start()

    driver.answer(applied("4500000001"))

    assert driver.outcome is None
    sent = driver.sent[-1]
    assert (sent.system, sent.action) == ("coupa", "report_status")
    assert sent.status is not None
    assert (sent.status.state, sent.status.orders) == ("ordered", ("4500000001",))
    driver.answer(Applied("r1"))
    assert driver.outcome == "ordered"


def test_a_report_that_is_refused_is_the_operators_and_a_retry_sends_it_again() -> None:
    driver = a_driver(approved(a_requisition()), routing=HOME).start()
    driver.answer(applied("4500000001"))

    driver.answer(Rejected(refuse("system_refuses")))

    assert driver.parked == "status_not_reported"
    driver.deliver(retry())
    driver.answer(Applied("r1"))
    assert driver.outcome == "ordered"


def test_a_refusal_reaches_the_requester_in_his_system_before_it_is_parked() -> None:
    driver = a_driver(approved(a_requisition()), budget="10.00", routing=HOME).start()

    sent = driver.sent[-1]
    driver.answer(Applied("r1"))

    assert sent.status is not None
    assert sent.status.refusal is not None
    assert sent.status.refusal.code == "budget_exceeded"
    assert driver.parked == "budget_exceeded"
    assert len(driver.sent) == 1


def test_a_cancellation_is_reported_once_it_is_complete() -> None:
    driver = a_driver(approved(a_requisition()), routing=HOME).start()

    driver.left_the_wire()
    driver.deliver(cancel())
    driver.answer(applied("4500000001"))
    driver.answer(Applied("4500000001"))
    driver.answer(Applied("r1"))

    assert driver.outcome == "cancelled"
    assert driver.actions()[-1].startswith("report_status")


def test_the_decider_is_handed_the_requisition_once_and_then_waited_for() -> None:
    routing = Routing(asks=frozenset({"workday"}))
    requisition = a_requisition()
    driver = a_driver(requisition, decider="workday", routing=routing).start()

    driver.answer(Applied("REQ-1"))

    sent = driver.sent[-1]
    assert (sent.system, sent.action) == ("workday", "submit_requisition")
    assert sent.requisition is not None
    assert isinstance(driver.waiting, Await)
    driver.deliver(decided("approval/1/1", requisition, "cleo"))
    driver.answer(applied("4500000001"))
    assert driver.outcome == "ordered"


def test_a_decider_that_refuses_to_be_asked_is_somebodys_matter() -> None:
    routing = Routing(asks=frozenset({"workday"}))
    driver = a_driver(a_requisition(), decider="workday", routing=routing).start()

    driver.answer(Rejected(refuse("system_refuses")))

    assert driver.parked == "system_refuses"
