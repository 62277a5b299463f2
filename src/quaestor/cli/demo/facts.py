"""What really happened to one requisition: read from the database, counted in the ERP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import aiohttp
import msgspec

from quaestor.audit.entry import Entry, decode_entry
from quaestor.audit.payload import Payload, open_payload
from quaestor.connectors.kit.attempt import Exchange
from quaestor.connectors.kit.contract import Command
from quaestor.connectors.kit.simulator import Ready
from quaestor.store import Database

__all__ = ["Erp", "Facts", "NodeMoved", "SentOrder", "Traced", "read_facts", "read_trace"]

_WORK = """
select w.stage, w.outcome, w.parked_owner, w.parked_code, d.number, d.correlation_id
from quaestor.work w join quaestor.document d on d.id = w.document_id where d.id = $1
"""
_ENTRIES = """
select a.canonical from quaestor.audit a left join quaestor.audit_leaf l
    on l.audit_id = a.id and l.at = a.at
where a.correlation_id = $1 and a.canonical is not null
order by l.leaf nulls last, a.at, a.id
"""
_PAYLOADS = """
select p.entity, p.retention, p.hash, p.subject, p.encoding, p.size, p.content
from unnest($1::text[], $2::bytea[]) wanted(retention, hash)
join quaestor.audit_payload p on p.retention = wanted.retention and p.hash = wanted.hash
where p.content is not null and p.subject is null
"""
_INTENTS = """
select name, key, system, action, command, payload, number from quaestor.intent
where document_id = $1 order by created_at, name
"""
_BUDGET = """
select e.node, sum(e.pre) filter (where e.pre > 0) as reserved, sum(e.enc) as encumbered,
       sum(e.pre) as still_reserved, b.budget, b.budget - b.pre - b.enc - b.act as available
from quaestor.budget_entry e join quaestor.budget_balance b on b.node = e.node
where e.document_id = $1 group by e.node, b.budget, b.pre, b.enc, b.act order by e.node
"""
_ANSWER_TIMEOUT_S = 5.0

_exchange_decoder = msgspec.json.Decoder(Exchange)
_command_decoder = msgspec.json.Decoder(Command)


class Traced(msgspec.Struct, frozen=True):
    """One entry of the trail, with what went over the wire for it."""

    entry: Entry
    exchanges: tuple[Exchange, ...] = ()


class SentOrder(msgspec.Struct, frozen=True):
    """One intent: an order to be created or cancelled."""

    name: str
    key: str
    system: str
    action: str
    command: Command
    payload: bytes
    number: str | None


class NodeMoved(msgspec.Struct, frozen=True):
    """What the document did to one budget node, in the base currency of the entity."""

    node: str
    budget: Decimal
    reserved: Decimal
    encumbered: Decimal
    still_reserved: Decimal
    available: Decimal


class Facts(msgspec.Struct, frozen=True):
    """See the module."""

    document_id: int
    number: str
    correlation_id: str
    stage: str
    outcome: str
    trace: tuple[Traced, ...]
    orders: tuple[SentOrder, ...]
    budget: tuple[NodeMoved, ...]

    @property
    def created(self) -> tuple[SentOrder, ...]:
        """The intents to create an order: one for each order group."""
        return tuple(order for order in self.orders if order.action == "create_order")


async def read_facts(database: Database, document_id: int) -> Facts:
    """All there is about a document."""
    work = await database.fetchrow(_WORK, document_id)
    assert work is not None
    orders = [
        SentOrder(
            row["name"],
            row["key"],
            row["system"],
            row["action"],
            _command_decoder.decode(row["command"]),
            row["payload"],
            row["number"],
        )
        for row in await database.fetch(_INTENTS, document_id)
    ]
    budget = [
        NodeMoved(
            row["node"],
            row["budget"],
            row["reserved"] or Decimal(0),
            row["encumbered"],
            row["still_reserved"],
            row["available"],
        )
        for row in await database.fetch(_BUDGET, document_id)
    ]
    parked = f"parked: {work['parked_code']} ({work['parked_owner']})"
    return Facts(
        document_id=document_id,
        number=work["number"],
        correlation_id=work["correlation_id"],
        stage=work["stage"],
        outcome=work["outcome"] or (parked if work["parked_code"] else "open"),
        trace=await read_trace(database, work["correlation_id"]),
        orders=tuple(orders),
        budget=tuple(budget),
    )


async def read_trace(database: Database, correlation_id: str) -> tuple[Traced, ...]:
    """Every entry of a correlation id in the order of the leaves, the newest still without one."""
    rows = await database.fetch(_ENTRIES, correlation_id)
    entries = [decode_entry(row["canonical"]) for row in rows]
    wanted = [each.partition(":") for entry in entries for each in entry.payloads]
    found: dict[str, Exchange] = {}
    for row in await database.fetch(
        _PAYLOADS, [each[0] for each in wanted], [bytes.fromhex(each[2]) for each in wanted]
    ):
        payload = Payload(**dict(row))
        # The document as it was received lies beside the exchanges, under the same class.
        try:
            found[payload.reference] = _exchange_decoder.decode(open_payload(payload))
        except msgspec.DecodeError:
            continue
    return tuple(
        Traced(entry, tuple(found[each] for each in entry.payloads if each in found))
        for entry in entries
    )


class Erp:
    """The simulator of the ERP, asked through its control interface, apart from its own paths."""

    def __init__(self, ready: Ready, session: aiohttp.ClientSession) -> None:
        self.ready = ready
        self._session = session

    async def documents(self, reference: str | None = None) -> Sequence[Mapping[str, Any]]:
        """All documents there, or those that carry this posting key."""
        query = {} if reference is None else {"reference": reference}
        found: Sequence[Mapping[str, Any]] = (await self._ask("GET", "/documents", query))[
            "documents"
        ]
        return found

    async def plan_faults(self, faults: Sequence[Mapping[str, Any]]) -> None:
        """Replace the faults to come."""
        await self._ask("PUT", "/faults", {}, list(faults))

    async def faults_left(self) -> int:
        """How many planned faults have not been met yet."""
        planned = (await self._ask("GET", "/faults", {}))["faults"]
        return sum(fault["left"] for fault in planned)

    async def _ask(
        self, method: str, path: str, query: Mapping[str, str], body: Any = None
    ) -> dict[str, Any]:
        data = None if body is None else msgspec.json.encode(body)
        timeout = aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT_S)
        async with self._session.request(
            method, self.ready.control + path, params=query, data=data, timeout=timeout
        ) as answer:
            answer.raise_for_status()
            found: dict[str, Any] = msgspec.json.decode(await answer.read(), type=dict[str, Any])
            return found


def milliseconds(since: datetime, until: datetime) -> float:
    """The time between two entries."""
    return (until - since).total_seconds() * 1000
