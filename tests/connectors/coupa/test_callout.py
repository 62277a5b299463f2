"""A call-out is a hint: ids are taken out of it, and nothing in it is believed."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quaestor.connectors.coupa.callout import BYTES_MAX, IDS_MAX, hinted

HINTS = [
    ({"id": 20417, "status": "approved"}, (20417,)),
    ({"requisition-header": {"id": 20417}}, (20417,)),
    ({"requisition_header": {"id": "20417"}}, (20417,)),
    ([{"id": 1}, {"id": 2}, {"id": 1}], (1, 2)),
    ({"requisitions": [{"id": 1}, {"id": 2}]}, (1, 2)),
    ({"document-type": "RequisitionHeader", "document-id": 20417, "id": 5}, (20417,)),
    ({"document-type": "InvoiceHeader", "document-id": 20417, "id": 5}, ()),
    ({"supplier": {"id": 41}}, ()),
    ({"id": -1}, ()),
    ({"id": True}, ()),
    ({"id": "20417; drop"}, ()),
    ("20417", ()),
    (None, ()),
]


@pytest.mark.parametrize(("told", "ids"), HINTS)
def test_a_call_out_hints_at_requisitions(told: object, ids: tuple[int, ...]) -> None:
    body = msgspec.json.encode(told)

    assert hinted(body) == ids


@pytest.mark.parametrize(
    "body", [b"", b"{", b"<xml/>", b"[" * 100_000, b" " * (BYTES_MAX + 1)], ids=lambda b: b[:4]
)
def test_what_is_not_understood_hints_at_nothing(body: bytes) -> None:
    assert hinted(body) == ()


def test_a_call_out_never_asks_for_more_than_one_page() -> None:
    body = msgspec.json.encode([{"id": number} for number in range(1, 1000)])

    assert len(hinted(body)) == IDS_MAX


@given(st.binary(max_size=300))
def test_no_body_breaks_the_reader(body: bytes) -> None:
    assert isinstance(hinted(body), tuple)
