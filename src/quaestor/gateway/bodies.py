"""Bodies: bytes become plain values, or are refused by name before anything is made of them.

Python's own reader does the work, with hooks: it knows duplicate members and leaves numbers as
text. What it would do recursively or silently is looked at before (specs N8-N15).
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

from quaestor.gateway.problems import FaultAt, Problem
from quaestor.model.refusal import refuse

__all__ = ["BODY_BYTES_MAX", "DEPTH_MAX", "MEMBERS_MAX", "canonical", "read_json"]

BODY_BYTES_MAX = 1024 * 1024
DEPTH_MAX = 32
MEMBERS_MAX = 200

_INTEGER_DIGITS_MAX = 18
_NUMBER_LENGTH_MAX = 64
_EXPONENT_MAX = 300
_TEXTS = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")
# A NUL in the canonical text; an even number of backslashes before it belongs to something else.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def read_json(raw: bytes) -> dict[str, Any]:
    """The object that these bytes state. Numbers are `int` or `Decimal`. Raises `Problem`."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Problem("invalid_encoding") from None
    _refuse_depth(text)
    try:
        value = _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise Problem(refuse("invalid_json", at=str(error.pos))) from None
    if not isinstance(value, dict):
        raise Problem(
            "value_invalid", errors=[FaultAt("", "value_invalid", "The body is an object.")]
        )
    # A NUL, or half of a surrogate pair, can only come as an escape.
    if "\\u" in text and _NUL.search(canonical(value)):
        raise Problem("invalid_encoding")
    return value


def canonical(value: Any) -> bytes:
    """The same bytes for the same value, whatever the order of members or the white space was."""
    try:
        return _canonical_encoder.encode(value).encode("utf-8")
    except UnicodeEncodeError:
        # Half of a surrogate pair: no UTF-8 has it, and no database takes it.
        raise Problem("invalid_encoding") from None


def _refuse_depth(text: str) -> None:
    if text.count("{") + text.count("[") <= DEPTH_MAX:
        return
    depth = 0
    for found in _BRACKETS.finditer(_TEXTS.sub('""', text)):
        depth += 1 if found.group() in "[{" else -1
        if depth > DEPTH_MAX:
            raise Problem(refuse("nesting_too_deep", depth_max=str(DEPTH_MAX)))


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MEMBERS_MAX:
        raise Problem(refuse("too_many_members", members_max=str(MEMBERS_MAX)))
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem(refuse("duplicate_member", member=ascii(twice)[1:-1][:60]))
    return made


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > _INTEGER_DIGITS_MAX:
        raise Problem("number_out_of_range")
    return int(text)


def _number(text: str) -> Decimal:
    if len(text) > _NUMBER_LENGTH_MAX:
        raise Problem("number_out_of_range")
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise Problem("number_out_of_range") from None
    if abs(value.adjusted()) > _EXPONENT_MAX:
        raise Problem("number_out_of_range")
    return value


def _constant(text: str) -> Any:
    raise Problem(refuse("invalid_json", at=text))


def _number_text(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"number:{value.normalize():f}"
    raise TypeError(type(value).__name__)


_decoder = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_number, parse_constant=_constant
)
_canonical_encoder = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_number_text
)
