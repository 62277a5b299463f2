"""Entries with defaults: a test says only what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import asyncpg

from quaestor.audit.append import EntryIds, append
from quaestor.audit.entry import Entry
from quaestor.audit.payload import Payload
from quaestor.audit.sequencer import Sequencer
from quaestor.store.database import Database

__all__ = ["an_entry", "append_entries", "place_all"]

_DEFAULTS: Mapping[str, Any] = {
    "format": 1,
    "id": 1,
    "at": datetime(2026, 11, 22, 10, 35, 50, 470296, tzinfo=UTC),
    "entity": "DE01",
    "correlation_id": "c-1",
    "actor": "system:quaestor",
    "effect": "send",
    "outcome": "applied",
}


def an_entry(**members: Any) -> Entry:
    return Entry(**{**_DEFAULTS, **members})


async def append_entries(
    connection: asyncpg.Connection,
    count: int = 1,
    stored: tuple[Payload, ...] = (),
    **members: Any,
) -> list[int]:
    """Append `count` entries at database time, and payloads beside them; returns their ids."""
    ids = await EntryIds().take(connection, count)
    at = await connection.fetchval("select quaestor.clock()")
    entries = [an_entry(**{"id": number, "at": at, **members}) for number in ids]
    await append(connection, entries, stored)
    return ids


async def place_all(pool: Database, **options: int) -> int:
    """Place entries until nothing is left; how many leaves there are."""
    sequencer = Sequencer(pool, **options)
    async with pool.connection() as connection:
        assert await sequencer.lead(connection)
        while (await sequencer.place(connection)).count:
            pass
    return sequencer.next_leaf
