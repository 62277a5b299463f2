"""A requisition as Workday's `Submit_Requisition_Request`, and back to fields. Pure.

Names and nesting follow a schema that was reconstructed from generated classes of version 29: it
says nothing about which elements a tenant requires. What cannot be expressed is refused here, by
field, before anything is stored or sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal, NoReturn

import msgspec
from lxml import etree

from quaestor.connectors.kit.contract import Command, Permanent
from quaestor.connectors.kit.loss import Dispositions, dropped, mapped
from quaestor.connectors.workday.soap import enveloped
from quaestor.connectors.workday.stamp import Stamp, digest_of, without_stamp, write_stamp
from quaestor.connectors.workday.xml import (
    WD,
    Element,
    children,
    id_of,
    number_text,
    qualified,
    text_of,
)
from quaestor.model.canonical import content_hash
from quaestor.model.coding import Coding
from quaestor.model.refusal import refuse
from quaestor.model.requisition import Requisition, RequisitionLine

__all__ = [
    "DISPOSITIONS",
    "REFERENCE_CHARS",
    "CodeOf",
    "RequisitionRules",
    "differences",
    "fields_of",
    "reference_in",
    "reference_of",
    "render_cancel",
    "render_submit",
]

# 130 bits: unique without a look at anything else, and short enough to be read out.
REFERENCE_CHARS = 26
TITLE_CHARS = 200
DESCRIPTION_CHARS = 4000

CodeOf = Literal["company", "supplier", "category", "uom", "worker", "cost_center", "project"]


class RequisitionRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An installation's rules for requisitions, `[systems.NAME.requisition]`.

    `codes` turns our codes into Workday's, by kind; a kind without a table uses ours as they
    are, and one with a table refuses a code that is not in it. The others are the types of
    reference id that those codes are given as.
    """

    codes: Mapping[CodeOf, Mapping[str, str]] = {}
    company_id: str = "Company_Reference_ID"
    worker_id: str = "Employee_ID"
    supplier_id: str = "Supplier_ID"
    category_id: str = "Spend_Category_ID"
    uom_id: str = "UN_CEFACT_Common_Code_ID"
    cost_center_id: str = "Cost_Center_Reference_ID"
    project_id: str = "Project_ID"


DISPOSITIONS: Dispositions = {
    "source_system": mapped("Internal_Memo (stamp)"),
    "source_id": mapped("Internal_Memo (stamp)"),
    "number": dropped("Requisition_Number is our reference; the stamp names the document."),
    "version": mapped("Internal_Memo (stamp)"),
    "entity": mapped("Company_Reference"),
    "requester": mapped("Requester_Reference"),
    "currency": mapped("Requisition_Currency_Reference"),
    "total": dropped("Workday adds the lines up; a total that differs is refused here."),
    "submitted_at": mapped("Requisition_Date"),
    "preparer": dropped("The submitting person is our integration's; interest is judged by us."),
    "beneficiary": dropped("Workday knows no beneficiary; interest is judged by us."),
    "title": mapped("Internal_Memo"),
    "approval": dropped("What was decided before is not for those who decide now."),
    "lines": mapped("Item_Request_Line_Data"),
    "lines.number": mapped("Goods_Requisition_Line_ID"),
    "lines.description": mapped("Item_Description"),
    "lines.supplier": mapped("Supplier_Reference"),
    "lines.quantity": mapped("Quantity"),
    "lines.uom": mapped("Unit_of_Measure_Reference"),
    "lines.unit_price": mapped("Unit_Cost"),
    "lines.amount": mapped("Extended_Amount"),
    "lines.category": mapped("Spend_Category_Reference"),
    "lines.material": mapped("Memo"),
    "lines.need_by": mapped("Requested_Delivery_Date"),
    "lines.ship_to": mapped("Memo"),
    "lines.splits": mapped("Goods_Requisition_Line_Split_Data; one alone is the whole line"),
    "lines.splits.amount": mapped("Goods_Requisition_Line_Split_Data/Extended_Amount"),
    "lines.splits.coding": mapped("Worktags_Reference and Memo"),
    "lines.splits.coding.cost_center": mapped("Worktags_Reference"),
    "lines.splits.coding.project": mapped("Worktags_Reference"),
    "lines.splits.coding.gl_account": mapped("Memo"),
    "lines.splits.coding.tax_code": mapped("Memo"),
}

_REFERENCE = re.compile(rf"(?<![a-z0-9])[a-z2-7]{{{REFERENCE_CHARS}}}(?![a-z0-9])")
_KEY = re.compile(rf"[a-z2-7]{{{REFERENCE_CHARS},64}}")


def reference_of(key: str) -> str:
    """The requisition number of a posting key."""
    return key[:REFERENCE_CHARS]


def reference_in(*texts: str) -> str:
    """The first requisition number of ours in these texts; empty where there is none."""
    found = (_REFERENCE.search(text) for text in texts)
    return next((match[0] for match in found if match is not None), "")


def render_submit(command: Command, rules: RequisitionRules, version: str) -> bytes:
    """The SOAP message to store and send. Raises `Permanent` where it cannot be expressed."""
    requisition = command.requisition
    if requisition is None:
        _refuse(command, "requisition", "is missing")
    if _KEY.fullmatch(command.key) is None:
        _refuse(command, "key", "is not a posting key")
    _check_sums(command, requisition)
    writer = _Writer(command, rules)
    try:
        return enveloped(writer.request(requisition, version))
    except ValueError as error:
        # lxml takes no text that XML has no form for.
        _refuse(command, "text", "holds characters that XML cannot carry", error)


def render_cancel(command: Command, version: str) -> bytes:
    """The SOAP message that cancels the requisition with the number `command.cancels`."""
    number = command.cancels or ""
    if not re.fullmatch(r"[0-9A-Za-z_-]{1,64}", number):
        _refuse(command, "cancels", "is not a requisition number")
    request = _root("Cancel_Requisition_Request", version)
    _refer(request, "Requisition_to_Cancel_Reference", "Requisition_Number", number)
    return enveloped(request)


def fields_of(data: Element, rules: RequisitionRules) -> dict[str, str]:
    """The business fields of a `Requisition_Data`, in one form, whoever wrote it.

    Only what we send is looked at: Workday derives worktags and fills in defaults of its own.
    """
    fields = {
        "company": id_of(_first(data, "Company_Reference"), rules.company_id),
        "requester": id_of(_first(data, "Requester_Reference"), rules.worker_id),
        "currency": id_of(_first(data, "Requisition_Currency_Reference"), "Currency_ID"),
        "title": without_stamp(text_of(data, "Internal_Memo")),
    }
    for line in children(data, "Item_Request_Line_Data"):
        name = f"lines[{text_of(line, 'Goods_Requisition_Line_ID')}]"
        fields |= {f"{name}.{key}": value for key, value in _line_fields(line, rules).items()}
    others = ("Service_Request_Line_Data", "Deliverables_Line_Data")
    added = sum(1 for kind in others for _ in children(data, kind))
    if added:
        fields["lines.added"] = str(added)
    return {name: value for name, value in fields.items() if value}


def differences(wanted: Element, found: Element, rules: RequisitionRules) -> tuple[str, ...]:
    """Each business field that is not what was commanded, ordered by name."""
    ours, theirs = fields_of(wanted, rules), fields_of(found, rules)
    return tuple(
        f"{name}: {theirs.get(name, 'nothing')} instead of {ours.get(name, 'nothing')}"
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    )


def _line_fields(line: Element, rules: RequisitionRules) -> dict[str, str]:
    splits = sorted(
        f"{number_text(text_of(split, 'Extended_Amount'))} to "
        f"{_worktags(split, 'Worktag_Reference', rules)} ({text_of(split, 'Memo')})"
        for split in children(line, "Goods_Requisition_Line_Split_Data")
    )
    return {
        "description": text_of(line, "Item_Description"),
        "category": id_of(_first(line, "Spend_Category_Reference"), rules.category_id),
        "supplier": id_of(_first(line, "Supplier_Reference"), rules.supplier_id),
        "quantity": number_text(text_of(line, "Quantity")),
        "uom": id_of(_first(line, "Unit_of_Measure_Reference"), rules.uom_id),
        "unit_cost": number_text(text_of(line, "Unit_Cost")),
        "amount": number_text(text_of(line, "Extended_Amount")),
        "delivery_date": text_of(line, "Requested_Delivery_Date")[:10],
        "memo": text_of(line, "Memo"),
        "worktags": _worktags(line, "Worktags_Reference", rules),
        "splits": "; ".join(splits),
    }


def _worktags(parent: Element, name: str, rules: RequisitionRules) -> str:
    found = (
        (kind, id_of(reference, kind))
        for reference in children(parent, name)
        for kind in (rules.cost_center_id, rules.project_id)
    )
    return ", ".join(sorted(f"{kind}={code}" for kind, code in found if code))


class _Writer:
    """Writes one requisition; elements stand in the order of the reconstructed schema."""

    def __init__(self, command: Command, rules: RequisitionRules) -> None:
        self._command = command
        self._rules = rules

    def request(self, requisition: Requisition, version: str) -> Element:
        root = _root("Submit_Requisition_Request", version)
        # Without it a second submit would change the requisition instead of being refused.
        root.set(qualified("Add_Only"), "1")
        parameters = _put(root, "Business_Process_Parameters")
        _put(parameters, "Auto_Complete", "0")
        data = _put(root, "Requisition_Data")
        self._header(data, requisition)
        for line in requisition.lines:
            self._line(data, line)
        memo = data.find(qualified("Internal_Memo"))
        assert memo is not None
        memo.text = write_stamp(
            memo.text or "",
            Stamp(
                source_system=requisition.source_system,
                source_id=requisition.source_id,
                version=requisition.version,
                content_hash=content_hash(requisition),
                fields_digest=digest_of(fields_of(data, self._rules)),
            ),
        )
        return root

    def _header(self, data: Element, requisition: Requisition) -> None:
        rules = self._rules
        _put(data, "Submit", "1")
        _put(data, "Requisition_Number", reference_of(self._command.key))
        _put(data, "Requisition_Date", requisition.submitted_at.date().isoformat())
        _refer(data, "Requisition_Currency_Reference", "Currency_ID", requisition.currency)
        company = self._code("company", requisition.entity)
        _refer(data, "Company_Reference", rules.company_id, company)
        worker = self._code("worker", requisition.requester)
        _refer(data, "Requester_Reference", rules.worker_id, worker)
        _put(data, "Internal_Memo", _one_line(requisition.title)[:TITLE_CHARS].strip())

    def _line(self, data: Element, line: RequisitionLine) -> None:
        rules = self._rules
        if len(line.description) > DESCRIPTION_CHARS:
            _refuse(self._command, f"lines[{line.number}].description", "is too long")
        put = _put(data, "Item_Request_Line_Data")
        _put(put, "Goods_Requisition_Line_ID", str(line.number))
        _put(put, "Item_Description", _one_line(line.description))
        if line.category:
            category = self._code("category", line.category)
            _refer(put, "Spend_Category_Reference", rules.category_id, category)
        supplier = self._code("supplier", line.supplier)
        _refer(put, "Supplier_Reference", rules.supplier_id, supplier)
        _put(put, "Quantity", _plain(line.quantity))
        uom = self._code("uom", line.uom)
        _refer(put, "Unit_of_Measure_Reference", rules.uom_id, uom)
        _put(put, "Unit_Cost", _plain(line.unit_price))
        _put(put, "Extended_Amount", _plain(line.amount))
        if line.need_by is not None:
            _put(put, "Requested_Delivery_Date", line.need_by.isoformat())
        only = line.splits[0].coding if len(line.splits) == 1 else None
        memo = _memo(line, only)
        if memo:
            _put(put, "Memo", memo)
        if only is not None:
            self._tag(put, "Worktags_Reference", only)
            return
        for number, split in enumerate(line.splits, start=1):
            part = _put(put, "Goods_Requisition_Line_Split_Data")
            _put(part, "Business_Document_Line_Split_ID", f"{line.number}-{number}")
            _put(part, "Extended_Amount", _plain(split.amount))
            _put(part, "Memo", _account(split.coding))
            self._tag(part, "Worktag_Reference", split.coding)

    def _tag(self, parent: Element, name: str, coding: Coding) -> None:
        rules = self._rules
        cost_center = self._code("cost_center", coding.cost_center)
        _refer(parent, name, rules.cost_center_id, cost_center)
        if coding.project is not None:
            project = self._code("project", coding.project)
            _refer(parent, name, rules.project_id, project)

    def _code(self, kind: CodeOf, ours: str) -> str:
        table = self._rules.codes.get(kind)
        if table is None:
            return ours
        if ours not in table:
            refusal = refuse("crosswalk_missing", system=self._command.system, kind=kind, code=ours)
            raise Permanent(f"Workday has no code for the {kind} {ours}", refusal)
        return table[ours]


def _check_sums(command: Command, requisition: Requisition) -> None:
    numbers = [line.number for line in requisition.lines]
    if not numbers:
        _refuse(command, "lines", "are missing")
    if len(set(numbers)) < len(numbers):
        _refuse(command, "lines", "repeat a number")
    if sum((line.amount for line in requisition.lines), Decimal(0)) != requisition.total:
        _refuse(command, "total", "is not the sum of the lines")
    for line in requisition.lines:
        if sum((split.amount for split in line.splits), Decimal(0)) != line.amount:
            _refuse(command, f"lines[{line.number}].splits", "do not add up to the amount")


def _memo(line: RequisitionLine, coding: Coding | None) -> str:
    parts = [
        _account(coding) if coding is not None else "",
        f"material {line.material}" if line.material else "",
        f"ship to {line.ship_to}" if line.ship_to else "",
    ]
    return _one_line("; ".join(part for part in parts if part))


def _account(coding: Coding) -> str:
    """Workday derives the ledger account from the category, so the people are shown ours."""
    tax = f"; tax {coding.tax_code}" if coding.tax_code else ""
    return f"account {coding.gl_account}{tax}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _plain(value: Decimal) -> str:
    return format(value, "f")


def _root(name: str, version: str) -> Element:
    root = etree.Element(qualified(name), nsmap={"wd": WD})
    root.set(qualified("version"), version)
    return root


def _put(parent: Element, name: str, text: str | None = None) -> Element:
    made = etree.SubElement(parent, qualified(name))
    made.text = text
    return made


def _refer(parent: Element, name: str, kind: str, code: str) -> None:
    identifier = _put(_put(parent, name), "ID", code)
    identifier.set(qualified("type"), kind)


def _first(parent: Element, name: str) -> Element | None:
    return parent.find(qualified(name))


def _refuse(command: Command, field: str, why: str, cause: Exception | None = None) -> NoReturn:
    told = f"{field} {why}"
    refusal = refuse("connector_refused", system=command.system, field=field, why=told)
    raise Permanent(told, refusal) from cause
