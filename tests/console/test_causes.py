"""What parks many documents for one reason is one cause."""

from __future__ import annotations

import pytest

from quaestor.console.advice import NEXT_STEPS, next_step
from quaestor.console.causes import cause_of
from quaestor.model.refusal import REFUSALS, Owner, refuse

OWNER: Owner = "finance"


def fingerprint(code: str, /, **details: str) -> str:
    return cause_of(OWNER, refuse(code, **details), "requisition").fingerprint


ONE_CAUSE = [
    ("crosswalk_missing", {"code": "it", "on": "2026-11-18"}, {"code": "it", "on": "2026-11-19"}),
    (
        "approval_evidence_insufficient",
        {"failed": "nobody_independent", "votes": "ben.koch: interested"},
        {"failed": "nobody_independent", "votes": "ana.berger: interested"},
    ),
    (
        "erp_rejected",
        {"code": "06/055", "message": "Enter 4500000001 of 18.11.2026 over 1,200.50"},
        {"code": "06/055", "message": "Enter 4500000002 of 19.11.2026 over 99.00"},
    ),
    ("total_mismatch", {"stated": "1.00", "expected": "2"}, {"stated": "3.00", "expected": "4"}),
    (
        "outcome_not_recordable",
        {"error": "DataError", "key": "75osu4exe7zn"},
        {"error": "DataError", "key": "axjdn2dhn2tt"},
    ),
]


@pytest.mark.parametrize(("code", "one", "other"), ONE_CAUSE)
def test_what_belongs_to_the_case_does_not_part_a_cause(
    code: str, one: dict[str, str], other: dict[str, str]
) -> None:
    assert fingerprint(code, **one) == fingerprint(code, **other)


TWO_CAUSES = [
    ("crosswalk_missing", {"code": "it_network"}, {"code": "it_hardware"}),
    ("erp_rejected", {"code": "06/055", "message": "x"}, {"code": "06/056", "message": "x"}),
    ("budget_exceeded", {"nodes": "acme-de/4100"}, {"nodes": "acme-de/4200"}),
    ("supplier_blocked", {"supplier": "old-iron"}, {"supplier": "kontor"}),
    ("approval_evidence_insufficient", {"failed": "a"}, {"failed": "b"}),
]


@pytest.mark.parametrize(("code", "one", "other"), TWO_CAUSES)
def test_what_somebody_has_to_do_differently_is_another_cause(
    code: str, one: dict[str, str], other: dict[str, str]
) -> None:
    assert fingerprint(code, **one) != fingerprint(code, **other)


def test_the_same_refusal_of_another_owner_or_type_is_another_cause() -> None:
    refusal = refuse("erp_rejected", code="06/055")

    causes = [
        cause_of("finance", refusal, "requisition"),
        cause_of("operator", refusal, "requisition"),
        cause_of("finance", refusal, "budget_reservation"),
    ]

    assert len({cause.fingerprint for cause in causes}) == 3


def test_twelve_causes_of_many_documents_are_twelve() -> None:
    refusals = [
        refuse("erp_rejected", code=f"06/{code:03d}", message=f"Document {n} of {code + n} EUR")
        for code in range(12)
        for n in range(100)
    ]

    assert len({cause_of(OWNER, each, "requisition").fingerprint for each in refusals}) == 12


def test_every_next_step_is_for_a_refusal_of_the_table() -> None:
    assert NEXT_STEPS.keys() <= REFUSALS.keys()


@pytest.mark.parametrize("owner", ["requester", "finance", "operator"])
def test_a_refusal_without_a_sentence_of_its_own_has_that_of_its_owner(owner: Owner) -> None:
    assert owner in next_step("no_lines", owner).lower()
