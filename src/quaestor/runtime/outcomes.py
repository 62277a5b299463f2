"""Outcomes: what the systems answered is committed in groups, each answer within milliseconds.

An answer never waits for the slowest of its claim. A group that cannot be committed is divided
until the one that cannot stands alone; it is parked with its answer in a spool that has no
constraints, and the others are committed (DESIGN D5).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import structlog

from quaestor.connectors.kit.contract import (
    DEADLINE_PASSED,
    Absent,
    AlreadyExists,
    Ambiguous,
    Answer,
    Found,
    NotKnown,
    Rejected,
    Several,
    Submitted,
    Transient,
)
from quaestor.flows.kit.dossier import Answered
from quaestor.flows.kit.step import Park
from quaestor.model.refusal import Refused, refuse
from quaestor.observability.meters import Meters
from quaestor.runtime.advancing import Advance, Batch
from quaestor.runtime.case import Case
from quaestor.runtime.dispatch import load_arrivals
from quaestor.runtime.inquiring import AskNow, outcome_of
from quaestor.runtime.intent import Limits
from quaestor.runtime.lanes import system_of
from quaestor.runtime.posting import SendNow, looked, send_answered
from quaestor.runtime.recording import encode_exchange
from quaestor.runtime.saving import Flight, save_cases
from quaestor.runtime.sending import Call, Outcome
from quaestor.runtime.state import Asking
from quaestor.store import Connection, Database, is_storage_trouble

__all__ = ["OutcomeWriter", "GROUP_MAX"]

GROUP_MAX = 100
# How long a group gathers: at 4 ms one commit carries what 200 sends in flight answer meanwhile.
GATHER_S = 0.004
STORAGE_PAUSE_S = 0.2
COMMITTERS = 2
# Into how many parts a group that cannot be committed is divided, side by side.
PARTS = 4
_WAITS_KEPT = 10_000

_HELD = """
select w.document_id, w.woken, w.woken_seen, (select quaestor.clock()) as now
from unnest($1::bigint[], $2::bigint[]) held(id, fence)
join quaestor.work w on w.document_id = held.id and w.fence = held.fence
order by w.document_id for update of w
"""
_SPOOL = """
insert into quaestor.outcome_spool (at, document_id, fence, key, answer, error)
values (quaestor.clock(), $1, $2, $3, $4, $5)
"""

_encode = msgspec.json.Encoder(decimal_format="string").encode
_log = structlog.get_logger(__name__)


@dataclass
class OutcomeWriter:
    """Commits outcomes in groups. `launch` starts the calls that follow; `at` is a crash hook.

    `waits_ms` are the times from an answer to its commit, of the newest ones.
    """

    database: Database
    advance: Advance
    launch: Callable[[Sequence[Call], float], None]
    finished: Callable[[Sequence[Case]], None]
    at: Callable[[str], None]
    meters: Meters = field(default_factory=Meters)
    fenced: int = 0
    unrecordable: int = 0
    committed: int = 0
    waits_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_WAITS_KEPT))
    _ready: list[Outcome] = field(default_factory=list)
    _committing: int = 0
    _asides: set[asyncio.Task[None]] = field(default_factory=set)
    _bell: asyncio.Event = field(default_factory=asyncio.Event)
    _rest: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._rest.set()

    def put(self, outcome: Outcome) -> None:
        """An answer is here; the slot of its call is free."""
        lanes = self.advance.lanes
        lanes.give_back(outcome.call.lane)
        _heard(outcome, self.advance)
        self._ready.append(outcome)
        self._rest.clear()
        self._bell.set()

    @property
    def is_idle(self) -> bool:
        """No answer waits for its commit."""
        return self._rest.is_set()

    async def idle(self) -> None:
        """Wait until no answer waits for its commit."""
        await self._rest.wait()

    async def run(self) -> None:
        """Commit groups until cancelled. While one group is divided, the next ones go on."""
        async with asyncio.TaskGroup() as committers:
            for _ in range(COMMITTERS):
                committers.create_task(self._commit_groups())

    async def _commit_groups(self) -> None:
        while True:
            await self._bell.wait()
            await asyncio.sleep(GATHER_S)
            group, self._ready = self._ready[:GROUP_MAX], self._ready[GROUP_MAX:]
            if not self._ready:
                self._bell.clear()
            if not group:
                # The other committer was there first.
                continue
            await self._tracked(self._commit_whole(group))

    async def _tracked(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry it out; while it lasts, answers are not all committed."""
        self._committing += 1
        try:
            await work
        finally:
            self._committing -= 1
            if not self._ready and not self._committing:
                self._rest.set()

    async def _commit_whole(self, group: Sequence[Outcome]) -> None:
        try:
            await self._commit(group)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not hold up the others
            if is_storage_trouble(error):
                # The answers are still true when the database is back. What was committed
                # without our hearing of it shows as a fence that moved.
                await asyncio.sleep(STORAGE_PAUSE_S)
                self._ready = [*group, *self._ready]
                self._bell.set()
                return
            if len(group) == 1:
                # On its own, so that the others of its group do not wait for it.
                aside = asyncio.create_task(self._tracked(self._set_aside(group[0], error)))
                self._asides.add(aside)
                aside.add_done_callback(self._asides.discard)
                return
            size = -(-len(group) // PARTS)
            parts = [group[start : start + size] for start in range(0, len(group), size)]
            await asyncio.gather(*(self._commit_whole(part) for part in parts))

    async def _commit(self, group: Sequence[Outcome]) -> None:
        batches: list[Batch] = []
        by_id = {outcome.call.case.document.id: outcome for outcome in group}

        async def work(connection: Connection) -> list[Case]:
            while batches:
                self.advance.give_back(batches.pop())
            batch = Batch([], group[0].call.began_at, time.monotonic())
            batches.append(batch)
            await self._take_hold(connection, batch, by_id)
            kept = await self.advance.run(connection, batch)
            self.at("before_outcome")
            return kept

        began = time.monotonic()
        try:
            kept = await self.database.run(work)
        except BaseException:
            while batches:
                self.advance.give_back(batches.pop())
            raise
        now = time.monotonic()
        self.meters.commits.add(now - began, len(kept))
        self.meters.saved(case.outcome for case in kept)
        if len(kept) < len(group):
            held = {case.document.id for case in kept}
            late = sorted(by_id.keys() - held)
            _log.warning("outcome_fenced", documents=late)
        self.fenced += len(group) - len(kept)
        self.committed += len(kept)
        self.waits_ms.extend((now - outcome.answered_monotonic) * 1000 for outcome in group)
        batch = batches[-1]
        self.launch(batch.calls, batch.claimed_monotonic)
        flying = {call.case.document.id for call in batch.calls}
        cases = (outcome.call.case for outcome in group)
        self.finished([case for case in cases if case.document.id not in flying])

    async def _take_hold(
        self, connection: Connection, batch: Batch, by_id: dict[int, Outcome]
    ) -> None:
        """Lock the rows that are still ours, and state on copies what was answered."""
        ids = sorted(by_id)
        rows = await connection.fetch(_HELD, ids, [by_id[each].call.case.fence for each in ids])
        if not rows:
            return
        batch.now = rows[0]["now"]
        woken = []
        for row in rows:
            outcome = by_id[row["document_id"]]
            case = outcome.call.case.copy()
            case.woken = row["woken"]
            if isinstance(outcome.call.move, AskNow):
                _heard_of(outcome, outcome.call.move, case, batch.now, self.advance.world.limits)
            else:
                _state(outcome, case, batch)
            batch.cases.append(case)
            if row["woken"] != row["woken_seen"] or case.state.unconsumed:
                woken.append(case)
        await load_arrivals(connection, woken)

    async def _set_aside(self, outcome: Outcome, error: Exception) -> None:
        """Park the one that cannot be recorded, and keep its answer where nothing can refuse it."""
        self.unrecordable += 1
        case = outcome.call.case
        row = outcome.call.row
        key = "" if row is None else row.core.key
        _log.error("outcome_not_recordable", document=case.document.id, error=type(error).__name__)
        answer = _encode({"answer": _words(outcome.answer), "elapsed_ms": outcome.elapsed_ms})
        refusal = refuse("outcome_not_recordable", key=key, error=type(error).__name__)

        async def spool(connection: Connection) -> None:
            await connection.execute(
                _SPOOL, case.document.id, case.fence, key, answer, type(error).__name__
            )

        async def park(connection: Connection) -> None:
            rows = await connection.fetch(_HELD, [case.document.id], [case.fence])
            if not rows:
                return
            parked = case.copy()
            parked.woken = rows[0]["woken"]
            parked.keep(parked=Park(refusal.owner, refusal))
            now = rows[0]["now"]
            kept = await save_cases(connection, [Flight(parked, None)], now)
            parked.note("park", refusal.code, refusal=refusal)
            await self.advance.recorder.record(connection, kept, now)

        for work in (spool, park):
            try:
                await self.database.run(work)
            except Exception as failure:  # noqa: BLE001 - the lease ends, and it is looked for
                _log.error("outcome_not_set_aside", error=type(failure).__name__)
        self.finished([case])


def _words(answer: Submitted | Found | Answer | NotKnown) -> object:
    if isinstance(answer, NotKnown):
        return {"kind": type(answer).__name__, "reason": answer.reason}
    return answer


def _heard(outcome: Outcome, advance: Advance) -> None:
    """What the answer says about the system (D6): its circuit opens or closes."""
    circuit = advance.lanes.circuit(system_of(outcome.call.lane))
    match outcome.answer:
        case Transient(code=code) if code == DEADLINE_PASSED:
            return
        case Transient(system=True, retry_after_s=wait_s) as error:
            wait = wait_s
        case Ambiguous(system=True) as error:
            wait = None
        case NotKnown():
            return
        case _:
            if circuit.spoke():
                _log.info("circuit_closed", system=outcome.call.link.name)
            return
    # The answer's own microseconds are as good a jitter as any.
    jitter = outcome.elapsed_ms % 1
    if circuit.trouble(time.monotonic(), error.reason, wait_s=wait, jitter=jitter):
        _log.warning("circuit_opened", system=outcome.call.link.name, reason=error.reason)


def _state(outcome: Outcome, case: Case, batch: Batch) -> None:
    """Put the answer into the core and the note of it into the trail."""
    call, answer = outcome.call, outcome.answer
    assert call.row is not None
    assert not isinstance(answer, Answer)
    row = case.intents[call.row.name]
    sends = isinstance(call.move, SendNow)
    if isinstance(answer, Transient) and answer.code == DEADLINE_PASSED:
        # Our own lateness: to the core it is nobody's failure, as trouble of a system is.
        answer = Transient(answer.reason, code=answer.code, system=True)
    if sends:
        assert not isinstance(answer, Several | Absent)
        row.core = send_answered(row.core, batch.now, answer, outcome.last_byte_by)
    else:
        assert not isinstance(answer, Rejected | AlreadyExists)
        row.core = looked(row.core, call.began_at, batch.now, answer)
    row.is_changed = True
    details = {"elapsed_ms": f"{outcome.elapsed_ms:.1f}"}
    if isinstance(answer, NotKnown):
        details["reason"] = answer.reason
    number = getattr(answer, "number", "")
    case.note(
        "send" if sends else "look",
        type(answer).__name__.lower(),
        system=row.system,
        name=row.name,
        external_id=number if isinstance(number, str) else "",
        attempt=row.core.attempts,
        details=details,
        payloads=tuple(encode_exchange(exchange) for exchange in outcome.exchanges),
    )


def _heard_of(outcome: Outcome, move: AskNow, case: Case, now: datetime, limits: Limits) -> None:
    """Put the answer to a question into the case and the note of it into the trail."""
    answer = outcome.answer
    assert isinstance(answer, Answer | NotKnown)
    heard = outcome_of(case.state.asking[move.name], answer, now, limits)
    details = {"elapsed_ms": f"{outcome.elapsed_ms:.1f}"}
    refusal = None
    if isinstance(heard, Asking):
        case.keep_asking(move.name, heard)
        said = "unanswered"
    else:
        case.keep_asking(move.name, None)
        case.keep_result(move.name, heard)
        said = type(heard).__name__.lower()
    if isinstance(heard, Answered):
        details |= {"as_of": heard.as_of.isoformat(), **move.question.facts}
    elif isinstance(heard, Refused):
        refusal = heard.refusal
    if isinstance(answer, NotKnown):
        details["reason"] = answer.reason
    case.note(
        "inquire",
        said,
        system=move.system,
        name=move.name,
        refusal=refusal,
        details=details,
        payloads=tuple(encode_exchange(exchange) for exchange in outcome.exchanges),
    )
