"""A proof, not a product: just enough of an invoice flow to try the vocabulary on.

    matching ─► clear ─► booked
        │         ▲
        └► excepted ─► rejected by a person
    While an exception is out for approval, another receipt may arrive and change it.

It knows one tolerance (none) and one exception (more invoiced than received, M2). The real rules
of matching live in their own room when it is built.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

import msgspec

from quaestor.budget.effects import BudgetLine
from quaestor.flows.kit.dossier import ApprovalRequested, Dossier
from quaestor.flows.kit.effects import Consume, RequestApproval, WithdrawApproval
from quaestor.flows.kit.flow import Flow, Stage
from quaestor.flows.kit.step import Await, Done, Park, Step
from quaestor.model.canonical import canonical_bytes
from quaestor.model.event import Cancel, Decided, Event, Woken
from quaestor.model.invoice import Invoice
from quaestor.model.refusal import refuse

__all__ = ["INVOICE_EXCEPTION", "OrderSoFar", "content_of"]


class OrderSoFar(msgspec.Struct, frozen=True):
    """The order behind the invoice, as its receipts stand: quantities by order line."""

    node: str
    unit_price: Decimal
    received: Mapping[int, Decimal]


class OverReceived(msgspec.Struct, frozen=True):
    """By how much each order line is invoiced above what was received."""

    over: Mapping[str, Decimal]


def exception_of(dossier: Dossier) -> OverReceived | None:
    invoice: Invoice = dossier.document.body
    order = dossier.read(OrderSoFar)
    over = {
        str(line.number): line.quantity - order.received.get(line.order_line or 0, Decimal(0))
        for line in invoice.lines
    }
    positive = {line: quantity for line, quantity in over.items() if quantity > 0}
    return OverReceived(positive) if positive else None


def content_of(exception: OverReceived) -> str:
    """What is approved is the exception itself: another receipt makes it another one."""
    return hashlib.sha256(canonical_bytes(exception)).hexdigest()


def open_requests(dossier: Dossier) -> dict[str, ApprovalRequested]:
    return {
        name: result
        for name, result in dossier.results.items()
        if isinstance(result, ApprovalRequested)
    }


def request_of(dossier: Dossier, exception: OverReceived) -> str:
    """The open request on this exception, or the name of the next: it may come and go and come."""
    stem = f"exception/{content_of(exception)[:12]}"
    times = sum(name.startswith(stem) for name in dossier.results)
    last = f"{stem}/{times}"
    return last if last in open_requests(dossier) else f"{stem}/{times + 1}"


def matching(dossier: Dossier) -> Step:
    """Ask about an exception; without one the invoice is clear."""
    heard = tuple(event for event in dossier.events if isinstance(event, Woken))
    exception = exception_of(dossier)
    still_open = open_requests(dossier)
    asked = request_of(dossier, exception) if exception else None
    withdrawn = tuple(WithdrawApproval(name) for name in still_open if name != asked)
    if exception is None or asked is None:
        return Step(withdrawn, "clear", heard)
    request = still_open.get(asked)
    since = request.requested_at if request else None
    until = (since or dossier.now) + timedelta(days=7)
    awaited = Await(("Decided", "Woken"), "excepted", until, "unanswered")
    if request is not None:
        return Step(withdrawn, awaited, heard)
    question = RequestApproval(
        asked,
        decider="workday",
        content_hash=content_of(exception),
        version=dossier.document.version,
        amount=dossier.document.body.gross,
        currency=dossier.document.body.currency,
    )
    return Step((*withdrawn, question), awaited, heard)


def excepted(dossier: Dossier) -> Step:
    """A decision counts only on the exception as the receipts make it at this moment."""
    exception = exception_of(dossier)
    decisions = tuple(event for event in dossier.events if isinstance(event, Decided))
    heard = tuple(event for event in dossier.events if isinstance(event, Woken))
    if exception is None:
        return Step((), "matching", decisions)
    verdicts = [
        decision.verdict
        for event in decisions
        if event.request in open_requests(dossier)
        and event.evidence is not None
        and event.evidence.content_hash == content_of(exception)
        for decision in event.evidence.decisions
    ]
    if "rejected" in verdicts:
        refusal = refuse("approval_rejected", request=request_of(dossier, exception))
        return Step((), Park(refusal.owner, refusal, resume="matching"), decisions + heard)
    if verdicts:
        return Step((), "clear", decisions + heard)
    return Step((), "matching", decisions)


def clear(dossier: Dossier) -> Step:
    """Book the debt, relieve the order by quantity times its price (B4)."""
    invoice: Invoice = dossier.document.body
    order = dossier.read(OrderSoFar)
    ordered = sum((line.quantity for line in invoice.lines), Decimal(0)) * order.unit_price
    consume = Consume(
        "actuals",
        relieves=(BudgetLine(order.node, ordered),),
        actuals=(BudgetLine(order.node, invoice.gross),),
    )
    return Step((consume,), "booked")


def booked(dossier: Dossier) -> Step:
    return Step((), Done("released for payment"))


def unanswered(dossier: Dossier) -> Step:
    refusal = refuse("approval_expired")
    return Step((), Park(refusal.owner, refusal, resume="matching"))


def interrupted(dossier: Dossier, event: Event) -> Step | None:
    """An invoice can be taken back until it is booked."""
    if not isinstance(event, Cancel) or dossier.stage == "booked":
        return None
    withdrawn = tuple(WithdrawApproval(name) for name in open_requests(dossier))
    return Step(withdrawn, Done("cancelled"))


INVOICE_EXCEPTION = Flow(
    name="invoice_exception",
    version=1,
    document_type="invoice",
    body=Invoice,
    first="matching",
    stages={
        "matching": Stage(matching, (OrderSoFar,)),
        "excepted": Stage(excepted, (OrderSoFar,)),
        "clear": Stage(clear, (OrderSoFar,)),
        "booked": Stage(booked),
        "unanswered": Stage(unanswered),
    },
    interrupted=interrupted,
)
