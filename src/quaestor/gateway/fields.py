"""Members with a meaning of their own: money, quantities, days, instants, texts.

Each is a class only so that a body's type can name it; it is read by `read_field`, which refuses
by the names of specs 3.2. They become plain values when a body becomes a noun.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from quaestor.model.money import MoneyFormat, parse_quantity, parse_unit_price

__all__ = [
    "DECIMAL_PATTERN",
    "Amount",
    "Day",
    "FieldFault",
    "Instant",
    "Quantity",
    "nfc",
    "read_field",
]

DECIMAL_PATTERN = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?$"
"""How amounts and quantities are written. Nearly all are; why another is refused has many names."""

_DECIMAL = re.compile(DECIMAL_PATTERN)
# Far from every ledger, and where arithmetic on dates still works in every zone.
_YEAR_MIN, _YEAR_MAX = 1990, 2199
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?"
)
# Any currency that exists: whether the scale is right is asked once the currency is known.
_WIDEST = "EUR"
_LONG_QUANTITY = re.compile(r"(0|[1-9][0-9]{0,14})\.[0-9]{7,18}")


class Amount(Decimal):
    """A decimal string in major units, not negative (specs N21-N26)."""


class Quantity(Decimal):
    """A decimal string greater than zero (spec N31)."""


class Day(str):
    """A date, as YYYY-MM-DD."""

    @property
    def value(self) -> date:
        """The day."""
        return date.fromisoformat(self)


class Instant(str):
    """A time with its offset from UTC (RFC 3339)."""

    @property
    def value(self) -> datetime:
        """The instant, in UTC."""
        return datetime.fromisoformat(self).astimezone(UTC)


class FieldFault(ValueError):
    """A member that is refused by name; `code` stands in the table of refusals."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def read_field(kind: type, value: Any) -> Any:
    """The member as its class. Raises `FieldFault`."""
    if (
        (kind is Amount or kind is Quantity)
        and isinstance(value, str)
        and _DECIMAL.fullmatch(value)
    ):
        made = kind(value)
        if made or kind is Amount:
            return made
    try:
        if kind is Amount:
            return Amount(parse_unit_price(value, _WIDEST))
        if kind is Quantity:
            return Quantity(_quantity(value))
    except MoneyFormat as error:
        raise FieldFault(error.code) from error
    if kind is Day:
        return _day(value)
    if kind is Instant:
        return _instant(value)
    raise TypeError(kind.__name__)


def _quantity(value: Any) -> Decimal:
    if not isinstance(value, str):
        raise FieldFault("money_must_be_string")
    # More decimals than a quantity may have: a unit that comes in pieces says the better reason.
    if _LONG_QUANTITY.fullmatch(value) and Decimal(value) > 0:
        return Decimal(value)
    return parse_quantity(value)


def _day(value: Any) -> Day:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise FieldFault("date_invalid")
    try:
        day = date.fromisoformat(value)
    except ValueError as error:
        raise FieldFault("date_invalid") from error
    if not _YEAR_MIN <= day.year <= _YEAR_MAX:
        raise FieldFault("date_invalid")
    return Day(value)


def _instant(value: Any) -> Instant:
    match = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise FieldFault("date_invalid")
    if match[2] is None:
        raise FieldFault("timezone_required")
    try:
        instant = datetime.fromisoformat(value)
        year = instant.astimezone(UTC).year
    except (ValueError, OverflowError) as error:
        raise FieldFault("date_invalid") from error
    if not _YEAR_MIN <= year <= _YEAR_MAX:
        raise FieldFault("date_invalid")
    return Instant(value)


def nfc(text: str) -> str:
    """The composed form: the same name written in two ways is one name (spec N39)."""
    return unicodedata.normalize("NFC", text)
