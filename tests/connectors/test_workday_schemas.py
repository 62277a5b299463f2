"""What goes to Workday and what our simulator answers, against the contracts that there are.

../shared/contracts/workday/derived/Resource_Management_v29.RECONSTRUCTED.xsd catches names and
nesting; everything in it is optional, so that it proves nothing about what a tenant requires.
../shared/contracts/workday/wsdl/Human_Resources.wsdl is the vendor's own, version 30.
"""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from quaestor.connectors.kit.attempt import Attempt, open_attempt
from quaestor.connectors.kit.contract import Command
from quaestor.connectors.workday.mapping import RequisitionRules, render_cancel, render_submit
from quaestor.connectors.workday.soap import payload
from tests.connectors.workday_requisitions import (
    CODES,
    KEY,
    a_submission,
    a_tenant,
    a_workday_requisition,
    hr_schema,
    rm_schema,
)
from tests.support.builders import a_line

RULES = RequisitionRules(codes=CODES)  # type: ignore[arg-type]


def faults(schema: etree.XMLSchema, message: bytes) -> list[str]:
    """The first thing that the schema says against the content of a message."""
    try:
        schema.assertValid(payload(message))
    except etree.DocumentInvalid as error:
        return [str(error)]
    return []


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"lines": [a_line(category="")]},
        {"lines": [a_line(material="M-1", ship_to="berlin")]},
        {"currency": "USD"},
    ],
    ids=["split and dated", "no category", "material and place", "dollars"],
)
def test_a_submitted_requisition_keeps_names_and_nesting(given: dict[str, Any]) -> None:
    message = render_submit(a_submission(a_workday_requisition(**given)), RULES, "v30.0")

    assert faults(rm_schema(), message) == []


def a_cancel() -> Command:
    return Command(
        key=KEY,
        system="workday",
        action="cancel_requisition",
        entity="acme-de",
        created_at=a_submission().created_at,
        cancels=KEY[:26],
    )


def test_a_cancellation_keeps_names_and_nesting() -> None:
    assert faults(rm_schema(), render_cancel(a_cancel(), "v30.0")) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Requisition_Number", b"Requisition_No"),
        (b"Item_Request_Line_Data", b"Item_Line_Data"),
        (b"wd:Add_Only", b"wd:Only_Add"),
        (b"Goods_Requisition_Line_ID>", b"Internal_Memo>"),
    ],
)
def test_the_reconstructed_schema_catches_what_it_can(old: bytes, new: bytes) -> None:
    message = render_submit(a_submission(), RULES, "v30.0").replace(old, new)

    assert faults(rm_schema(), message)


async def test_every_message_of_a_working_day_keeps_its_schema() -> None:
    """Requests and the simulator's answers, as they went over the wire."""
    attempt = Attempt(send_before=float("inf"), total_timeout_s=5.0)
    steps = [{"by": "manager", "after_ms": 0}, {"by": "finance", "after_ms": 0}]

    async with a_tenant(routing={"steps": steps}) as tenant:
        with open_attempt(attempt):
            await tenant.connector.check()
            await tenant.submit(a_submission())
            await tenant.submit(a_submission())
            await tenant.connector.find(a_submission())
            await tenant.connector.pull("decisions", None)
            workers = await tenant.connector.pull("workers", None)
            await tenant.connector.pull("workers", workers.cursor)
            await tenant.connector.submit(a_cancel(), render_cancel(a_cancel(), "v30.0"))
            await tenant.connector.find(a_cancel())

    soap = [one for one in attempt.exchanges if one.method == "POST"]
    judged = [
        (hr_schema() if "Human_Resources" in one.target else rm_schema(), message)
        for one in soap
        for message in (one.request_body, one.response_body)
    ]
    found = [
        fault
        for schema, message in judged
        if b"Fault" not in message
        for fault in faults(schema, message)
    ]
    assert found == []
    # Whatever else the client learns to ask belongs here; REST is in `test_workday_rest`.
    assert {etree.QName(payload(one.request_body)).localname for one in soap} == {
        "Submit_Requisition_Request",
        "Cancel_Requisition_Request",
        "Get_Requisitions_Request",
        "Get_Workers_Request",
    }
