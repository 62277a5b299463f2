"""The trace: every step of one correlation id, in order, with what went over the wire.

Whoever asks has one number in hand: ours, the source system's, the ERP's. Each of them leads to the
correlation id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from quaestor.audit.entry import decode_entry
from quaestor.audit.exchange import WireExchange, read_exchange
from quaestor.audit.payload import Payload, PayloadUnreadable, SubjectKey, open_payload
from quaestor.audit.subjects import SubjectErased, Subjects, WrappingKeyMissing

__all__ = ["STEPS_MAX", "Attachment", "Lead", "Step", "Trace", "leads", "trace"]

STEPS_MAX = 5000

# What somebody may have in hand, in the order of trust. A number may lead to several documents,
# of two entities or two source systems: the newest is shown, the others are named.
_RESOLVE = """
select correlation_id, how, document_id from (
    select a.correlation_id, 'correlation id' as how, 0 as rank, null::bigint as document_id,
           null::timestamptz as at
    from (select correlation_id from quaestor.audit where correlation_id = $1 limit 1) a
    union all
    select correlation_id, 'document id', 1, id, created_at
    from quaestor.document where id = $2
    union all
    select d.correlation_id, 'posting key', 2, d.id, i.created_at
    from quaestor.intent i join quaestor.document d on d.id = i.document_id where i.key = $1
    union all
    select correlation_id, 'number in the source system', 3, id, created_at
    from quaestor.document where number = $1
    union all
    select d.correlation_id, c.kind || ' in ' || c.system, 4, d.id, c.at
    from quaestor.crossref c join quaestor.document d on d.id = c.document_id
    where c.external_id = $1
) found order by rank, at desc nulls last limit 100
"""
_ENTRIES = """
select a.id, l.leaf, a.canonical, a.at, a.entity, a.document_id
from quaestor.audit a
left join quaestor.audit_leaf l on l.audit_id = a.id
where a.correlation_id = $1
order by l.leaf nulls last, a.txid, a.id limit $2
"""
# Months leave the trail from the oldest on: what left since the first document came may have more.
_ARCHIVED = """
select distinct month from quaestor.audit_archive
where month >= (select to_char(min(created_at) at time zone 'UTC', 'YYYY-MM')
                from quaestor.document where correlation_id = $1)
order by month
"""
_PAYLOADS = """
select p.entity, p.retention, p.hash, p.subject, p.encoding, p.size, p.content
from unnest($1::text[], $2::text[], $3::bytea[]) w (entity, retention, hash)
join quaestor.audit_payload p using (entity, retention, hash)
"""
_BIGINT_MAX = 2**63 - 1

Key = tuple[str, str, bytes]


class Attachment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A payload of a step. `state` is `read`, `erased`, `sealed`, `unreadable` or `missing`.

    `exchange` is what went over the wire, where the payload is that.
    """

    reference: str
    state: str
    size: int = 0
    exchange: WireExchange | None = None


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One transition. Empty members are left out of its JSON; see `Entry` for their meaning.

    `leaf` is its place in the tree, none while it waits for one. `actor_name` and
    `on_behalf_of_name` are there only for those who may see them. `erased` says that the entry's
    own bytes were erased.
    """

    entry: int
    at: datetime
    entity: str
    leaf: int | None = None
    document_id: int | None = None
    actor: str = ""
    actor_name: str = ""
    on_behalf_of: str = ""
    on_behalf_of_name: str = ""
    causation: str = ""
    request_id: str = ""
    effect: str = ""
    name: str = ""
    outcome: str = ""
    refusal: str = ""
    system: str = ""
    external_ids: Mapping[str, str] = {}
    stage_before: str = ""
    stage_after: str = ""
    before: Mapping[str, str] = {}
    after: Mapping[str, str] = {}
    version: int = 0
    content_hash: str = ""
    flow: str = ""
    mapping: str = ""
    policy: str = ""
    release: str = ""
    attempt: int = 0
    details: Mapping[str, str] = {}
    wire: tuple[Attachment, ...] = ()
    erased: bool = False


class Trace(msgspec.Struct, frozen=True, omit_defaults=True):
    """All steps of one correlation id, in the order in which they were committed.

    `asked` led to it as `matched` says; `others` are further correlation ids that it leads to.
    `truncated` says that there are more than `STEPS_MAX` steps. Further ones may stand in the files
    of the months `archived`.
    """

    asked: str
    matched: str
    correlation_id: str
    document_ids: tuple[int, ...]
    steps: tuple[Step, ...]
    others: tuple[str, ...] = ()
    truncated: bool = False
    archived: tuple[str, ...] = ()

    def to_json(self) -> str:
        """One line of JSON."""
        return msgspec.json.encode(self).decode()


class Lead(msgspec.Struct, frozen=True):
    """What a number leads to, and as what it was found; no document for what has none yet."""

    correlation_id: str
    how: str
    document_id: int | None


async def leads(connection: asyncpg.Connection, asked: str) -> tuple[Lead, ...]:
    """Where a number leads, the likeliest first; see `trace` for what it may be."""
    number = int(asked) if asked.isascii() and asked.isdecimal() else None
    if number is not None and number > _BIGINT_MAX:
        number = None
    rows = await connection.fetch(_RESOLVE, asked, number)
    return tuple(Lead(row["correlation_id"], row["how"], row["document_id"]) for row in rows)


async def trace(
    connection: asyncpg.Connection, asked: str, *, subjects: Subjects | None = None
) -> Trace | None:
    """Find what `asked` leads to: a correlation id, a document id, a posting key, the source
    system's number, or a number in any other system. None where it leads nowhere.

    Row-level security decides what is seen. With `subjects` people are named and sealed payloads
    are opened: only for those who may.
    """
    found = await leads(connection, asked)
    if not found:
        return None
    correlation_id = found[0].correlation_id
    rows = await connection.fetch(_ENTRIES, correlation_id, STEPS_MAX + 1)
    archived = await connection.fetch(_ARCHIVED, correlation_id)
    reader = _Reader(connection, subjects)
    steps = await reader.steps(rows[:STEPS_MAX])
    others = dict.fromkeys(lead.correlation_id for lead in found)
    del others[correlation_id]
    return Trace(
        asked=asked,
        matched=found[0].how,
        correlation_id=correlation_id,
        document_ids=tuple(
            dict.fromkeys(step.document_id for step in steps if step.document_id is not None)
        ),
        steps=steps,
        others=tuple(others),
        truncated=len(rows) > STEPS_MAX,
        archived=tuple(row["month"] for row in archived),
    )


class _Reader:
    """Turns rows into steps, reading all their payloads at once."""

    def __init__(self, connection: asyncpg.Connection, subjects: Subjects | None) -> None:
        self._connection = connection
        self._subjects = subjects
        self._names: dict[str, str] = {}

    async def steps(self, rows: Sequence[asyncpg.Record]) -> tuple[Step, ...]:
        stated = [self._stated(row) for row in rows]
        keys = dict.fromkeys(
            (step.entity, *key)
            for step, references in stated
            for key in map(_key, references)
            if key is not None
        )
        payloads = await self._payloads(list(keys))
        steps = []
        for step, references in stated:
            wire = tuple(
                [await self._attachment(step.entity, text, payloads) for text in references]
            )
            steps.append(
                msgspec.structs.replace(
                    step,
                    wire=wire,
                    actor_name=await self._name(step.actor),
                    on_behalf_of_name=await self._name(step.on_behalf_of),
                )
            )
        return tuple(steps)

    def _stated(self, row: asyncpg.Record) -> tuple[Step, tuple[str, ...]]:
        if row["canonical"] is None:
            step = Step(
                row["id"], row["at"], row["entity"], row["leaf"], row["document_id"], erased=True
            )
            return step, ()
        entry = msgspec.structs.asdict(decode_entry(row["canonical"]))
        references: tuple[str, ...] = entry.pop("payloads")
        for repeated in ("format", "id", "correlation_id"):
            del entry[repeated]
        return Step(entry=row["id"], leaf=row["leaf"], **entry), references

    async def _payloads(self, keys: Sequence[Key]) -> dict[Key, asyncpg.Record]:
        if not keys:
            return {}
        rows = await self._connection.fetch(_PAYLOADS, *map(list, zip(*keys, strict=True)))
        return {(row["entity"], row["retention"], row["hash"]): row for row in rows}

    async def _attachment(
        self, entity: str, reference: str, payloads: Mapping[Key, asyncpg.Record]
    ) -> Attachment:
        key = _key(reference)
        row = payloads.get((entity, *key)) if key is not None else None
        if row is None:
            return Attachment(reference, "missing")
        if row["content"] is None:
            return Attachment(reference, "erased", row["size"])
        try:
            opener = await self._opener(row["subject"])
            plain = open_payload(_as_payload(row), opener)
        except SubjectErased:
            return Attachment(reference, "erased", row["size"])
        except PayloadUnreadable:
            state = "unreadable" if row["subject"] is None or self._subjects else "sealed"
            return Attachment(reference, state, row["size"])
        return Attachment(reference, "read", row["size"], read_exchange(plain))

    async def _opener(self, subject: str | None) -> SubjectKey | None:
        if subject is None or self._subjects is None:
            return None
        try:
            return await self._subjects.key(self._connection, subject)
        except WrappingKeyMissing as error:
            raise PayloadUnreadable("The deployment's key is another one.") from error

    async def _name(self, subject: str) -> str:
        if self._subjects is None or not subject.startswith("sub:"):
            return ""
        if subject not in self._names:
            try:
                self._names[subject] = await self._subjects.identity(self._connection, subject)
            except (SubjectErased, WrappingKeyMissing):
                self._names[subject] = ""
        return self._names[subject]


def _key(reference: str) -> tuple[str, bytes] | None:
    retention, _, digest = reference.partition(":")
    try:
        return retention, bytes.fromhex(digest)
    except ValueError:
        return None


def _as_payload(row: asyncpg.Record) -> Payload:
    members: dict[str, Any] = dict(row)
    return Payload(**members)
