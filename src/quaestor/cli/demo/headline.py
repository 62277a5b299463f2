"""The headline hop by hop: what each hop was given, what it made of it, how long it took.

Every figure is read from what happened: the database, the stored bytes, the recorded exchange.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from quaestor.audit.exchange import WireExchange
from quaestor.audit.telling import milliseconds, request_bytes, the_change
from quaestor.audit.trace import Step
from quaestor.cli.demo.facts import Facts, NodeMoved, Sent
from quaestor.cli.demo.run import Found
from quaestor.model.crosswalk import CodeKind, Missing
from quaestor.model.order import PurchaseOrder
from quaestor.model.requisition import Requisition
from quaestor.project.project import Project

__all__ = ["Hop", "amounts", "hops", "money"]

Hop = tuple[str, str, str]
"""Its name, what happened, and when or how long."""


def money(amount: object, currency: str = "") -> str:
    """An amount for people: `34,959.00 EUR`."""
    return f"{amount:,.2f} {currency}".rstrip()


def hops(found: Found, project: Project) -> Iterator[Hop]:
    """The hops of one requisition, in the order in which they took place."""
    facts = found.facts
    requisition = found.received.mapped.requisition
    clock = _Clock(facts)
    yield (
        "received",
        f"{_size(facts):,} bytes pulled from Coupa: {len(requisition.lines)} lines, "
        f"{money(requisition.total, requisition.currency)}, "
        f"asked for by {requisition.requester}",
        clock.at("receive"),
    )
    yield "mapped", _mapped(found, project), ""
    yield "validated", _validated(project), clock.leaving("validating")
    for node in facts.budget:
        yield from _asked(node, facts, clock)
        yield (
            "reserved",
            f"{money(node.reserved)} of {node.node}, budget {money(node.budget)}",
            clock.at("reserve"),
        )
    for handed in facts.of("submit_requisition"):
        yield from _handed(handed, facts, clock)
    for step in facts.steps:
        if step.name == "approval_evidence":
            facts_of = step.details
            yield (
                "approval",
                f"{facts_of['outcome']} in {facts_of['decided_by']} ({facts_of['votes']}), "
                "held against our own minimum",
                clock.of(step),
            )
    for order in facts.created:
        yield from _ordered(order, facts, requisition, project, clock)
    for node in facts.budget:
        yield (
            "committed",
            f"{money(node.encumbered)} encumbered, {money(node.still_reserved)} still reserved, "
            f"{money(node.available)} available",
            clock.at("commit"),
        )
    for step in facts.steps:
        if step.effect == "tell":
            yield "told", f"{requisition.requester}: {step.details['text']}", ""
    for report in facts.of("report_status"):
        answered = _step(facts, "send", "applied", report.name)
        shown = ", ".join(f"{name} {value}" for name, value in found.shown.items())
        yield (
            "told Coupa",
            f"the requisition there shows: {shown}",
            clock.of(answered) if answered else "",
        )
    yield facts.outcome, f"correlation id {facts.correlation_id}", clock.at("step", "closed")


def _size(facts: Facts) -> int:
    """The bytes of the requisition as they were received."""
    return sum(attachment.size for attachment in facts.steps[0].wire)


def _asked(node: NodeMoved, facts: Facts, clock: _Clock) -> Iterator[Hop]:
    step = _step(facts, "inquire", "answered", f"budget/{node.node}")
    if step is not None:
        as_of = datetime.fromisoformat(step.details["as_of"])
        yield (
            "asked",
            f"{step.system} states {money(node.budget)} for {node.node}, as of {as_of:%H:%M:%S} "
            "UTC",
            clock.of(step),
        )


def _source_of(node: str, facts: Facts) -> dict[str, str]:
    """Who stated the budget, and as of when it was true; nothing where our own file did."""
    step = _step(facts, "inquire", "answered", f"budget/{node}")
    return {"source": step.system, "as_of": step.details["as_of"]} if step is not None else {}


def _handed(handed: Sent, facts: Facts, clock: _Clock) -> Iterator[Hop]:
    answered = _step(facts, "send", "applied", handed.name)
    if answered is not None:
        yield (
            "handed over",
            f"{len(handed.payload):,} bytes of SOAP to Workday, there {handed.number}",
            clock.of(answered),
        )


class _Clock:
    """Milliseconds since the requisition was received."""

    def __init__(self, facts: Facts) -> None:
        self._steps = facts.steps

    def of(self, step: Step) -> str:
        return f"+{milliseconds(self._steps[0], step):,.0f} ms"

    def at(self, effect: str, stage: str = "") -> str:
        for step in self._steps:
            if step.effect == effect and stage in ("", step.stage_before):
                return self.of(step)
        return ""

    def leaving(self, stage: str) -> str:
        left = (step for step in self._steps if step.stage_before == stage)
        return next((self.of(step) for step in left), "")


def _mapped(found: Found, project: Project) -> str:
    requisition, loss = found.received.mapped.requisition, found.received.mapped.loss
    ours: list[tuple[CodeKind, str]] = []
    for line in requisition.lines:
        ours.append(("supplier", line.supplier))
        for split in line.splits:
            ours.append(("cost_center", split.coding.cost_center))
            ours.append(("gl_account", split.coding.gl_account))
    pairs = []
    for kind, code in dict.fromkeys(ours):
        theirs = project.crosswalks.theirs("coupa", kind, code, found.received.at.date())
        if not isinstance(theirs, Missing):
            pairs.append(f"{theirs} → {code}")
    dropped, unknown = len(loss.of_kind("dropped")), len(loss.of_kind("unknown"))
    return f"{', '.join(pairs)}; {dropped} fields dropped with a reason, {unknown} unknown"


def _validated(project: Project) -> str:
    of = [
        f"{what} of {replica.as_of:%Y-%m-%d}"
        for what, replica in (("suppliers", project.suppliers), ("accounts", project.chart))
        if replica is not None
    ]
    return f"on replicas: {', '.join(of)}"


def _ordered(
    order: Sent, facts: Facts, requisition: Requisition, project: Project, clock: _Clock
) -> Iterator[Hop]:
    purchase = order.command.order
    assert purchase is not None
    group = purchase.group
    yield (
        "order group",
        f"{group.supplier}, {group.entity}, {group.currency}; in SAP's codes: "
        f"{', '.join(_translated(purchase, requisition))}",
        "",
    )
    begun = _step(facts, "send", "begun", order.name)
    yield (
        "intent",
        f"{len(order.payload):,} bytes committed before the first byte leaves, "
        f"key {order.key[:12]}…",
        clock.of(begun) if begun else "",
    )
    answered = _step(facts, "send", "applied", order.name)
    change = the_change(answered) if answered else None
    if change is None or answered is None:
        return
    yield "sent", _sent(change, purchase), ""
    yield (
        "answered",
        f"{change.status}, purchase order {order.number}",
        f"{change.elapsed_ms:,.0f} ms",
    )


def _translated(purchase: PurchaseOrder, requisition: Requisition) -> list[str]:
    group = purchase.group
    pairs = {
        group.supplier: purchase.supplier,
        group.entity: purchase.company_code,
    }
    by_number = {line.number: line for line in requisition.lines}
    for line in purchase.lines:
        ours = by_number[line.requisition_line]
        for theirs_split, our_split in zip(line.splits, ours.splits, strict=True):
            pairs[our_split.coding.cost_center] = theirs_split.coding.cost_center
            pairs[our_split.coding.gl_account] = theirs_split.coding.gl_account
            if theirs_split.coding.tax_code:
                pairs["tax"] = theirs_split.coding.tax_code
    return [f"{ours} → {theirs}" for ours, theirs in pairs.items()]


def _sent(change: WireExchange, purchase: PurchaseOrder) -> str:
    path = change.target.partition("?")[0]
    return (
        f"{change.method} …/{path.rpartition('/')[2]}, {request_bytes(change):,} bytes, "
        f"{len(purchase.lines)} items, {money(purchase.total, purchase.currency)}"
    )


def _step(facts: Facts, effect: str, outcome: str, name: str) -> Step | None:
    for step in facts.steps:
        if (step.effect, step.outcome, step.name) == (effect, outcome, name):
            return step
    return None


def amounts(facts: Facts) -> dict[str, object]:
    """What the requisition did to the budget, for machines."""
    nodes = facts.budget
    return {
        "reserved": sum((node.reserved for node in nodes), start=Decimal(0)),
        "committed": sum((node.encumbered for node in nodes), start=Decimal(0)),
        "still_reserved": sum((node.still_reserved for node in nodes), start=Decimal(0)),
        "nodes": [
            {
                "node": node.node,
                "budget": node.budget,
                **_source_of(node.node, facts),
                "reserved": node.reserved,
                "committed": node.encumbered,
                "available": node.available,
            }
            for node in nodes
        ],
    }
