"""A line that several pay for: their shares add up to the line, or it is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quaestor.connectors.kit.published import Mapped, NotMapped
from quaestor.model.crosswalk import CrosswalkRow
from tests.support.builders import crosswalks
from tests.support.coupa import a_coupa_account, a_coupa_line, a_coupa_requisition, mapped_from

BOOK = crosswalks()


def shared(*allocations: dict[str, Any], **members: Any) -> dict[str, Any]:
    line = a_coupa_line(**{"account": None, "account-allocations": list(allocations)} | members)
    return a_coupa_requisition(line)


def share(cost_center: str = "4100", **members: Any) -> dict[str, Any]:
    return {"account": a_coupa_account("DE10", cost_center)} | members


def test_amounts_win_over_shares() -> None:
    source = shared(
        share("4100", amount="2000.0000", pct="50.0"), share("5200", amount="1600.00", pct="50.0")
    )

    result = mapped_from(source)

    assert isinstance(result, Mapped)
    splits = result.requisition.lines[0].splits
    assert [(split.coding.cost_center, str(split.amount)) for split in splits] == [
        ("it-de", "2000.00"),
        ("sales-de", "1600.00"),
    ]


THIRDS = ["33.3333333333", "33.3333333333", "33.3333333334"]
DIVIDED = [
    (["50.0", "50.0"], "100.01", ["50.01", "50.00"]),
    (THIRDS, "100.00", ["33.33", "33.34", "33.33"]),
    (["33.3333333333"] * 3, "0.01", ["0.00", "0.01", "0.00"]),
    (["100.0", "0.0"], "10.00", ["10.00", "0.00"]),
]


@pytest.mark.parametrize(("shares", "amount", "expected"), DIVIDED)
def test_shares_are_turned_into_amounts_that_add_up(
    shares: list[str], amount: str, expected: list[str]
) -> None:
    source = shared(*(share(pct=pct) for pct in shares), total=amount)

    result = mapped_from(source)

    assert isinstance(result, Mapped)
    assert [str(split.amount) for split in result.requisition.lines[0].splits] == expected


@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=20),
    st.integers(0, 10**12),
)
def test_whatever_the_shares_nothing_is_lost_and_nothing_is_negative(
    weights: list[int], cents: int
) -> None:
    whole = sum(weights)
    shares = [f"{(Decimal(100) * weight / whole):.10f}" for weight in weights]
    amount = f"{Decimal(cents).scaleb(-2):f}"

    result = mapped_from(shared(*(share(pct=pct) for pct in shares), total=amount), book=BOOK)

    assert isinstance(result, Mapped)
    amounts = [split.amount for split in result.requisition.lines[0].splits]
    assert sum(amounts) == Decimal(amount)
    assert min(amounts) >= 0


REFUSED = [
    ("split_not_100", [share(pct="33.33")] * 3),
    ("split_not_100", [share(pct="60.0"), share(pct="60.0")]),
    ("split_not_100", [share(amount="1800.00"), share(amount="1799.99")]),
    ("split_not_100", [share(amount="1800.00"), share()]),
    ("split_not_100", [share()]),
    ("source_document_invalid", [{"pct": "100.0"}]),
    ("money_format", [share(amount="much"), share(amount="1800.00")]),
]


@pytest.mark.parametrize(("code", "allocations"), REFUSED)
def test_shares_that_do_not_make_a_whole_are_refused(
    code: str, allocations: list[dict[str, Any]]
) -> None:
    result = mapped_from(shared(*allocations))

    assert isinstance(result, NotMapped)
    assert code in {refusal.code for refusal in result.refusals}


def test_a_line_that_two_companies_pay_is_refused() -> None:
    us_center = CrosswalkRow("coupa", "cost_center", "it-us", "4170")
    both = shared(
        share("4100", pct="50.0"),
        {"account": a_coupa_account("US17", "4170"), "pct": "50.0"},
    )

    result = mapped_from(both, book=crosswalks(us_center))

    assert isinstance(result, NotMapped)
    assert [refusal.code for refusal in result.refusals] == ["several_entities"]
