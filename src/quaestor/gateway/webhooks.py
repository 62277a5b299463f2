"""Webhooks: a system says that something changed. It is a hint, and the system is asked.

A delivery carries its own authentication, which only the connector of its system can read. What it
says is not believed: the streams that it names become due, and what they then answer is taken in
as ever, each item once. So a delivery that comes twice, late or out of order does no harm (N68).
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from quaestor.connectors.kit.contract import Delivery, Receipt, Receives
from quaestor.gateway.problems import Problem
from quaestor.model.refusal import Refusal, refuse
from quaestor.security.secrets import SecretUnavailable
from quaestor.store import Connection, Database

__all__ = ["forget_deliveries", "receive"]

_log = structlog.get_logger(__name__)

_NOW = "select quaestor.clock()"
_NEWS = """
insert into quaestor.webhook_delivery (system, event_id, received_at)
values ($1, $2, quaestor.clock())
on conflict do nothing
returning true
"""
_HINT = """
update quaestor.stream
set hinted_at = quaestor.clock(),
    due_at = case when trouble = '' then least(due_at, quaestor.clock()) else due_at end
where system = $1 and split_part(name, ', observed', 1) = any($2)
"""
# A signature is good for minutes: a day is long enough to know a delivery again.
_FORGET = """
delete from quaestor.webhook_delivery where (system, event_id) in (
    select system, event_id from quaestor.webhook_delivery
    where received_at < quaestor.clock() - interval '1 day' limit 1000
)
"""


async def receive(
    database: Database,
    receivers: Mapping[str, Receives],
    system: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    for_token: bool = False,
) -> Receipt:
    """Take a delivery, or a request for the token to make one with.

    Raises `Problem` for a system without webhooks, or one not its own.
    """
    receiver = receivers.get(system)
    if receiver is None:
        raise Problem(refuse("webhook_unknown"))
    now = await database.fetchval(_NOW)
    receipt: Receipt | Refusal
    try:
        given = Delivery(headers, body, now)
        receipt = receiver.grant(given) if for_token else receiver.receive(given)
    except SecretUnavailable as error:
        _log.error("webhook_secret_unavailable", system=system, code=error.code)
        receipt = refuse("signature_invalid")
    if isinstance(receipt, Refusal):
        raise Problem(receipt)
    if receipt.streams:
        told = receipt

        async def hint(connection: Connection) -> None:
            if told.event_id and not await connection.fetchval(_NEWS, system, told.event_id):
                return
            await connection.execute(_HINT, system, list(told.streams))

        await database.run(hint)
    return receipt


async def forget_deliveries(database: Database) -> None:
    """Delete what is past its time, a thousand at once; asked now and then by each gateway."""

    async def work(connection: Connection) -> None:
        await connection.execute(_FORGET)

    await database.run(work)
