"""Canonical bytes: the same business content gives the same bytes, on every node and release.

JSON in UTF-8 with sorted keys and no white space. A decimal is a plain string without exponent
and without trailing zeros, an instant is UTC, a date is ISO 8601. A field that equals its default
is left out, so a release that adds an optional field does not change the hash of what was
approved before it. Binary floats are refused (DESIGN D10).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any

import msgspec
from msgspec.structs import FieldInfo, fields

from quaestor.model.requisition import Requisition

__all__ = ["canonical_bytes", "content_hash"]

# Who approved it, how often it was changed and when it was handed in are not what was approved.
_NOT_CONTENT = ("approval", "version", "submitted_at")


def canonical_bytes(value: Any) -> bytes:
    """The canonical JSON of a struct, mapping, sequence or scalar.

    Raises `TypeError` for a type without a canonical form (floats and sets among them) and
    `ValueError` for a naive instant, a decimal that is not finite, or text without a UTF-8 form.
    """
    plain = _plain(value)
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def content_hash(requisition: Requisition) -> str:
    """Lower-case hex SHA-256 of what a requisition asks for (DESIGN D13, invariant I20).

    Approval evidence, version and time of submission are left out: they are about the content.
    """
    content = _struct(requisition)
    for name in _NOT_CONTENT:
        content.pop(name, None)
    return hashlib.sha256(canonical_bytes(content)).hexdigest()


def _plain(value: Any) -> Any:
    # Most of a document is plain text, which none of the cases before its own needs to look at.
    if type(value) is str:
        return value
    match value:
        case Enum():
            return _plain(value.value)
        case None | bool() | int() | str():
            return value
        case Decimal():
            return _decimal(value)
        case datetime():
            return _instant(value)
        case date():
            return value.isoformat()
        case msgspec.Struct():
            return _struct(value)
        case Mapping():
            return {_key(name): _plain(item) for name, item in value.items()}
        case tuple() | list():
            return [_plain(item) for item in value]
        case _:
            raise TypeError(f"{type(value).__name__} has no canonical form")


def _struct(value: msgspec.Struct) -> dict[str, Any]:
    config = value.__struct_config__
    content: dict[str, Any] = {}
    if config.tag_field is not None:
        content[config.tag_field] = config.tag
    for field in _fields(type(value)):
        item = getattr(value, field.name)
        if not _is_default(field, item):
            content[field.name] = _plain(item)
    return content


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[FieldInfo, ...]:
    """Asked once per type: resolving its annotations takes longer than all else here together."""
    return fields(kind)


def _is_default(field: FieldInfo, item: Any) -> bool:
    if field.default is not msgspec.NODEFAULT:
        return bool(item == field.default)
    if field.default_factory is not msgspec.NODEFAULT:
        return bool(item == field.default_factory())
    return False


def _key(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError("a canonical mapping has text for keys")
    return name


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError("a canonical decimal is finite")
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "0") else text


def _instant(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("a canonical instant has a time zone")
    return value.astimezone(UTC).isoformat()
