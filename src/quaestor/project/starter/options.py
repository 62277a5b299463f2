"""Every option of a configuration type as commented TOML: made from the type, so never stale."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from types import MappingProxyType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from quaestor.project.shape import in_words

__all__ = ["about", "choices", "default_of", "option"]

_WIDTH = 96
_COMMENT_AT = 40


def about(kind: type[msgspec.Struct]) -> list[str]:
    """What the type says about itself, as comments."""
    paragraphs = inspect.cleandoc(kind.__doc__ or "").split("\n\n")
    lines: list[str] = []
    for paragraph in paragraphs:
        lines += [*textwrap.wrap(" ".join(paragraph.split()), _WIDTH), ""]
    return [f"# {line}".rstrip() for line in lines[:-1]]


def choices(
    kind: type[msgspec.Struct],
    table: str,
    *,
    without: Collection[str] = (),
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> list[str]:
    """A commented line for each option, with its default and what it takes; tables come last.

    What is required has no default and is left to the caller. `defaults` are those that hold
    before the type's own.
    """
    hints = get_type_hints(kind, include_extras=True)
    lines: list[str] = []
    tables: list[str] = []
    for field in msgspec.structs.fields(kind):
        if field.name in without or field.required:
            continue
        inner = _struct_in(hints[field.name])
        if inner is not None:
            default = default_of(field)
            of = type(default) if isinstance(default, inner) else inner
            tables += ["", f"# [{table}.{field.name}]", *_indented(about(of))]
            tables += choices(of, f"{table}.{field.name}")
            continue
        value = defaults.get(field.name, default_of(field))
        lines.append(option(field.name, value, hints[field.name]))
    return lines + tables


def option(name: str, value: Any, hint: Any, *, is_on: bool = False) -> str:
    """One line: `# name = value    # what it takes`; without the first mark where it `is_on`."""
    written = _toml(_example(hint) if value is None else value)
    line = f"{'' if is_on else '# '}{name} = {written}"
    unset = "not set by itself; " if value is None else ""
    return f"{line:<{_COMMENT_AT}} # {unset}{in_words(hint)}"


def _indented(lines: list[str]) -> list[str]:
    return [line.replace("# ", "#   ", 1) for line in lines]


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    """The default of an option; `None` where it has none."""
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.default is msgspec.NODEFAULT else field.default


def _struct_in(hint: Any) -> type[msgspec.Struct] | None:
    """The struct that a member holds, where it holds one."""
    return next((kind for kind in _kinds(hint) if _is_struct(kind)), None)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _kinds(hint: Any) -> Iterator[Any]:
    if get_origin(hint) is Annotated:
        yield from _kinds(get_args(hint)[0])
    elif get_origin(hint) is Union or isinstance(hint, type(int | str)):
        for one in get_args(hint):
            yield from _kinds(one)
    else:
        yield hint


def _example(hint: Any) -> Any:
    """A value that the type takes, for an option that is nothing until somebody sets it."""
    kinds = [kind for kind in _kinds(hint) if kind is not type(None)]
    for kind, value in _EXAMPLES.items():
        if kind in kinds:
            return value
    return get_args(kinds[0])[0]


_EXAMPLES: Mapping[Any, Any] = {bool: True, int: 1, float: 5.0, str: "…", date: date(2026, 1, 1)}


def _toml(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            # A literal text where a backslash would have to be doubled.
            return f"'{value}'" if "\\" in value else json.dumps(value, ensure_ascii=False)
        case int() | float():
            return f"{value:g}" if isinstance(value, float) else str(value)
        case Mapping():
            inner = ", ".join(f"{json.dumps(str(k))} = {_toml(v)}" for k, v in value.items())
            return f"{{{inner}}}"
        case tuple() | list() | frozenset():
            return f"[{', '.join(map(_toml, value))}]"
        case _:
            return str(value)
