"""One row per refusal of a requisition's structure, in the order in which they are made."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quaestor.model.requisition import Requisition
from quaestor.validation.requisition import Limits, check_requisition
from tests.support.builders import a_line, a_requisition, a_split

LIMITS = Limits(lines_max=3, splits_max=2, text_length_max=20, units=frozenset({"EA", "HUR"}))
NAIVE = datetime(2026, 3, 2, 9, 0)  # noqa: DTZ001 - the fault itself
LONG = "x" * 21

# Each row is good in all that stands above it, and has its own fault and the next one's.
ROWS: list[tuple[str, Requisition]] = [
    ("no_lines", a_requisition([], submitted_at=NAIVE)),
    ("too_many_lines", a_requisition([a_line(1)] * 4)),
    (
        "too_many_lines",
        a_requisition([a_line(splits=[a_split("1200.00")] * 3)]),
    ),
    ("line_number_repeated", a_requisition([a_line(7), a_line(7)], title="\u202ereversed")),
    ("forbidden_characters", a_requisition(title="a\r\nforged line", submitted_at=NAIVE)),
    ("forbidden_characters", a_requisition([a_line(description="zero\u200bwidth")])),
    ("forbidden_characters", a_requisition(title=LONG)),
    ("timezone_required", a_requisition(submitted_at=NAIVE, currency="DEM")),
    ("unknown_currency", a_requisition(currency="DEM", stated_total="-1.00")),
    ("money_format", a_requisition(stated_total="NaN")),
    ("negative_amount", a_requisition(stated_total="-3600.005")),
    ("negative_amount", a_requisition([a_line(unit_price="-1.00")])),
    ("amount_out_of_range", a_requisition(stated_total="1000000000000000.001")),
    ("too_many_decimals", a_requisition([a_line(quantity="0", amount="0.005")])),
    ("too_many_decimals", a_requisition([a_line(unit_price="0.0000001")])),
    ("quantity_invalid", a_requisition([a_line(quantity="0", uom="BOX")])),
    ("quantity_invalid", a_requisition([a_line(quantity="1.0000001")])),
    (
        "quantity_invalid",
        a_requisition([a_line(quantity="1000000000000000", unit_price="0.000001")]),
    ),
    ("unknown_uom", a_requisition([a_line(quantity="0.5", uom="BOX")])),
    ("quantity_not_integral", a_requisition([a_line(quantity="0.5", amount="1.00")])),
    (
        "amount_mismatch",
        a_requisition([a_line(quantity="3", unit_price="33.33", amount="100.00", splits=[])]),
    ),
    ("split_not_100", a_requisition([a_line(splits=[])], stated_total="1.00")),
    ("split_not_100", a_requisition([a_line(splits=[a_split("3599.99")])])),
    ("total_mismatch", a_requisition(stated_total="3600.01")),
]


@pytest.mark.parametrize(("code", "requisition"), ROWS)
def test_each_fault_is_refused_by_its_name(code: str, requisition: Requisition) -> None:
    refusals = check_requisition(requisition, LIMITS)

    assert {refusal.code for refusal in refusals} == {code}


def test_a_requisition_in_order_is_not_refused() -> None:
    half_an_hour = a_line(2, quantity="0.5", uom="HUR", unit_price="90.10")
    requisition = a_requisition([a_line(1), half_an_hour])

    refusals = check_requisition(requisition, LIMITS)

    assert refusals == ()


def test_every_line_with_the_same_fault_is_named_at_once() -> None:
    requisition = a_requisition([a_line(1, amount="1.00"), a_line(2), a_line(3, amount="2.00")])

    refusals = check_requisition(requisition, LIMITS)

    assert [refusal.details["where"] for refusal in refusals] == [
        "lines[1].amount",
        "lines[3].amount",
    ]


def test_zero_is_an_amount() -> None:
    requisition = a_requisition([a_line(unit_price="0.00")])

    refusals = check_requisition(requisition)

    assert refusals == ()


MONEY = st.decimals(min_value=0, max_value=10**9, places=2)


@given(st.lists(st.tuples(st.integers(1, 10**4), MONEY), min_size=1, max_size=20))
def test_whatever_adds_up_is_accepted_and_a_cent_more_is_not(
    parts: list[tuple[int, Decimal]],
) -> None:
    lines = [
        a_line(number, quantity=str(quantity), unit_price=f"{abs(price):f}")
        for number, (quantity, price) in enumerate(parts, start=1)
    ]
    requisition = a_requisition(lines)
    off_by_a_cent = msgspec.structs.replace(requisition, total=requisition.total + Decimal("0.01"))

    accepted = check_requisition(requisition)
    refused = check_requisition(off_by_a_cent)

    assert accepted == ()
    assert [refusal.code for refusal in refused] == ["total_mismatch"]
