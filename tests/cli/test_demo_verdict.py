"""The demo passes judgement on itself, and each thing that it promises can fail."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from quaestor.audit.trace import Step
from quaestor.cli.demo.facts import Facts, Sent
from quaestor.cli.demo.result import ORDER_FIELD, STATE_FIELD, verdict
from quaestor.cli.demo.run import Counted, Found, Received
from quaestor.connectors.kit.contract import Command
from quaestor.connectors.kit.loss import LossReport
from quaestor.connectors.kit.published import Mapped
from tests.support.builders import a_requisition

AT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
ORDER = {"number": "4500000000", "deleted": False}
COMMAND = Command("k", "sap", "create_order", "acme-de", AT)
SENT = Sent("order/g", "k", "sap", "create_order", COMMAND, b"", "4500000000")
DELETED = {"number": "4500000001", "deleted": True}
SEEN = {
    "headline": [("send", "applied")],
    "lost-answer": [("send", "ambiguous"), ("look", "applied")],
    "killed-worker": [("send", "lost"), ("look", "applied")],
    "cancel-while-unknown": [("send", "ambiguous"), ("event", "cancel"), ("look", "applied")],
}


def a_finding(case: str) -> Found:
    """A requisition of this case for which everything went as it should."""
    cancelled = case == "cancel-while-unknown"
    outcome = "cancelled" if cancelled else "ordered"
    steps = [
        Step(1, AT, "acme-de", effect=effect, outcome=outcome) for effect, outcome in SEEN[case]
    ]
    return Found(
        Received(case, "20417", Mapped(a_requisition(), LossReport()), 1, "c", AT),
        Facts(1, "20417", "c", "closed", outcome, tuple(steps), (SENT,), ()),
        Counted(1, (DELETED if cancelled else ORDER,), 0),
        {ORDER_FIELD: "" if cancelled else "4500000000", STATE_FIELD: outcome},
    )


@pytest.mark.parametrize("case", SEEN)
def test_nothing_is_wrong_where_all_went_well(case: str) -> None:
    assert verdict([a_finding(case)], in_erp=1) == []


@pytest.mark.parametrize("case", SEEN)
def test_an_outcome_that_was_not_promised_is_wrong(case: str) -> None:
    found = a_finding(case)
    parked = replace(found, facts=replace(found.facts, outcome="parked: erp_rejected (finance)"))

    assert "not" in verdict([parked], in_erp=1)[0]


def test_a_second_order_is_wrong() -> None:
    twice = replace(a_finding("headline"), counted=Counted(1, (ORDER, ORDER), 1))

    wrong = verdict([twice], in_erp=2)

    assert "Requisition 20417 was ordered 2 times." in wrong


def test_a_missing_order_is_wrong() -> None:
    nothing = replace(a_finding("headline"), counted=Counted(1, (), 0))

    assert verdict([nothing], in_erp=0) != []


def test_a_requisition_without_an_order_group_is_wrong() -> None:
    nothing = replace(a_finding("headline"), counted=Counted(0, (), 0))

    assert verdict([nothing], in_erp=0) != []


def test_an_order_under_no_known_key_is_wrong() -> None:
    wrong = verdict([a_finding("headline")], in_erp=2)

    assert wrong == ["The ERP holds 2 orders; the requisitions account for 1."]


def test_a_cancelled_order_that_still_stands_is_wrong() -> None:
    standing = replace(a_finding("cancel-while-unknown"), counted=Counted(1, (ORDER,), 0))

    assert verdict([standing], in_erp=1) == ["Requisition 20417 has 1 orders that stand."]


@pytest.mark.parametrize("case", ["lost-answer", "killed-worker", "cancel-while-unknown"])
def test_a_fault_that_did_not_take_place_proves_nothing(case: str) -> None:
    found = a_finding(case)
    unhurt = replace(found, facts=replace(found.facts, steps=a_finding("headline").facts.steps))

    assert "is not seen" in verdict([unhurt], in_erp=1)[0]


def test_a_cancellation_after_the_look_was_not_in_doubt() -> None:
    found = a_finding("cancel-while-unknown")
    ambiguous, cancel, look = found.facts.steps
    late = replace(found, facts=replace(found.facts, steps=(ambiguous, look, cancel)))

    assert "is not seen" in verdict([late], in_erp=1)[0]


@pytest.mark.parametrize("field", [ORDER_FIELD, STATE_FIELD])
def test_a_number_or_a_state_that_did_not_come_home_is_wrong(field: str) -> None:
    found = a_finding("headline")
    silent = replace(found, shown={**found.shown, field: ""})

    assert "Coupa shows" in verdict([silent], in_erp=1)[0]
