"""The books at rest: what stands in the vendors' systems, on the lines, and in our tables.

A value, so that an invariant is a function of it, and a test can hand it a falsified one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from quaestor.audit.entry import Entry, decode_entry
from quaestor.audit.sequencer import Sequencer
from quaestor.audit.subjects import Subjects
from quaestor.audit.verify import verify
from quaestor.store import Connection, Database
from tests.simulation.people import Approved
from tests.simulation.plan import Plan
from tests.simulation.wires import Line, Sent

__all__ = ["Balance", "Books", "Document", "Held", "IntentRow", "Order", "read_books"]


class Document(msgspec.Struct, frozen=True):
    """A document and its work row. `idle` says that nothing is due or unseen."""

    id: int
    number: str
    entity: str
    version: int
    content_hash: str
    correlation_id: str
    stage: str
    outcome: str | None
    parked_code: str | None
    parked_owner: str | None
    fence: int
    idle: bool


class IntentRow(msgspec.Struct, frozen=True):
    """What was to be sent."""

    key: str
    document_id: int
    name: str
    system: str
    action: str
    state: str
    number: str | None


class Order(msgspec.Struct, frozen=True):
    """A purchase order in a vendor's own books. `reference` is what it carries of our key."""

    system: str
    number: str
    reference: str
    supplier: str
    value: Decimal
    cancelled: bool


class Balance(msgspec.Struct, frozen=True):
    """A budget node as it is kept, and what its entries add up to."""

    node: str
    budget: Decimal
    pre: Decimal
    enc: Decimal
    act: Decimal
    entered: tuple[Decimal, Decimal, Decimal]


class Held(msgspec.Struct, frozen=True):
    """What one document holds of the budgets by the ledger's entries."""

    pre: Decimal
    enc: Decimal


class Books(msgspec.Struct, frozen=True):
    """Everything that an invariant may look at. Times are virtual seconds."""

    plan: Plan
    at_rest: bool
    elapsed_s: float
    deaths: int
    statements: int
    locks_met: int
    documents: tuple[Document, ...]
    intents: tuple[IntentRow, ...]
    orders: tuple[Order, ...]
    sent: tuple[Any, ...]
    balances: tuple[Balance, ...]
    held: Mapping[int, Held]
    entries: tuple[Entry, ...]
    approved: tuple[Approved, ...]
    secrets: tuple[str, ...]
    payloads: tuple[bytes, ...]
    trail: str

    def of(self, document: Document) -> tuple[IntentRow, ...]:
        """What was to be sent for this document."""
        return tuple(row for row in self.intents if row.document_id == document.id)

    def orders_of(self, document: Document) -> tuple[Order, ...]:
        """What stands in the vendor's books for this document, cancelled or not."""
        keys = [row.key for row in self.of(document) if row.action == "create_order"]
        return tuple(
            order for order in self.orders if any(key.startswith(order.reference) for key in keys)
        )

    @property
    def state(self) -> str:
        """A hash of how everything stands, for comparing two moments of one run."""
        told = [
            [row.number, row.version, row.stage, row.outcome, row.parked_code]
            for row in self.documents
        ]
        orders = sorted(
            [order.system, order.number, str(order.value), order.cancelled] for order in self.orders
        )
        balances = [[row.node, str(row.pre), str(row.enc), str(row.act)] for row in self.balances]
        return _hashed([told, orders, balances])

    @property
    def digest(self) -> str:
        """A hash of all that happened, in its order: what a replay must come to again."""
        told = [
            [e.correlation_id, e.at, e.effect, e.outcome, e.stage_before, e.stage_after, e.attempt]
            for e in self.entries
        ]
        sent = [
            [each.at, each.system, each.method, each.correlation_id, each.fault, each.status]
            for each in self.sent
        ]
        return _hashed([self.state, told, sent, self.statements])


def _hashed(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:16]


_DOCUMENTS = """
select d.id, d.number, d.entity, d.version, d.content_hash, d.correlation_id, w.stage, w.outcome,
       w.parked_code, w.parked_owner, w.fence,
       w.woken = w.woken_seen
       and (w.outcome is not null or w.parked_code is not null
            or coalesce(w.due_at, 'infinity') > quaestor.clock() + interval '1 day') as idle
from quaestor.document d join quaestor.work w on w.document_id = d.id order by d.number
"""
_INTENTS = """
select key, document_id, name, system, action, state, number from quaestor.intent order by key
"""
_BALANCES = """
select b.node, b.budget, b.pre, b.enc, b.act, coalesce(sum(e.pre), 0) as entered_pre,
       coalesce(sum(e.enc), 0) as entered_enc, coalesce(sum(e.act), 0) as entered_act
from quaestor.budget_balance b left join quaestor.budget_entry e on e.node = b.node
group by b.node order by b.node
"""
_HELD = """
select document_id, sum(pre) as pre, sum(enc) as enc from quaestor.budget_entry
where document_id is not null group by 1
"""
_ENTRIES = "select canonical from quaestor.audit order by txid, id"
_PAYLOADS = "select content from quaestor.audit_payload where encoding = 1 order by hash"


async def read_books(
    plan: Plan,
    dsn: str,
    lines: Mapping[str, Line],
    *,
    audit_key: bytes,
    approved: Sequence[Approved],
    **more: Any,
) -> Books:
    """Close the trail and read everything."""
    async with await Database.connect(
        dsn, role=None, application_name="books", max_size=2
    ) as database:
        await _placed(database)
        async with database.connection() as connection:
            report = await verify(connection, [], [], subjects=Subjects(audit_key))
            return await _read(connection, plan, lines, tuple(approved), report.to_json(), more)


async def _placed(database: Database) -> None:
    """Give every committed entry its leaf."""
    sequencer = Sequencer(database)
    async with database.connection() as connection:
        assert await sequencer.lead(connection), "somebody else leads"
        while (await sequencer.place(connection)).more:
            continue


async def _read(
    connection: Connection,
    plan: Plan,
    lines: Mapping[str, Line],
    approved: tuple[Approved, ...],
    trail: str,
    more: Mapping[str, Any],
) -> Books:
    balances = [
        Balance(
            row["node"], row["budget"], row["pre"], row["enc"], row["act"],
            (row["entered_pre"], row["entered_enc"], row["entered_act"]),
        )
        for row in await connection.fetch(_BALANCES)
    ]  # fmt: skip
    held = {
        row["document_id"]: Held(row["pre"], row["enc"]) for row in await connection.fetch(_HELD)
    }
    entries = [decode_entry(row["canonical"]) for row in await connection.fetch(_ENTRIES)]
    return Books(
        plan=plan,
        documents=tuple(Document(*row) for row in await connection.fetch(_DOCUMENTS)),
        intents=tuple(IntentRow(*row) for row in await connection.fetch(_INTENTS)),
        orders=tuple(_orders(lines)),
        sent=tuple(sorted(_sent(lines), key=lambda each: each.at)),
        balances=tuple(balances),
        held=held,
        entries=tuple(entries),
        approved=approved,
        secrets=tuple(
            secret for line in lines.values() for secret in line.vendor.handed_out() if secret
        ),
        payloads=tuple(row["content"] for row in await connection.fetch(_PAYLOADS)),
        trail=trail,
        **more,
    )


def _sent(lines: Mapping[str, Line]) -> list[Sent]:
    return [sent for line in lines.values() for sent in line.sent]


def _orders(lines: Mapping[str, Line]) -> list[Order]:
    found = []
    for system, line in lines.items():
        for row in line.vendor.documents(None):
            supplier = row.get("supplier") or row["document"]["supplier"]
            found.append(
                Order(
                    system,
                    str(row["number"]),
                    row["reference"],
                    supplier,
                    Decimal(row["value"]),
                    bool(row["deleted"]),
                )
            )
    return found
