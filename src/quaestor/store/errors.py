"""What can be wrong with the store. An error's docstring is its message.

    StoreError
    ├── StorageUnavailable          the database cannot serve now; asking again later is right
    ├── StorageRefused              the database does not let us in as configured
    ├── CommitOutcomeUnknown        the acknowledgement of a commit was lost and cannot be looked up
    ├── ServerTooOld                the server lacks what our transactions rely on
    ├── NetworkCallInTransaction    invariant I10 was broken by our own code
    ├── MigrationError              see `quaestor.store.migrate`
    ├── EpochError                  see `quaestor.store.epoch`
    ├── EnvironmentMismatch         see `quaestor.store.deployment`
    └── EmbeddedServerError         see `quaestor.store.embedded`

No message ever holds a DSN: it may carry a password.
"""

from __future__ import annotations

import inspect

import asyncpg

__all__ = [
    "CommitOutcomeUnknown",
    "NetworkCallInTransaction",
    "ServerTooOld",
    "StorageRefused",
    "StorageUnavailable",
    "StoreError",
    "is_storage_trouble",
]


class StoreError(Exception):
    """Something is wrong with the store."""

    def __init__(self, detail: str = "") -> None:
        message = " ".join(inspect.cleandoc(type(self).__doc__ or "").split())
        super().__init__(f"{message} {detail}".rstrip())
        self.detail = detail


class StorageUnavailable(StoreError):
    """The database cannot serve now; nothing was changed."""

    code = "storage_unavailable"


class StorageRefused(StoreError):
    """The database does not let us in: check user, password and database, and migrate it first."""


class CommitOutcomeUnknown(StoreError):
    """The connection broke during a commit, and whether it took effect cannot be looked up."""


class ServerTooOld(StoreError):
    """Quaestor needs PostgreSQL 17 or newer."""


class NetworkCallInTransaction(StoreError):
    """A network call was attempted while a database transaction is open."""


def is_storage_trouble(error: BaseException) -> bool:
    """Whether the store is in trouble, and not what was to be stored: asking again is right."""
    if isinstance(error, asyncpg.DataError):
        return False
    # asyncpg calls it internal when the server ends a connection in the middle of its work.
    troubles = StoreError | OSError | TimeoutError | asyncpg.InterfaceError
    return isinstance(error, troubles | asyncpg.InternalClientError)
