"""Figures, times and codes as a person reads them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

__all__ = [
    "COUNTED_MAX",
    "age",
    "amount",
    "between",
    "counted",
    "duration",
    "local",
    "number",
    "pretty",
    "segment",
    "words",
]

COUNTED_MAX = 10_000
"""What a page counts of anything that may grow; more is said to be more."""


def age(seconds: float) -> str:
    """How long, in the largest unit that says it."""
    whole = max(0, int(seconds))
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if whole >= length_s:
            return f"{whole // length_s:,} {unit}"
    return f"{whole} s"


def duration(ms: float) -> str:
    """How long something took, in the unit that says it."""
    if ms < 1_000:
        return f"{ms:,.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:,.1f} s"
    minutes, seconds = divmod(int(ms // 1000), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h" if hours % 24 else f"{hours // 24} d"


def amount(text: str) -> str:
    """A decimal amount with its thousands apart; the text itself where it is none."""
    try:
        return f"{Decimal(text):,f}"
    except InvalidOperation:
        return text


def number(count: int) -> str:
    """A count with its thousands apart."""
    return f"{count:,}"


def counted(count: int) -> str:
    """A count that ended at its limit."""
    return number(count) if count <= COUNTED_MAX else f"over {number(COUNTED_MAX)}"


def local(at: datetime, zone: str, form: str = "full") -> str:
    """An instant in a time zone: `full`, `day` or `time` to the millisecond."""
    try:
        there = at.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError):
        there = at.astimezone(UTC)
    match form:
        case "time":
            return there.strftime("%H:%M:%S.") + f"{there.microsecond // 1000:03d}"
        case "day":
            return there.strftime("%-d %b %Y")
    return there.strftime("%-d %b %Y, %H:%M:%S %Z")


def between(first: datetime, then: datetime | None, zone: str) -> str:
    """A span of time on one day as a person says it."""
    if then is None:
        return f"since {local(first, zone, 'time')}"
    return f"{local(first, zone, 'time')} to {local(then, zone, 'time')}"


def words(code: str) -> str:
    """A code as words: `reporting_ordered` as `reporting ordered`."""
    return code.replace("_", " ")


def pretty(body: str) -> str:
    """A body from the wire, indented for reading where it is JSON."""
    try:
        return msgspec.json.format(body, indent=2)
    except msgspec.DecodeError:
        return body


def segment(text: str) -> str:
    """One segment of a path."""
    return quote(text, safe="")
