"""Recover: a person accepts the database as it is, after a restore or a failover (DESIGN D3).

Until then nothing is sent. Afterwards everything that may have been sent in the time that was lost
is looked for in its target system before its next send.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from quaestor.audit.append import EntryIds, append
from quaestor.audit.entry import FORMAT, Entry
from quaestor.audit.subjects import Subjects
from quaestor.runtime.receiving import new_correlation_id
from quaestor.store import Connection
from quaestor.store.epoch import AcceptedEpoch, Epoch, accept_epoch, read_epoch, stored_epoch

__all__ = ["Plan", "RecoveryPointInvalid", "plan_recovery", "recover"]

# An act on the whole deployment belongs to no legal entity.
WHOLE = "*"

_OPEN = "select count(*) from quaestor.work where done_at is null"
_UNRESOLVED = "select count(*) from quaestor.intent where resolved_at is null"
_NOW = "select quaestor.clock()"


class RecoveryPointInvalid(ValueError):
    """The recovery point is not a moment of the past with its offset from UTC."""


class Plan(msgspec.Struct, frozen=True):
    """What a recovery would do. `was` is what was accepted last, `now` what the server is.

    `open_documents` are not done yet; `unresolved` are their intents without an outcome.
    """

    was: AcceptedEpoch | None
    now: Epoch
    recovery_point: datetime
    open_documents: int
    unresolved: int

    @property
    def has_changed(self) -> bool:
        """Whether the database is another one than the accepted one, as far as it can tell.

        A storage snapshot that was rolled back cannot be told; a person may know of it.
        """
        return self.was is None or self.was.epoch != self.now


async def plan_recovery(connection: Connection, recovery_point: datetime) -> Plan:
    """See `Plan`; nothing is changed. Raises `RecoveryPointInvalid`."""
    now = await connection.fetchval(_NOW)
    if recovery_point.tzinfo is None or recovery_point > now:
        raise RecoveryPointInvalid(recovery_point.isoformat())
    return Plan(
        was=await stored_epoch(connection),
        now=await read_epoch(connection),
        recovery_point=recovery_point,
        open_documents=await connection.fetchval(_OPEN),
        unresolved=await connection.fetchval(_UNRESOLVED),
    )


async def recover(connection: Connection, subjects: Subjects, plan: Plan, *, by: str) -> Epoch:
    """Accept the database, in the caller's transaction; workers go on within a second or so."""
    epoch = await accept_epoch(connection, accepted_by=by, recovery_point=plan.recovery_point)
    person = (WHOLE, by)
    actors = await subjects.pseudonyms(connection, [person])
    (entry_id,) = await EntryIds().take(connection, 1)
    entry = Entry(
        format=FORMAT,
        id=entry_id,
        at=await connection.fetchval(_NOW),
        entity=WHOLE,
        correlation_id=new_correlation_id(),
        actor=actors[person],
        effect="recover",
        outcome="accepted",
        before={"epoch": str(plan.was.epoch)} if plan.was is not None else {},
        after={"epoch": str(epoch)},
        details={"recovery_point": plan.recovery_point.isoformat()},
    )
    await append(connection, [entry])
    return epoch
