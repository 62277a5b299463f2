"""The epoch: is this still the database that our intents were written to? (D3)

After a failover or a restore, transactions that were acknowledged may be missing: what was sent
may be unknown here. The pair of system identifier (made by initdb) and timeline (a new one after
each promotion or point-in-time recovery) tells. A dump into another cluster changes the first, a
restore or a failover the second. Until `quaestor recover` accepts the new epoch, nothing is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from quaestor.store.database import SCHEMA
from quaestor.store.errors import StorageUnavailable, StoreError

__all__ = [
    "AcceptedEpoch",
    "Epoch",
    "EpochChanged",
    "EpochError",
    "EpochUnknown",
    "accept_epoch",
    "establish_epoch",
    "read_epoch",
    "require_same_epoch",
    "stored_epoch",
]

# The control file tells the timeline of the last checkpoint, which lags behind a promotion. The
# name of the file that the next record goes to is right from the first moment.
_CURRENT = """
select (select system_identifier::text from pg_control_system()) as system_identifier,
       ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int as timeline
"""
_STORED = f"""
select system_identifier::text as system_identifier, timeline, accepted_at, accepted_by,
       recovery_point
from {SCHEMA}.epoch order by id desc limit 1
"""
_ACCEPT = f"""
insert into {SCHEMA}.epoch
    (system_identifier, timeline, accepted_at, accepted_by, recovery_point)
values ($1, $2, {SCHEMA}.clock(), $3, $4)
"""


class EpochError(StoreError):
    """The epoch of the database is not certain; nothing is sent."""


class EpochChanged(EpochError):
    """The database was restored or failed over; nothing is sent until `quaestor recover`."""


class EpochUnknown(EpochError):
    """The database never recorded its epoch; migrate it first."""


@dataclass(frozen=True)
class Epoch:
    """`system_identifier` as decimal digits (64 bit unsigned), `timeline` from 1 upwards."""

    system_identifier: str
    timeline: int

    def __str__(self) -> str:
        return f"{self.system_identifier}/{self.timeline}"


@dataclass(frozen=True)
class AcceptedEpoch:
    """An epoch that was accepted: when, by whom, and up to which moment the data is known good.

    `recovery_point` is None for the first epoch. Documents changed after it are looked up in the
    target system before their first send.
    """

    epoch: Epoch
    accepted_at: datetime
    accepted_by: str
    recovery_point: datetime | None


async def read_epoch(connection: asyncpg.Connection) -> Epoch:
    """What the server is now. Raises `StorageUnavailable` on a standby, which cannot write."""
    try:
        row = await connection.fetchrow(_CURRENT)
    except asyncpg.ObjectNotInPrerequisiteStateError as error:
        raise StorageUnavailable("The server is a standby.") from error
    return Epoch(row["system_identifier"], row["timeline"])


async def stored_epoch(connection: asyncpg.Connection) -> AcceptedEpoch | None:
    """The newest accepted epoch, or None where none was ever recorded."""
    row = await connection.fetchrow(_STORED)
    if row is None:
        return None
    epoch = Epoch(row["system_identifier"], row["timeline"])
    return AcceptedEpoch(epoch, row["accepted_at"], row["accepted_by"], row["recovery_point"])


async def require_same_epoch(connection: asyncpg.Connection) -> AcceptedEpoch:
    """The accepted epoch, if it is the current one. `EpochChanged` and `EpochUnknown` if not."""
    accepted = await stored_epoch(connection)
    if accepted is None:
        raise EpochUnknown
    current = await read_epoch(connection)
    if accepted.epoch != current:
        raise EpochChanged(f"It was {accepted.epoch} and is {current}.")
    return accepted


async def accept_epoch(
    connection: asyncpg.Connection, *, accepted_by: str, recovery_point: datetime | None
) -> Epoch:
    """Record the current epoch as the one to work in, and return it. For `quaestor recover`."""
    current = await read_epoch(connection)
    await connection.execute(
        _ACCEPT, current.system_identifier, current.timeline, accepted_by, recovery_point
    )
    return current


async def establish_epoch(connection: asyncpg.Connection, *, accepted_by: str) -> None:
    """Record the epoch of a database that was just made; `migrate` calls this.

    One that ever had an epoch is left alone. A dump therefore goes into an empty database, never
    into a migrated one: it has to bring the epoch that its intents were written in.
    """
    if await stored_epoch(connection) is None:
        await accept_epoch(connection, accepted_by=accepted_by, recovery_point=None)
