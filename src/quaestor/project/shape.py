"""From plain values to typed ones, reporting every fault instead of the first.

The types are msgspec structs; msgspec itself converts each single value. Only the walk is ours,
because a converter that stops at the first fault makes its user run it twenty times.
"""

from __future__ import annotations

import difflib
import functools
import types
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from quaestor.project.files import SourceFile
from quaestor.project.problems import Problems
from quaestor.security.masking import is_secret_name

__all__ = ["Reader", "in_words"]

T = TypeVar("T")

_EXAMPLES: Mapping[Any, str] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number such as 5",
    float: "a number such as 5 or 2.5",
    Decimal: "a plain decimal such as 1000.00",
    date: "a date such as 2026-01-31",
    datetime: "a date and time such as 2026-01-31T09:30:00+01:00",
}
_INVALID = object()


class Reader:
    """Converts the values of one file. What fails is reported and comes back as `None`."""

    def __init__(self, source: SourceFile, problems: Problems) -> None:
        self.source = source
        self.problems = problems

    def convert(self, value: Any, kind: type[T], key: str = "") -> T | None:
        """The value as `kind`, a struct or any type that one holds; `None` after a problem."""
        converted = self._convert(value, kind, key)
        return None if converted is _INVALID else cast(T, converted)

    def items(self, name: str, kind: type[T]) -> dict[str, T]:
        """The list under the file's only key `name`, by the `id` of each item."""
        listed = self.members(name, (name,)).get(name)
        return self.listed(listed, kind, name)

    def listed(self, value: Any, kind: type[T], key: str) -> dict[str, T]:
        """A list of things with an `id`, by that id."""
        found: dict[str, T] = {}
        first: dict[str, str] = {}
        if not isinstance(value, list):
            if value is not None:
                self.report("value_invalid", key, "this is not a list", "a list")
            return found
        for position, item in enumerate(value, start=1):
            at = f"{key}.{position}"
            converted = self.convert(item, kind, at)
            if converted is None:
                continue
            name = str(getattr(converted, "id", None) or getattr(converted, "key", ""))
            if name in found:
                self.report(
                    "id_repeated",
                    at,
                    f"{name!r} stands on line {self.source.line(first[name])} too",
                    "another id",
                )
            found[name] = converted
            first[name] = at
        return found

    def members(self, key: str, known: Sequence[str]) -> Mapping[str, Any]:
        """The file's top mapping, unknown members reported."""
        value = self.source.value
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.report("value_invalid", "", "the file is not a mapping", f"{key}:")
            return {}
        self.refuse_unknown(value, known, "")
        return value

    def refuse_unknown(self, value: Mapping[str, Any], known: Sequence[str], key: str) -> None:
        """A problem for each member that is none of `known`."""
        for name in value:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                instead = near[0] if near else f"one of {', '.join(known)}"
                self.report("key_unknown", _at(key, name), "there is no such key", instead)

    def report(self, code: str, key: str, message: str, instead: str = "") -> None:
        """A problem at this key of the file."""
        self.problems.add(code, self.source.name, key, message, instead, self.source.line(key))

    # --- the walk -------------------------------------------------------------------------------

    def _convert(self, value: Any, kind: Any, key: str) -> Any:
        plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
        origin = get_origin(plain)
        if isinstance(plain, type) and issubclass(plain, msgspec.Struct):
            return self._struct(value, plain, key)
        if origin in (Union, types.UnionType) and type(None) in get_args(plain):
            others = [one for one in get_args(plain) if one is not type(None)]
            return None if value is None else self._one_of(value, others, key)
        if origin in (Union, types.UnionType):
            return self._one_of(value, list(get_args(plain)), key)
        if origin in (tuple, list, frozenset):
            return self._sequence(value, get_args(plain)[0], origin, key)
        if origin in (dict, Mapping) or _is_mapping_type(origin):
            return self._mapping(value, get_args(plain)[1], key)
        return self._scalar(value, kind, plain, key)

    def _one_of(self, value: Any, kinds: list[Any], key: str) -> Any:
        """A union: a single kind beside `None`, or structs told apart by their tag."""
        if len(kinds) == 1:
            return self._convert(value, kinds[0], key)
        if not isinstance(value, Mapping):
            return self._invalid(value, dict, key)
        config = kinds[0].__struct_config__
        by_tag = {str(one.__struct_config__.tag): one for one in kinds}
        tag = value.get(config.tag_field)
        if tag not in by_tag:
            told = "is missing" if tag is None else f"{str(tag)[:60]!r} cannot be used here"
            self.report("value_invalid", _at(key, config.tag_field), told, _choice(by_tag))
            return _INVALID
        rest = {name: item for name, item in value.items() if name != config.tag_field}
        return self._struct(rest, by_tag[tag], key)

    def _struct(self, value: Any, kind: type[msgspec.Struct], key: str) -> Any:
        if not isinstance(value, Mapping):
            return self._invalid(value, kind, key)
        hints = _hints(kind)
        fields = msgspec.structs.fields(kind)
        self.refuse_unknown(value, [field.name for field in fields], key)
        given: dict[str, Any] = {}
        good = True
        for field in fields:
            at = _at(key, field.name)
            if field.name in value:
                given[field.name] = self._convert(value[field.name], hints[field.name], at)
                good = good and given[field.name] is not _INVALID
            elif field.required:
                self.report("key_missing", at, "is missing", in_words(hints[field.name]))
                good = False
        return kind(**given) if good else _INVALID

    def _sequence(self, value: Any, kind: Any, origin: Any, key: str) -> Any:
        if not isinstance(value, list):
            return self._invalid(value, list, key)
        items = [
            self._convert(item, kind, _at(key, str(position)))
            for position, item in enumerate(value, start=1)
        ]
        return _INVALID if any(item is _INVALID for item in items) else origin(items)

    def _mapping(self, value: Any, kind: Any, key: str) -> Any:
        if not isinstance(value, Mapping):
            return self._invalid(value, dict, key)
        if kind is Any:
            return dict(value)
        items = {name: self._convert(item, kind, _at(key, name)) for name, item in value.items()}
        return _INVALID if any(item is _INVALID for item in items.values()) else items

    def _scalar(self, value: Any, kind: Any, plain: Any, key: str) -> Any:
        # A binary fraction is already rounded: an amount is never made from one.
        if value is None or (plain is Decimal and isinstance(value, float)):
            return self._invalid(value, kind, key)
        if isinstance(value, bool) and plain is not bool:
            return self._invalid(value, kind, key)
        try:
            return msgspec.convert(value, kind, strict=False)
        except msgspec.ValidationError:
            return self._invalid(value, kind, key)

    def _invalid(self, value: Any, kind: Any, key: str) -> Any:
        shown = "" if any(map(is_secret_name, key.split("."))) else _shown(value)
        self.report("value_invalid", key, f"{shown}cannot be used here".strip(), in_words(kind))
        return _INVALID


@functools.cache
def _hints(kind: type[msgspec.Struct]) -> Mapping[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _is_mapping_type(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping | list):
        return f"a {'table' if isinstance(value, Mapping) else 'list'} "
    return f"{str(value)[:60]!r} " if value is not None else "nothing "


def in_words(kind: Any) -> str:
    """What to write, in words, for a value of this type."""
    plain, limits = kind, ""
    if get_origin(kind) is Annotated:
        plain, *metas = get_args(kind)
        limits = _limits(metas)
    if get_origin(plain) is Literal:
        return _choice(get_args(plain))
    if get_origin(plain) in (Union, types.UnionType):
        return in_words(get_args(plain)[0])
    if get_origin(plain) in (tuple, list, frozenset) or plain in (list, tuple):
        return "a list"
    if isinstance(plain, type) and issubclass(plain, msgspec.Struct):
        return "a table with " + ", ".join(field.name for field in msgspec.structs.fields(plain))
    return _EXAMPLES.get(plain, "a table") + limits


def _choice(names: Iterable[Any]) -> str:
    return "one of " + ", ".join(map(str, names))


def _limits(metas: Sequence[Any]) -> str:
    told = []
    for meta in metas:
        for name, words in (("gt", "above"), ("ge", "at least"), ("le", "at most")):
            limit = getattr(meta, name, None)
            if limit is not None:
                told.append(f"{words} {limit}")
        if getattr(meta, "pattern", None):
            told.append(f"of the form {meta.pattern}")
    return f", {', '.join(told)}" if told else ""


def _at(key: str, name: str) -> str:
    return f"{key}.{name}" if key else str(name)
