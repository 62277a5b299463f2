"""A small company for the flows: two suppliers, two cost centers, one ledger, three people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from quaestor.approvals.snapshot import ApprovalPolicy
from quaestor.budget.balance import Balance
from quaestor.budget.keys import BudgetPolicy
from quaestor.connectors.kit.contract import Applied, Rejected
from quaestor.flows.kit.dossier import Document
from quaestor.flows.kit.reads import EntityBook, Routing, Seams
from quaestor.flows.requisition_to_order import REQUISITION_TO_ORDER
from quaestor.model.approval import ApprovalDecision, ApprovalEvidence, Verdict
from quaestor.model.budget import BudgetNode
from quaestor.model.calendar import Calendar
from quaestor.model.canonical import content_hash
from quaestor.model.coding import Coding, Split
from quaestor.model.crosswalk import CrosswalkRow, Crosswalks
from quaestor.model.employee import Directory, Employee
from quaestor.model.entity import Entity, LedgerFrom
from quaestor.model.event import Cancel, Changed, Decided, Retry
from quaestor.model.rates import Rates
from quaestor.model.refusal import refuse
from quaestor.model.requisition import Requisition, RequisitionLine
from quaestor.model.supplier import Supplier
from quaestor.validation.facts import (
    ChartReplica,
    CostCenter,
    GlAccount,
    SupplierReplica,
    ValidationPolicy,
)
from tests.support.flow_driver import FlowDriver

__all__ = [
    "NODE_100",
    "NODE_200",
    "NOW",
    "a_driver",
    "a_line",
    "a_requisition",
    "applied",
    "approved",
    "as_document",
    "cancel",
    "changed",
    "decided",
    "reads",
    "rejected_by_ledger",
    "retry",
]

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NODE_100 = "DE01/2026/CC100/615000"
NODE_200 = "DE01/2026/CC200/615000"

_CODES = {
    "supplier": {"acme": "100001", "bolt": "100002"},
    "cost_center": {"CC100": "0000100100", "CC200": "0000100200"},
    "gl_account": {"615000": "0000615000"},
    "uom": {"EA": "EA"},
    "company_code": {"DE01": "1010"},
    "purchasing_organisation": {"central": "1000"},
    "purchasing_group": {"it": "001"},
}


def a_line(
    number: int = 1,
    *,
    supplier: str = "acme",
    amount: str = "400.00",
    cost_center: str = "CC100",
) -> RequisitionLine:
    """One piece at that price, charged to one cost center."""
    price = Decimal(amount)
    return RequisitionLine(
        number=number,
        description="Laptop",
        supplier=supplier,
        quantity=Decimal(1),
        uom="EA",
        unit_price=price,
        amount=price,
        splits=(Split(Coding(cost_center, "615000"), price),),
    )


def a_requisition(
    *lines: RequisitionLine,
    version: int = 1,
    approval: ApprovalEvidence | None = None,
    requester: str = "ana",
) -> Requisition:
    """Handed in at `NOW` by ana, in DE01, in EUR."""
    given = lines or (a_line(),)
    return Requisition(
        source_system="coupa",
        source_id="4711",
        number="REQ-4711",
        version=version,
        entity="DE01",
        requester=requester,
        currency="EUR",
        total=sum((line.amount for line in given), Decimal(0)),
        lines=given,
        submitted_at=NOW,
        approval=approval,
    )


def approved(
    requisition: Requisition, by: str = "ben", verdict: Verdict = "approved"
) -> Requisition:
    """The same requisition with evidence that `by` voted on exactly this content."""
    return msgspec.structs.replace(requisition, approval=evidence(requisition, by, verdict))


def evidence(
    requisition: Requisition, by: str = "ben", verdict: Verdict = "approved"
) -> ApprovalEvidence:
    vote = ApprovalDecision(by, verdict, NOW)
    return ApprovalEvidence("workday", (vote,), content_hash(requisition), requisition.version)


def as_document(requisition: Requisition) -> Document:
    return Document(
        id=1,
        type="requisition",
        entity=requisition.entity,
        source_system=requisition.source_system,
        source_id=requisition.source_id,
        correlation_id="c-1",
        version=requisition.version,
        content_hash=content_hash(requisition),
        body=requisition,
    )


def reads(
    *,
    decider: str | None = "workday",
    seams: Seams | None = None,
    without_code: tuple[str, str] | None = None,
    routing: Routing | None = None,
) -> Mapping[type, Any]:
    """Everything a stage may declare."""
    rows = [
        CrosswalkRow("sap", kind, ours, theirs)  # type: ignore[arg-type]
        for kind, codes in _CODES.items()
        for ours, theirs in codes.items()
        if (kind, ours) != without_code
    ]
    people = (
        Employee("ana", "Ana", manager="ben"),
        Employee("ben", "Ben", manager="cleo", limit=Decimal(1000)),
        Employee("cleo", "Cleo", limit=None),
    )
    centers = (CostCenter("CC100", "DE01"), CostCenter("CC200", "DE01"))
    return {
        EntityBook: EntityBook({"DE01": _ENTITY}, {"standard": Calendar("standard")}),
        BudgetPolicy: BudgetPolicy(),
        Rates: Rates(),
        ValidationPolicy: ValidationPolicy(),
        SupplierReplica: SupplierReplica(
            {each: Supplier(each, each.title(), entities=("DE01",)) for each in ("acme", "bolt")},
            NOW,
        ),
        ChartReplica: ChartReplica(
            {(each.entity, each.id): each for each in centers},
            {"615000": GlAccount("615000")},
            NOW,
        ),
        ApprovalPolicy: ApprovalPolicy(decider=decider),
        Directory: Directory({each.id: each for each in people}),
        Routing: routing or Routing(),
        Crosswalks: Crosswalks.of(rows),
        Seams: seams or Seams(),
    }


_ENTITY = Entity(
    id="DE01",
    name="Deutschland GmbH",
    base_currency="EUR",
    time_zone="Europe/Berlin",
    company_codes={"sap": "1010"},
    purchasing_organisation="central",
    purchasing_group="it",
    ledgers=(LedgerFrom("sap", date(2020, 1, 1)),),
)


def a_driver(requisition: Requisition, *, budget: str = "1000.00", **given: Any) -> FlowDriver:
    """The document at the first stage, with that budget on each of the two cost centers."""
    nodes = (BudgetNode(key, "DE01", Decimal(budget)) for key in (NODE_100, NODE_200))
    return FlowDriver(
        flow=REQUISITION_TO_ORDER,
        document=as_document(requisition),
        reads=reads(**given),
        now=NOW,
        balances={node.key: Balance(node) for node in nodes},
    )


def applied(number: str = "4500000001", **facts: Any) -> Applied:
    return Applied(number, **facts)


def rejected_by_ledger(message: str = "Vendor is blocked") -> Rejected:
    return Rejected(refuse("erp_rejected", message=message))


def cancel(event_id: str = "cancel-1") -> Cancel:
    return Cancel(event_id, NOW, "ana")


def changed(to: Requisition) -> Changed:
    return Changed(f"changed-{to.version}", NOW, "coupa", to.version, content_hash(to))


def decided(
    request: str, of: Requisition, by: str = "ben", verdict: Verdict = "approved"
) -> Decided:
    return Decided(f"decided-{request}-{by}", NOW, "workday", request, evidence(of, by, verdict))


def retry(event_id: str = "retry-1") -> Retry:
    return Retry(event_id, NOW, "fay")
