"""The months of the trail: each has its partition, and what stands in none is told and moved.

Partitions are made ahead, so entries stand outside of them only where no worker has run for months.
They are as provable there; what they cannot is be archived with their month.
"""

from __future__ import annotations

from datetime import UTC, datetime

import asyncpg
import msgspec

from quaestor.model.refusal import Refusal, refuse

__all__ = ["COUNTED_MAX", "Month", "Outside", "gather", "look_outside", "make_ahead", "read_months"]

COUNTED_MAX = 10_000
"""As many entries outside of months are counted, and moved by a worker; it takes a second."""

_MAKE = "select quaestor.audit_partitions($1)"
_OUTSIDE = "select month, entries from quaestor.audit_outside($1)"
_GATHER = "select quaestor.audit_gather($1)"
_MONTHS = """
select replace(right(c.relname, 7), '_', '-') as name, greatest(c.reltuples, 0)::bigint as entries,
       pg_total_relation_size(c.oid) as bytes
from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'quaestor.audit'::regclass and c.relname ~ '^audit_[0-9]{4}_[0-9]{2}$'
order by c.relname
"""
_PATIENCE = "select set_config('lock_timeout', $1, true)"


class Outside(msgspec.Struct, frozen=True):
    """Entries that stand in no month's partition: how many, and of which months, in UTC."""

    entries: int
    months: tuple[datetime, ...]

    @property
    def refusal(self) -> Refusal | None:
        """The alarm, where there are any."""
        if not self.entries:
            return None
        more = self.entries > COUNTED_MAX
        return refuse(
            "audit_outside_months",
            entries=f"over {COUNTED_MAX}" if more else str(self.entries),
            oldest=self.months[0].strftime("%Y-%m"),
        )


class Month(msgspec.Struct, frozen=True):
    """The partition of a month: about how many entries are in it, and its bytes with indexes."""

    name: str
    entries: int
    bytes: int


async def read_months(connection: asyncpg.Connection) -> list[Month]:
    """The months that have a partition, the oldest first."""
    return [Month(**row) for row in await connection.fetch(_MONTHS)]


async def make_ahead(connection: asyncpg.Connection, months_ahead: int) -> None:
    """Make the partitions of this month and the next ones."""
    await connection.execute(_MAKE, months_ahead)


async def look_outside(connection: asyncpg.Connection) -> Outside:
    """What stands outside of months; one more than `COUNTED_MAX` where there are more."""
    rows = await connection.fetch(_OUTSIDE, COUNTED_MAX + 1)
    return Outside(
        sum(row["entries"] for row in rows), tuple(row["month"].replace(tzinfo=UTC) for row in rows)
    )


async def gather(
    connection: asyncpg.Connection, *, at_most: int = COUNTED_MAX, lock_timeout_s: float = 1.0
) -> int:
    """Move entries into their months, in the transaction of the caller; none if there are more
    than `at_most`. Whoever writes waits meanwhile. Raises `asyncpg.LockNotAvailableError` where
    somebody reads or writes the trail for longer than `lock_timeout_s`.
    """
    await connection.execute(_PATIENCE, f"{lock_timeout_s * 1000:.0f}")
    moved: int = await connection.fetchval(_GATHER, at_most)
    return moved
