"""Webhooks: a system says that something changed. It is a hint, and the system is asked.

A delivery carries its own authentication, which only the connector of its system can read. What it
says is not believed: the streams that it names become due, and what they then answer is taken in
as ever, each item once. So a delivery that comes twice, late or out of order does no harm (N68).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import msgspec

from quaestor.gateway.problems import Problem
from quaestor.model.refusal import Refusal, refuse
from quaestor.store import Connection, Database

__all__ = ["Delivery", "Receipt", "Receives", "receive"]

_NOW = "select quaestor.clock()"
_DUE = """
update quaestor.stream set due_at = quaestor.clock()
where system = $1 and name = any($2) and due_at > quaestor.clock()
"""


class Delivery(msgspec.Struct, frozen=True):
    """What came: header names in lower case, the body's own bytes, and when, in database time."""

    headers: Mapping[str, str]
    body: bytes
    received_at: datetime


class Receipt(msgspec.Struct, frozen=True):
    """What to answer the system, and which of its streams to ask now."""

    streams: tuple[str, ...]
    body: bytes = b""
    media_type: str = "application/json"
    status: int = 200


class Receives(Protocol):
    """A connector that takes webhooks. Pure: it authenticates and translates, nothing else."""

    def receive(self, delivery: Delivery) -> Receipt | Refusal:
        """The receipt, or `signature_invalid` or `timestamp_out_of_range`."""
        ...


async def receive(
    database: Database,
    receivers: Mapping[str, Receives],
    system: str,
    headers: Mapping[str, str],
    body: bytes,
) -> Receipt:
    """Take a delivery. Raises `Problem` for a system without webhooks, or one not its own."""
    receiver = receivers.get(system)
    if receiver is None:
        raise Problem(refuse("webhook_unknown"))
    now = await database.fetchval(_NOW)
    receipt = receiver.receive(Delivery(headers, body, now))
    if isinstance(receipt, Refusal):
        raise Problem(receipt)
    if receipt.streams:

        async def hint(connection: Connection) -> None:
            await connection.execute(_DUE, system, list(receipt.streams))

        await database.run(hint)
    return receipt
