"""Dispatch: which documents this worker takes next, and everything known about them.

The seam behind which another way of handing out work may stand one day (DESIGN D7); the rows
stay the truth. Claiming locks rows that are due, oldest first per lane, or that were woken.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from quaestor.flows.kit.dossier import Document
from quaestor.flows.kit.flow import Flow
from quaestor.model.event import Event
from quaestor.runtime.case import Arrived, Case, IntentRow
from quaestor.runtime.intent import Intent
from quaestor.runtime.state import SCHEMA_NO, decode_state
from quaestor.store import Connection, Database
from quaestor.store.packing import pack

__all__ = ["Claimed", "Dispatch", "load_arrivals", "pack_body", "unpack"]

# In parentheses the clock is asked once, and not for every row.
_NOW = "(select quaestor.clock())"
_ROW = f"""
document_id, flow, flow_version, release, stage, state, lane, lane_since, due_at, fence, woken,
woken_seen, outcome, {_NOW} as now
"""
_FREE = f"""
w.lease_until < {_NOW} and w.document_id <> all($3::bigint[])
and w.flow || '@' || w.flow_version = any($4::text[]) and w.schema_no <= $5
"""
_CLAIM = f"""
select taken.* from unnest($1::text[], $2::int[]) wanted(lane, free), lateral (
    select {_ROW} from quaestor.work w
    where w.lane = wanted.lane and w.due_at <= {_NOW} and w.deaths = 0 and {_FREE}
    order by w.due_at limit wanted.free for update skip locked
) taken
union all
select taken.* from (
    select {_ROW} from quaestor.work w
    where w.woken <> w.woken_seen and w.deaths = 0 and {_FREE}
    order by w.woken_at limit $6 for update skip locked
) taken
"""
# Whether a claim would find anything: no lock, no transaction.
_ANY_DUE = f"select exists ({_CLAIM.replace(' for update skip locked', '')})"
# A document that a worker died with is claimed alone (D5).
_CLAIM_SUSPECT = f"""
select {_ROW} from quaestor.work w
where w.deaths between 1 and 2 and (w.due_at <= {_NOW} or w.woken <> w.woken_seen)
  and {_FREE}
  and $1::text[] is not null and $2::int[] is not null and $6::int is not null
order by w.document_id limit 1 for update skip locked
"""
_DOCUMENTS = """
select d.id, d.type, d.entity, d.source_system, d.source_id, d.correlation_id, d.version,
       d.content_hash, d.changed_at, b.body
from quaestor.document d
join quaestor.document_body b on b.document_id = d.id and b.version = d.version
where d.id = any($1)
"""
_LATER = """
select distinct on (b.document_id) b.document_id, b.version, b.content_hash, b.body
from quaestor.document_body b join quaestor.document d on d.id = b.document_id
where b.document_id = any($1) and b.version > d.version
order by b.document_id, b.version desc
"""
_INTENTS = """
select document_id, name, system, action, generation, lane, core, command, payload, number,
       created_at, reconcile_at
from quaestor.intent where document_id = any($1)
"""
_EVENTS = """
select document_id, id, body from quaestor.inbox
where document_id = any($1) and consumed_at is null order by document_id, id
"""

_intent_decoder = msgspec.json.Decoder(Intent)
_event_decoder = msgspec.json.Decoder(Event)


@dataclass(frozen=True)
class Claimed:
    """A locked work row, before its document is read."""

    row: asyncpg.Record

    @property
    def document_id(self) -> int:
        return int(self.row["document_id"])

    @property
    def now(self) -> datetime:
        """Database time of the claim."""
        at: datetime = self.row["now"]
        return at


@dataclass(frozen=True)
class Dispatch:
    """Claims from the work table for the flows that this release knows."""

    flows: Mapping[tuple[str, int], Flow]

    async def is_any_due(
        self,
        database: Database,
        lanes: Mapping[str, int],
        *,
        woken_max: int,
        in_flight: Sequence[int],
    ) -> bool:
        """Whether a claim with these would find anything: one look, for who has nothing to do."""
        due: bool = await database.fetchval(
            _ANY_DUE, *self._wanted(lanes, woken_max=woken_max, in_flight=in_flight)
        )
        return due

    async def claim(
        self,
        connection: Connection,
        lanes: Mapping[str, int],
        *,
        woken_max: int,
        in_flight: Sequence[int],
        suspects: bool = False,
    ) -> list[Claimed]:
        """Lock rows: up to `lanes[lane]` that are due in each lane, and those that were woken.

        `in_flight` are this worker's own, never taken twice. With `suspects`, one document that
        a worker died with, alone.
        """
        rows = await connection.fetch(
            _CLAIM_SUSPECT if suspects else _CLAIM,
            *self._wanted(lanes, woken_max=woken_max, in_flight=in_flight),
        )
        # A row that is due and woken comes twice.
        unique = {row["document_id"]: row for row in rows}
        return [Claimed(row) for row in unique.values()]

    def _wanted(
        self, lanes: Mapping[str, int], *, woken_max: int, in_flight: Sequence[int]
    ) -> tuple[object, ...]:
        known = [f"{name}@{version}" for name, version in self.flows]
        return list(lanes), list(lanes.values()), in_flight, known, SCHEMA_NO, woken_max

    async def load(self, connection: Connection, claimed: Sequence[Claimed]) -> list[Case]:
        """Read what belongs to the locked rows. Reads come after the locks: nothing is stale."""
        if not claimed:
            return []
        ids = [each.document_id for each in claimed]
        documents = {row["id"]: row for row in await connection.fetch(_DOCUMENTS, ids)}
        cases = [self._case(each.row, documents[each.document_id]) for each in claimed]
        await _load_intents(connection, [case for case in cases if case.state.sends])
        woken = [
            case
            for case, each in zip(cases, claimed, strict=True)
            if case.state.unconsumed or each.row["woken"] != each.row["woken_seen"]
        ]
        await load_arrivals(connection, woken)
        return cases

    def _case(self, work: asyncpg.Record, row: asyncpg.Record) -> Case:
        flow = self.flows[(work["flow"], work["flow_version"])]
        document = Document(
            id=row["id"],
            type=row["type"],
            entity=row["entity"],
            source_system=row["source_system"],
            source_id=row["source_id"],
            correlation_id=row["correlation_id"],
            version=row["version"],
            content_hash=row["content_hash"],
            body=unpack(row["body"], flow.body),
        )
        return Case(
            document=document,
            flow=flow,
            release=work["release"],
            stage=work["stage"],
            state=decode_state(work["state"]),
            lane=work["lane"],
            lane_since=work["lane_since"],
            fence=work["fence"],
            woken=work["woken"],
            changed_at=row["changed_at"],
            was_due=work["due_at"],
            outcome=work["outcome"],
        )


async def _load_intents(connection: Connection, cases: Sequence[Case]) -> None:
    if not cases:
        return
    by_id = {case.document.id: case for case in cases}
    for row in await connection.fetch(_INTENTS, list(by_id)):
        by_id[row["document_id"]].intents[row["name"]] = IntentRow(
            core=_intent_decoder.decode(row["core"]),
            name=row["name"],
            system=row["system"],
            action=row["action"],
            generation=row["generation"],
            lane=row["lane"],
            command=row["command"],
            payload=row["payload"],
            created_at=row["created_at"],
            number=row["number"],
            reconcile_at=row["reconcile_at"],
        )


async def load_arrivals(connection: Connection, cases: Sequence[Case]) -> None:
    """Events that nobody consumed yet, and a later version that has arrived."""
    if not cases:
        return
    by_id = {case.document.id: case for case in cases}
    for case in cases:
        case.events = []
    for row in await connection.fetch(_EVENTS, list(by_id)):
        arrived = Arrived(row["id"], _event_decoder.decode(row["body"]))
        by_id[row["document_id"]].events.append(arrived)
    for row in await connection.fetch(_LATER, list(by_id)):
        case = by_id[row["document_id"]]
        case.later = msgspec.structs.replace(
            case.document,
            version=row["version"],
            content_hash=row["content_hash"],
            body=unpack(row["body"], case.flow.body),
        )


_packer = msgspec.json.Encoder(decimal_format="string")
_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


def pack_body(body: Any) -> bytes:
    """A canonical noun as stored: JSON, packed."""
    return pack(_packer.encode(body))


def unpack(stored: bytes, kind: type) -> Any:
    """The noun of these stored bytes."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    return decoder.decode(zlib.decompress(stored))
