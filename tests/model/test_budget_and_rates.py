"""What a budget has left, and what an amount is worth in another currency."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from quaestor.model.budget import Balances, BudgetNode, node_key
from quaestor.model.rates import Rate, Rates

TOLERANCES = [
    (None, None, "0"),
    ("5", None, "50.00"),
    (None, "20", "20"),
    ("5", "20", "20"),
    ("1", "20", "10.00"),
]


@pytest.mark.parametrize(("pct", "amount", "expected"), TOLERANCES)
def test_the_tolerance_is_the_smaller_of_share_and_amount(
    pct: str | None, amount: str | None, expected: str
) -> None:
    node = BudgetNode(
        key="e/2026/cc",
        entity="e",
        amount=Decimal("1000.00"),
        tolerance_pct=None if pct is None else Decimal(pct),
        tolerance_amount=None if amount is None else Decimal(amount),
    )

    tolerance = node.tolerance

    assert tolerance == Decimal(expected)


def test_reserved_ordered_and_invoiced_all_lower_what_is_available() -> None:
    node = BudgetNode(key="e/2026/cc", entity="e", amount=Decimal("1000.00"))
    balances = Balances(pre=Decimal("100.00"), enc=Decimal("200.00"), act=Decimal("300.00"))

    available = balances.available(node)

    assert available == Decimal("400.00")


def test_a_budget_is_named_by_entity_year_cost_center_and_account() -> None:
    keys = [node_key("e", 2026, "cc"), node_key("e", 2026, "cc", "6810")]

    assert keys == ["e/2026/cc", "e/2026/cc/6810"]


RATES = Rates(
    {
        ("USD", "EUR"): (
            Rate("USD", "EUR", date(2026, 1, 5), Decimal("0.92")),
            Rate("USD", "EUR", date(2026, 1, 6), Decimal("0.915")),
        )
    }
)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 1, 4), None),
        (date(2026, 1, 5), Decimal("92.00")),
        (date(2026, 1, 8), Decimal("91.50")),
    ],
)
def test_an_amount_is_converted_at_the_newest_rate_not_later_than_the_day(
    day: date, expected: Decimal | None
) -> None:
    converted = RATES.convert(Decimal("100.00"), "USD", "EUR", day)

    assert converted == expected


def test_a_rate_is_never_inverted() -> None:
    converted = RATES.convert(Decimal("100.00"), "EUR", "USD", date(2026, 1, 8))

    assert converted is None


def test_the_same_currency_needs_no_rate() -> None:
    converted = Rates().convert(Decimal("100.00"), "EUR", "EUR", date(2026, 1, 8))

    assert converted == Decimal("100.00")


def test_a_conversion_is_rounded_half_up_to_the_minor_unit() -> None:
    rates = Rates({("USD", "JPY"): (Rate("USD", "JPY", date(2026, 1, 5), Decimal("150.5")),)})

    converted = rates.convert(Decimal("1.00"), "USD", "JPY", date(2026, 1, 5))

    assert converted == Decimal(151)
