"""The flow from requisition to order, stepped by values."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from quaestor.flows.kit.effects import Commit, Release, Reserve
from quaestor.flows.kit.reads import Seams
from quaestor.flows.kit.step import Await
from quaestor.model.order import PurchaseOrder
from quaestor.model.refusal import refuse
from quaestor.model.requisition import Requisition
from tests.flows.world import (
    NODE_100,
    NODE_200,
    a_driver,
    a_line,
    a_requisition,
    applied,
    approved,
    as_document,
    cancel,
    changed,
    decided,
    rejected_by_ledger,
    retry,
)

TWO_SUPPLIERS = (
    a_line(1, supplier="bolt", amount="300.00", cost_center="CC200"),
    a_line(2, supplier="acme", amount="400.00"),
)


def test_an_approved_requisition_is_ordered_once_and_its_budget_is_encumbered() -> None:
    driver = a_driver(approved(a_requisition())).start()

    driver.answer(applied("4500000001"))

    assert driver.outcome == "ordered"
    assert driver.actions() == ["create_order acme"]
    assert driver.sent[0].order is not None
    assert driver.sent[0].order.company_code == "1010"
    assert driver.balances[NODE_100].stands.enc == Decimal("400.00")
    assert driver.balances[NODE_100].stands.pre == 0
    assert "4500000001" in driver.told[-1].message


def test_order_groups_are_sent_one_after_the_other_and_committed_each() -> None:
    driver = a_driver(approved(a_requisition(*TWO_SUPPLIERS))).start()
    first = driver.actions()

    driver.answer(applied("4500000001"))
    driver.answer(applied("4500000002"))

    assert first == ["create_order acme"]
    assert driver.actions() == ["create_order acme", "create_order bolt"]
    assert driver.outcome == "ordered"
    assert driver.balances[NODE_100].stands.enc == Decimal("400.00")
    assert driver.balances[NODE_200].stands.enc == Decimal("300.00")


def test_without_an_approval_the_decider_is_asked_on_this_content() -> None:
    requisition = a_requisition()
    driver = a_driver(requisition).start()

    driver.deliver(decided("approval/1/1", requisition))

    assert driver.open_requests == ["approval/1/1"]
    assert driver.actions() == ["create_order acme"]
    assert driver.events == []


def test_time_alone_never_approves() -> None:
    driver = a_driver(a_requisition()).start()

    driver.passes(days=3650)

    assert driver.parked == "approval_expired"
    assert driver.sent == []
    assert driver.open_requests == []


def test_after_an_expired_request_a_retry_asks_anew_and_the_old_answer_does_not_count() -> None:
    requisition = a_requisition()
    driver = a_driver(requisition).start()
    driver.passes(days=31)

    driver.deliver(retry(), decided("approval/1/1", requisition))

    assert driver.open_requests == ["approval/1/2"]
    assert driver.sent == []
    assert isinstance(driver.waiting, Await)


def test_a_laid_aside_decision_does_not_prolong_the_time_to_decide() -> None:
    driver = a_driver(a_requisition()).start()
    assert isinstance(driver.waiting, Await)
    until = driver.waiting.until
    driver.passes(days=10)

    driver.deliver(decided("approval/0/9", a_requisition()))

    assert isinstance(driver.waiting, Await)
    assert driver.waiting.until == until


def test_a_rejection_frees_the_budget_and_ends_the_version() -> None:
    requisition = a_requisition()
    driver = a_driver(requisition).start()

    driver.deliver(decided("approval/1/1", requisition, verdict="rejected"))

    assert driver.outcome == "rejected"
    assert driver.balances[NODE_100].stands.pre == 0
    assert driver.told[-1].refusal is not None
    assert driver.told[-1].refusal.code == "approval_rejected"


def test_a_rejected_requisition_may_be_changed_and_runs_again() -> None:
    requisition = a_requisition()
    second = a_requisition(a_line(amount="100.00"), version=2)
    driver = a_driver(requisition).start()
    driver.deliver(decided("approval/1/1", requisition, verdict="rejected"))

    driver.arrives(as_document(approved(second)), changed(second))

    assert driver.actions() == ["create_order acme"]
    assert driver.balances[NODE_100].stands.pre == Decimal("100.00")


def test_evidence_below_our_minimum_parks_with_finance_and_keeps_the_budget() -> None:
    driver = a_driver(approved(a_requisition(a_line(amount="900.00")), by="ana"))

    driver.start()

    assert driver.parked == "approval_evidence_insufficient"
    assert driver.balances[NODE_100].stands.pre == Decimal("900.00")
    assert driver.sent == []


def test_a_better_decision_is_found_on_retry_after_insufficient_evidence() -> None:
    requisition = a_requisition()
    driver = a_driver(requisition).start()
    driver.deliver(decided("approval/1/1", requisition, by="ana"))

    driver.deliver(decided("approval/1/1", requisition, by="ben"))
    still_parked = driver.parked
    driver.deliver(retry())

    assert still_parked == "approval_evidence_insufficient"
    assert driver.actions() == ["create_order acme"]


def test_without_budget_nobody_is_asked_to_approve() -> None:
    driver = a_driver(a_requisition(), budget="399.99")

    driver.start()

    assert driver.parked == "budget_exceeded"
    assert driver.open_requests == []


def test_a_retry_checks_the_budget_again() -> None:
    driver = a_driver(approved(a_requisition()), budget="399.99").start()
    richer = driver.balances[NODE_100]
    node = msgspec.structs.replace(richer.node, amount=Decimal("400.00"))
    driver.balances[NODE_100] = msgspec.structs.replace(richer, node=node)

    driver.deliver(retry())

    assert driver.actions() == ["create_order acme"]


def test_a_missing_code_parks_before_anything_is_sent() -> None:
    driver = a_driver(approved(a_requisition(*TWO_SUPPLIERS)), without_code=("supplier", "bolt"))

    driver.start()

    assert driver.parked == "crosswalk_missing"
    assert driver.sent == []


def test_a_refused_group_parks_with_finance_while_the_others_are_ordered() -> None:
    driver = a_driver(approved(a_requisition(*TWO_SUPPLIERS))).start()

    driver.answer(rejected_by_ledger())
    driver.answer(applied("4500000002"))

    assert driver.parked == "erp_rejected"
    assert driver.actions() == ["create_order acme", "create_order bolt"]
    assert driver.balances[NODE_100].stands.pre == Decimal("400.00")
    assert driver.balances[NODE_200].stands.enc == Decimal("300.00")


def test_a_retry_sends_only_the_refused_group_again() -> None:
    driver = a_driver(approved(a_requisition(*TWO_SUPPLIERS))).start()
    driver.answer(rejected_by_ledger())
    driver.answer(applied("4500000002"))

    driver.deliver(retry())
    driver.answer(applied("4500000003"))

    assert driver.actions() == ["create_order acme", "create_order bolt", "create_order acme"]
    assert driver.outcome == "ordered"
    assert driver.balances[NODE_100].stands.enc == Decimal("400.00")


def test_an_order_that_differs_is_encumbered_and_put_before_finance_but_never_sent_again() -> None:
    driver = a_driver(approved(a_requisition())).start()

    driver.answer(applied("4500000001", differences=("lines[1].quantity: 5 instead of 1",)))
    parked, encumbered = driver.parked, driver.balances[NODE_100].stands.enc
    driver.deliver(retry())

    assert parked == "erp_document_differs"
    assert encumbered == Decimal("400.00")
    assert driver.actions() == ["create_order acme"]
    assert driver.outcome == "ordered"


def test_an_order_still_in_release_there_is_ordered_and_says_so() -> None:
    driver = a_driver(approved(a_requisition())).start()

    driver.answer(applied("4500000001", released=False))

    assert driver.outcome == "ordered"
    assert "Still to be released" in driver.told[-1].message


def test_a_cancellation_before_any_send_frees_everything() -> None:
    driver = a_driver(a_requisition()).start()

    driver.deliver(cancel())

    assert driver.outcome == "cancelled"
    assert driver.sent == []
    assert driver.open_requests == []
    assert driver.balances[NODE_100].stands.pre == 0


def test_a_cancellation_of_an_ordered_requisition_cancels_each_order_and_relieves_it() -> None:
    driver = a_driver(approved(a_requisition(*TWO_SUPPLIERS))).start()
    driver.answer(applied("4500000001"))
    driver.answer(applied("4500000002"))

    driver.deliver(cancel())
    driver.answer(applied("4500000001"))
    driver.answer(applied("4500000002"))

    assert [send.cancels for send in driver.sent[2:]] == ["4500000001", "4500000002"]
    assert driver.outcome == "cancelled"
    assert driver.balances[NODE_100].stands.enc == 0
    assert driver.balances[NODE_200].stands.enc == 0


def test_a_cancellation_between_two_groups_never_sends_the_second() -> None:
    driver = a_driver(approved(a_requisition(*TWO_SUPPLIERS))).start()
    driver.events.append(cancel())

    driver.answer(applied("4500000001"))
    driver.answer(applied("4500000001"))

    assert driver.actions() == ["create_order acme", "cancel_order acme"]
    assert driver.outcome == "cancelled"


def test_a_cancellation_that_the_ledger_refuses_stays_with_finance_until_it_succeeds() -> None:
    driver = a_driver(approved(a_requisition())).start()
    driver.answer(applied("4500000001"))
    driver.deliver(cancel())

    driver.answer(rejected_by_ledger("Goods receipt exists"))
    parked, still_encumbered = driver.parked, driver.balances[NODE_100].stands.enc
    driver.deliver(retry())
    driver.answer(applied("4500000001"))

    assert parked == "erp_rejected"
    assert still_encumbered == Decimal("400.00")
    assert driver.outcome == "cancelled"
    assert driver.balances[NODE_100].stands.enc == 0


def test_a_second_cancellation_changes_nothing() -> None:
    driver = a_driver(a_requisition()).start()
    driver.deliver(cancel())
    steps = len(driver.steps)

    driver.deliver(cancel("cancel-2"))

    assert driver.outcome == "cancelled"
    assert len(driver.steps) == steps + 1
    assert driver.steps[-1][1].do == ()


def test_a_change_that_comes_after_the_cancellation_revives_nothing() -> None:
    second = a_requisition(version=2)
    driver = a_driver(a_requisition()).start()
    driver.deliver(cancel())

    driver.arrives(as_document(second), changed(second))

    assert driver.outcome == "cancelled"
    assert driver.document.version == 1


def test_a_change_before_any_send_adjusts_the_budget_and_asks_again() -> None:
    first, second = a_requisition(), a_requisition(a_line(amount="450.00"), version=2)
    driver = a_driver(first).start()

    driver.arrives(as_document(second), changed(second))

    assert driver.document.version == 2
    assert driver.open_requests == ["approval/2/1"]
    assert driver.balances[NODE_100].stands.pre == Decimal("450.00")


def test_a_change_of_an_ordered_requisition_is_a_persons_matter() -> None:
    second = a_requisition(version=2)
    driver = a_driver(approved(a_requisition())).start()
    driver.answer(applied("4500000001"))

    driver.arrives(as_document(second), changed(second))
    parked, told = driver.parked, driver.told[-1].refusal
    driver.deliver(retry())

    assert parked == "state_forbids_change"
    assert told is not None
    assert told.details["orders"] == "4500000001"
    assert driver.outcome == "ordered"
    assert driver.actions() == ["create_order acme"]


def test_a_change_waits_while_a_send_is_unresolved() -> None:
    second = a_requisition(a_line(amount="450.00"), version=2)
    driver = a_driver(approved(a_requisition())).start()
    driver.left_the_wire()

    driver.arrives(as_document(second), changed(second))
    sent_meanwhile = driver.actions()
    driver.answer(rejected_by_ledger())

    assert sent_meanwhile == ["create_order acme"]
    assert driver.document.version == 2
    assert driver.open_requests == ["approval/2/1"]


def test_a_customers_step_completes_an_order_but_cannot_touch_what_was_approved() -> None:
    def free_of_charge(order: PurchaseOrder, requisition: Requisition) -> PurchaseOrder:
        return msgspec.structs.replace(order, total=Decimal(0))

    driver = a_driver(approved(a_requisition()), seams=Seams(enrich=(free_of_charge,)))

    driver.start()

    assert driver.parked == "seam_changes_approved"


def test_a_customers_step_may_find_terms_and_refuse_to_post() -> None:
    def terms(order: PurchaseOrder, requisition: Requisition) -> PurchaseOrder:
        return msgspec.structs.replace(order, payment_terms="NT30")

    def only_short_terms(order: PurchaseOrder, requisition: Requisition) -> object:
        return refuse("erp_rejected", terms=order.payment_terms or "")

    driver = a_driver(
        approved(a_requisition()), seams=Seams(enrich=(terms,), before_post=(only_short_terms,))
    )

    driver.start()

    assert driver.parked == "erp_rejected"
    assert driver.sent == []


def test_the_budget_is_asked_once_and_freed_at_the_end() -> None:
    driver = a_driver(approved(a_requisition())).start()
    driver.answer(applied())

    effects = [type(effect) for _, step in driver.steps for effect in step.do]

    assert [kind for kind in effects if kind in (Reserve, Commit, Release)] == [
        Reserve,
        Commit,
        Release,
    ]
