"""Exchange rates: what one unit of a currency was worth in another, on a day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import msgspec

from quaestor.model.money import extended_amount, round_to_minor

__all__ = ["Rate", "Rates"]


class Rate(msgspec.Struct, frozen=True):
    """Units of `to_currency` for one unit of `from_currency`, as of that day."""

    from_currency: str
    to_currency: str
    on: date
    rate: Decimal


class Rates(msgspec.Struct, frozen=True):
    """Rates by pair, each oldest first. A pair is read as written, never inverted or crossed:
    the reciprocal of a rounded rate is another rate.
    """

    by_pair: Mapping[tuple[str, str], tuple[Rate, ...]] = {}

    def newest(self, from_currency: str, to_currency: str, on: date) -> Rate | None:
        """The newest rate not later than that day; its `on` tells how old it is (F36)."""
        rates = self.by_pair.get((from_currency, to_currency), ())
        return next((rate for rate in reversed(rates) if rate.on <= on), None)

    def convert(
        self, amount: Decimal, from_currency: str, to_currency: str, on: date
    ) -> Decimal | None:
        """The amount at the newest rate, half up to the minor unit (A4); `None` without one."""
        if from_currency == to_currency:
            return round_to_minor(amount, to_currency)
        rate = self.newest(from_currency, to_currency, on)
        return None if rate is None else extended_amount(amount, rate.rate, to_currency)
