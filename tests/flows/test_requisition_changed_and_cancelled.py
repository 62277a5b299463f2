"""The vocabulary, proven: changed during approval, cancelled while its posting is ambiguous.

`Withdraw` means: never send that again, and tell me what it left there. What it left becomes a
cancellation, never a second order.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from quaestor.flows.kit.effects import Adopt, Send, Withdraw
from tests.flows.world import (
    NODE_100,
    a_driver,
    a_line,
    a_requisition,
    applied,
    as_document,
    cancel,
    changed,
    decided,
    rejected_by_ledger,
)
from tests.support.flow_driver import FlowDriver

FIRST = a_requisition(a_line(amount="400.00"))
SECOND = a_requisition(a_line(amount="450.00"), version=2)


def changed_during_approval() -> FlowDriver:
    """Version 2 arrived while version 1 was out for approval."""
    driver = a_driver(FIRST).start()
    driver.arrives(as_document(SECOND), changed(SECOND))
    return driver


def posting_is_ambiguous() -> FlowDriver:
    """Version 2 was approved, its order was sent, and no answer came."""
    driver = changed_during_approval()
    driver.deliver(decided("approval/2/1", SECOND))
    driver.left_the_wire()
    return driver


def test_a_change_during_approval_withdraws_the_question_and_asks_about_the_new_content() -> None:
    driver = changed_during_approval()

    assert driver.document.version == 2
    assert driver.open_requests == ["approval/2/1"]
    assert driver.balances[NODE_100].stands.pre == Decimal("450.00")
    assert driver.sent == []


def test_a_vote_on_the_old_content_approves_nothing() -> None:
    driver = changed_during_approval()

    driver.deliver(decided("approval/1/1", FIRST))

    assert driver.sent == []
    assert driver.events == []
    assert driver.open_requests == ["approval/2/1"]


def test_a_vote_on_the_old_content_under_the_new_request_is_caught() -> None:
    driver = changed_during_approval()

    driver.deliver(decided("approval/2/1", FIRST))

    assert driver.parked == "approval_evidence_insufficient"
    assert driver.sent == []


def test_a_cancel_while_the_posting_is_ambiguous_withdraws_it_and_never_sends_again() -> None:
    driver = posting_is_ambiguous()

    driver.deliver(cancel())

    assert driver.steps[-1][1].do == (Withdraw(driver.sent[0].name),)
    assert not driver.may_be_sent()
    assert driver.outcome is None


def test_a_later_applied_becomes_a_cancellation_never_a_second_create() -> None:
    driver = posting_is_ambiguous()
    driver.deliver(cancel())

    driver.answer(applied("4500000009"))
    driver.answer(applied("4500000009"))

    assert driver.actions() == ["create_order acme", "cancel_order acme"]
    assert driver.sent[1].cancels == "4500000009"
    assert driver.outcome == "cancelled"
    assert driver.balances[NODE_100].stands.pre == 0
    assert driver.balances[NODE_100].stands.enc == 0


@pytest.mark.parametrize("left_nothing", [None, rejected_by_ledger()])
def test_what_left_nothing_needs_no_cancellation(left_nothing: object) -> None:
    driver = posting_is_ambiguous()
    driver.deliver(cancel())

    driver.answer(left_nothing)  # type: ignore[arg-type]

    assert driver.actions() == ["create_order acme"]
    assert driver.outcome == "cancelled"
    assert driver.balances[NODE_100].stands.pre == 0


def test_the_answer_that_wins_the_race_against_the_cancel_is_cancelled_too() -> None:
    driver = posting_is_ambiguous()
    driver.events.append(cancel())

    driver.answer(applied("4500000009"))
    driver.answer(applied("4500000009"))

    assert driver.actions() == ["create_order acme", "cancel_order acme"]
    assert driver.outcome == "cancelled"


def test_a_cancel_before_the_first_byte_sends_nothing_at_all() -> None:
    driver = changed_during_approval()
    driver.deliver(decided("approval/2/1", SECOND))

    driver.deliver(cancel())

    assert driver.outcome == "cancelled"
    assert not driver.may_be_sent()


def test_an_ambiguous_cancellation_is_not_disturbed_by_whatever_else_comes() -> None:
    driver = posting_is_ambiguous()
    driver.deliver(cancel())
    driver.answer(applied("4500000009"))
    driver.left_the_wire()
    third = a_requisition(a_line(amount="10.00"), version=3)

    driver.arrives(
        as_document(third), cancel("cancel-2"), changed(third), decided("approval/2/1", SECOND)
    )

    assert driver.events == []
    assert driver.may_be_sent()
    assert driver.actions() == ["create_order acme", "cancel_order acme"]


def test_nothing_of_a_later_version_is_sent_while_an_earlier_one_is_unresolved() -> None:
    driver = posting_is_ambiguous()
    third = a_requisition(a_line(amount="10.00"), version=3)

    driver.arrives(as_document(third), changed(third))

    assert driver.document.version == 2
    assert not any(isinstance(effect, Adopt) for effect in driver.steps[-1][1].do)
    assert driver.may_be_sent()
    assert driver.sent[-1].order is not None
    assert driver.sent[-1].order.requisition_version == 2


def test_two_changes_at_once_adopt_the_newer_one_only() -> None:
    driver = a_driver(FIRST).start()
    third = a_requisition(a_line(amount="10.00"), version=3)

    driver.arrives(as_document(third), changed(SECOND), changed(third))

    adoptions = [e for _, step in driver.steps for e in step.do if isinstance(e, Adopt)]
    assert [adoption.version for adoption in adoptions] == [3]
    assert driver.events == []
    assert driver.balances[NODE_100].stands.pre == Decimal("10.00")


def test_a_change_that_is_known_already_disturbs_nobody() -> None:
    driver = changed_during_approval()
    waiting = driver.waiting

    driver.deliver(changed(SECOND))

    assert driver.waiting == waiting
    assert driver.events == []


def test_no_step_ever_sends_twice() -> None:
    driver = posting_is_ambiguous()
    driver.deliver(cancel())
    driver.answer(applied("4500000009"))
    driver.answer(applied("4500000009"))

    sends = [sum(isinstance(e, Send) for e in step.do) for _, step in driver.steps]

    assert max(sends) == 1
