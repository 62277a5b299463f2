"""Structural checks of a requisition: does it say one thing, and can it be added up?

These need nothing but the document and the deployment's limits. Source: specs N22-N34, N38, N44.
Supplier, cost center and budget are asked elsewhere.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal

import msgspec

from quaestor.model.money import (
    INTEGER_DIGITS_MAX,
    MINOR_UNITS,
    UNIT_PRICE_DECIMALS_MAX,
    extended_amount,
    minor_quantum,
    minor_unit,
    total,
)
from quaestor.model.refusal import Refusal, refuse
from quaestor.model.requisition import Requisition

__all__ = ["CHECKS", "Limits", "check_requisition"]

_AMOUNT_ABOVE = 10**INTEGER_DIGITS_MAX


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a deployment accepts. `units` empty accepts every unit; `whole_units` have no half."""

    lines_max: int = 500
    splits_max: int = 100
    text_length_max: int = 2000
    units: frozenset[str] = frozenset()
    whole_units: frozenset[str] = frozenset({"EA"})


Check = Callable[[Requisition, Limits], Iterator[Refusal]]


def check_requisition(
    requisition: Requisition, limits: Limits | None = None
) -> tuple[Refusal, ...]:
    """Every refusal of the first check that refuses, in the order of `CHECKS`.

    Later checks rely on earlier ones, so that one fault is not reported under five names.
    Empty when the requisition is in order.
    """
    allowed = limits or Limits()
    for check in CHECKS:
        refusals = tuple(check(requisition, allowed))
        if refusals:
            return refusals
    return ()


def _lines_are_given(requisition: Requisition, limits: Limits) -> Iterator[Refusal]:
    if not requisition.lines:
        yield refuse("no_lines")


def _lines_are_few(requisition: Requisition, limits: Limits) -> Iterator[Refusal]:
    if len(requisition.lines) > limits.lines_max:
        yield refuse(
            "too_many_lines", lines=str(len(requisition.lines)), lines_max=str(limits.lines_max)
        )
    for line in requisition.lines:
        if len(line.splits) > limits.splits_max:
            yield refuse(
                "too_many_lines",
                line=str(line.number),
                splits=str(len(line.splits)),
                splits_max=str(limits.splits_max),
            )


def _numbers_are_unique(requisition: Requisition, limits: Limits) -> Iterator[Refusal]:
    if len({line.number for line in requisition.lines}) == len(requisition.lines):
        return
    counts = Counter(line.number for line in requisition.lines)
    for number, times in sorted(counts.items()):
        if times > 1:
            yield refuse("line_number_repeated", line=str(number), times=str(times))


def _texts_are_plain(requisition: Requisition, limits: Limits) -> Iterator[Refusal]:
    texts = [("title", requisition.title), ("number", requisition.number)]
    texts += [(f"lines[{line.number}].description", line.description) for line in requisition.lines]
    for where, text in texts:
        if len(text) > limits.text_length_max or _hides_something(text):
            yield refuse("forbidden_characters", where=where, length=str(len(text)))


def _hides_something(text: str) -> bool:
    # What Python calls printable holds none of the forbidden ones, and is answered at once.
    return not text.isprintable() and any(map(_is_forbidden, text))


def _is_forbidden(character: str) -> bool:
    """Control and format characters: they hide text or forge a line of a log (N38, N44)."""
    return character != "\t" and unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _time_has_a_zone(requisition: Requisition, limits: Limits) -> Iterator[Refusal]:
    if requisition.submitted_at.tzinfo is None:
        yield refuse("timezone_required", where="submitted_at")


def _currency_is_known(requisition: Requisition, limits: Limits) -> Iterator[Refusal]:
    if requisition.currency not in MINOR_UNITS:
        yield refuse("unknown_currency", currency=requisition.currency[:10])


def _amounts(requisition: Requisition) -> Iterator[tuple[Decimal, int, _Place]]:
    """Each amount with how many decimals it may have, and where it stands."""
    scale = minor_unit(requisition.currency)
    yield requisition.total, scale, ()
    for line in requisition.lines:
        yield line.unit_price, UNIT_PRICE_DECIMALS_MAX, (line.number, "unit_price")
        yield line.amount, scale, (line.number, "amount")
        for position, split in enumerate(line.splits, start=1):
            yield split.amount, scale, (line.number, position)


# Told in words only of what is refused: nearly nothing is, and there are many amounts. A line's
# number, with the field's name or the split's position.
_Place = tuple[()] | tuple[int, str | int]


def _where(place: _Place) -> str:
    if not place:
        return "total"
    line, field = place
    name = field if isinstance(field, str) else f"splits[{field}].amount"
    return f"lines[{line}].{name}"


def _amounts_are_numbers(requisition: Requisition, limits: Limits) -> Iterator[Refusal]:
    for amount, _, place in _amounts(requisition):
        if not amount.is_finite():
            yield refuse("money_format", where=_where(place))
    for line in requisition.lines:
        if not line.quantity.is_finite():
            yield refuse("quantity_invalid", where=f"lines[{line.number}].quantity")


def _amounts_are_not_negative(requisition: Requisition, limits: Limits) -> Iterator[Refusal]:
    for amount, _, place in _amounts(requisition):
        if amount < 0:
            yield refuse("negative_amount", where=_where(place))


def _amounts_are_in_range(requisition: Requisition, limits: Limits) -> Iterator[Refusal]:
    for amount, _, place in _amounts(requisition):
        if amount >= _AMOUNT_ABOVE:
            yield refuse("amount_out_of_range", where=_where(place))


def _decimals_fit(requisition: Requisition, limits: Limits) -> Iterator[Refusal]:
    unit = minor_quantum(requisition.currency)
    for amount, scale, place in _amounts(requisition):
        # Nearly every amount is written with the decimals of its currency.
        if not amount.same_quantum(unit) and _decimals(amount) > scale:
            yield refuse("too_many_decimals", where=_where(place), decimals_max=str(scale))


def _decimals(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _quantities_are_good(requisition: Requisition, limits: Limits) -> Iterator[Refusal]:
    for line in requisition.lines:
        in_range = 0 < line.quantity < _AMOUNT_ABOVE
        if not in_range or _decimals(line.quantity) > UNIT_PRICE_DECIMALS_MAX:
            yield refuse("quantity_invalid", where=f"lines[{line.number}].quantity")


def _units_are_known(requisition: Requisition, limits: Limits) -> Iterator[Refusal]:
    for line in requisition.lines:
        if limits.units and line.uom not in limits.units:
            yield refuse("unknown_uom", where=f"lines[{line.number}].uom", uom=line.uom[:10])


def _whole_units_are_whole(requisition: Requisition, limits: Limits) -> Iterator[Refusal]:
    for line in requisition.lines:
        if line.uom in limits.whole_units and line.quantity != line.quantity.to_integral_value():
            yield refuse("quantity_not_integral", where=f"lines[{line.number}].quantity")


def _amounts_are_quantity_times_price(
    requisition: Requisition, limits: Limits
) -> Iterator[Refusal]:
    for line in requisition.lines:
        expected = extended_amount(line.quantity, line.unit_price, requisition.currency)
        if line.amount != expected:
            yield refuse(
                "amount_mismatch",
                where=f"lines[{line.number}].amount",
                stated=str(line.amount),
                expected=str(expected),
            )


def _splits_add_up(requisition: Requisition, limits: Limits) -> Iterator[Refusal]:
    for line in requisition.lines:
        charged = total(split.amount for split in line.splits)
        if not line.splits or charged != line.amount:
            yield refuse(
                "split_not_100",
                where=f"lines[{line.number}].splits",
                charged=str(charged),
                amount=str(line.amount),
            )


def _total_adds_up(requisition: Requisition, limits: Limits) -> Iterator[Refusal]:
    expected = total(line.amount for line in requisition.lines)
    if requisition.total != expected:
        yield refuse("total_mismatch", stated=str(requisition.total), expected=str(expected))


CHECKS: tuple[Check, ...] = (
    _lines_are_given,
    _lines_are_few,
    _numbers_are_unique,
    _texts_are_plain,
    _time_has_a_zone,
    _currency_is_known,
    _amounts_are_numbers,
    _amounts_are_not_negative,
    _amounts_are_in_range,
    _decimals_fit,
    _quantities_are_good,
    _units_are_known,
    _whole_units_are_whole,
    _amounts_are_quantity_times_price,
    _splits_add_up,
    _total_adds_up,
)
