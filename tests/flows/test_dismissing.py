"""What was dealt with elsewhere is let go of: nothing is sent, and nothing takes it up again."""

from __future__ import annotations

from decimal import Decimal

from quaestor.flows.kit.step import Done
from quaestor.model.event import Dismiss
from tests.flows.world import (
    NODE_100,
    NOW,
    a_driver,
    a_line,
    a_requisition,
    applied,
    approved,
    as_document,
    cancel,
    changed,
)

ELSEWHERE = Dismiss("d1", NOW, "ana")
OPEN = a_requisition(a_line(amount="400.00"))
SECOND = a_requisition(a_line(amount="450.00"), version=2)


def test_the_budget_is_free_again_and_no_question_stays_open() -> None:
    driver = a_driver(OPEN).start()

    driver.deliver(ELSEWHERE)

    assert driver.waiting == Done("dismissed")
    assert (driver.sent, driver.open_requests) == ([], [])
    assert driver.balances[NODE_100].stands.pre == Decimal("0.00")


def test_neither_a_change_nor_a_cancellation_takes_it_up_again() -> None:
    driver = a_driver(OPEN).start()
    driver.deliver(ELSEWHERE)

    driver.arrives(as_document(SECOND), changed(SECOND), cancel())

    assert (driver.waiting, driver.document.version, driver.events) == (Done("dismissed"), 1, [])


def test_what_stands_in_the_ledger_is_not_let_go_of() -> None:
    driver = a_driver(approved(OPEN)).start()
    driver.answer(applied("4500000001"))
    before = driver.balances[NODE_100].stands

    driver.deliver(ELSEWHERE)

    assert driver.waiting == Done("ordered")
    assert driver.balances[NODE_100].stands == before


def test_what_is_perhaps_in_the_ledger_is_not_let_go_of_either() -> None:
    driver = a_driver(approved(OPEN)).start()
    driver.left_the_wire()

    driver.deliver(ELSEWHERE)

    assert driver.sending is not None
    assert driver.waiting is None
