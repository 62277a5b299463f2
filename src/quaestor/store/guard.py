"""Invariant I10: no network call is made while a database transaction is open.

`Database.transaction` marks the running context; every wire asks before its first byte. Tasks
that are started inside a transaction inherit the mark, and lose it when that transaction ends.
"""

from __future__ import annotations

from contextvars import ContextVar

from quaestor.store.errors import NetworkCallInTransaction

__all__ = ["TransactionMark", "assert_outside_transaction", "in_transaction"]


class TransactionMark:
    """One open transaction. Entering marks the running context, leaving takes the mark away."""

    __slots__ = ("_open", "_outer")

    def __init__(self) -> None:
        self._open = False
        self._outer: TransactionMark | None = None

    @property
    def open(self) -> bool:
        """Whether this transaction, or the one around it, is still open."""
        return self._open or (self._outer is not None and self._outer.open)

    def enter(self) -> None:
        """Mark the running context."""
        self._open = True
        self._outer = _current.get()
        _current.set(self)

    def leave(self) -> None:
        """Take the mark away, also from tasks that were started inside."""
        # A token would insist on being reset in the very context that made it; a fixture or an
        # `aclosing` may leave from another one.
        self._open = False
        _current.set(self._outer)


_current: ContextVar[TransactionMark | None] = ContextVar("open_transaction", default=None)


def in_transaction() -> bool:
    """Whether the running context has a database transaction open."""
    mark = _current.get()
    return mark is not None and mark.open


def assert_outside_transaction() -> None:
    """Refuse with `NetworkCallInTransaction` when a transaction is open here. Wires call this."""
    if in_transaction():
        raise NetworkCallInTransaction
