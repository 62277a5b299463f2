"""Brings a database to the schema of this release, and says whether it is there.

Migrations are `NNNN_name.sql`, numbered from 0001 without a gap, each carried out in one
transaction and recorded with its sha256. A recorded one never changes again. Releases overlap
(expand, then contract): an older release runs on a newer schema, but does not migrate it.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from quaestor.store.database import SCHEMA
from quaestor.store.epoch import establish_epoch
from quaestor.store.errors import StorageUnavailable, StoreError

__all__ = [
    "MIGRATIONS",
    "DatabaseNewer",
    "Migration",
    "MigrationBlocked",
    "MigrationChanged",
    "MigrationError",
    "MigrationFailed",
    "MigrationMisnamed",
    "MigrationsPending",
    "migrate",
    "pending",
    "read_migrations",
    "require_migrated",
]

MIGRATIONS = Path(__file__).parent / "migrations"

_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
# Any number will do that nobody else locks in this database.
_LOCK = 0x5175_6165
_LOCK_TIMEOUT_S = 120.0
# Waiting longer for a table would make everyone else queue up behind us; after a pause of the
# same length, in which they get on, it is tried again.
_TABLE_LOCK_TIMEOUT_S = 2.0
_TABLE_LOCK_ATTEMPTS = 5
_STATEMENT_TIMEOUT_S = 600.0
_RECORD = f"""
create schema if not exists {SCHEMA};
create table if not exists {SCHEMA}.migration (
    number     integer primary key,
    name       text not null,
    sha256     text not null,
    applied_at timestamptz not null default clock_timestamp()
);
grant select on {SCHEMA}.migration to public;
"""


class MigrationError(StoreError):
    """The schema of the database is not what this release needs."""


class MigrationMisnamed(MigrationError):
    """Migrations are named NNNN_name.sql and numbered from 0001 without a gap."""


class MigrationChanged(MigrationError):
    """A migration differs from the one that the database recorded; write a new one instead."""


class DatabaseNewer(MigrationError):
    """The database was migrated by a newer release; migrate with that one."""


class MigrationBlocked(MigrationError):
    """The tables were in use for too long; nothing of this migration was applied."""


class MigrationFailed(MigrationError):
    """A migration ended with an error; nothing of it was applied."""


class MigrationsPending(MigrationError):
    """The database lacks migrations of this release; migrate first."""


@dataclass(frozen=True)
class Migration:
    """One file: its number, its name without number and suffix, and its text."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """The hash of the text, in hexadecimal digits."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.number:04d}_{self.name}"


async def migrate(
    dsn: str,
    *,
    directory: Path = MIGRATIONS,
    table_lock_timeout_s: float = _TABLE_LOCK_TIMEOUT_S,
) -> tuple[Migration, ...]:
    """Apply what is pending and return it. Twins that start together do it once.

    The DSN's user owns what is created. A migration that waits longer than
    `table_lock_timeout_s` for a table in use gives way and tries again, five times in all. Raises
    `MigrationError` and `StorageUnavailable`.
    """
    migrations = read_migrations(directory)
    connection = await _connect(dsn)
    try:
        # A session lock: it spans the transactions, and goes with us however we end.
        await _set_timeout(connection, "lock_timeout", _LOCK_TIMEOUT_S)
        try:
            await connection.execute("select pg_advisory_lock($1)", _LOCK)
        except asyncpg.LockNotAvailableError as error:
            raise MigrationBlocked("Another process has been migrating all the time.") from error
        await _set_timeout(connection, "lock_timeout", table_lock_timeout_s)
        await connection.execute(_RECORD)
        missing = _missing(migrations, await _recorded(connection))
        for migration in missing:
            await _apply(connection, migration, table_lock_timeout_s)
        if missing and missing[0].number == 1 and await _has_epoch(connection):
            await establish_epoch(connection, accepted_by="migrate")
    finally:
        await connection.close()
    return missing


async def pending(dsn: str, *, directory: Path = MIGRATIONS) -> tuple[Migration, ...]:
    """What `migrate` would apply. Raises what it would refuse."""
    migrations = read_migrations(directory)
    connection = await _connect(dsn)
    try:
        return _missing(migrations, await _recorded(connection))
    finally:
        await connection.close()


async def require_migrated(connection: asyncpg.Connection, *, directory: Path = MIGRATIONS) -> None:
    """Raise `MigrationsPending` unless this release can run on the database.

    A newer schema is accepted: during an upgrade old and new release work side by side (I31).
    """
    migrations = read_migrations(directory)
    recorded = await _recorded(connection)
    known = {number: row for number, row in recorded.items() if number <= len(migrations)}
    if missing := _missing(migrations, known):
        raise MigrationsPending(f"First of them: {missing[0]}.")


def read_migrations(directory: Path) -> tuple[Migration, ...]:
    """The migrations of a directory in order. Raises `MigrationMisnamed`."""
    found: list[Migration] = []
    for path in sorted(directory.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None or int(match[1]) != len(found) + 1:
            raise MigrationMisnamed(f"{path.name} is out of order.")
        found.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    return tuple(found)


def _missing(
    migrations: Sequence[Migration], recorded: dict[int, tuple[str, str]]
) -> tuple[Migration, ...]:
    for migration in migrations:
        known = recorded.get(migration.number)
        if known is not None and known != (migration.name, migration.sha256):
            raise MigrationChanged(f"It is {migration}.")
    if newer := [number for number in recorded if number > len(migrations)]:
        raise DatabaseNewer(f"It has {max(newer):04d}_{recorded[max(newer)][0]}.")
    return tuple(each for each in migrations if each.number not in recorded)


async def _recorded(connection: asyncpg.Connection) -> dict[int, tuple[str, str]]:
    try:
        rows = await connection.fetch(f"select number, name, sha256 from {SCHEMA}.migration")
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return {}
    return {row["number"]: (row["name"], row["sha256"]) for row in rows}


async def _apply(connection: asyncpg.Connection, migration: Migration, pause_s: float) -> None:
    for attempt in range(1, _TABLE_LOCK_ATTEMPTS + 1):
        try:
            async with connection.transaction():
                await connection.execute(migration.sql)
                await connection.execute(
                    f"insert into {SCHEMA}.migration (number, name, sha256) values ($1, $2, $3)",
                    migration.number,
                    migration.name,
                    migration.sha256,
                )
        except asyncpg.LockNotAvailableError as error:
            if attempt == _TABLE_LOCK_ATTEMPTS:
                raise MigrationBlocked(f"It is {migration}.") from error
            await asyncio.sleep(pause_s)
        except asyncpg.PostgresError as error:
            raise MigrationFailed(f"It is {migration}: {error}.") from error
        else:
            return


async def _has_epoch(connection: asyncpg.Connection) -> bool:
    table = await connection.fetchval("select to_regclass($1)", f"{SCHEMA}.epoch")
    return table is not None


async def _connect(dsn: str) -> asyncpg.Connection:
    try:
        connection = await asyncpg.connect(
            dsn, timeout=10.0, server_settings={"application_name": "quaestor migrate"}
        )
    except (OSError, TimeoutError, asyncpg.PostgresConnectionError) as error:
        raise StorageUnavailable from error
    await _set_timeout(connection, "statement_timeout", _STATEMENT_TIMEOUT_S)
    return connection


async def _set_timeout(connection: asyncpg.Connection, name: str, value_s: float) -> None:
    await connection.execute("select set_config($1, $2, false)", name, f"{value_s * 1000:.0f}")
