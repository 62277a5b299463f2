"""Queries as our Coupa simulator answers them: operators, order, pages, `fields`.

Source: "API Operators", "Arguments", "Querying Options", "API Return Formats". What it does not
know it refuses, so that a wrong query is seen here first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

__all__ = ["QueryRefused", "page_of", "picked"]

PAGE_MAX = 50
_NAME = re.compile(r"(?P<path>[a-z0-9_-]+(?:\[[a-z0-9_-]+\])*?)(?:\[(?P<operator>[a-z_]+)\])?")
# Not for times ("API Operators").
_TEXT_ONLY = frozenset({"contains", "starts_with", "ends_with", "blank"})
_OPERATORS = _TEXT_ONLY | {"gt", "lt", "gt_or_eq", "lt_or_eq", "not_eq", "in", "not_in"}
_ABOUT_THE_ANSWER = frozenset(
    {"limit", "offset", "order_by", "dir", "fields", "return_object", "filter"}
)


class QueryRefused(Exception):
    """The query is invalid; the message says why."""


def page_of(
    rows: Sequence[Mapping[str, Any]], query: Mapping[str, str], known: frozenset[str]
) -> list[Any]:
    """The rows that satisfy every condition: ordered, one page, with the asked fields.

    `known` are the resource's own attributes, dashed.
    """
    hits = [row for row in rows if all(_holds(row, *one, known) for one in query.items())]
    order = query.get("order_by")
    if order is not None:
        name = _dashed(order)
        if name not in known:
            raise QueryRefused(f"Unknown attribute {order}")
        hits.sort(key=lambda row: _sortable(row.get(name)), reverse=query.get("dir") == "desc")
    else:
        # Coupa promises no order to whoever asks for none.
        hits.reverse()
    start = _count(query, "offset", 0)
    size = min(_count(query, "limit", PAGE_MAX), PAGE_MAX)
    return [picked(row, query) for row in hits[start : start + size]]


def picked(row: Mapping[str, Any], query: Mapping[str, str]) -> Any:
    """The object with the fields that were asked for; whole, or only its id, without them."""
    if query.get("return_object") == "limited":
        return {"id": row.get("id")}
    if "fields" not in query:
        return dict(row)
    try:
        fields = msgspec.json.decode(query["fields"])
    except msgspec.DecodeError:
        raise QueryRefused("fields is not JSON") from None
    return _picked(row, fields)


def _picked(value: Any, fields: Any) -> Any:
    if isinstance(value, list):
        return [_picked(one, fields) for one in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for field in fields:
        if isinstance(field, str):
            name = _dashed(field)
            if name in value:
                found[name] = value[name]
        elif isinstance(field, dict):
            for given, below in field.items():
                name = _dashed(given)
                if name in value:
                    found[name] = _picked(value[name], below)
        else:
            raise QueryRefused("fields is a list of names and of objects")
    return found


def _holds(row: Mapping[str, Any], name: str, text: str, known: frozenset[str]) -> bool:
    if name in _ABOUT_THE_ANSWER:
        return True
    match = _NAME.fullmatch(name)
    if match is None:
        raise QueryRefused(f"Invalid attribute {name}")
    path = [_dashed(part) for part in re.findall(r"[a-z0-9_-]+", match["path"])]
    operator = match["operator"]
    if operator is not None and operator not in _OPERATORS:
        path.append(_dashed(operator))
        operator = None
    if path[0] not in known:
        raise QueryRefused(f"Unknown attribute {path[0]}")
    return any(_compares(one, operator, text) for one in _reached(row, path))


def _reached(value: Any, path: Sequence[str]) -> list[Any]:
    if isinstance(value, list):
        return [found for one in value for found in _reached(one, path)]
    if not path:
        return [value]
    return _reached(value.get(path[0]), path[1:]) if isinstance(value, dict) else [None]


def _compares(value: Any, operator: str | None, text: str) -> bool:
    moment = _moment(value)
    if moment is not None and operator in _TEXT_ONLY:
        raise QueryRefused(f"{operator} is not available for datetime fields")
    there: Any = moment if moment is not None else value
    match operator:
        case None:
            return bool(there == _like(there, text))
        case "not_eq":
            return bool(there != _like(there, text))
        case "in":
            return any(there == _like(there, one) for one in text.split(","))
        case "not_in":
            return all(there != _like(there, one) for one in text.split(","))
        case "blank":
            return (value in (None, "")) == (text == "true")
        case "contains":
            return text in str(value or "")
        case "starts_with":
            return str(value or "").startswith(text)
        case "ends_with":
            return str(value or "").endswith(text)
    if there is None:
        return False
    other = _like(there, text)
    return bool(
        {
            "gt": there > other,
            "lt": there < other,
            "gt_or_eq": there >= other,
            "lt_or_eq": there <= other,
        }[operator]
    )


def _like(there: Any, text: str) -> Any:
    """The text as a value of the other's kind."""
    if isinstance(there, bool):
        return text == "true"
    if isinstance(there, int):
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise QueryRefused(f"{text!r} is not a number")
        return int(text)
    if isinstance(there, datetime):
        moment = _moment(text)
        if moment is None:
            raise QueryRefused(f"{text!r} is not a date")
        return moment
    return text if isinstance(there, str) else (None if text == "" else text)


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str) or not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _sortable(value: Any) -> Any:
    moment = _moment(value)
    if moment is not None:
        return (1, moment.timestamp(), "")
    if isinstance(value, int):
        return (1, value, "")
    return (0, 0, "") if value is None else (2, 0, str(value))


def _count(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise QueryRefused(f"{name} is a number")
    return int(text)


def _dashed(name: str) -> str:
    return name.replace("_", "-")
