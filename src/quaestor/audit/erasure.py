"""Erasure: what the law asks to forget goes; rows, leaves and proofs stay.

Each erasure is itself an entry of the trail, made by the database in the same statement. The
reason is part of that entry for ever: it names a ticket or a law, never a person.
"""

from __future__ import annotations

from datetime import datetime

import asyncpg

from quaestor.audit.payload import Retention

__all__ = ["erase_entry", "erase_payloads", "erase_subject"]


async def erase_subject(
    connection: asyncpg.Connection, subject: str, *, actor: str, reason: str
) -> bool:
    """Forget a person: identity, key, and every payload sealed under it. False if nothing was left.

    Backups hold the wrapped key until they expire; whoever also holds the deployment's key could
    read them that long.
    """
    return bool(
        await connection.fetchval(
            "select quaestor.erase_subject($1, $2, $3)", subject, actor, reason
        )
    )


async def erase_payloads(
    connection: asyncpg.Connection,
    entity: str,
    retention: Retention,
    *,
    before: datetime,
    actor: str,
    reason: str,
    at_most: int = 1000,
) -> int:
    """Erase payloads of a class that are older than `before`; returns how many.

    At most `at_most` per call, so that a transaction stays short: call again until it is 0.
    """
    erased: int = await connection.fetchval(
        "select quaestor.erase_payloads($1, $2, $3, $4, $5, $6)",
        entity,
        retention.value,
        before,
        at_most,
        actor,
        reason,
    )
    return erased


async def erase_entry(
    connection: asyncpg.Connection, entry_id: int, *, actor: str, reason: str
) -> bool:
    """Erase the bytes and the salt of one entry: for what should never have been in it.

    The commitment stays and tells nothing. False if there is no such entry, or it was erased.
    """
    return bool(
        await connection.fetchval(
            "select quaestor.erase_entry($1, $2, $3)", entry_id, actor, reason
        )
    )
