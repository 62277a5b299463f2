"""Money: a decimal amount with its ISO 4217 currency.

Amounts are `Decimal` inside and decimal strings outside; binary floats never enter. The scale of
an amount is the currency's minor unit (USD 2, JPY 0, KWD 3, CLF 4); unit prices may have up to
six decimals. Source: ISO 4217 list one; specs N21-N27.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import reduce

__all__ = [
    "INTEGER_DIGITS_MAX",
    "MINOR_UNITS",
    "UNIT_PRICE_DECIMALS_MAX",
    "CurrencyUnknown",
    "MoneyFormat",
    "extended_amount",
    "minor_quantum",
    "minor_unit",
    "parse_amount",
    "parse_quantity",
    "parse_unit_price",
    "plain",
    "round_to_minor",
    "total",
    "without_idle_zeros",
]

UNIT_PRICE_DECIMALS_MAX = 6
INTEGER_DIGITS_MAX = 15

_ZERO = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_FOUR = "CLF UYW"
_TWO = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD "
    "CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS "
    "GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD "
    "LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB "
    "PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP "
    "SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
)
MINOR_UNITS: dict[str, int] = {
    **dict.fromkeys(_TWO.split(), 2),
    **dict.fromkeys(_ZERO.split(), 0),
    **dict.fromkeys(_THREE.split(), 3),
    **dict.fromkeys(_FOUR.split(), 4),
}

# 15 + 6 digits times 15 + 6 digits, summed over every line, without a rounding nobody asked for:
# the 28 digits of Python's default context would raise, or round, in the middle of a sum.
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)
_QUANTA = {currency: Decimal(1).scaleb(-decimals) for currency, decimals in MINOR_UNITS.items()}

# Only ASCII digits: `\d` would also take Arabic-Indic and full-width digits (spec N22).
_DECIMAL = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?")


class MoneyFormat(ValueError):
    """The text is not an amount that Quaestor accepts; `code` names the refusal."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text[:40]!r}")
        self.code = code


class CurrencyUnknown(MoneyFormat):
    """The currency is not an active ISO 4217 code with a minor unit."""

    def __init__(self, currency: str) -> None:
        super().__init__("unknown_currency", currency)


def minor_unit(currency: str) -> int:
    """Decimals of the currency's minor unit; raises `CurrencyUnknown`."""
    try:
        return MINOR_UNITS[currency]
    except KeyError:
        raise CurrencyUnknown(currency) from None


def minor_quantum(currency: str) -> Decimal:
    """One of the currency's minor unit, in major units: 0.01 for EUR; raises as `minor_unit`."""
    try:
        return _QUANTA[currency]
    except KeyError:
        raise CurrencyUnknown(currency) from None


def _parse(text: object, decimals_max: int) -> Decimal:
    if not isinstance(text, str):
        raise MoneyFormat("money_must_be_string", repr(text))
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise MoneyFormat("money_format", text)
    sign, integer, fraction = match.groups()
    value = Decimal(text)
    if sign:
        raise MoneyFormat("negative_amount" if value else "money_format", text)
    if len(integer) > INTEGER_DIGITS_MAX:
        raise MoneyFormat("amount_out_of_range", text)
    if fraction is not None and len(fraction) > decimals_max:
        raise MoneyFormat("too_many_decimals", text)
    return value


def parse_amount(text: object, currency: str) -> Decimal:
    """A non-negative amount in major units, at most the currency's decimals.

    Raises `MoneyFormat` with one of `money_must_be_string`, `money_format`, `negative_amount`,
    `amount_out_of_range`, `too_many_decimals`, `unknown_currency`.
    """
    return _parse(text, minor_unit(currency))


def parse_unit_price(text: object, currency: str) -> Decimal:
    """A non-negative price per unit in major units, at most six decimals; errors as above."""
    minor_unit(currency)
    return _parse(text, UNIT_PRICE_DECIMALS_MAX)


def parse_quantity(text: object) -> Decimal:
    """A quantity greater than zero with at most six decimals; raises `quantity_invalid`."""
    try:
        value = _parse(text, UNIT_PRICE_DECIMALS_MAX)
    except MoneyFormat as error:
        raise MoneyFormat("quantity_invalid", str(text)) from error
    if value == 0:
        raise MoneyFormat("quantity_invalid", str(text))
    return value


def round_to_minor(value: Decimal, currency: str) -> Decimal:
    """Half up to the currency's minor unit (rules A4, B8, M10)."""
    return value.quantize(minor_quantum(currency), context=_EXACT)


def extended_amount(quantity: Decimal, unit_price: Decimal, currency: str) -> Decimal:
    """Quantity times unit price, half up to the minor unit."""
    return round_to_minor(_EXACT.multiply(quantity, unit_price), currency)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum; zero for no amounts."""
    return reduce(_EXACT.add, amounts, Decimal(0))


def without_idle_zeros(amount: Decimal, currency: str) -> Decimal:
    """The same value at the minor unit's scale, where only zeros stand beyond it.

    Systems that keep four decimals write 10.5000; a value that needs them is left as it is.
    """
    rounded = round_to_minor(amount, currency)
    return rounded if rounded == amount else amount


def plain(value: Decimal) -> Decimal:
    """The same value without trailing zeros and without an exponent: 5.000000 becomes 5."""
    integral = value.to_integral_value(context=_EXACT)
    return integral if integral == value else _EXACT.plus(value).normalize(_EXACT)
