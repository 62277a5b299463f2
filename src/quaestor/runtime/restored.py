"""After a restore: whatever may have been sent in the time that was lost is looked for first (D3).

Two things can hide such a send. A document that came in again has no intent yet. And an intent
may be older than what became of it: unsent or refused here, sent and applied over there.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from quaestor.runtime.case import IntentRow
from quaestor.runtime.intent import Intent, IntentState, later
from quaestor.runtime.posting import perhaps_sent

__all__ = ["doubted", "perhaps_posted", "written_at"]

# The source's clock says when a document was changed. It may be ahead of the database's.
SOURCE_SKEW = timedelta(hours=1)


def perhaps_posted(changed_at: datetime, now: datetime, before: datetime | None) -> bool:
    """Whether a document without an intent may have been sent before `before`, unknown to us.

    A time that has not come yet tells nothing, so it is not trusted either.
    """
    return before is not None and not before + SOURCE_SKEW < changed_at <= now


def written_at(row: IntentRow) -> datetime:
    """The newest moment that the stored intent knows of."""
    newest = later(later(row.core.touched_at, row.core.resumed_at), row.created_at)
    assert newest is not None
    return newest


def doubted(core: Intent, written: datetime, before: datetime | None) -> Intent:
    """The intent, in doubt where it was last written before `before` and that was not told yet.

    One in flight is doubted when its lease is over, a resolved one when it is taken up again.
    """
    if before is None or written > before:
        return core
    if core.state in (IntentState.IN_FLIGHT, IntentState.RESOLVED):
        return core
    settles = before + timedelta(seconds=core.guarantee.settle_s)
    if core.settled_at is not None and core.settled_at >= settles:
        return core
    return perhaps_sent(core, before)
