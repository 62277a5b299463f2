"""Canonical bytes: the same business content gives the same bytes, on every node and release.

JSON in UTF-8 with sorted keys and no white space. A decimal is a plain string without exponent
and without trailing zeros, an instant is UTC, a date is ISO 8601. A field that equals its default
is left out, so a release that adds an optional field does not change the hash of what was
approved before it. Binary floats are refused (DESIGN D10).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from json.encoder import encode_basestring
from operator import attrgetter
from types import NoneType
from typing import Any

import msgspec
from msgspec.structs import FieldInfo, fields

from quaestor.model.requisition import Requisition

__all__ = ["canonical_bytes", "content_hash"]

# Who approved it, how often it was changed and when it was handed in are not what was approved.
_NOT_CONTENT = ("approval", "version", "submitted_at")
_REQUIRED = object()

_Write = Callable[[Any], str]


def canonical_bytes(value: Any) -> bytes:
    """The canonical JSON of a struct, mapping, sequence or scalar.

    Raises `TypeError` for a type without a canonical form (floats and sets among them) and
    `ValueError` for a naive instant, a decimal that is not finite, or text without a UTF-8 form.
    """
    return _written(value).encode()


def content_hash(requisition: Requisition) -> str:
    """Lower-case hex SHA-256 of what a requisition asks for (DESIGN D13, invariant I20).

    Approval evidence, version and time of submission are left out: they are about the content.
    """
    return hashlib.sha256(_content(requisition).encode()).hexdigest()


class _Writers(dict[type, _Write]):
    """How values of a type are written: found out once for each, as a document has few types."""

    def __missing__(self, kind: type) -> _Write:
        self[kind] = write = _writer(kind)
        return write


def _writer(kind: type) -> _Write:
    if issubclass(kind, msgspec.Struct):
        return _struct_writer(kind)
    for base, write in _OF_BASES:
        if issubclass(kind, base):
            return write
    raise TypeError(f"{kind.__name__} has no canonical form")


def _written(value: object) -> str:
    return _writers[type(value)](value)


def _struct_writer(kind: type[msgspec.Struct], without: Collection[str] = ()) -> _Write:
    """The order of its members is known beforehand, and so is how each begins."""
    read: dict[str, tuple[Callable[[Any], Any], Any]] = {
        each.name: (attrgetter(each.name), _default(each))
        for each in fields(kind)
        if each.name not in without
    }
    config = kind.__struct_config__
    if config.tag_field is not None:
        read[config.tag_field] = (lambda _: config.tag, _REQUIRED)
    members = [(f"{encode_basestring(name)}:", *read[name]) for name in sorted(read)]

    def write(value: Any) -> str:
        written = []
        for begins, get, default in members:
            item = get(value)
            if default is _REQUIRED or item != default:
                text = encode_basestring(item) if type(item) is str else _written(item)
                written.append(begins + text)
        return f"{{{','.join(written)}}}"

    return write


def _default(field: FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return _REQUIRED if field.default is msgspec.NODEFAULT else field.default


def _mapping(value: Mapping[str, Any]) -> str:
    members = (f"{_key(name)}:{_written(value[name])}" for name in sorted(value))
    return f"{{{','.join(members)}}}"


def _key(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError("a canonical mapping has text for keys")
    return encode_basestring(name)


def _sequence(value: tuple[Any, ...] | list[Any]) -> str:
    return f"[{','.join(map(_written, value))}]"


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError("a canonical decimal is finite")
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return '"0"' if text in ("-0", "0") else f'"{text}"'


def _instant(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("a canonical instant has a time zone")
    return f'"{value.astimezone(UTC).isoformat()}"'


# The first that a type is one of: a boolean is a number to Python, an instant a date.
_OF_BASES: tuple[tuple[type, _Write], ...] = (
    (Enum, lambda value: _written(value.value)),
    (NoneType, lambda _: "null"),
    (bool, lambda value: "true" if value else "false"),
    (int, int.__repr__),
    (str, encode_basestring),
    (Decimal, _decimal),
    (datetime, _instant),
    (date, lambda value: f'"{value.isoformat()}"'),
    (Mapping, _mapping),
    (tuple, _sequence),
    (list, _sequence),
)
_writers = _Writers()
_content = _struct_writer(Requisition, _NOT_CONTENT)
