"""Advancing: carry cases on inside one transaction, and save what was decided.

The claim and the outcome use the same way: pure progress until every case needs time or a slot,
budget effects in rounds, then intents, work, audit trail. No network call happens here (I10).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from quaestor.flows.kit.flow import Flow
from quaestor.runtime.case import Case, IntentRow
from quaestor.runtime.gate import EpochGate
from quaestor.runtime.inquiring import AnswerLink, AskNow
from quaestor.runtime.lanes import NO_SYSTEM, Lanes, lane_name, system_of
from quaestor.runtime.ledger import carry_out
from quaestor.runtime.posting import LookNow, SendNow, begin_look, begin_send, reconcile_due
from quaestor.runtime.progress import World, proceed
from quaestor.runtime.receiving import begin_children, wake_documents
from quaestor.runtime.recording import Recorder
from quaestor.runtime.saving import Flight, save_cases
from quaestor.runtime.sending import Call, SystemLink
from quaestor.runtime.stepping import note_waiting
from quaestor.store import Connection

__all__ = ["Advance", "Batch"]

# Between the end of the last request and the end of the lease: time to come back and be recorded.
MARGIN_S = 0.5
# What deciding one document may take before it is told: it holds up every other one.
STAGE_MS_MAX = 10.0

_log = structlog.get_logger(__name__)


@dataclass
class Batch:
    """One transaction's cases. `taken` are slots to give back when it does not commit.

    `free` are the slots by system that were free when the cases were claimed: one that became
    free since belongs to whoever waits longest for it, and not to who came along just now.
    """

    cases: list[Case]
    now: datetime
    claimed_monotonic: float
    free: dict[str, int] | None = None
    taken: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)


@dataclass(frozen=True)
class Advance:
    """What advancing needs. `lease_s` is longer than any request's time-out plus the margin."""

    world: World
    flows: Mapping[str, Flow]
    lanes: Lanes
    links: Mapping[str, SystemLink]
    recorder: Recorder
    lease_s: float
    reconcile_every_s: float
    know_releases: Callable[[Connection, set[str]], Awaitable[None]]
    asked: Mapping[str, AnswerLink] = field(default_factory=dict)
    gate: EpochGate = field(default_factory=EpochGate)

    async def run(self, connection: Connection, batch: Batch) -> list[Case]:
        """Advance and save; `batch.calls` are to be made once the transaction has committed.

        Returns the cases whose fence still held. Raises `EpochChanged` on a connection to
        another database than the accepted one.
        """
        await self.gate.require(connection)
        world = replace(
            self.world,
            find_first_before=self.gate.find_first_before,
            lost_since=self.gate.lost_since,
        )
        await self.know_releases(connection, {case.release for case in batch.cases})
        pending: Sequence[Case] = batch.cases
        while pending:
            for case in pending:
                self._proceed(case, world, batch.now)
            pending = [case for case in pending if case.budget]
            if pending:
                await carry_out(connection, pending, batch.now)
        flights = [Flight(case, self._launch(batch, case)) for case in batch.cases]
        for case in batch.cases:
            note_waiting(case)
        kept = await save_cases(connection, flights, batch.now)
        held = {case.document.id for case in kept}
        for call in [call for call in batch.calls if call.case.document.id not in held]:
            batch.calls.remove(call)
            batch.taken.remove(call.lane)
            self.lanes.give_back(call.lane)
        await begin_children(connection, kept, self.flows, batch.now)
        await wake_documents(connection, kept, batch.now)
        await self.recorder.record(connection, kept, batch.now)
        return kept

    def _proceed(self, case: Case, world: World, now: datetime) -> None:
        """Progress within the budget of what may decide on the event loop (DESIGN D8)."""
        began = time.perf_counter()
        proceed(case, world, now)
        took_ms = (time.perf_counter() - began) * 1000
        if took_ms > STAGE_MS_MAX:
            _log.warning(
                "stage_slow", document=case.document.id, stage=case.stage, took_ms=round(took_ms)
            )

    def give_back(self, batch: Batch) -> None:
        """The transaction did not commit: nothing will be called."""
        for lane in batch.taken:
            self.lanes.give_back(lane)
        batch.taken, batch.calls = [], []

    def _launch(self, batch: Batch, case: Case) -> datetime | None:
        """The end of the lease where the case goes on the wire; `None` where it is given back."""
        self.plan_reconciling(case)
        if case.move is None:
            case.lane, case.lane_since = lane_name(NO_SYSTEM, case.document.entity), None
            return None
        row, link = self._reach(case, case.move)
        case.lane = lane_name(link.name, case.document.entity)
        if not self._take_slot(batch, case.lane):
            # It keeps its place: oldest due first. What was woken before its time, by the
            # decision it awaited for weeks, is due from now on.
            case.lane_since = case.lane_since or batch.now
            case.due_at = min(case.was_due or batch.now, batch.now)
            return None
        batch.taken.append(case.lane)
        # The claim began before this reading of the clock, so the deadline errs on the safe side.
        lease_until = batch.now + timedelta(seconds=self.lease_s)
        if row is not None:
            _begin(case, row, batch.now, lease_until)
        case.lane_since = None
        # A worker that dies leaves the document due at the end of its lease.
        case.due_at = lease_until
        batch.calls.append(
            Call(
                case=case,
                row=row,
                move=case.move,
                link=link,
                lane=case.lane,
                began_at=batch.now,
                send_before=batch.claimed_monotonic
                + self.lease_s
                - link.total_timeout_s
                - MARGIN_S,
            )
        )
        return lease_until

    def _reach(
        self, case: Case, move: SendNow | LookNow | AskNow
    ) -> tuple[IntentRow | None, SystemLink | AnswerLink]:
        """The intent of this move, where it has one, and the system it goes to."""
        if isinstance(move, AskNow):
            return None, self.asked[move.system]
        row = case.sending_row
        assert row is not None
        return row, self.links[row.system]

    def _take_slot(self, batch: Batch, lane: str) -> bool:
        system = system_of(lane)
        if batch.free is not None:
            if not batch.free.get(system):
                return False
            batch.free[system] -= 1
        return self.lanes.take(lane, time.monotonic())

    def plan_reconciling(self, case: Case) -> None:
        """What was sent again after a look that found nothing is looked at once more (D3)."""
        for row in case.intents.values():
            if row.is_changed:
                row.reconcile_at = reconcile_due(row.core, self.reconcile_every_s)


def _begin(case: Case, row: IntentRow, now: datetime, lease_until: datetime) -> None:
    """A send or look-up of this intent begins."""
    row.is_changed = True
    if not isinstance(case.move, SendNow):
        row.core = begin_look(row.core, now)
        return
    row.core = begin_send(row.core, now, lease_until)
    case.note(
        "send",
        "begun",
        system=row.system,
        name=row.name,
        attempt=row.core.attempts,
        details={"key": row.core.key, "sha256": hashlib.sha256(row.payload).hexdigest()},
    )
