"""Amounts are exact decimals in the currency's own scale, or they are refused by name."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quaestor.model.money import (
    MINOR_UNITS,
    MoneyFormat,
    extended_amount,
    minor_unit,
    parse_amount,
    parse_quantity,
    parse_unit_price,
    plain,
    total,
    without_idle_zeros,
)

REFUSED = [
    (10.1, "USD", "money_must_be_string"),
    (10, "USD", "money_must_be_string"),
    ("NaN", "USD", "money_format"),
    ("Infinity", "USD", "money_format"),
    ("-0", "USD", "money_format"),
    ("+5", "USD", "money_format"),
    ("", "USD", "money_format"),
    (" 5", "USD", "money_format"),
    ("1_000", "USD", "money_format"),
    ("١٢", "USD", "money_format"),
    ("\uff11\uff10", "USD", "money_format"),
    ("1e5", "USD", "money_format"),
    ("0x10", "USD", "money_format"),
    ("1,000.00", "USD", "money_format"),
    ("1.000,00", "USD", "money_format"),
    ("-5.00", "USD", "negative_amount"),
    ("99999999999999999999.99", "USD", "amount_out_of_range"),
    ("10.005", "USD", "too_many_decimals"),
    ("10.5", "JPY", "too_many_decimals"),
    ("1.2345", "KWD", "too_many_decimals"),
    ("1.23456", "CLF", "too_many_decimals"),
    ("1.00", "usd", "unknown_currency"),
    ("1.00", "US$", "unknown_currency"),
    ("1.00", "BTC", "unknown_currency"),
    ("1.00", "DEM", "unknown_currency"),
    ("1.00", "XX" + "X", "unknown_currency"),
]


@pytest.mark.parametrize(("text", "currency", "code"), REFUSED)
def test_an_amount_that_is_not_one_is_refused_by_name(
    text: object, currency: str, code: str
) -> None:
    with pytest.raises(MoneyFormat) as caught:
        parse_amount(text, currency)

    assert caught.value.code == code


@pytest.mark.parametrize("text", ["0", "-1", "1.0000001", "x", ""])
def test_a_quantity_is_above_zero_with_at_most_six_decimals(text: str) -> None:
    with pytest.raises(MoneyFormat) as caught:
        parse_quantity(text)

    assert caught.value.code == "quantity_invalid"


def test_a_unit_price_may_have_more_decimals_than_its_currency() -> None:
    price = parse_unit_price("0.000001", "JPY")

    assert price == Decimal("0.000001")


def test_three_at_33_33_come_to_99_99_and_not_to_100() -> None:
    amount = extended_amount(Decimal(3), Decimal("33.33"), "EUR")

    assert amount == Decimal("99.99")


@pytest.mark.parametrize(
    ("price", "currency", "amount"),
    [
        ("0.005", "EUR", "0.01"),
        ("0.0049999", "EUR", "0.00"),
        ("0.5", "JPY", "1"),
        ("1.2345", "KWD", "1.235"),
    ],
)
def test_amounts_are_rounded_half_up_to_the_minor_unit(
    price: str, currency: str, amount: str
) -> None:
    rounded = extended_amount(Decimal(1), Decimal(price), currency)

    assert str(rounded) == amount


def test_the_largest_amounts_are_added_without_rounding() -> None:
    largest = Decimal("999999999999999.99")

    added = total([largest] * 1000)

    assert added == Decimal("999999999999999990.00")


def test_the_largest_quantity_at_the_largest_price_is_exact() -> None:
    largest = Decimal("999999999999999.999999")

    amount = extended_amount(largest, largest, "EUR")

    assert amount == Decimal("999999999999999999998000000000.00")


def test_zeros_beyond_the_minor_unit_are_dropped_and_values_are_kept() -> None:
    kept = [without_idle_zeros(Decimal(text), "EUR") for text in ("10.5000", "10.5010")]

    assert [str(amount) for amount in kept] == ["10.50", "10.5010"]


@given(
    st.decimals(min_value=0, max_value=Decimal("999999999999999"), places=6, allow_nan=False).map(
        abs
    )
)
def test_a_plain_decimal_has_the_same_value_and_no_exponent(value: Decimal) -> None:
    plainly = plain(value)

    assert plainly == value
    assert "E" not in str(plainly)
    assert not str(plainly).partition(".")[2].endswith("0")


@given(
    st.sampled_from(sorted(MINOR_UNITS)),
    st.integers(min_value=0, max_value=10**15 - 1),
)
def test_every_amount_in_minor_units_survives_the_way_out_and_in(currency: str, minor: int) -> None:
    amount = Decimal(minor).scaleb(-minor_unit(currency))

    read = parse_amount(f"{amount:f}", currency)

    assert read == amount
