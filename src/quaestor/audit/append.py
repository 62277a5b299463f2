"""Appending to the audit trail: called in the transaction of every state change (I8).

Two statements for any number of entries. When they fail the transaction fails, and with it the
business change (F48): there is no way around the trail.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from quaestor.audit.entry import SALT_BYTES, Entry, canonical_bytes, commitment
from quaestor.audit.payload import Payload

__all__ = ["EntryIds", "EntryRows", "PayloadRows", "append", "entry_rows", "payload_rows"]

_BLOCK = 1000
_NEXT_BLOCK = "select nextval('quaestor.audit_id')"

_INSERT_ENTRIES = """
insert into quaestor.audit
    (id, at, entity, document_id, correlation_id, canonical, salt, commitment)
select * from unnest(
    $1::bigint[], $2::timestamptz[], $3::text[], $4::bigint[], $5::text[],
    $6::bytea[], $7::bytea[], $8::bytea[])
"""
_INSERT_PAYLOADS = """
insert into quaestor.audit_payload
    (entity, retention, hash, subject, encoding, size, content, created_at)
select p.*, (select quaestor.clock()) from unnest(
    $1::text[], $2::text[], $3::bytea[], $4::text[], $5::smallint[], $6::integer[], $7::bytea[])
    as p
on conflict do nothing
"""


class EntryRows(NamedTuple):
    """Columns of `audit`, one list each, in the order of the entries."""

    ids: list[int]
    at: list[datetime]
    entities: list[str]
    document_ids: list[int | None]
    correlation_ids: list[str]
    canonical: list[bytes]
    salts: list[bytes]
    commitments: list[bytes]


class PayloadRows(NamedTuple):
    """Columns of `audit_payload`, one list each, ordered by key without repetition."""

    entities: list[str]
    retentions: list[str]
    hashes: list[bytes]
    subjects: list[str | None]
    encodings: list[int]
    sizes: list[int]
    contents: list[bytes]


class EntryIds:
    """Ids of entries, a block of 1,000 per question to the database.

    Unique over all processes; increasing within one process, not between them. Ids of entries
    that were not committed are lost, which means nothing: the order is the leaf's.
    """

    def __init__(self) -> None:
        self._blocks: deque[range] = deque()

    async def take(self, connection: asyncpg.Connection, count: int) -> list[int]:
        """The next `count` ids. Asks the database only when a block is used up."""
        while sum(map(len, self._blocks)) < count:
            first = await connection.fetchval(_NEXT_BLOCK)
            self._blocks.append(range(first, first + _BLOCK))
        taken: list[int] = []
        while len(taken) < count:
            block = self._blocks.popleft()
            wanted = count - len(taken)
            taken.extend(block[:wanted])
            if len(block) > wanted:
                self._blocks.appendleft(block[wanted:])
        return taken


def entry_rows(
    entries: Sequence[Entry], random_bytes: Callable[[int], bytes] = os.urandom
) -> EntryRows:
    """What the insert needs: canonical bytes, a fresh salt and the commitment of each entry.

    Raises `EntryInvalid`.
    """
    canonical = [canonical_bytes(entry) for entry in entries]
    drawn = random_bytes(SALT_BYTES * len(entries))
    salts = [drawn[start : start + SALT_BYTES] for start in range(0, len(drawn), SALT_BYTES)]
    return EntryRows(
        [entry.id for entry in entries],
        [entry.at for entry in entries],
        [entry.entity for entry in entries],
        [entry.document_id for entry in entries],
        [entry.correlation_id for entry in entries],
        canonical,
        salts,
        [*map(commitment, salts, canonical)],
    )


def payload_rows(payloads: Iterable[Payload]) -> PayloadRows:
    """What the insert needs. Sorted: two committers that share payloads cannot dead-lock."""
    distinct = {(item.entity, item.retention, item.hash): item for item in payloads}
    ordered = [distinct[key] for key in sorted(distinct)]
    return PayloadRows(
        [item.entity for item in ordered],
        [item.retention for item in ordered],
        [item.hash for item in ordered],
        [item.subject for item in ordered],
        [item.encoding for item in ordered],
        [item.size for item in ordered],
        [item.content for item in ordered],
    )


async def append(
    connection: asyncpg.Connection, entries: Sequence[Entry], payloads: Sequence[Payload] = ()
) -> None:
    """Write entries, one row each, and their payloads, in the caller's transaction.

    Call it once per transaction and as late as possible: whoever stores the same payload waits
    for the commit, and two calls could meet two others crosswise. Raises `EntryInvalid` before
    anything is written.
    """
    if not entries and not payloads:
        return
    rows = entry_rows(entries)
    if entries:
        await connection.execute(_INSERT_ENTRIES, *rows)
    if payloads:
        await connection.execute(_INSERT_PAYLOADS, *payload_rows(payloads))
