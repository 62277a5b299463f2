"""The worklist: what is broken, why, how much money hangs on it, who owns it, what clears it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from quaestor.console.advice import next_step
from quaestor.console.asking import Ask, Go, Page, Refused, Reply, at_most
from quaestor.console.causes import Cause, cause_of
from quaestor.console.counting import OWNERS, Backlog, backlogs
from quaestor.console.reading import documents_by_id, glance
from quaestor.console.wording import COUNTED_MAX
from quaestor.flows.kit.step import Park
from quaestor.model.refusal import REFUSALS, Owner, Refusal
from quaestor.security.authorization import Scope
from quaestor.store import Connection

__all__ = ["WORK", "Group", "NotTakenIn", "Parked", "grouped"]

# What waits for the same words is one row: a month-end has few causes and many documents.
_PARKED = """
select type, entity, parked, array_agg(id order by id) as documents, min(parked_at) as oldest
from (
    select d.id, d.type, d.entity, w.parked, w.parked_at
    from (
        select document_id, parked, parked_at from quaestor.work
        where parked_at is not null and ($1::text is null or parked_owner = $1)
          and ($2::text is null or entity = $2)
        order by parked_at, document_id limit $3
    ) w join quaestor.document d on d.id = w.document_id
) oldest group by type, entity, parked
"""
_BODIES = """
select d.id, b.body
from quaestor.document d join lateral (
    select body from quaestor.document_body b
    where b.document_id = d.id order by b.version desc limit 1
) b on true
where d.id = any($1::bigint[])
"""
# What came in and could not be read as a document: no work row stands for it.
_NOT_TAKEN_IN = """
select entity, system, stream, source_id, owner, code, refusals, received_at, times
from quaestor.inbound_refused
where cleared_at is null and ($1::text is null or owner = $1)
  and ($2::text is null or entity = $2)
order by received_at, id offset $3 limit $4
"""
_NOT_TAKEN_IN_COUNT = """
select count(*) from (
    select from quaestor.inbound_refused
    where cleared_at is null and ($1::text is null or owner = $1)
      and ($2::text is null or entity = $2)
    limit $3
) found
"""
_park = msgspec.json.Decoder(Park)
_refusals = msgspec.json.Decoder(tuple[Refusal, ...])


class Parked(msgspec.Struct, frozen=True):
    """Documents of an entity that wait for a person, all with the same refusal."""

    type: str
    entity: str
    park: Park
    documents: tuple[int, ...]
    oldest: datetime


class Group(msgspec.Struct, frozen=True):
    """Documents that wait for one cause, the oldest first."""

    cause: Cause
    meaning: str
    next: str
    ways_out: tuple[str, ...]
    documents: tuple[int, ...]
    entities: tuple[str, ...]
    oldest: datetime

    @property
    def count(self) -> int:
        """How many wait."""
        return len(self.documents)


class NotTakenIn(msgspec.Struct, frozen=True):
    """Something that a system published and that could not be taken in, `times` by now."""

    entity: str
    system: str
    stream: str
    source_id: str
    owner: Owner
    code: str
    meaning: str
    next: str
    details: Mapping[str, str]
    at: datetime
    times: int


def grouped(parked: Sequence[Parked]) -> list[Group]:
    """One group per cause: the one that holds up the most first, then the oldest."""
    causes: dict[str, Cause] = {}
    members: dict[str, list[Parked]] = {}
    for each in parked:
        cause = cause_of(each.park.owner, each.park.refusal, each.type)
        causes[cause.fingerprint] = cause
        members.setdefault(cause.fingerprint, []).append(each)
    groups = [_group(causes[fingerprint], found) for fingerprint, found in members.items()]
    return sorted(groups, key=lambda group: (-group.count, group.oldest))


def _group(cause: Cause, members: Sequence[Parked]) -> Group:
    kind = REFUSALS.get(cause.code)
    return Group(
        cause=cause,
        # A code of an earlier release may have left the table; the documents stay.
        meaning=kind.meaning if kind is not None else "",
        next=next_step(cause.code, cause.owner),
        ways_out=tuple(dict.fromkeys(way for each in members for way in each.park.ways_out)),
        documents=tuple(sorted(id_ for each in members for id_ in each.documents)),
        entities=tuple(sorted({each.entity for each in members})),
        oldest=min(each.oldest for each in members),
    )


async def _work(ask: Ask, connection: Connection) -> Reply | Go:
    limits = ask.services.limits
    owner = ask.query.get("owner") or None
    entity = ask.query.get("entity") or None
    if owner is not None and owner not in OWNERS:
        raise Refused(404, "not_found")
    rows = await connection.fetch(_PARKED, owner, entity, limits.causes_rows_max)
    parked = [
        Parked(
            row["type"],
            row["entity"],
            _park.decode(row["parked"]),
            tuple(row["documents"]),
            row["oldest"],
        )
        for row in rows
    ]
    groups = grouped(parked)
    count = sum(group.count for group in groups)
    shows: dict[str, Any] = {
        "groups": groups,
        "count": count,
        "is_cut": count == limits.causes_rows_max,
        "owner": owner,
        "entity": entity,
        "owners": OWNERS,
        "entities": sorted(ask.caller.entities),
        "running": Backlog() if groups else await _running(ask, connection),
    }
    fingerprint = ask.query.get("cause")
    if fingerprint:
        return await _cause(ask, connection, fingerprint, shows, groups)
    first = at_most(ask.query.get("from"), 1)
    refused = await connection.fetch(_NOT_TAKEN_IN, owner, entity, first - 1, limits.rows_per_page)
    of = await connection.fetchval(_NOT_TAKEN_IN_COUNT, owner, entity, COUNTED_MAX + 1)
    shows |= {
        "sums": await _sums(connection, groups, limits.summed_max),
        "refused": [_not_taken_in(row) for row in refused],
        "refused_count": of,
        "first": first,
        "last": first + len(refused) - 1,
        "previous": max(1, first - limits.rows_per_page) if first > 1 else None,
        "following": first + len(refused) if first + len(refused) <= of else None,
    }
    return Reply("work.html", shows, refreshable=True)


async def _running(ask: Ask, connection: Connection) -> Backlog:
    """What goes on by itself, said where nothing waits for a person."""
    systems = [facts.name for facts in ask.services.systems]
    found = await backlogs(connection, systems, ask.caller.entities)
    return sum(found.values(), Backlog())


def _not_taken_in(row: Mapping[str, Any]) -> NotTakenIn:
    kind = REFUSALS.get(row["code"])
    refusals = _refusals.decode(row["refusals"])
    return NotTakenIn(
        entity=row["entity"],
        system=row["system"],
        stream=row["stream"],
        source_id=row["source_id"],
        owner=row["owner"],
        code=row["code"],
        meaning=kind.meaning if kind is not None else "",
        next=next_step(row["code"], row["owner"]),
        details=refusals[0].details if refusals else {},
        at=row["received_at"],
        times=row["times"],
    )


async def _cause(
    ask: Ask,
    connection: Connection,
    fingerprint: str,
    shows: Mapping[str, Any],
    groups: Sequence[Group],
) -> Reply:
    """The documents of one cause. Nothing waits for it any more: that is said, and not an error."""
    per_page = ask.services.limits.rows_per_page
    group = next((each for each in groups if each.cause.fingerprint == fingerprint), None)
    if group is None:
        return Reply("cause_gone.html", {**shows, "fingerprint": fingerprint})
    first = min(at_most(ask.query.get("from"), 1), group.count)
    ids = group.documents[first - 1 : first - 1 + per_page]
    found = {
        **shows,
        "group": group,
        "documents": await documents_by_id(connection, ids),
        "first": first,
        "last": first + len(ids) - 1,
        "previous": max(1, first - per_page) if first > 1 else None,
        "following": first + per_page if first + per_page <= group.count else None,
        "sums": await _sums(connection, [group], ask.services.limits.summed_max),
    }
    return Reply("cause.html", found, refreshable=True)


async def _sums(
    connection: Connection, groups: Sequence[Group], summed_max: int
) -> dict[str, dict[str, Decimal]]:
    """What hangs on each cause, by currency; the smallest causes first, as far as `summed_max`
    documents reach.
    """
    found: dict[str, dict[str, Decimal]] = {}
    of: dict[int, str] = {}
    for group in sorted(groups, key=lambda group: group.count):
        if len(of) + group.count <= summed_max:
            found[group.cause.fingerprint] = {}
            of |= dict.fromkeys(group.documents, group.cause.fingerprint)
    for row in await connection.fetch(_BODIES, list(of)) if of else ():
        body, sums = glance(row["body"]), found[of[row["id"]]]
        with suppress(InvalidOperation):
            sums[body.currency] = sums.get(body.currency, Decimal(0)) + Decimal(body.total)
    return found


WORK = Page(
    "/console/work",
    _work,
    (Scope.WORKLIST_READ, Scope.WORKLIST_ACT),
    query=("owner", "entity", "cause", "from"),
)
