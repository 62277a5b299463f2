"""Canonical bytes: one content, one hash; every difference that matters, another."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from quaestor.model.approval import ApprovalEvidence
from quaestor.model.canonical import canonical_bytes, content_hash
from quaestor.model.coding import Coding, Split
from quaestor.model.requisition import Requisition, RequisitionLine

LINE = RequisitionLine(
    number=1,
    description="Notebook 14″",
    supplier="SUP-1",
    quantity=Decimal("3"),
    uom="EA",
    unit_price=Decimal("1200.50"),
    amount=Decimal("3601.50"),
    splits=(Split(Coding("CC-100", "640000"), Decimal("3601.50")),),
    need_by=date(2026, 4, 1),
)
REQUISITION = Requisition(
    source_system="coupa",
    source_id="4711",
    number="REQ-4711",
    version=1,
    entity="DE01",
    requester="E-1001",
    currency="EUR",
    total=Decimal("3601.50"),
    lines=(LINE,),
    submitted_at=datetime(2026, 3, 2, 9, 30, tzinfo=UTC),
)


class Colour(StrEnum):
    RED = "red"


class Tagged(msgspec.Struct, frozen=True, tag="tagged"):
    amount: Decimal
    note: str = ""
    items: list[int] = []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, "é"]}, '{"a":[true,null,"é"],"b":1}'),
        (Decimal("1200.50"), '"1200.5"'),
        (Decimal("1E+3"), '"1000"'),
        (Decimal("1E-7"), '"0.0000001"'),
        (Decimal("-0.00"), '"0"'),
        (Decimal("100"), '"100"'),
        (date(2026, 4, 1), '"2026-04-01"'),
        (
            datetime(2026, 4, 1, 12, tzinfo=timezone(timedelta(hours=2))),
            '"2026-04-01T10:00:00+00:00"',
        ),
        (Colour.RED, '"red"'),
        ((1, (2,)), "[1,[2]]"),
        (Tagged(Decimal("2.0")), '{"amount":"2","type":"tagged"}'),
        (Tagged(Decimal(2), "x", [1]), '{"amount":"2","items":[1],"note":"x","type":"tagged"}'),
    ],
)
def test_known_forms(value: Any, text: str) -> None:
    assert canonical_bytes(value).decode() == text


@pytest.mark.parametrize("value", [1.5, {1, 2}, b"x", {1: "x"}, [0.0], object()])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical_bytes(value)


@pytest.mark.parametrize(
    "value",
    [datetime(2026, 4, 1), Decimal("NaN"), Decimal("Infinity"), "\ud800"],  # noqa: DTZ001
)
def test_a_value_that_would_be_ambiguous_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"time zone|finite|utf-8"):
        canonical_bytes(value)


@given(json_values)
def test_canonical_bytes_are_json_that_reads_back_to_the_value(value: Any) -> None:
    assert json.loads(canonical_bytes(value)) == value


@given(json_values, json_values)
def test_equal_bytes_mean_equal_values(first: Any, second: Any) -> None:
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)

    assert (canonical_bytes(first) == canonical_bytes(second)) == same


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4), st.integers(0, 6))
def test_trailing_zeros_do_not_change_a_decimal(value: Decimal, zeros: int) -> None:
    padded = value.quantize(Decimal(1).scaleb(-4 - zeros)) if abs(value) < 10**15 else value

    assert canonical_bytes(padded) == canonical_bytes(value)


def test_a_hash_is_sha256_of_the_content_in_hex() -> None:
    content = json.loads(canonical_bytes(REQUISITION))
    for name in ("version", "submitted_at"):
        del content[name]
    expected = hashlib.sha256(canonical_bytes(content)).hexdigest()

    assert content_hash(REQUISITION) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 7},
        {"submitted_at": datetime(2027, 1, 1, tzinfo=UTC)},
        {"approval": ApprovalEvidence("workday", (), content_hash="ab" * 32)},
        {"total": Decimal("3601.5")},
        {"lines": (replace(LINE, unit_price=Decimal("1200.500000")),)},
    ],
    ids=["version", "submitted", "approval", "zeros", "more zeros"],
)
def test_what_is_not_content_does_not_change_the_hash(changes: dict[str, Any]) -> None:
    assert content_hash(replace(REQUISITION, **changes)) == content_hash(REQUISITION)


@pytest.mark.parametrize(
    "changes",
    [
        {"total": Decimal("3601.51")},
        {"entity": "DE02"},
        {"requester": "E-1002"},
        {"beneficiary": "E-1001"},
        {"title": "x"},
        {"lines": ()},
        {"lines": (LINE, LINE)},
        {"lines": (replace(LINE, supplier="SUP-2"),)},
        {"lines": (replace(LINE, quantity=Decimal(4)),)},
        {"lines": (replace(LINE, need_by=None),)},
        {"lines": (replace(LINE, splits=()),)},
    ],
    ids=str,
)
def test_every_change_of_content_changes_the_hash(changes: dict[str, Any]) -> None:
    assert content_hash(replace(REQUISITION, **changes)) != content_hash(REQUISITION)


def test_the_hash_of_a_known_requisition_never_changes() -> None:
    assert (
        content_hash(REQUISITION)
        == "a20b18d3711a4a7e633eee656c7138484db52d314bf0433014075d76167074fe"
    )
