"""Laying down: documents in any number, without the work that would have brought them there.

Parked ones stand as a refusal leaves them. Done ones take the three steps of a flow's work row, so
that table and indexes hold the dead rows that a flow leaves; nothing else of a flow is there.
"""

from __future__ import annotations

import asyncpg
import msgspec

from quaestor.bench.folder import ENTITY
from quaestor.flows.requisition_to_order import REQUISITION_TO_ORDER
from quaestor.model.refusal import refuse
from quaestor.runtime.state import SCHEMA_NO, WorkState, encode_state

__all__ = ["PAST_VERSION", "lay_down", "lay_down_done"]

PAST_VERSION = 30_000
"""The flow's version of what was laid down: no worker knows it."""

_AT_A_TIME = 50_000
# As large as a stored requisition of a few lines; it is packed, and gets no smaller.
_BODY_BYTES = 600

_DOCUMENTS = """
with laid as (
    insert into quaestor.document
        (entity, type, source_system, source_id, number, correlation_id, version, content_hash,
         changed_at, created_at)
    select $1, 'requisition', 'coupa', $2 || n, $2 || n, gen_random_uuid()::text, 1,
           'sha256:' || md5(n::text) || md5($2 || n), quaestor.clock(), quaestor.clock()
    from generate_series($3::bigint, $4::bigint) n
    returning id
), bodies as (
    insert into quaestor.document_body
        (document_id, version, entity, schema_no, content_hash, body, received_at)
    select id, 1, $1, $5, 'sha256:laid-down', $6, quaestor.clock() from laid
)
insert into quaestor.work
    (document_id, entity, flow, flow_version, schema_no, release, stage, state, lane, due_at,
     parked_owner, parked_code, parked, parked_at)
select id, $1, $7, $8, $5, $9, 'validating', $10, '/' || $1,
       case when $11::text is null then quaestor.clock() end,
       $11, $12, $13, case when $11::text is not null then quaestor.clock() end
from laid
returning document_id
"""
# What a claim and an outcome make of a work row.
_CLAIMED = """
update quaestor.work
set stage = 'answering', lane = 'sap/' || entity, fence = fence + 1,
    due_at = quaestor.clock() + interval '30 s', lease_until = quaestor.clock() + interval '30 s'
where document_id between $1 and $2
"""
_DONE = """
update quaestor.work
set stage = 'done', lane = '', fence = fence + 1, due_at = null, lease_until = '-infinity',
    done_at = quaestor.clock(), outcome = 'ordered'
where document_id between $1 and $2
"""


async def lay_down(
    owner: asyncpg.Connection, release: str, prefix: str, count: int, *, parked: bool = False
) -> None:
    """Write `count` requisitions: parked with finance, or due at once."""
    for first in range(1, count + 1, _AT_A_TIME):
        last = min(count, first + _AT_A_TIME - 1)
        await _lay(owner, release, prefix, first, last, parked=parked)


async def lay_down_done(owner: asyncpg.Connection, release: str, prefix: str, count: int) -> None:
    """Write `count` requisitions that were due, claimed, and done."""
    for first in range(1, count + 1, _AT_A_TIME):
        last = min(count, first + _AT_A_TIME - 1)
        ids = await _lay(owner, release, prefix, first, last, parked=False)
        for step in (_CLAIMED, _DONE):
            await owner.execute(step, min(ids), max(ids))


async def _lay(
    owner: asyncpg.Connection, release: str, prefix: str, first: int, last: int, *, parked: bool
) -> list[int]:
    refusal = refuse("approval_expired", request="approval/1/1")
    rows = await owner.fetch(
        _DOCUMENTS,
        ENTITY,
        prefix,
        first,
        last,
        SCHEMA_NO,
        bytes(range(200)) * (_BODY_BYTES // 200),
        REQUISITION_TO_ORDER.name,
        PAST_VERSION,
        release,
        encode_state(WorkState()),
        refusal.owner if parked else None,
        refusal.code if parked else None,
        msgspec.json.encode(refusal) if parked else None,
    )
    return [row["document_id"] for row in rows]
