"""Archiving a month: why it may not be yet, its file, and taking it out of the trail.

What the application may never do the owner of the tables does here: a month leaves the database
once its file has proved itself. Its leaves stay, so everything else stays provable as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec

from quaestor.audit.archive import (
    FORMAT,
    ArchivedLeaf,
    ArchiveHeader,
    archive_name,
    sha256_of,
    write_archive,
)
from quaestor.audit.months import look_outside, read_months
from quaestor.audit.tree import subtree_roots
from quaestor.model.refusal import Refusal, refuse

__all__ = [
    "MonthFacts",
    "MonthNotWhole",
    "detach",
    "drop_detached",
    "export",
    "is_of_detached",
    "read_facts",
    "why_not",
]

_BATCH = 2000
_LOCK_TIMEOUT = "10s"

_NOW = "select quaestor.clock()"
# Reads the month once; the slowest part, and it holds up nobody.
_FACTS = """
select count(*) as entries, count(l.leaf) as placed, min(l.leaf) as first_leaf,
       max(l.leaf) + 1 as end_leaf,
       count(distinct w.document_id) filter (where w.done_at is null) as open_documents
from quaestor.audit a
left join quaestor.audit_leaf l on l.audit_id = a.id
left join quaestor.work w on w.document_id = a.document_id
where a.at >= $1 and a.at < $2
"""
_CHECKPOINT = """
select size, note from quaestor.checkpoint where size >= $1 order by size limit 1
"""
_LEAVES = """
select l.leaf, l.leaf_hash, l.at as leaf_at, a.id,
       a.txid::text::numeric::bigint as txid, a.at, a.entity, a.document_id,
       a.correlation_id, a.canonical, a.salt, a.commitment
from (
    select leaf, audit_id, at, leaf_hash from quaestor.audit_leaf
    where leaf >= $1 and leaf < $2 order by leaf
) l
left join quaestor.audit a on a.id = l.audit_id and a.at = l.at and a.at >= $3 and a.at < $4
order by l.leaf
"""
_DETACH = "select quaestor.audit_detach($1, $2, $3, $4, $5, $6, $7)"
_PATIENCE = f"set local lock_timeout = '{_LOCK_TIMEOUT}'"
_ARCHIVED = "select sha256 from quaestor.audit_archive where month = $1"


class MonthNotWhole(Exception):
    """A leaf of the month has no entry: the trail was changed. `audit verify` says where."""


class MonthFacts(msgspec.Struct, frozen=True):
    """What decides whether a month may be archived; `month` is `2026-03`, times are database time.

    `attached` are the months that have a partition. Of the month itself there are so many
    `entries`, `placed` of which have a leaf in `[first_leaf, end_leaf)`; `signed_size` is the
    smallest checkpoint that covers them. `outside` stand in no month.
    """

    month: str
    now: datetime
    keep_months: int | None
    attached: tuple[str, ...] = ()
    outside: int = 0
    entries: int = 0
    placed: int = 0
    first_leaf: int = 0
    end_leaf: int = 0
    open_documents: int = 0
    signed_size: int | None = None
    checkpoint: str = ""


def why_not(facts: MonthFacts) -> Refusal | None:
    """Why the month must stay; the first that holds."""
    return _kept(facts) or _not_done(facts)


def _kept(facts: MonthFacts) -> Refusal | None:
    """What is known before anything of the month is read."""
    month, kept = facts.month, facts.keep_months
    if month not in facts.attached:
        return refuse("audit_month_unknown", month=month)
    age = _ordinal(f"{facts.now:%Y-%m}") - _ordinal(month)
    if age <= 0:
        return refuse("audit_month_unfinished", month=month)
    if kept is None or age <= kept:
        return refuse("audit_month_retained", keep_months="not said" if kept is None else str(kept))
    if month != min(facts.attached):
        return refuse("audit_month_not_oldest", oldest=min(facts.attached))
    if facts.outside:
        return refuse("audit_outside_months", entries=str(facts.outside))
    return None


def _not_done(facts: MonthFacts) -> Refusal | None:
    if facts.placed < facts.entries:
        return refuse("audit_month_unsequenced", entries=str(facts.entries - facts.placed))
    if facts.signed_size is None:
        return refuse("audit_month_unsigned", leaves=str(facts.end_leaf))
    if facts.open_documents:
        return refuse("audit_month_in_use", documents=str(facts.open_documents))
    return None


async def read_facts(
    connection: asyncpg.Connection, month: str, keep_months: int | None
) -> MonthFacts:
    """What is so. The month is read only where nothing else keeps it already."""
    now = await connection.fetchval(_NOW)
    attached = tuple(each.name for each in await read_months(connection))
    outside = await look_outside(connection)
    facts = MonthFacts(month, now, keep_months, attached, outside.entries)
    if _kept(facts) is not None:
        return facts
    row = await connection.fetchrow(_FACTS, *_bounds(month))
    assert row is not None
    end = row["end_leaf"] or 0
    signed = await connection.fetchrow(_CHECKPOINT, end)
    return msgspec.structs.replace(
        facts,
        entries=row["entries"],
        placed=row["placed"],
        first_leaf=row["first_leaf"] or 0,
        end_leaf=end,
        open_documents=row["open_documents"],
        signed_size=None if signed is None else signed["size"],
        checkpoint="" if signed is None else signed["note"],
    )


async def export(connection: asyncpg.Connection, facts: MonthFacts, folder: Path) -> Path:
    """Write the file of a month that may go. Raises `MonthNotWhole`, `TreeIncomplete` and
    `OSError`.
    """
    assert facts.signed_size is not None
    header = ArchiveHeader(
        format=FORMAT,
        month=facts.month,
        first_leaf=facts.first_leaf,
        end_leaf=facts.end_leaf,
        entries=facts.entries,
        left=tuple(await subtree_roots(connection, (0, facts.first_leaf))),
        right=tuple(await subtree_roots(connection, (facts.end_leaf, facts.signed_size))),
        checkpoint=facts.checkpoint,
    )
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    path = folder / archive_name(facts.month)
    await write_archive(path, header, _leaves(connection, facts))
    return path


async def detach(connection: asyncpg.Connection, facts: MonthFacts, file: Path, by: str) -> None:
    """Take the month out of the trail; its partition stays as a table, guarded as before.

    In the transaction of the caller, who owns the tables. Writers wait while its entries are
    counted once more. Raises `asyncpg.LockNotAvailableError` where somebody reads for too long,
    and `asyncpg.SerializationError` where the file does not hold all of it.
    """
    digest = await asyncio.to_thread(sha256_of, file)
    await connection.execute(_PATIENCE)
    first, end = facts.first_leaf, facts.end_leaf
    await connection.execute(_DETACH, facts.month, first, end, facts.entries, file.name, digest, by)


async def is_of_detached(connection: asyncpg.Connection, month: str, file: Path) -> bool:
    """Whether this is the file with which the month was detached. Raises `OSError`."""
    digests = {row["sha256"] for row in await connection.fetch(_ARCHIVED, month)}
    return await asyncio.to_thread(file.exists) and (
        await asyncio.to_thread(sha256_of, file) in digests
    )


async def drop_detached(connection: asyncpg.Connection, month: str, file: Path) -> bool:
    """Drop the table of a detached month, if this is its file; whether it was there and is."""
    table = f"quaestor.audit_{month.replace('-', '_')}"
    if not await is_of_detached(connection, month, file):
        return False
    if month in {each.name for each in await read_months(connection)}:
        return False
    if await connection.fetchval("select to_regclass($1)", table) is None:
        return False
    await connection.execute(f"drop table {table}")
    return True


async def _leaves(connection: asyncpg.Connection, facts: MonthFacts) -> AsyncIterator[ArchivedLeaf]:
    begins, ends = _bounds(facts.month)
    for first in range(facts.first_leaf, facts.end_leaf, _BATCH):
        end = min(first + _BATCH, facts.end_leaf)
        for row in await connection.fetch(_LEAVES, first, end, begins, ends):
            if row["id"] is not None:
                yield ArchivedLeaf(
                    row["leaf"],
                    b"",
                    row["id"],
                    row["txid"],
                    row["at"],
                    row["entity"],
                    row["document_id"],
                    row["correlation_id"],
                    row["canonical"],
                    row["salt"],
                    row["commitment"],
                )
            elif begins <= row["leaf_at"] < ends:
                raise MonthNotWhole(f"Leaf {row['leaf']} has no entry.")
            else:
                yield ArchivedLeaf(row["leaf"], row["leaf_hash"])


def _ordinal(month: str) -> int:
    year, _, number = month.partition("-")
    return int(year) * 12 + int(number)


def _bounds(month: str) -> tuple[datetime, datetime]:
    """The month in UTC, as its partition has it."""
    begins = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    year, number = divmod(_ordinal(month), 12)
    return begins, datetime(year, number + 1, 1, tzinfo=UTC)
