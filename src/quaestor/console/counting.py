"""Counts that cost the same whether a hundred documents wait or a million: each ends at a limit."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

import msgspec

from quaestor.console.wording import COUNTED_MAX
from quaestor.runtime.lanes import lane_name, lane_names, system_of
from quaestor.store import Connection

__all__ = ["OWNERS", "Backlog", "backlogs", "due_first", "parked_by_owner"]

OWNERS = ("finance", "operator", "requester")

_PARKED = """
select o.owner, counted.count
from unnest($1::text[]) o (owner)
cross join lateral (
    select count(*) as count from (
        select from quaestor.work where parked_at is not null and parked_owner = o.owner limit $2
    ) found
) counted
where counted.count > 0 order by o.owner
"""
# Of each lane those that are due first.
_BACKLOG = """
select w.lane, counted.count, counted.oldest, counted.due_at
from unnest($1::text[]) w (lane)
cross join lateral (
    select count(*) as count, min(lane_since) as oldest, min(due_at) as due_at from (
        select lane_since, due_at from quaestor.work
        where lane = w.lane and due_at is not null and parked_at is null
        order by due_at limit $2
    ) found
) counted
where counted.count > 0
"""
# As they are taken up: of each lane as many as may be on the page, then these in one order.
_DUE_FIRST = """
select found.document_id
from unnest($1::text[]) w (lane)
cross join lateral (
    select document_id, due_at from quaestor.work
    where lane = w.lane and due_at is not null and parked_at is null
    order by due_at limit $2::bigint + $3::bigint
) found
order by found.due_at, found.document_id offset $2 limit $3
"""


class Backlog(msgspec.Struct, frozen=True):
    """What goes on by itself, of one system or of none: `oldest` waits for a slot there since."""

    count: int = 0
    oldest: datetime | None = None
    due_at: datetime | None = None

    def __add__(self, other: Backlog) -> Backlog:
        return Backlog(
            self.count + other.count,
            min(filter(None, (self.oldest, other.oldest)), default=None),
            min(filter(None, (self.due_at, other.due_at)), default=None),
        )


async def parked_by_owner(connection: Connection) -> dict[str, int]:
    """How many documents wait for whom; more than `COUNTED_MAX` is one more than that."""
    rows = await connection.fetch(_PARKED, OWNERS, COUNTED_MAX + 1)
    return {row["owner"]: row["count"] for row in rows}


async def backlogs(
    connection: Connection, systems: Iterable[str], entities: Collection[str]
) -> dict[str, Backlog]:
    """What is under way by system, `""` for what needs none; counted as `parked_by_owner`."""
    lanes = lane_names(systems, sorted(entities))
    found: dict[str, Backlog] = {}
    for row in await connection.fetch(_BACKLOG, lanes, COUNTED_MAX + 1):
        system = system_of(row["lane"])
        each = Backlog(row["count"], row["oldest"], row["due_at"])
        found[system] = found.get(system, Backlog()) + each
    return found


async def due_first(
    connection: Connection, system: str, entities: Collection[str], offset: int, limit: int
) -> list[int]:
    """Documents that wait for a system, those that are taken up next first."""
    lanes = [lane_name(system, entity) for entity in sorted(entities)]
    rows = await connection.fetch(_DUE_FIRST, lanes, offset, limit)
    return [row["document_id"] for row in rows]
