"""Builders with defaults: a test says only what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from quaestor.model.approval import ApprovalDecision, ApprovalEvidence
from quaestor.model.coding import Coding, Split
from quaestor.model.crosswalk import CodeKind, CrosswalkRow, Crosswalks
from quaestor.model.employee import Directory, Employee
from quaestor.model.entity import Entity, LedgerFrom
from quaestor.model.money import extended_amount, total
from quaestor.model.order import OrderGroup, OrderLine, PurchaseOrder
from quaestor.model.requisition import Requisition, RequisitionLine

__all__ = [
    "a_coding",
    "a_directory",
    "a_group",
    "a_line",
    "a_requisition",
    "a_split",
    "an_approval",
    "an_employee",
    "an_entity",
    "an_order",
    "an_order_line",
    "crosswalks",
]

SUBMITTED_AT = datetime(2026, 11, 16, 8, 31, 40, tzinfo=UTC)


def a_coding(
    cost_center: str = "it-de",
    gl_account: str = "it-hardware",
    project: str | None = None,
    tax_code: str | None = None,
) -> Coding:
    return Coding(cost_center, gl_account, project, tax_code)


def a_split(amount: str, cost_center: str = "it-de", gl_account: str = "it-hardware") -> Split:
    return Split(a_coding(cost_center, gl_account), Decimal(amount))


def a_line(
    number: int = 1,
    *,
    description: str = "Laptop",
    supplier: str = "helio-systems",
    quantity: str = "3",
    uom: str = "EA",
    unit_price: str = "1200.00",
    currency: str = "EUR",
    amount: str | None = None,
    splits: Sequence[Split] | None = None,
    category: str = "it_hardware",
    material: str | None = None,
    need_by: date | None = None,
    ship_to: str | None = None,
) -> RequisitionLine:
    """A line that adds up, unless `amount` or `splits` say otherwise."""
    exact = extended_amount(Decimal(quantity), Decimal(unit_price), currency)
    stated = exact if amount is None else Decimal(amount)
    return RequisitionLine(
        number=number,
        description=description,
        supplier=supplier,
        quantity=Decimal(quantity),
        uom=uom,
        unit_price=Decimal(unit_price),
        amount=stated,
        splits=(Split(a_coding(), stated),) if splits is None else tuple(splits),
        category=category,
        material=material,
        need_by=need_by,
        ship_to=ship_to,
    )


def an_approval(
    *approvers: str,
    decided_by: str = "workday",
    version: int | None = 1,
    content_hash: str | None = None,
) -> ApprovalEvidence:
    """Approved by these people, or by a manager and finance."""
    decided_at = datetime(2026, 11, 16, 14, 0, tzinfo=UTC)
    return ApprovalEvidence(
        decided_by=decided_by,
        decisions=tuple(
            ApprovalDecision(approver, "approved", decided_at)
            for approver in approvers or ("ben.koch", "carla.lindt")
        ),
        content_hash=content_hash,
        version=version,
    )


def a_requisition(
    lines: Sequence[RequisitionLine] | None = None,
    *,
    number: str = "20417",
    version: int = 1,
    entity: str = "acme-de",
    requester: str = "ana.berger",
    currency: str = "EUR",
    stated_total: str | None = None,
    submitted_at: datetime = SUBMITTED_AT,
    title: str = "",
    approval: ApprovalEvidence | None = None,
) -> Requisition:
    """A requisition that adds up, with one line unless told otherwise, and not yet approved."""
    given = tuple([a_line()] if lines is None else lines)
    exact = total(line.amount for line in given)
    return Requisition(
        source_system="coupa",
        source_id=number,
        number=number,
        version=version,
        entity=entity,
        requester=requester,
        currency=currency,
        total=exact if stated_total is None else Decimal(stated_total),
        lines=given,
        submitted_at=submitted_at,
        title=title,
        approval=approval,
    )


def a_group(
    supplier: str = "helio-systems",
    entity: str = "acme-de",
    currency: str = "EUR",
    purchasing_organisation: str = "emea",
    ship_to: str = "",
) -> OrderGroup:
    return OrderGroup(supplier, entity, currency, purchasing_organisation, ship_to)


def an_order_line(
    number: int = 10,
    *,
    requisition_line: int | None = None,
    description: str = "Laptop",
    quantity: str = "3",
    uom: str = "PC",
    unit_price: str = "1200.00",
    currency: str = "EUR",
    splits: Sequence[Split] | None = None,
    material_group: str = "A001",
    material: str | None = None,
    need_by: date | None = None,
    plant: str | None = "1010",
) -> OrderLine:
    """An order line that adds up, in SAP's codes."""
    amount = extended_amount(Decimal(quantity), Decimal(unit_price), currency)
    whole = (Split(Coding("10101301", "61003000", None, "V1"), amount),)
    return OrderLine(
        number=number,
        requisition_line=number // 10 if requisition_line is None else requisition_line,
        description=description,
        quantity=Decimal(quantity),
        uom=uom,
        unit_price=Decimal(unit_price),
        amount=amount,
        splits=whole if splits is None else tuple(splits),
        material_group=material_group,
        material=material,
        need_by=need_by,
        plant=plant,
    )


def an_order(
    lines: Sequence[OrderLine] | None = None,
    *,
    requisition: str = "20417",
    requisition_version: int = 1,
    target_system: str = "sap",
    group: OrderGroup | None = None,
    company_code: str = "1010",
    supplier: str = "10300001",
    order_date: date = date(2026, 11, 16),
    stated_total: str | None = None,
    payment_terms: str | None = "0001",
) -> PurchaseOrder:
    """An order in SAP's codes, with one line unless told otherwise."""
    given = tuple([an_order_line()] if lines is None else lines)
    exact = total(line.amount for line in given)
    chosen = a_group() if group is None else group
    return PurchaseOrder(
        target_system=target_system,
        requisition=requisition,
        requisition_version=requisition_version,
        group=chosen,
        company_code=company_code,
        supplier=supplier,
        currency=chosen.currency,
        purchasing_organisation="1010",
        purchasing_group="001",
        order_date=order_date,
        total=exact if stated_total is None else Decimal(stated_total),
        lines=given,
        payment_terms=payment_terms,
    )


def an_entity(
    entity: str = "acme-de",
    *,
    base_currency: str = "EUR",
    time_zone: str = "Europe/Berlin",
    plant: str | None = "berlin",
    tax_code: str | None = "vat-standard",
    ledgers: Sequence[LedgerFrom] = (LedgerFrom("sap", date(2024, 1, 1)),),
    calendar: str = "standard",
) -> Entity:
    return Entity(
        id=entity,
        name=entity,
        base_currency=base_currency,
        time_zone=time_zone,
        company_codes={"sap": "1010", "coupa": "DE10"},
        purchasing_organisation="emea",
        purchasing_group="it",
        ledgers=tuple(ledgers),
        calendar=calendar,
        plant=plant,
        tax_code=tax_code,
    )


def an_employee(
    person: str = "ana.berger",
    *,
    manager: str | None = None,
    limit: str | None = "0",
    active: bool = True,
    roles: Sequence[str] = (),
    entities: Sequence[str] = (),
    identities: dict[str, str] | None = None,
) -> Employee:
    """A person; `limit` `None` is without limit."""
    return Employee(
        id=person,
        name=person,
        manager=manager,
        limit=None if limit is None else Decimal(limit),
        entities=tuple(entities),
        roles=tuple(roles),
        active=active,
        identities=identities or {},
    )


def a_directory(*people: Employee) -> Directory:
    """These people, or a requester, a manager and a finance approver."""
    given: Iterable[Employee] = people or (
        an_employee("ana.berger", manager="ben.koch", identities={"coupa": "aberger"}),
        an_employee("ben.koch", limit="25000", identities={"coupa": "bkoch", "workday": "21002"}),
        an_employee("carla.lindt", limit="250000", identities={"workday": "21003"}),
    )
    return Directory({person.id: person for person in given})


STANDARD_CODES: tuple[tuple[str, CodeKind, str, str], ...] = (
    ("sap", "company_code", "acme-de", "1010"),
    ("sap", "supplier", "helio-systems", "10300001"),
    ("sap", "supplier", "brightwire", "10300017"),
    ("sap", "purchasing_organisation", "emea", "1010"),
    ("sap", "purchasing_group", "it", "001"),
    ("sap", "plant", "berlin", "1010"),
    ("sap", "cost_center", "it-de", "10101301"),
    ("sap", "cost_center", "sales-de", "10101602"),
    ("sap", "gl_account", "it-hardware", "61003000"),
    ("sap", "tax_code", "vat-standard", "V1"),
    ("sap", "material_group", "it_hardware", "A001"),
    ("sap", "uom", "EA", "PC"),
    ("sap", "payment_terms", "net-30", "0001"),
    ("coupa", "company_code", "acme-de", "DE10"),
    ("coupa", "company_code", "acme-us", "US17"),
    ("coupa", "supplier", "helio-systems", "SUP-1001"),
    ("coupa", "cost_center", "it-de", "4100"),
    ("coupa", "cost_center", "sales-de", "5200"),
    ("coupa", "gl_account", "it-hardware", "6810"),
    ("coupa", "material_group", "it_hardware", "IT Hardware"),
    ("coupa", "uom", "EA", "EA"),
    ("coupa", "plant", "berlin", "BER-1"),
)


def crosswalks(*more: CrosswalkRow, without: Sequence[tuple[str, str]] = ()) -> Crosswalks:
    """The standard rows and `more`, without the (kind, our code) pairs named."""
    rows = [CrosswalkRow(*codes) for codes in STANDARD_CODES if (codes[1], codes[2]) not in without]
    return Crosswalks.of([*rows, *more])
