"""Coupa's requisition in: what is read, what is defaulted, what is refused and by which name."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from quaestor.connectors.coupa.config import CoupaConfig
from quaestor.connectors.coupa.layout import Segments
from quaestor.connectors.coupa.mapping import BYTES_MAX, read_published
from quaestor.connectors.kit.published import Mapped, NotMapped, Reading, Withdrawn
from quaestor.model.coding import Coding, Split
from quaestor.model.crosswalk import CrosswalkRow
from quaestor.model.requisition import Requisition
from tests.support.builders import a_directory, an_employee, crosswalks
from tests.support.coupa import (
    DAY,
    a_coupa_account,
    a_coupa_line,
    a_coupa_requisition,
    mapped_from,
)


def requisition_of(source: Any, **given: Any) -> Requisition:
    result = mapped_from(source, **given)
    assert isinstance(result, Mapped), result
    return result.requisition


def codes_of(source: Any, **given: Any) -> list[str]:
    result = mapped_from(source, **given)
    assert isinstance(result, NotMapped), result
    return [refusal.code for refusal in result.refusals]


def test_a_requisition_arrives_in_our_own_codes() -> None:
    source = a_coupa_requisition(
        a_coupa_line(1, **{"need-by-date": "2026-12-14T00:00:00+01:00"}),
        **{
            "req-title": "Laptops",
            "total": "3600.00",
            "line-count": 1,
            "ship-to-address": {"location-code": "BER-1"},
        },
    )

    requisition = requisition_of(source, version=3)

    assert (requisition.source_system, requisition.source_id) == ("coupa", "20417")
    assert (requisition.number, requisition.version) == ("20417", 3)
    assert (requisition.entity, requisition.requester) == ("acme-de", "ana.berger")
    assert (requisition.total, requisition.currency) == (Decimal("3600.00"), "EUR")
    assert requisition.submitted_at == datetime(2026, 11, 16, 8, 31, 40, tzinfo=UTC)
    assert requisition.title == "Laptops"
    (line,) = requisition.lines
    assert (line.supplier, line.category, line.uom) == ("helio-systems", "it_hardware", "EA")
    assert (line.quantity, line.unit_price, line.amount) == (3, Decimal("1200"), Decimal("3600.00"))
    assert line.splits == (Split(Coding("it-de", "it-hardware"), Decimal("3600.00")),)
    assert (line.need_by, line.ship_to) == (date(2026, 12, 14), "berlin")


def test_nothing_is_refused_for_a_field_that_nobody_knows() -> None:
    line = a_coupa_line(**{"yy1-custom": "x"})
    source = a_coupa_requisition(line, line | {"line-num": 2}, **{"custom-field-3": {"a": 1}})

    result = mapped_from(source)

    assert isinstance(result, Mapped)
    assert [(loss.path, loss.times) for loss in result.loss.of_kind("unknown")] == [
        ("custom-field-3", 1),
        ("requisition-lines[].yy1-custom", 2),
    ]


def test_the_loss_report_repeats_no_value() -> None:
    source = a_coupa_requisition(justification="canary-7Qx", custom="canary-7Qx")

    result = mapped_from(source)

    assert isinstance(result, Mapped)
    assert "canary-7Qx" not in repr((result.loss, result.loss.losses))


def test_underscored_names_are_read_as_dashed_ones() -> None:
    source = {name.replace("-", "_"): value for name, value in a_coupa_requisition().items()}

    requisition = requisition_of(source)

    assert requisition == requisition_of(a_coupa_requisition())


def test_an_underscored_name_beside_its_dashed_twin_is_reported() -> None:
    source = a_coupa_requisition(req_title="old", **{"req-title": "new"})

    result = mapped_from(source)

    assert isinstance(result, Mapped)
    assert result.requisition.title == "new"
    assert [loss.path for loss in result.loss.of_kind("unknown")] == ["req_title"]


def test_a_currency_may_be_a_code_or_an_object_with_one() -> None:
    source = a_coupa_requisition(currency="EUR")

    requisition = requisition_of(source)

    assert requisition.currency == "EUR"


def test_an_amount_line_is_one_unit_at_its_amount() -> None:
    line = a_coupa_line(
        **{
            "line-type": "RequisitionAmountLine",
            "quantity": None,
            "uom": None,
            "unit-price": "1500.00",
            "total": "1500.00",
        }
    )

    requisition = requisition_of(a_coupa_requisition(line))

    (read,) = requisition.lines
    assert (read.quantity, read.uom, read.amount) == (1, "EA", Decimal("1500.00"))


def test_what_coupa_leaves_out_is_worked_out_and_reported() -> None:
    line = a_coupa_line(None, total=None)
    source = a_coupa_requisition(line, **{"submitted-at": None, "created-at": "2026-11-16T08:00Z"})

    result = mapped_from(source)

    assert isinstance(result, Mapped)
    assert result.requisition.total == Decimal("3600.00")
    assert result.requisition.lines[0].number == 1
    assert {loss.path for loss in result.loss.of_kind("defaulted")} == {
        "submitted-at",
        "total",
        "requisition-lines[].line-num",
        "requisition-lines[].total",
    }


def test_the_preparer_is_somebody_else_than_the_requester() -> None:
    by_himself = a_coupa_requisition(**{"created-by": {"login": "aberger"}})
    by_another = a_coupa_requisition(**{"created-by": {"login": "bkoch"}})

    preparers = [requisition_of(source).preparer for source in (by_himself, by_another)]

    assert preparers == [None, "ben.koch"]


def test_an_item_without_a_crosswalk_is_dropped_and_one_with_is_a_material() -> None:
    source = a_coupa_requisition(a_coupa_line(item={"item-number": "LT-14"}))
    book = crosswalks(CrosswalkRow("coupa", "material", "laptop-14", "LT-14"))

    unknown, known = mapped_from(source), mapped_from(source, book=book)

    assert isinstance(unknown, Mapped)
    assert isinstance(known, Mapped)
    assert unknown.requisition.lines[0].material is None
    assert "requisition-lines[].item" in {loss.path for loss in unknown.loss.losses}
    assert known.requisition.lines[0].material == "laptop-14"


def test_the_segments_are_read_as_they_are_laid_out() -> None:
    account = {"segment-2": "DE10", "segment-4": "4100", "segment-5": "6810", "segment-7": "P-1"}
    layout = Segments(company=2, cost_center=4, gl_account=5, project=7)
    book = crosswalks(CrosswalkRow("coupa", "project", "apollo", "P-1"))

    requisition = requisition_of(
        a_coupa_requisition(a_coupa_line(account=account)), segments=layout, book=book
    )

    assert requisition.entity == "acme-de"
    assert requisition.lines[0].splits[0].coding == Coding("it-de", "it-hardware", "apollo")


def test_a_segment_without_a_meaning_is_reported() -> None:
    source = a_coupa_requisition(a_coupa_line(account=a_coupa_account(**{"segment-9": "x"})))

    result = mapped_from(source)

    assert isinstance(result, Mapped)
    assert "requisition-lines[].account.segment-9" in {loss.path for loss in result.loss.losses}


REFUSED: list[tuple[str, Any]] = [
    ("source_document_invalid", []),
    ("source_document_invalid", "text"),
    ("not_submitted", a_coupa_requisition(status="draft")),
    ("not_submitted", a_coupa_requisition(status="withdrawn")),
    ("not_submitted", a_coupa_requisition(status=None)),
    ("source_document_invalid", a_coupa_requisition(id=None)),
    ("source_document_invalid", a_coupa_requisition(id=True)),
    ("source_document_invalid", a_coupa_requisition(currency=None)),
    ("source_document_invalid", a_coupa_requisition(currency={"id": 1})),
    ("source_document_invalid", a_coupa_requisition(currency=[])),
    ("unknown_currency", a_coupa_requisition(currency="DEM")),
    ("source_document_invalid", a_coupa_requisition(**{"submitted-at": "yesterday"})),
    ("timezone_required", a_coupa_requisition(**{"submitted-at": "2026-11-16T09:31:40"})),
    ("source_document_invalid", a_coupa_requisition(**{"submitted-at": None})),
    ("source_document_invalid", a_coupa_requisition(**{"requested-by": None})),
    ("source_document_invalid", a_coupa_requisition(**{"requested-by": [1]})),
    ("person_unknown", a_coupa_requisition(**{"requested-by": {"login": "nobody"}})),
    ("no_lines", a_coupa_requisition(**{"requisition-lines": []})),
    ("source_document_invalid", a_coupa_requisition(**{"requisition-lines": ["x"]})),
    ("source_document_invalid", a_coupa_requisition(**{"line-count": 2})),
    ("line_number_repeated", a_coupa_requisition(a_coupa_line(1), a_coupa_line(1))),
    ("mixed_currencies", a_coupa_requisition(a_coupa_line(currency={"code": "USD"}))),
    ("source_document_invalid", a_coupa_requisition(a_coupa_line(description=None))),
    ("source_document_invalid", a_coupa_requisition(a_coupa_line(quantity=None))),
    ("source_document_invalid", a_coupa_requisition(a_coupa_line(uom=None))),
    ("source_document_invalid", a_coupa_requisition(a_coupa_line(uom={"id": 1}))),
    ("source_document_invalid", a_coupa_requisition(a_coupa_line(commodity={"id": 1}))),
    ("source_document_invalid", a_coupa_requisition(a_coupa_line(**{"unit-price": None}))),
    ("money_must_be_string", a_coupa_requisition(a_coupa_line(**{"unit-price": 0.1}))),
    ("money_format", a_coupa_requisition(a_coupa_line(**{"unit-price": "1,200.00"}))),
    ("money_format", a_coupa_requisition(a_coupa_line(total="1e3"))),
    ("money_format", a_coupa_requisition(total="NaN")),
    ("supplier_unknown", a_coupa_requisition(a_coupa_line(supplier=None))),
    ("supplier_unknown", a_coupa_requisition(a_coupa_line(supplier={"name": "Helio"}))),
    ("crosswalk_missing", a_coupa_requisition(a_coupa_line(supplier={"number": "SUP-9"}))),
    ("crosswalk_missing", a_coupa_requisition(a_coupa_line(uom={"code": "BOX"}))),
    ("crosswalk_missing", a_coupa_requisition(a_coupa_line(commodity={"name": "Cars"}))),
    ("crosswalk_missing", a_coupa_requisition(a_coupa_line(account=a_coupa_account("XX")))),
    (
        "crosswalk_missing",
        a_coupa_requisition(**{"ship-to-address": {"location-code": "MARS"}}),
    ),
    ("source_document_invalid", a_coupa_requisition(a_coupa_line(account=None))),
    ("source_document_invalid", a_coupa_requisition(a_coupa_line(account={"id": 1}))),
    (
        "several_entities",
        a_coupa_requisition(a_coupa_line(1), a_coupa_line(2, account=a_coupa_account("US17"))),
    ),
]


@pytest.mark.parametrize(("code", "source"), REFUSED)
def test_what_cannot_be_read_is_refused_by_name(code: str, source: Any) -> None:
    codes = codes_of(source)

    assert set(codes) == {code}


def test_every_fault_of_a_document_is_named_at_once_and_once() -> None:
    line = a_coupa_line(supplier={"number": "SUP-9"}, quantity="many")
    source = a_coupa_requisition(line, line | {"line-num": 2}, status="cart")

    codes = codes_of(source)

    assert sorted(codes) == [
        "crosswalk_missing",
        "money_format",
        "money_format",
        "not_submitted",
    ]


@pytest.mark.parametrize(
    ("raw", "taken_back"),
    [
        (b'{"id": 7, "status": "withdrawn"}', "7"),
        (b'{"id": 7, "status": "abandoned"}', "7"),
        (b'{"id": 7, "status": "approved"}', ""),
        (b'{"id": 7, "status": "draft"}', ""),
        (b'{"status": "withdrawn"}', ""),
        (b'[{"id": 7, "status": "withdrawn"}]', ""),
        (b'{"id": 7, "status": ["withdrawn"]}', ""),
        (b"{", ""),
        (b'{"id": 7, "status": "withdrawn", "title": "' + b"x" * BYTES_MAX + b'"}', ""),
    ],
)
def test_only_a_requisition_that_was_taken_back_there_is_withdrawn(
    raw: bytes, taken_back: str
) -> None:
    result = read(raw)

    assert (result.source_id if isinstance(result, Withdrawn) else "") == taken_back


def test_a_refusal_repeats_no_value_of_a_person() -> None:
    source = a_coupa_requisition(**{"requested-by": {"login": "canary.person"}})

    result = mapped_from(source)

    assert isinstance(result, NotMapped)
    assert "canary" not in repr(result)


def read(raw: bytes) -> Mapped | NotMapped | Withdrawn:
    return read_published(CoupaConfig(), raw, Reading(crosswalks(), a_directory(), DAY))


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"id": "\\ud800"}', b"[" * 2000])
def test_bytes_that_are_not_json_are_refused_by_name(raw: bytes) -> None:
    result = read(raw)

    assert isinstance(result, NotMapped)
    assert [refusal.code for refusal in result.refusals] == ["source_document_invalid"]


def test_a_document_of_any_size_is_not_read() -> None:
    result = read(b" " * (BYTES_MAX + 1))

    assert isinstance(result, NotMapped)
    assert [refusal.code for refusal in result.refusals] == ["payload_too_large"]


def test_a_number_in_the_json_is_exact_to_its_last_digit() -> None:
    text = json.dumps(a_coupa_requisition(a_coupa_line(total=None)))
    raw = text.replace('"1200.00"', "1200.100001").encode()

    result = read(raw)

    assert isinstance(result, Mapped)
    assert result.requisition.lines[0].unit_price == Decimal("1200.100001")


# --- the verdict of the declared decider ----------------------------------------------------------


def an_approval(**members: Any) -> dict[str, Any]:
    vote = {"approver": "21002", "verdict": "approved", "decided_at": "2026-11-16T11:20:05+01:00"}
    return {"decided_by": "workday", "version": 1, "decisions": [vote | members]}


def test_the_votes_of_the_decider_come_along_as_people_we_know() -> None:
    source = a_coupa_requisition(approval=an_approval(on_behalf_of="21003", comment="Fine."))

    requisition = requisition_of(source)

    assert requisition.approval is not None
    assert requisition.approval.decided_by == "workday"
    assert (requisition.approval.version, requisition.approval.content_hash) == (1, None)
    (vote,) = requisition.approval.decisions
    assert (vote.approver, vote.on_behalf_of) == ("ben.koch", "carla.lindt")
    assert (vote.verdict, vote.comment) == ("approved", "Fine.")
    assert vote.decided_at == datetime(2026, 11, 16, 10, 20, 5, tzinfo=UTC)


def test_a_voter_may_be_named_by_our_own_id() -> None:
    source = a_coupa_requisition(approval=an_approval(approver="ben.koch"))

    requisition = requisition_of(source)

    assert requisition.approval is not None
    assert requisition.approval.decisions[0].approver == "ben.koch"


APPROVALS_REFUSED = [
    ("person_unknown", an_approval(approver="99999")),
    ("person_unknown", an_approval(on_behalf_of="99999")),
    ("source_document_invalid", an_approval(approver=None)),
    ("source_document_invalid", an_approval(verdict="perhaps")),
    ("source_document_invalid", an_approval(decided_at=None)),
    ("timezone_required", an_approval(decided_at="2026-11-16T11:20:05")),
    ("source_document_invalid", an_approval() | {"decided_by": None}),
    ("source_document_invalid", an_approval() | {"decisions": []}),
    ("source_document_invalid", "approved"),
]


@pytest.mark.parametrize(("code", "approval"), APPROVALS_REFUSED)
def test_evidence_that_cannot_be_read_is_never_taken_for_an_approval(
    code: str, approval: Any
) -> None:
    codes = codes_of(a_coupa_requisition(approval=approval))

    assert set(codes) == {code}


def test_an_identity_in_another_system_is_nobody_in_this_one() -> None:
    directory = a_directory(
        an_employee("ana.berger", identities={"coupa": "aberger"}),
        an_employee("ben.koch", identities={"slack": "21002"}),
    )

    codes = codes_of(a_coupa_requisition(approval=an_approval()), directory=directory)

    assert codes == ["person_unknown"]
