"""Our Workday's SOAP services: requisitions and workers.

Only the names in `SHAPE` are taken, in their order: fewer than the tenant's schema has, so that
a message which passes here errs on no name. What is required is our reading: the reconstructed
schema does not say it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

from lxml import etree

from quaestor.connectors.workday.simulator_process import Held, Person
from quaestor.connectors.workday.soap import enveloped
from quaestor.connectors.workday.xml import (
    SOAP,
    WD,
    Element,
    child,
    children,
    decimal_of,
    id_of,
    qualified,
    text_of,
)

__all__ = [
    "ADD_ONLY",
    "SHAPE",
    "Faulty",
    "cancelled",
    "check_data",
    "check_shape",
    "fault",
    "invalid_id",
    "requisitions",
    "submitted",
    "workers",
]

ADD_ONLY = "The Web Service is set to Add Only; documents cannot be resubmitted."

_REFERENCE = ("ID",)
SHAPE: Mapping[str, tuple[str, ...]] = {
    "Submit_Requisition_Request": (
        "Requisition_Reference",
        "Business_Process_Parameters",
        "Requisition_Data",
    ),
    "Business_Process_Parameters": ("Auto_Complete", "Comment_Data"),
    "Comment_Data": ("Comment", "Worker_Reference"),
    "Requisition_Data": (
        "Submit",
        "Requisition_Number",
        "Requisition_Date",
        "Requisition_Currency_Reference",
        "Requisition_Type_Reference",
        "Company_Reference",
        "Requester_Reference",
        "Memo_to_Suppliers",
        "Internal_Memo",
        "High_Priority",
        "Item_Request_Line_Data",
    ),
    "Item_Request_Line_Data": (
        "Goods_Requisition_Line_ID",
        "Item_Reference",
        "Item_Description",
        "Spend_Category_Reference",
        "Supplier_Reference",
        "Quantity",
        "Unit_of_Measure_Reference",
        "Unit_Cost",
        "Extended_Amount",
        "Requested_Delivery_Date",
        "Memo",
        "Worktags_Reference",
        "Goods_Requisition_Line_Split_Data",
    ),
    "Goods_Requisition_Line_Split_Data": (
        "Business_Document_Line_Split_ID",
        "Quantity",
        "Extended_Amount",
        "Memo",
        "Worktag_Reference",
    ),
    "Cancel_Requisition_Request": ("Requisition_to_Cancel_Reference",),
    "Get_Requisitions_Request": ("Request_Criteria", "Response_Filter", "Response_Group"),
    "Request_Criteria": ("Transaction_Log_Criteria_Data", "Requisition_ID"),
    "Transaction_Log_Criteria_Data": ("Transaction_Date_Range_Data",),
    "Transaction_Date_Range_Data": ("Updated_From", "Updated_Through"),
    "Get_Workers_Request": (
        "Request_References",
        "Request_Criteria",
        "Response_Filter",
        "Response_Group",
    ),
    "Request_References": ("Worker_Reference",),
    "Response_Filter": ("As_Of_Effective_Date", "As_Of_Entry_DateTime", "Page", "Count"),
    "Response_Group": (
        "Include_Reference",
        "Include_Personal_Information",
        "Include_Employment_Information",
        "Include_Management_Chain_Data",
    ),
}


class Faulty(Exception):
    """A SOAP fault. `kind` as in `fault`."""

    def __init__(self, kind: str, *messages: str, xpath: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.messages = messages
        self.xpath = xpath


def fault(kind: str, messages: Sequence[str], xpath: str = "") -> bytes:
    """A fault with a line per message: `Validation_Fault`, `Processing_Fault`, or a fault code."""
    made = etree.Element(f"{{{SOAP}}}Fault", nsmap={"SOAP-ENV": SOAP, "wd": WD})
    codes = {"Validation_Fault": "Client.validationError", "Processing_Fault": "Server"}
    etree.SubElement(made, "faultcode").text = f"SOAP-ENV:{codes.get(kind, kind)}"
    etree.SubElement(made, "faultstring").text = "; ".join(messages)
    if kind == "Validation_Fault":
        detail = _put(etree.SubElement(made, "detail"), kind)
        for message in messages:
            error = _put(detail, "Validation_Error")
            _put(error, "Message", message)
            _put(error, "Detail_Message", message)
            if xpath:
                _put(error, "Xpath", xpath)
    elif kind == "Processing_Fault":
        detail = _put(etree.SubElement(made, "detail"), kind)
        _put(detail, "Detail_Message", "; ".join(messages))
    return enveloped(made)


def invalid_id(kind: str, value: str) -> str:
    """How Workday names an id that it does not know."""
    return f"Invalid ID value.  '{value}' is not a valid ID value for type = '{kind}'"


def check_shape(element: Element) -> None:
    """Names and their order. Raises `Faulty`."""
    name = etree.QName(element).localname
    allowed = SHAPE.get(name, _REFERENCE if name.endswith("_Reference") else ())
    names = [etree.QName(one).localname for one in element]
    foreign = [one for one in element if etree.QName(one).namespace != WD]
    unknown = [one for one in names if one not in allowed]
    if foreign or unknown:
        culprit = unknown[0] if unknown else names[0]
        raise Faulty("Client", f"Element '{culprit}' is not expected in '{name}'")
    if any(allowed.index(one) > allowed.index(two) for one, two in pairwise(names)):
        raise Faulty("Client", f"The elements of '{name}' are not in order")
    for one in element:
        check_shape(one)


def check_data(data: Element | None, people: Iterable[Person]) -> None:
    """What a requisition must have to be submitted. Raises `Faulty` with every error."""
    found = []
    for name in ("Company_Reference", "Requester_Reference", "Requisition_Currency_Reference"):
        if child(data, name, "ID") is None:
            found.append(f"{name} is required")
    requester = id_of(child(data, "Requester_Reference"), "Employee_ID")
    if requester not in {person.id for person in people if person.active}:
        found.append(invalid_id("Employee_ID", requester))
    lines = list(children(data, "Item_Request_Line_Data"))
    if not lines:
        found.append("Enter at least one line")
    for line in lines:
        found += _line_errors(line)
    if found:
        raise Faulty("Validation_Fault", *found, xpath="/Requisition_Data[1]")


def _line_errors(line: Element) -> list[str]:
    name = text_of(line, "Goods_Requisition_Line_ID") or "?"
    values = [decimal_of(text_of(line, one)) for one in ("Quantity", "Unit_Cost")]
    amount = decimal_of(text_of(line, "Extended_Amount"))
    found = []
    if amount is None or any(value is None for value in values):
        return [f"Line {name}: quantity, unit cost and extended amount are required"]
    splits = list(children(line, "Goods_Requisition_Line_Split_Data"))
    shares = [decimal_of(text_of(split, "Extended_Amount")) or Decimal(0) for split in splits]
    if splits and sum(shares, Decimal(0)) != amount:
        found.append(f"Line {name}: the splits do not add up")
    if not text_of(line, "Item_Description") and child(line, "Item_Reference") is None:
        found.append(f"Line {name}: an item or a description is required")
    return found


def submitted(held: Held, version: str) -> bytes:
    """The answer to `Submit_Requisition`."""
    root = _root("Submit_Requisition_Response", version)
    _reference(root, "Requisition_Reference", held)
    return enveloped(root)


def cancelled(held: Held, version: str) -> bytes:
    """The answer to `Cancel_Requisition`."""
    root = _root("Cancel_Requisition_Response", version)
    _reference(root, "Requisition_Reference", held)
    return enveloped(root)


def requisitions(found: Sequence[Held], request: Element, version: str) -> bytes:
    """The answer to `Get_Requisitions`: one page of what was found."""
    root = _root("Get_Requisitions_Response", version)
    page, rows = _page(root, request, found)
    if rows:
        data = _put(root, "Response_Data")
        for held in rows:
            whole = _put(data, "Requisition")
            _reference(whole, "Requisition_Reference", held)
            whole.append(_shown(held))
    return enveloped(root) if page else fault("Client", ["Page must be 1 or more"])


def _shown(held: Held) -> Element:
    """The data as sent, with the document's status where the schema has it, and what Workday
    derives: the worktag of the company on every line."""
    shown = etree.fromstring(held.shown())
    shown.tag = qualified("Requisition_data")
    number = child(shown, "Requisition_Number")
    assert number is not None
    status = etree.Element(qualified("Requisition_Document_Status_Reference"))
    _identified(status, "Document_Status_ID", held.status)
    number.addnext(status)
    company = id_of(child(shown, "Company_Reference"), "Company_Reference_ID")
    for line in children(shown, "Item_Request_Line_Data"):
        tagged = list(children(line, "Worktags_Reference"))
        if company and tagged:
            derived = etree.Element(qualified("Worktags_Reference"))
            _identified(derived, "Company_Reference_ID", company)
            tagged[-1].addnext(derived)
        for decimal in ("Quantity", "Unit_Cost", "Extended_Amount"):
            value = child(line, decimal)
            if value is not None and value.text:
                value.text = f"{Decimal(value.text):f}"
    return shown


def workers(
    found: Sequence[Person],
    chain: Mapping[str, list[Person]],
    request: Element,
    as_of: str,
) -> bytes:
    """The answer to `Get_Workers`: one page, read at `as_of`."""
    root = etree.Element(qualified("Get_Workers_Response"), nsmap={"wd": WD})
    asked = text_of(request, "Response_Filter", "As_Of_Entry_DateTime")
    _, rows = _page(root, request, found, asked or as_of)
    group = child(request, "Response_Group")
    data = _put(root, "Response_Data")
    for person in rows:
        _worker(data, person, chain[person.id], group)
    return enveloped(root)


def _worker(data: Element, person: Person, chain: list[Person], group: Element | None) -> None:
    worker = _put(data, "Worker")
    _person(worker, "Worker_Reference", person)
    _put(worker, "Worker_Descriptor", person.name)
    told = _put(worker, "Worker_Data")
    _put(told, "Worker_ID", person.id)
    _put(told, "User_ID", person.name.lower().replace(" ", "."))
    if _wants(group, "Include_Personal_Information"):
        legal = _put(_put(_put(told, "Personal_Data"), "Name_Data"), "Legal_Name_Data")
        detail = _put(legal, "Name_Detail_Data")
        detail.set(qualified("Formatted_Name"), person.name)
        _identified(_put(detail, "Country_Reference"), "ISO_3166-1_Alpha-2_Code", "DE")
        first, _, last = person.name.partition(" ")
        _put(detail, "First_Name", first)
        _put(detail, "Last_Name", last)
    if _wants(group, "Include_Employment_Information"):
        status = _put(_put(told, "Employment_Data"), "Worker_Status_Data")
        _put(status, "Active", "1" if person.active else "0")
    if _wants(group, "Include_Management_Chain_Data"):
        links = _put(
            _put(told, "Management_Chain_Data"), "Worker_Supervisory_Management_Chain_Data"
        )
        # From the top down to the worker's own organisation.
        for manager in reversed(chain):
            _person(_put(links, "Management_Chain_Data"), "Manager_Reference", manager)


def _wants(group: Element | None, name: str) -> bool:
    return text_of(group, name) in ("1", "true")


def _page(
    root: Element, request: Element, found: Sequence[Any], as_of: str = ""
) -> tuple[int, Sequence[Any]]:
    page = int(text_of(request, "Response_Filter", "Page") or "1")
    count = max(1, min(int(text_of(request, "Response_Filter", "Count") or "100"), 999))
    rows = found[(page - 1) * count : page * count] if page > 0 else ()
    told = _put(root, "Response_Filter")
    if as_of:
        _put(told, "As_Of_Entry_DateTime", as_of)
    _put(told, "Page", str(page))
    _put(told, "Count", str(count))
    results = _put(root, "Response_Results")
    _put(results, "Total_Results", str(len(found)))
    _put(results, "Total_Pages", str(-(-len(found) // count)))
    _put(results, "Page_Results", str(len(rows)))
    _put(results, "Page", str(page))
    return page, rows


def _reference(parent: Element, name: str, held: Held) -> None:
    made = _put(parent, name)
    _identified(made, "WID", held.wid)
    _identified(made, "Requisition_Number", held.number)


def _person(parent: Element, name: str, person: Person) -> None:
    made = _put(parent, name)
    _identified(made, "WID", person.wid)
    _identified(made, "Employee_ID", person.id)


def _identified(reference: Element, kind: str, value: str) -> None:
    _put(reference, "ID", value).set(qualified("type"), kind)


def _root(name: str, version: str) -> Element:
    root = etree.Element(qualified(name), nsmap={"wd": WD})
    root.set(qualified("version"), version)
    return root


def _put(parent: Element, name: str, text: str | None = None) -> Element:
    made = etree.SubElement(parent, qualified(name))
    made.text = text
    return made
