"""Replicating: lists that another system owns are staged page by page, and let in whole.

All of it happens in the transaction that moves the stream's cursor, so that a row is taken once.
A reading is of everything, or of what changed since the last; either holds only at its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from quaestor.masterdata.replicas import difference, load_refused
from quaestor.model.refusal import Refusal
from quaestor.model.replica import PersonRow, ReplicaRow, SupplierRow
from quaestor.store import Connection

__all__ = ["ROW_TYPES", "begin_reading", "decode_row", "take_in_rows"]

# The kinds of lists that are replicated, by the names of ownership.yaml.
ROW_TYPES: Mapping[str, type[ReplicaRow]] = {"employee": PersonRow, "supplier": SupplierRow}

_BEGIN = """
insert into quaestor.replica (system, kind) values ($1, $2) on conflict do nothing
"""
_WHOLE_AGAIN = """
select reading is null and loaded_at <= quaestor.clock() - $3::interval
from quaestor.replica where system = $1 and kind = $2
"""
_STATE = """
select reading, begun_at from quaestor.replica where system = $1 and kind = $2 for update
"""
_READING = """
update quaestor.replica set reading = $3, begun_at = $4 where system = $1 and kind = $2
"""
_HOLDS = """
update quaestor.replica
set as_of = begun_at, version = version + $3::int, reading = null,
    loaded_at = case when reading = 'full' then begun_at else loaded_at end
where system = $1 and kind = $2
"""
_STAGE = """
insert into quaestor.replica_row (system, kind, staged, id, body)
select $1, $2, true, u.id, u.body from unnest($3::text[], $4::bytea[]) u (id, body)
on conflict (system, kind, staged, id) do update set body = excluded.body
"""
_ROWS = """
select staged, id, body from quaestor.replica_row where system = $1 and kind = $2
"""
_REMOVE = """
delete from quaestor.replica_row
where system = $1 and kind = $2 and not staged and id = any($3)
"""
_LET_IN = """
insert into quaestor.replica_row (system, kind, staged, id, body)
select system, kind, false, id, body from quaestor.replica_row
where system = $1 and kind = $2 and staged and id = any($3)
on conflict (system, kind, staged, id) do update set body = excluded.body
"""
_UNSTAGE = """
delete from quaestor.replica_row where system = $1 and kind = $2 and staged
"""

_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger(__name__)


def decode_row(kind: str, body: bytes) -> ReplicaRow:
    """A stored row of this kind of list."""
    return msgspec.json.decode(body, type=ROW_TYPES[kind])


async def begin_reading(
    connection: Connection, system: str, kind: str, cursor: str | None, whole_every: timedelta
) -> str | None:
    """The cursor to ask with: none where everything has to be read again."""
    await connection.execute(_BEGIN, system, kind)
    again = await connection.fetchval(_WHOLE_AGAIN, system, kind, whole_every)
    return None if again else cursor


async def take_in_rows(
    connection: Connection,
    system: str,
    kind: str,
    rows: Sequence[ReplicaRow],
    *,
    first: bool,
    last: bool,
    asked_at: datetime,
) -> Refusal | None:
    """Stage a page, `first` and `last` of a reading or between; at the end let it in.

    A refusal means that nothing of the reading holds, and that it has to begin anew.
    """
    state = await connection.fetchrow(_STATE, system, kind)
    assert state is not None, "a reading was begun"
    reading, begun_at = state["reading"], state["begun_at"]
    if first:
        await connection.execute(_UNSTAGE, system, kind)
        reading, begun_at = "full", asked_at
    elif reading is None:
        reading, begun_at = "changes", asked_at
    await connection.execute(_READING, system, kind, reading, begun_at)
    if rows:
        newest = {row.id: row for row in rows}
        await connection.execute(
            _STAGE, system, kind, list(newest), [_encode(row) for row in newest.values()]
        )
    if not last:
        return None
    return await _end(connection, system, kind, whole=reading == "full")


async def _end(connection: Connection, system: str, kind: str, *, whole: bool) -> Refusal | None:
    before: dict[str, ReplicaRow] = {}
    staged: dict[str, ReplicaRow] = {}
    changes = 0
    if whole or await _anything_staged(connection, system, kind):
        for row in await connection.fetch(_ROWS, system, kind):
            (staged if row["staged"] else before)[row["id"]] = decode_row(kind, row["body"])
        after = staged if whole else before | staged
        refusal = load_refused(before, after, whole=whole)
        if refusal is not None:
            await connection.execute(_UNSTAGE, system, kind)
            await connection.execute(_READING, system, kind, None, None)
            return refusal
        found = difference(before, after)
        changes = len(found.added) + len(found.changed) + len(found.removed)
        await connection.execute(_REMOVE, system, kind, list(found.removed))
        await connection.execute(_LET_IN, system, kind, [*found.added, *found.changed])
        await connection.execute(_UNSTAGE, system, kind)
        _log.info(
            "replica_read",
            system=system,
            kind=kind,
            whole=whole,
            added=len(found.added),
            changed=len(found.changed),
            removed=len(found.removed),
        )
    await connection.execute(_HOLDS, system, kind, int(changes > 0))
    return None


async def _anything_staged(connection: Connection, system: str, kind: str) -> bool:
    query = (
        "select exists (select from quaestor.replica_row"
        " where system = $1 and kind = $2 and staged)"
    )
    found: bool = await connection.fetchval(query, system, kind)
    return found
