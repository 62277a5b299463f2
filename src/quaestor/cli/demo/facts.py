"""What really happened to one requisition: read from the database, and in the systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import aiohttp
import msgspec

from quaestor.audit.payload import Payload, open_payload
from quaestor.audit.subjects import Subjects
from quaestor.audit.trace import Step, trace
from quaestor.cli.naming import names_in
from quaestor.connectors.kit.contract import Command
from quaestor.connectors.kit.ready import Ready
from quaestor.model.approval import ApprovalEvidence
from quaestor.model.event import Decided
from quaestor.store import Database

__all__ = [
    "Facts",
    "NodeMoved",
    "Sent",
    "System",
    "read_facts",
    "read_names",
    "read_source",
    "read_steps",
]

_WORK = """
select w.stage, w.outcome, w.parked_owner, w.parked_code, d.number, d.correlation_id
from quaestor.work w join quaestor.document d on d.id = w.document_id where d.id = $1
"""
_INTENTS = """
select name, key, system, action, command, payload, number from quaestor.intent
where document_id = $1 order by created_at, name
"""
_DECIDED = """
select body from quaestor.inbox where document_id = $1 and kind = 'Decided' order by id
"""
_BUDGET = """
select e.node, sum(e.pre) filter (where e.pre > 0) as reserved, sum(e.enc) as encumbered,
       sum(e.pre) as still_reserved, b.budget, b.budget - b.pre - b.enc - b.act as available
from quaestor.budget_entry e join quaestor.budget_balance b on b.node = e.node
where e.document_id = $1 group by e.node, b.budget, b.pre, b.enc, b.act order by e.node
"""
_SOURCE = """
select entity, retention, hash, subject, encoding, size, content from quaestor.audit_payload
where entity = $1 and retention = $2 and hash = $3
"""
_ANSWER_TIMEOUT_S = 5.0

_command_decoder = msgspec.json.Decoder(Command)
_decided_decoder = msgspec.json.Decoder(Decided)


class Sent(msgspec.Struct, frozen=True):
    """One intent: an order, a requisition handed to its deciders, a report home."""

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
    steps: tuple[Step, ...]
    sent: tuple[Sent, ...]
    budget: tuple[NodeMoved, ...]
    decided: tuple[ApprovalEvidence, ...] = ()

    @property
    def created(self) -> tuple[Sent, ...]:
        """The intents to create an order: one for each order group."""
        return self.of("create_order")

    def of(self, action: str) -> tuple[Sent, ...]:
        """The intents of one action."""
        return tuple(sent for sent in self.sent if sent.action == action)


async def read_names(
    database: Database, subjects: Subjects, steps: Sequence[Step]
) -> Mapping[str, str]:
    """Who was told something, by pseudonym."""
    async with database.connection() as connection:
        return await names_in(connection, subjects, steps)


async def read_facts(database: Database, subjects: Subjects, document_id: int) -> Facts:
    """All there is about a document."""
    work = await database.fetchrow(_WORK, document_id)
    assert work is not None
    sent = [
        Sent(
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
        steps=await read_steps(database, subjects, work["correlation_id"]),
        sent=tuple(sent),
        budget=tuple(budget),
        decided=tuple(
            evidence
            for row in await database.fetch(_DECIDED, document_id)
            if (evidence := _decided_decoder.decode(row["body"]).evidence) is not None
        ),
    )


async def read_steps(
    database: Database, subjects: Subjects, correlation_id: str
) -> tuple[Step, ...]:
    """Every step so far, with the people in it named: the demo is all of them at once."""
    async with database.connection() as connection:
        found = await trace(connection, correlation_id, subjects=subjects)
    return () if found is None else found.steps


async def read_source(database: Database, step: Step) -> bytes:
    """The requisition's own bytes, as this step received them."""
    retention, _, digest = step.wire[0].reference.partition(":")
    row = await database.fetchrow(_SOURCE, step.entity, retention, bytes.fromhex(digest))
    assert row is not None
    return open_payload(Payload(**dict(row)))


class System:
    """A simulated system, asked through its control interface, apart from the vendor's paths."""

    def __init__(self, ready: Ready, session: aiohttp.ClientSession) -> None:
        self.ready = ready
        self._session = session

    async def documents(self, reference: str | None = None) -> Sequence[Mapping[str, Any]]:
        """All documents there, or those that carry this reference, or begin it."""
        query = {} if reference is None else {"reference": reference}
        found: Sequence[Mapping[str, Any]] = (await self._ask("GET", "/documents", query))[
            "documents"
        ]
        return found

    async def plan_faults(self, faults: Sequence[Mapping[str, Any]]) -> None:
        """Replace the faults to come."""
        await self._ask("PUT", "/faults", {}, list(faults))

    async def edit(self, number: str, changes: Mapping[str, Any]) -> None:
        """Somebody does something to a document there."""
        await self._ask("PATCH", f"/documents/{number}", {}, changes)

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
