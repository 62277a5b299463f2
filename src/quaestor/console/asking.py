"""What a page is asked and what it replies. Pages know nothing of HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from quaestor.console.services import ConsoleServices
from quaestor.model.refusal import Refusal, refuse
from quaestor.security.authorization import Scope
from quaestor.security.identity import Caller
from quaestor.store import Connection

__all__ = ["Ask", "Go", "Page", "Refused", "Reply", "at_most", "may"]

_NUMBER_MAX = 10**9


class Refused(Exception):
    """The page is not to be had: `refusal` says why, `status` is HTTP's."""

    def __init__(self, status: int, refusal: Refusal | str) -> None:
        self.refusal = refuse(refusal) if isinstance(refusal, str) else refusal
        super().__init__(self.refusal.code)
        self.status = status


class Ask(msgspec.Struct, frozen=True):
    """One request for a page. `now` is database time; `path` and `query` hold its values."""

    services: ConsoleServices
    caller: Caller
    now: datetime
    path: Mapping[str, str]
    query: Mapping[str, str]


class Reply(msgspec.Struct, frozen=True):
    """A template and what it shows. `refreshable` pages may be asked to update themselves."""

    template: str
    shows: Mapping[str, Any]
    status: int = 200
    refreshable: bool = False


class Go(msgspec.Struct, frozen=True):
    """Another page has it."""

    to: str


class Page(msgspec.Struct, frozen=True):
    """A page: where it is, who may see it (any one of `scopes`), and what makes it.

    `query` names what its address may hold; anything else is ignored.
    """

    path: str
    make: Callable[[Ask, Connection], Awaitable[Reply | Go]]
    scopes: tuple[Scope, ...]
    query: tuple[str, ...] = ()


def may(caller: Caller, *any_of: Scope) -> bool:
    """Whether a caller has one of the scopes."""
    return bool(caller.scopes & {str(scope) for scope in any_of})


def at_most(text: str | None, otherwise: int) -> int:
    """A positive number of the address, or the usual one."""
    if text and text.isascii() and text.isdecimal() and len(text) < 10:
        return min(max(1, int(text)), _NUMBER_MAX)
    return otherwise
