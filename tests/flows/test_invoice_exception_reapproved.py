"""The vocabulary, proven: an invoice's exception is approved again while another receipt comes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from quaestor.budget.balance import Balance, DocumentHolding
from quaestor.flows.kit.dossier import Document
from quaestor.flows.kit.effects import Consume
from quaestor.model.approval import ApprovalDecision, ApprovalEvidence, Verdict
from quaestor.model.budget import Balances, BudgetNode
from quaestor.model.event import Cancel, Decided, Woken
from quaestor.model.invoice import Invoice, InvoiceLine
from tests.flows.invoice_exception import INVOICE_EXCEPTION, OrderSoFar, OverReceived, content_of
from tests.support.flow_driver import FlowDriver

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NODE = "DE01/2026/CC100/615000"
OVER_4 = OverReceived({"1": Decimal(4)})
OVER_2 = OverReceived({"1": Decimal(2)})


def an_invoice(quantity: int = 10) -> Invoice:
    amount = Decimal(quantity) * 40
    line = InvoiceLine(1, "Chair", Decimal(quantity), "EA", Decimal(40), amount, "4500000001", 10)
    return Invoice(
        "coupa", "I-1", "4711", "DE01", "acme", date(2026, 3, 1), date(2026, 3, 2), "EUR", amount,
        (line,),
    )  # fmt: skip


def received(quantity: int) -> OrderSoFar:
    return OrderSoFar(NODE, Decimal(40), {10: Decimal(quantity)})


def with_received(quantity: int) -> FlowDriver:
    """An invoice of 10 pieces at 40.00 on an order of 10, of which so many have arrived."""
    node = BudgetNode(NODE, "DE01", Decimal(1000))
    driver = FlowDriver(
        flow=INVOICE_EXCEPTION,
        document=Document(2, "invoice", "DE01", "coupa", "I-1", "c-1", 1, "", an_invoice()),
        reads={OrderSoFar: received(quantity)},
        now=NOW,
        balances={NODE: Balance(node, Balances(enc=Decimal(400)))},
        holding=DocumentHolding(enc={NODE: Decimal(400)}),
    )
    return driver.start()


def receipt_arrives(driver: FlowDriver, total: int, *others: Decided) -> None:
    driver.reads = {OrderSoFar: received(total)}
    driver.deliver(*others, Woken(f"receipt-{total}", NOW, "sap", 3))


def decision(on: OverReceived, verdict: Verdict = "approved") -> Decided:
    content = content_of(on)
    vote = ApprovalDecision("ben", verdict, NOW)
    evidence = ApprovalEvidence("workday", (vote,), content)
    return Decided(f"d-{content[:4]}-{verdict}", NOW, "workday", request(on), evidence)


def bookings(driver: FlowDriver) -> int:
    return sum(isinstance(effect, Consume) for _, step in driver.steps for effect in step.do)


def request(on: OverReceived, time: int = 1) -> str:
    return f"exception/{content_of(on)[:12]}/{time}"


def test_an_invoice_that_matches_is_booked_without_asking() -> None:
    driver = with_received(10)

    assert driver.outcome == "released for payment"
    assert driver.balances[NODE].stands.act == Decimal("400")
    assert driver.balances[NODE].stands.enc == 0


def test_an_exception_waits_for_a_person() -> None:
    driver = with_received(6)

    assert driver.open_requests == [request(OVER_4)]
    assert bookings(driver) == 0


def test_an_approved_exception_is_booked_once() -> None:
    driver = with_received(6)

    driver.deliver(decision(OVER_4))

    assert driver.outcome == "released for payment"
    assert bookings(driver) == 1


def test_a_receipt_that_changes_the_exception_replaces_the_question() -> None:
    driver = with_received(6)

    receipt_arrives(driver, 8)

    assert driver.open_requests == [request(OVER_2)]
    assert driver.events == []


def test_an_approval_that_comes_together_with_another_receipt_is_asked_for_again() -> None:
    driver = with_received(6)

    receipt_arrives(driver, 8, decision(OVER_4))

    assert driver.open_requests == [request(OVER_2)]
    assert driver.events == []
    assert bookings(driver) == 0


def test_the_second_approval_on_the_exception_as_it_stands_books_once() -> None:
    driver = with_received(6)
    receipt_arrives(driver, 8, decision(OVER_4))

    driver.deliver(decision(OVER_4), decision(OVER_2))

    assert driver.outcome == "released for payment"
    assert bookings(driver) == 1


def test_the_last_receipt_makes_the_approval_needless() -> None:
    driver = with_received(6)
    receipt_arrives(driver, 8, decision(OVER_4))

    receipt_arrives(driver, 10)

    assert driver.outcome == "released for payment"
    assert driver.open_requests == []
    assert bookings(driver) == 1


def test_an_exception_that_comes_back_is_asked_for_again_and_an_old_answer_does_not_count() -> None:
    driver = with_received(6)
    receipt_arrives(driver, 8)

    receipt_arrives(driver, 6, decision(OVER_4))

    assert driver.open_requests == [request(OVER_4, 2)]
    assert bookings(driver) == 0


def test_a_receipt_that_changes_nothing_leaves_the_question_open() -> None:
    driver = with_received(6)

    receipt_arrives(driver, 6)

    assert driver.open_requests == [request(OVER_4)]
    assert driver.events == []


def test_a_rejected_exception_is_a_persons_until_a_receipt_and_a_retry_settle_it() -> None:
    driver = with_received(6)

    driver.deliver(decision(OVER_4, "rejected"))

    assert driver.parked == "approval_rejected"
    assert bookings(driver) == 0


def test_an_invoice_taken_back_while_it_is_out_for_approval_is_never_booked() -> None:
    driver = with_received(6)

    driver.deliver(Cancel("c-1", NOW, "fay"), decision(OVER_4))

    assert driver.outcome == "cancelled"
    assert driver.open_requests == []
    assert bookings(driver) == 0
