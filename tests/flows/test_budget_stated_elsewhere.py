"""A requisition whose budget another system states: asked for, relied on while it is fresh."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from quaestor.budget.balance import Balance
from quaestor.budget.keys import BudgetPolicy
from quaestor.budget.stating import BudgetSource
from quaestor.flows.kit.dossier import Answered
from quaestor.model.budget import Balances
from quaestor.model.refusal import Refused, refuse
from quaestor.model.requisition import RequisitionLine
from tests.flows.world import (
    NODE_100,
    NODE_200,
    NOW,
    a_driver,
    a_line,
    a_requisition,
    applied,
    approved,
    as_document,
    cancel,
    changed,
    retry,
)
from tests.support.flow_driver import FlowDriver

SOURCE = BudgetSource("planning", 600, {NODE_100: None, NODE_200: None})
TWO_BUDGETS = (a_line(1), a_line(2, amount="300.00", cost_center="CC200"))


def a_stated(*lines: RequisitionLine, budget: str = "0.00", approval: bool = True) -> FlowDriver:
    """The driver of `a_driver`, whose budgets planning states."""
    requisition = a_requisition(*lines)
    driver = a_driver(approved(requisition) if approval else requisition, budget=budget)
    driver.reads = {**driver.reads, BudgetPolicy: BudgetPolicy(source=SOURCE)}
    return driver


def planned(driver: FlowDriver, amount: str, *, age_s: int = 0, **differs: str) -> Answered:
    """What planning says now, true so many seconds ago."""
    value = {"mode": "gross", "currency": "EUR", "budget": amount, **differs}
    return Answered(value, driver.now - timedelta(seconds=age_s), driver.now)


def test_what_planning_states_is_what_the_lines_are_held_against() -> None:
    driver = a_stated().start()

    driver.hears(planned(driver, "1000.00"))
    driver.answer(applied())

    (asked,) = driver.asked
    assert (asked.system, asked.question) == ("planning", "budget_balance")
    assert dict(asked.facts) == {"fiscal_year": "2026", "cost_center": "CC100", "account": "615000"}
    assert driver.outcome == "ordered"
    assert driver.balances[NODE_100].node.amount == Decimal("1000.00")
    assert driver.balances[NODE_100].as_of == NOW


def test_without_a_source_nothing_is_asked_and_no_stage_is_added() -> None:
    driver = a_driver(approved(a_requisition())).start()

    driver.answer(applied())

    assert driver.asked == []
    assert "budgeting" not in {stage for stage, _ in driver.steps}


def test_nothing_is_held_before_every_budget_was_answered() -> None:
    driver = a_stated(*TWO_BUDGETS).start()

    driver.hears(planned(driver, "1000.00"))

    assert list(driver.asking) == [f"budget/{NODE_200}"]
    assert driver.holding.pre == {}


# what planning answers; how the document then stands, and with whom.
STANDS = [
    ("too little", {"amount": "399.99"}, "budget_exceeded"),
    ("an old plan", {"amount": "1000.00", "age_s": 601}, "budget_unknown"),
    ("another currency", {"amount": "1000.00", "currency": "USD"}, "budget_unknown"),
]


@pytest.mark.parametrize(
    ("answer", "code"), [row[1:] for row in STANDS], ids=[row[0] for row in STANDS]
)
def test_an_answer_that_does_not_do_stands_by_name(answer: dict[str, str], code: str) -> None:
    driver = a_stated().start()

    driver.hears(planned(driver, **answer))  # type: ignore[arg-type]

    assert driver.parked == code
    assert driver.holding.pre == {}
    assert driver.sent == []


@pytest.mark.parametrize(
    ("refused", "code"),
    [("check_unknown", "budget_unknown"), ("budget_not_found", "budget_not_found")],
)
def test_a_question_that_planning_refuses_stands_by_name(refused: str, code: str) -> None:
    driver = a_stated().start()

    driver.hears(Refused(refuse(refused)))

    assert driver.parked == code


def test_a_person_who_retries_has_planning_asked_anew() -> None:
    driver = a_stated().start()
    driver.hears(planned(driver, "1000.00", age_s=601))

    driver.deliver(retry())
    driver.hears(planned(driver, "1000.00"))

    assert len(driver.asked) == 2
    assert driver.holding.pre == {NODE_100: Decimal("400.00")}


def test_an_answer_that_grew_old_while_another_was_waited_for_is_asked_for_again() -> None:
    driver = a_stated(*TWO_BUDGETS).start()
    driver.hears(planned(driver, "1000.00"))
    driver.passes(hours=3)

    driver.hears(planned(driver, "1000.00"))

    assert list(driver.asking) == [f"budget/{NODE_100}"]
    assert driver.parked is None


def test_a_budget_cut_below_what_is_ordered_is_finance_s_matter() -> None:
    driver = a_stated(budget="1000.00").start()
    node = driver.balances[NODE_100].node
    driver.balances[NODE_100] = Balance(node, Balances(enc=Decimal("900.00")))

    driver.hears(planned(driver, "800.00"))

    assert driver.parked == "budget_below_commitments"
    assert driver.balances[NODE_100].node.amount == Decimal("1000.00")


def test_a_change_has_planning_asked_for_what_it_charges_now() -> None:
    driver = a_stated(approval=False).start()
    driver.hears(planned(driver, "1000.00"))
    later = a_requisition(a_line(amount="500.00"), version=2)

    driver.arrives(as_document(later), changed(later))
    driver.hears(planned(driver, "500.00"))

    assert driver.holding.pre == {NODE_100: Decimal("500.00")}
    assert driver.balances[NODE_100].available == 0


def test_a_requisition_cancelled_while_planning_is_asked_is_cancelled() -> None:
    driver = a_stated().start()

    driver.deliver(cancel())

    assert driver.outcome == "cancelled"
    assert driver.asking == {}
