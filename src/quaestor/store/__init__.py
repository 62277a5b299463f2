"""The store: PostgreSQL, embedded or yours, in one dialect with one set of guarantees (D7).

embedded     starts, shares and stops a private PostgreSQL on a laptop
database     the connection pool, transactions and their retries
migrate      brings a database to the schema of this release
deployment   notices that the database is another deployment's
epoch        notices that the database is not the one it was (D3)
guard        no network call while a transaction is open (invariant I10)
errors       what can be wrong with the store
"""

from __future__ import annotations

from quaestor.store.database import Connection, Database
from quaestor.store.errors import (
    CommitOutcomeUnknown,
    NetworkCallInTransaction,
    ServerTooOld,
    StorageRefused,
    StorageUnavailable,
    StoreError,
    is_storage_trouble,
)
from quaestor.store.guard import assert_outside_transaction

__all__ = [
    "Connection",
    "Database",
    "CommitOutcomeUnknown",
    "NetworkCallInTransaction",
    "ServerTooOld",
    "StorageRefused",
    "StorageUnavailable",
    "StoreError",
    "assert_outside_transaction",
    "is_storage_trouble",
]
