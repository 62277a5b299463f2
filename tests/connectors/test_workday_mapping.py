"""A requisition becomes Workday's message, field by field; nothing is lost silently."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from msgspec.structs import replace

from quaestor.connectors.kit.classify import Answer, Voice
from quaestor.connectors.kit.contract import Permanent
from quaestor.connectors.workday.mapping import (
    DISPOSITIONS,
    RequisitionRules,
    differences,
    fields_of,
    reference_in,
    render_submit,
)
from quaestor.connectors.workday.soap import hear, payload, said
from quaestor.connectors.workday.stamp import digest_of, read_stamp, without_stamp
from quaestor.connectors.workday.workers import worker_row
from quaestor.connectors.workday.xml import (
    Element,
    XmlRefused,
    child,
    id_of,
    parsed,
    qualified,
    text_of,
)
from quaestor.model.approval import ApprovalEvidence
from quaestor.model.canonical import content_hash
from quaestor.model.coding import Split
from quaestor.model.refusal import Refusal
from quaestor.model.replica import PersonRow
from quaestor.model.requisition import Requisition
from tests.connectors.workday_requisitions import (
    CODES,
    KEY,
    a_submission,
    a_tenant,
    a_workday_requisition,
)
from tests.support.builders import a_coding, a_line, a_requisition, a_split, an_approval

RULES = RequisitionRules(codes=CODES)  # type: ignore[arg-type]


def data_of(requisition: Requisition | None = None, rules: RequisitionRules = RULES) -> Element:
    message = payload(render_submit(a_submission(requisition), rules, "v30.0"))
    found = child(message, "Requisition_Data")
    assert found is not None
    return found


def test_a_requisition_is_told_with_its_lines_and_who_pays() -> None:
    assert fields_of(data_of(), RULES) == {
        "company": "acme-de",
        "requester": "21001",
        "currency": "EUR",
        "title": "Laptops for Berlin",
        "lines[1].description": "Laptop",
        "lines[1].category": "it_hardware",
        "lines[1].supplier": "helio-systems",
        "lines[1].quantity": "3",
        "lines[1].uom": "EA",
        "lines[1].unit_cost": "1200",
        "lines[1].amount": "3600",
        "lines[1].delivery_date": "2026-12-01",
        "lines[1].memo": "account it-hardware",
        "lines[1].worktags": "Cost_Center_Reference_ID=it-de",
        "lines[2].description": "Dock",
        "lines[2].category": "it_hardware",
        "lines[2].supplier": "helio-systems",
        "lines[2].quantity": "3",
        "lines[2].uom": "EA",
        "lines[2].unit_cost": "199.9",
        "lines[2].amount": "599.7",
        "lines[2].splits": (
            "199.7 to Cost_Center_Reference_ID=sales-de (account it-hardware); "
            "400 to Cost_Center_Reference_ID=it-de (account it-hardware)"
        ),
    }


def test_the_message_is_an_add_only_submit_under_our_number() -> None:
    message = payload(render_submit(a_submission(), RULES, "v30.0"))

    assert message.get(qualified("Add_Only")) == "1"
    assert message.get(qualified("version")) == "v30.0"
    assert text_of(message, "Requisition_Data", "Submit") == "1"
    assert text_of(message, "Requisition_Data", "Requisition_Number") == KEY[:26]
    assert text_of(message, "Requisition_Data", "Requisition_Date") == "2026-11-16"


def test_the_memo_carries_what_is_voted_on() -> None:
    requisition = replace(a_workday_requisition(version=4), source_id="RQ 1/2]")
    data = data_of(requisition)

    memo = text_of(data, "Internal_Memo")
    stamp = read_stamp(memo)

    assert stamp is not None
    assert (stamp.source_system, stamp.source_id, stamp.version) == ("coupa", "RQ 1/2]", 4)
    assert stamp.content_hash == content_hash(requisition)
    assert stamp.fields_digest == digest_of(fields_of(data, RULES))
    assert without_stamp(memo) == "Laptops for Berlin"


def test_a_title_that_looks_like_a_stamp_vouches_for_nothing() -> None:
    first = text_of(data_of(), "Internal_Memo")
    forged = replace(a_workday_requisition(), title=first.removeprefix("Laptops for Berlin "))

    assert read_stamp(text_of(data_of(forged), "Internal_Memo")) is None


# --- nothing is lost silently ---------------------------------------------------------------------


def paths_of(struct: type, prefix: str = "") -> set[str]:
    """Every field path of a noun; what was decided before counts as one."""
    found: set[str] = set()
    for name, hint in get_type_hints(struct).items():
        inner = next((one for one in (hint, *get_args(hint)) if is_struct(one)), None)
        found.add(prefix + name)
        if inner is not None and inner is not ApprovalEvidence:
            found |= paths_of(inner, f"{prefix}{name}.")
    return found


def is_struct(hint: object) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def test_each_field_of_a_requisition_has_a_disposition_and_no_other_has() -> None:
    assert set(DISPOSITIONS) == paths_of(Requisition)
    assert all(one.note for one in DISPOSITIONS.values())


def one_line(**given: Any) -> Requisition:
    return a_requisition([replace(a_line(), **given)])


def coded(**given: Any) -> Requisition:
    return a_requisition([a_line(splits=[Split(a_coding(**given), Decimal("3600.00"))])])


CHANGED: Mapping[str, Requisition] = {
    "source_system": replace(a_requisition(), source_system="portal"),
    "source_id": replace(a_requisition(), source_id="other"),
    "number": replace(a_requisition(), number="other"),
    "version": a_requisition(version=2),
    "entity": a_requisition(entity="acme-us"),
    "requester": a_requisition(requester="dan.moore"),
    "currency": a_requisition(currency="USD"),
    "submitted_at": a_requisition(submitted_at=datetime(2026, 11, 17, tzinfo=UTC)),
    "preparer": replace(a_requisition(), preparer="dan.moore"),
    "beneficiary": replace(a_requisition(), beneficiary="dan.moore"),
    "title": a_requisition(title="Other"),
    "approval": a_requisition(approval=an_approval()),
    "lines": a_requisition([a_line(), a_line(2)]),
    "lines.number": one_line(number=9),
    "lines.description": one_line(description="Other"),
    "lines.supplier": one_line(supplier="brightwire"),
    "lines.quantity": one_line(quantity=Decimal(4)),
    "lines.uom": one_line(uom="PCE"),
    "lines.unit_price": one_line(unit_price=Decimal("1200.01")),
    "lines.amount": a_requisition([a_line(amount="3600.01")]),
    "lines.category": one_line(category="other"),
    "lines.material": one_line(material="M-1"),
    "lines.need_by": one_line(need_by=date(2026, 12, 1)),
    "lines.ship_to": one_line(ship_to="berlin"),
    "lines.splits": a_requisition([a_line(splits=[a_split("3000"), a_split("600")])]),
    "lines.splits.coding": coded(cost_center="sales-de"),
    "lines.splits.coding.cost_center": coded(cost_center="sales-de"),
    "lines.splits.coding.gl_account": coded(gl_account="it-accessories"),
    "lines.splits.coding.project": coded(project="P-1"),
    "lines.splits.coding.tax_code": coded(tax_code="vat-standard"),
}


def without_hash(requisition: Requisition) -> bytes:
    """The message without the hash of the content, which any change of content changes."""
    message = render_submit(a_submission(requisition), RULES, "v30.0")
    return message.replace(content_hash(requisition).encode(), b"")


@pytest.mark.parametrize("path", CHANGED)
def test_a_field_reaches_workday_if_and_only_if_it_says_so(path: str) -> None:
    told = without_hash(CHANGED[path]) != without_hash(a_requisition())

    assert told is (DISPOSITIONS[path].kind == "mapped")


def test_a_changed_split_amount_reaches_workday() -> None:
    one, two = (
        a_requisition([a_line(splits=[a_split(first), a_split(second)])])
        for first, second in (("3000", "600"), ("3100", "500"))
    )

    assert without_hash(one) != without_hash(two)
    assert {*DISPOSITIONS} - {*CHANGED} == {"total", "lines.splits.amount"}


# --- refused before sending -----------------------------------------------------------------------

REFUSED = [
    ("total", a_requisition(stated_total="1.00"), "connector_refused"),
    ("lines", a_requisition([]), "connector_refused"),
    ("lines", a_requisition([a_line(), a_line()]), "connector_refused"),
    ("lines[1].splits", one_line(splits=(a_split("1.00"),)), "connector_refused"),
    ("lines[1].splits", one_line(splits=()), "connector_refused"),
    ("lines[1].description", one_line(description="x" * 4001), "connector_refused"),
    ("text", one_line(description="bell \x07"), "connector_refused"),
    ("text", one_line(supplier="a\x00b"), "connector_refused"),
    ("worker", a_requisition(requester="nobody"), "crosswalk_missing"),
]


@pytest.mark.parametrize(("field", "requisition", "code"), REFUSED)
def test_what_workday_cannot_be_told_is_refused_by_field(
    field: str, requisition: Requisition, code: str
) -> None:
    with pytest.raises(Permanent) as refused:
        render_submit(a_submission(requisition), RULES, "v30.0")

    assert refused.value.refusal.code == code
    assert field in refused.value.refusal.details.values()


def test_codes_are_translated_where_there_is_a_table() -> None:
    rules = RequisitionRules(
        codes={
            **CODES,  # type: ignore[dict-item]
            "company": {"acme-de": "DE01"},
            "supplier": {"helio-systems": "S-7"},
            "cost_center": {"it-de": "CC1", "sales-de": "CC2"},
        },
        company_id="Organization_Reference_ID",
    )
    data = data_of(rules=rules)

    assert id_of(child(data, "Company_Reference"), "Organization_Reference_ID") == "DE01"
    assert fields_of(data, rules)["lines[1].supplier"] == "S-7"
    assert fields_of(data, rules)["lines[1].worktags"] == "Cost_Center_Reference_ID=CC1"


def test_differences_name_each_field_and_both_values() -> None:
    other = a_workday_requisition(lines=[a_line(quantity="4", need_by=date(2026, 12, 1))])

    found = differences(data_of(), data_of(other), RULES)

    assert "lines[1].quantity: 4 instead of 3" in found
    assert "lines[2].description: nothing instead of Dock" in found


def test_our_number_is_found_in_a_sentence_and_no_other_is() -> None:
    number = KEY[:26]

    assert reference_in("", f"Requisition: {number} for Ana Berger") == number
    assert reference_in(f"RQ-{number}x", number.upper(), "RQ-00000001", "a" * 25) == ""


# --- XML ------------------------------------------------------------------------------------------

ENTITY = b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]><a>&e;</a>'
BOMB = (
    b'<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx">'
    + b"".join(
        b'<!ENTITY x%d "%s">' % (level, (b"&x%s;" % (b"%d" % (level - 1) if level else b"")) * 10)
        for level in range(9)
    )
    + b"]><a>&x8;</a>"
)


@pytest.mark.parametrize(
    "message",
    [
        ENTITY,
        BOMB,
        b"<!DOCTYPE a><a/>",
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a><a/>'.encode("utf-16"),
        b"<a>",
        b"",
        b"\x00",
        b"<a/><b/>",
        b"<a>" * 300 + b"</a>" * 300,
        b"<a>" + b"<b/>" * 200_001 + b"</a>",
    ],
    ids=[
        "external entity",
        "entities that grow",
        "document type",
        "document type in UTF-16",
        "cut",
        "empty",
        "zero",
        "two roots",
        "too deep",
        "too many elements",
    ],
)
def test_dangerous_or_broken_xml_is_not_read(message: bytes) -> None:
    with pytest.raises(XmlRefused):
        parsed(message)


def a_fault(code: str, detail: str = "", text: str = "told") -> bytes:
    return (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault>'
        f"<faultcode>e:{code}</faultcode><faultstring>{text}</faultstring>"
        f"<detail>{detail}</detail></e:Fault></e:Body></e:Envelope>"
    ).encode()


VALIDATION = (
    '<w:Validation_Fault xmlns:w="urn:com.workday/bsvc"><w:Validation_Error>'
    "<w:Message>No</w:Message><w:Detail_Message>Never</w:Detail_Message><w:Xpath>/x</w:Xpath>"
    "</w:Validation_Error></w:Validation_Fault>"
)
PROCESSING = (
    '<w:Processing_Fault xmlns:w="urn:com.workday/bsvc">'
    "<w:Detail_Message>Sorry</w:Detail_Message></w:Processing_Fault>"
)
VOICES = [
    (500, a_fault("Client.validationError", VALIDATION), Voice.REFUSED),
    (200, a_fault("Client.validationError", VALIDATION), Voice.REFUSED),
    (500, a_fault("Client"), Voice.REFUSED),
    (500, a_fault("Server", PROCESSING), Voice.UNSURE),
    (200, a_fault("Server", PROCESSING), Voice.UNSURE),
    (500, a_fault("Server"), Voice.UNSURE),
    (500, a_fault("Client.authenticationError"), Voice.LOGIN),
    (401, b"", Voice.LOGIN),
    (403, b"<html/>", Voice.LOGIN),
    (429, b"", Voice.BUSY),
    (200, b"<html>Please log in</html>", Voice.UNSURE),
    (200, b"", Voice.UNSURE),
    (502, render_submit(a_submission(), RULES, "v30.0"), Voice.UNSURE),
    (200, render_submit(a_submission(), RULES, "v30.0"), Voice.DONE),
]


@pytest.mark.parametrize(("status", "body", "voice"), VOICES)
def test_who_spoke_is_told_by_the_fault_not_by_the_status(
    status: int, body: bytes, voice: Voice
) -> None:
    assert hear(Answer(status, (), body)) is voice


def test_a_validation_fault_says_what_and_where() -> None:
    fault = said(a_fault("Client.validationError", VALIDATION)).fault

    assert fault is not None
    assert (fault.kind, fault.messages, fault.xpath) == (
        "Validation_Fault",
        ("No Never",),
        "/x",
    )


# --- workers --------------------------------------------------------------------------------------


async def test_workers_come_page_by_page_as_of_one_moment() -> None:
    async with a_tenant() as tenant:
        connector = tenant.connect(workers_page=3)
        pages = [await connector.pull("workers", None)]
        while pages[-1].more:
            pages.append(await connector.pull("workers", pages[-1].cursor))
        again = await connector.pull("workers", pages[-1].cursor)

    items = [item for page in pages for item in page.items]
    read = [worker_row(item.body) for item in items]
    rows = {row.id: row for row in read if isinstance(row, PersonRow)}
    assert [len(page.items) for page in pages] == [3, 3, 1]
    assert len({item.changed_at for item in items}) == 1
    assert again.items == ()
    assert (rows["21001"].name, rows["21001"].manager) == ("Ana Berger", "21002")
    assert (rows["10001"].manager, rows["10001"].active) == (None, True)


@pytest.mark.parametrize("body", [b"", b"<a/>", b'<Worker xmlns="urn:com.workday/bsvc"/>'])
def test_a_worker_who_is_nobody_is_refused(body: bytes) -> None:
    row = worker_row(body)

    assert isinstance(row, Refusal)
    assert row.code == "source_document_invalid"


def test_who_is_not_said_to_be_active_is_not() -> None:
    row = worker_row(
        b'<w:Worker xmlns:w="urn:com.workday/bsvc"><w:Worker_Reference>'
        b'<w:ID w:type="WID">aa</w:ID><w:ID w:type="Employee_ID">7</w:ID></w:Worker_Reference>'
        b"<w:Worker_Data><w:User_ID>x</w:User_ID></w:Worker_Data></w:Worker>"
    )

    assert row == PersonRow("7", "", login="x", active=False)
