"""The limit: the rows of a flow written by the database alone, phase by phase.

The patterns that `rows` laid down are multiplied inside the database, so that next to nothing is
spent on this side of the connection; constraints, triggers, row-level security and role are those
of the engine. Each client has documents and budgets of its own, so that none waits for another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import msgspec

from quaestor.bench.folder import CENTERS, ENTITY
from quaestor.bench.rows import CLAIMED, PHASES, STATED
from quaestor.store.database import BY_KEY

__all__ = ["BATCHED", "ONE_BY_ONE", "Limit", "Manner"]

# How far apart the clients' documents are numbered.
_STRIDE = 1_000_000_000


class Manner(msgspec.Struct, frozen=True):
    """So many clients at once, each with so many flows per transaction."""

    clients: int
    flows: int


BATCHED = Manner(clients=4, flows=80)
ONE_BY_ONE = Manner(clients=16, flows=1)

_IDS = "generate_series($1::bigint, $1::bigint + $2::bigint - 1) as id"
_ENTITY = f"'{ENTITY}'"
_CORRELATION = "lpad(id::text, 36, '0')"
# Posting keys are hashes: their index is written to in no order.
_KEY = "left(encode(sha256(int8send(id * 4 + p.place)), 'hex'), 52)"
_NODE = "'node-' || ($3::bigint + id % $4::bigint)"

_INTAKE = (
    f"""insert into quaestor.document
    (id, entity, type, source_system, source_id, number, correlation_id, version, content_hash,
     changed_at, created_at) overriding system value
select id, {_ENTITY}, p.type, p.source_system, id::text, id::text, {_CORRELATION}, p.version,
    p.content_hash, quaestor.clock(), quaestor.clock() from pattern.document p, {_IDS}""",
    f"""insert into quaestor.document_body
    (document_id, version, entity, schema_no, content_hash, body, received_at)
select id, p.version, {_ENTITY}, p.schema_no, p.content_hash, p.body, quaestor.clock()
from pattern.document p, {_IDS}""",
    f"""insert into quaestor.work
    (document_id, entity, flow, flow_version, schema_no, release, stage, state, due_at)
select id, {_ENTITY}, p.flow, p.flow_version, p.schema_no, p.release, 'validating', '{{}}',
    quaestor.clock() from pattern.document p, {_IDS}""",
)
_WORK = """update quaestor.work w
set stage = p.stage, state = p.state, lane = p.lane, fence = w.fence + 1, outcome = p.outcome,
    due_at = case when p.is_out then quaestor.clock() + interval '30 s' end,
    lease_until = quaestor.clock() + case when p.is_out then interval '30 s'
                                          else interval '-1 day' end,
    done_at = case when p.outcome is not null then quaestor.clock() end
from pattern.work p
where p.phase = {phase} and w.document_id >= $1::bigint
    and w.document_id < $1::bigint + $2::bigint"""
_NEW_INTENTS = f"""insert into quaestor.intent
    (key, entity, document_id, name, system, action, generation, lane, state, core, command,
     payload, number, created_at, first_sent_at)
select {_KEY}, {_ENTITY}, id, p.name, p.system, p.action, p.generation, p.lane, 'unresolved',
    p.core, p.command, p.payload, '', quaestor.clock(), quaestor.clock()
from pattern.intent p, {_IDS} where p.phase = {{phase}}"""
_INTENTS = f"""update quaestor.intent i
set state = p.state, core = p.core, number = id::text, resolved_at = quaestor.clock()
from pattern.intent p, {_IDS} where p.resolved = {{phase}} and i.key = {_KEY}"""
_CROSSREFS = f"""insert into quaestor.crossref
    (system, kind, external_id, entity, document_id, key, at)
select p.system, p.kind, id::text, {_ENTITY}, id, {_KEY}, quaestor.clock()
from pattern.crossref p join pattern.intent i on i.place = p.place and i.resolved = {{phase}},
    {_IDS}"""
_STATED = f"""update quaestor.budget_balance b
set budget = b.budget + s.change, budget_as_of = quaestor.clock()
from (select {_NODE} as node, 0 as change from {_IDS} group by 1) s where b.node = s.node"""
_OUTCOME = (_WORK, _NEW_INTENTS, _INTENTS, _CROSSREFS)
_BALANCE = f"""update quaestor.budget_balance b
set pre = b.pre + m.pre, enc = b.enc + m.enc, act = b.act + m.act
from (select {_NODE} as node, sum(p.pre) as pre, sum(p.enc) as enc, sum(p.act) as act
      from pattern.moved p, {_IDS} where p.phase = {{phase}} and p.kind = '{{kind}}' group by 1) m
where b.node = m.node"""
_MOVED = f"""insert into quaestor.budget_entry
    (at, entity, node, document_id, effect, kind, pre, enc, act)
select quaestor.clock(), {_ENTITY}, {_NODE}, id, p.effect, p.kind, p.pre, p.enc, p.act
from pattern.moved p, {_IDS} where p.phase = {{phase}} and p.kind = '{{kind}}'"""
_ENTRIES = f"""insert into quaestor.audit
    (id, at, entity, document_id, correlation_id, canonical, salt, commitment)
select id * 64 + p.place, quaestor.clock(), {_ENTITY}, id, {_CORRELATION}, p.canonical, p.salt,
    p.commitment from pattern.entry p, {_IDS} where p.phase = {{phase}}"""
_PAYLOADS = f"""insert into quaestor.audit_payload
    (entity, retention, hash, encoding, size, content, created_at)
select {_ENTITY}, p.retention, sha256(int8send(id * 64 + p.place)), p.encoding, p.size,
    p.content, quaestor.clock() from pattern.payload p, {_IDS} where p.phase = {{phase}}"""
_LEAVES = f"""insert into quaestor.audit_leaf (leaf, audit_id, at, leaf_hash)
select id * 64 + p.place, id * 64 + p.place, quaestor.clock(),
    sha256('\\x0001'::bytea || int8send(id) || p.commitment) from pattern.entry p, {_IDS}"""
_KINDS = "select distinct phase, kind from pattern.moved order by phase, kind"


@dataclass
class Limit:
    """Writes flows into the database at `dsn`, which has patterns. `flows` counts them."""

    dsn: str
    flows: int = 0
    _runs: int = 0

    async def run(self, manner: Manner, warm_s: float, measured_s: float) -> float:
        """Flows per second in so many seconds after the warm-up."""
        connections = [await self._connect() for _ in range(manner.clients)]
        try:
            phases = await _transactions(connections[0])
            self._runs += 1
            clients = [
                _Client(connection, phases, manner.flows, self._own(number), number, manner.clients)
                for number, connection in enumerate(connections)
            ]
            tasks = [asyncio.create_task(client.work()) for client in clients]
            await _pass(warm_s, tasks)
            clock, before = asyncio.get_running_loop().time, _done(clients)
            began = clock()
            await _pass(measured_s, tasks)
            after, elapsed_s = _done(clients), clock() - began
            for client in clients:
                client.stopping = True
            await asyncio.gather(*tasks)
            self.flows += _done(clients)
        finally:
            await asyncio.gather(*(connection.close() for connection in connections))
        return (after - before) / elapsed_s

    async def _connect(self) -> asyncpg.Connection:
        settings = {
            "role": "quaestor_worker",
            "search_path": "quaestor",
            "timezone": "UTC",
            **BY_KEY,
        }
        return await asyncpg.connect(self.dsn, server_settings=settings)

    def _own(self, client: int) -> int:
        return (self._runs * 100 + client) * _STRIDE


class _Client:
    def __init__(
        self,
        connection: asyncpg.Connection,
        phases: Sequence[Sequence[tuple[str, bool]]],
        flows: int,
        first: int,
        number: int,
        clients: int,
    ) -> None:
        self._connection = connection
        self._phases = phases
        self._flows = flows
        self._next = first + 1
        self._nodes = (number * (CENTERS // clients), CENTERS // clients)
        self.done = 0
        self.stopping = False

    async def work(self) -> None:
        prepared = {
            text: await self._connection.prepare(text)
            for phase in self._phases
            for text, _ in phase
        }
        while not self.stopping:
            documents = (self._next, self._flows)
            for phase in self._phases:
                async with self._connection.transaction():
                    for text, budgets in phase:
                        values = documents + self._nodes if budgets else documents
                        await prepared[text].fetch(*values)
            self._next += self._flows
            self.done += self._flows


async def _transactions(connection: asyncpg.Connection) -> list[list[tuple[str, bool]]]:
    """The statements of each transaction; with each whether it is told the budgets as well."""
    kinds = await connection.fetch(_KINDS)
    phases = []
    for phase in range(1, PHASES + 1):
        statements = _INTAKE if phase < CLAIMED else [text.format(phase=phase) for text in _OUTCOME]
        budgets = [
            (text.format(phase=phase, kind=row["kind"]), True)
            for row in kinds
            if row["phase"] == phase
            for text in (_BALANCE, _MOVED)
        ]
        if phase == STATED:
            budgets.insert(0, (_STATED, True))
        trail = (_ENTRIES.format(phase=phase), _PAYLOADS.format(phase=phase))
        phases.append([*((text, False) for text in statements), *budgets])
        phases[-1].extend((text, False) for text in trail)
    return [*phases, [(_LEAVES, False)]]


def _done(clients: Sequence[_Client]) -> int:
    return sum(client.done for client in clients)


async def _pass(seconds: float, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Let time pass; a client that fails ends the measurement."""
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()
