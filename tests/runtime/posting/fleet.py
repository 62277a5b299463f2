"""Two workers, one store, one document, a tiny flow, and the people who look after it.

The store is the committed row: an intent, a lease, a fence. A worker may die at each crash point
and sleep anywhere, also longer than its lease; what it commits then is refused by the fence.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from quaestor.connectors.kit.contract import (
    Absent,
    Ambiguous,
    Found,
    NotKnown,
    Submitted,
    Transient,
)
from quaestor.flows.kit.dossier import Withdrawn
from quaestor.model.refusal import Refusal
from quaestor.runtime import posting
from quaestor.runtime.posting import (
    Intent,
    IntentState,
    LookNow,
    Outcome,
    ParkSend,
    Resolved,
    SendNow,
    WaitUntil,
)
from tests.runtime.posting.conduct import Conduct
from tests.runtime.posting.erp import Erp
from tests.runtime.posting.loop import Loop, Process, Work, instant, milliseconds
from tests.runtime.posting.plan import (
    LEASE,
    LIMITS,
    QUIET_AT,
    RECONCILE_EVERY_S,
    RECONCILE_UNTIL_S,
    TIMEOUT,
    Plan,
)
from tests.runtime.posting.wire import Reply, Wire

__all__ = ["Ended", "Fleet", "Left", "Row", "Withdrawal"]


def _until_woken(_resume: object) -> None:
    """Wait for nothing but a wake-up."""


class _Killed(Exception):
    """The process of this worker is gone."""


@dataclass(frozen=True)
class Ended:
    """Where the document came to rest: with a result, or parked with a refusal."""

    how: Literal["resolved", "parked"]
    result: Outcome | Refusal


@dataclass
class Row:
    """What is committed. `due` and `lease` are milliseconds; `content` is the stored version."""

    intent: Intent
    fence: int = 0
    lease: int = 0
    due: int = 0
    content: int = 1
    adopts: int | None = None
    events: list[str] = field(default_factory=list)
    ended: Ended | None = None


@dataclass(frozen=True)
class Left:
    """A create that left: the order of events in which it was begun and its first byte went."""

    begun: int
    left: int


@dataclass
class Withdrawal:
    """A committed withdrawal; it ends where a later version may be sent again."""

    committed: int
    in_flight: bool
    ended: int | None = None


class Fleet:
    """Everything on our side of the wire."""

    def __init__(
        self, loop: Loop, rng: Random, plan: Plan, erp: Erp, wire: Wire, conduct: Conduct,
        seen: Counter[str],
    ) -> None:  # fmt: skip
        self._loop, self._rng, self._plan = loop, rng, plan
        self._erp, self._wire, self._conduct, self._seen = erp, wire, conduct, seen
        intent = posting.new_intent("k" * 52, "create_order", plan.promised, findable=plan.findable)
        if plan.restored:
            intent = posting.perhaps_sent(intent, instant(0))
        self.row = Row(intent)
        self.creates: list[Left] = []
        self.withdrawals: list[Withdrawal] = []
        self.reported: list[Refusal] = []
        self.told = False
        self.trace: list[str] | None = None
        self._circuit = 0
        self._retries = plan.retries
        self._tick = 0
        self._idle: set[int] = set()
        self._workers = [Process(loop, self._work(number)) for number in range(2)]
        for at, kind in plan.events:
            loop.at(at, lambda kind=kind: self._happens(kind))

    def note(self, what: str, *more: object) -> None:
        """Only kept when a schedule is replayed."""
        if self.trace is not None:
            self.trace.append(f"{self._loop.now / 1000:10.3f} {what} {' '.join(map(str, more))}")

    def _next_tick(self) -> int:
        self._tick += 1
        return self._tick

    # --- the world outside: events and people ----------------------------------------------------

    def _happens(self, kind: str) -> None:
        row = self.row
        if row.ended is not None and row.ended.how == "resolved":
            return
        self.note("event", kind)
        row.events.append(kind)
        if self._plan.withdraws_in_flight and row.intent.state is IntentState.IN_FLIGHT:
            # A console act commits the withdrawal at once, while a worker is sending.
            self._seen["withdrawn in flight"] += 1
            self._take_event(row)
        self._ring()

    def _ring(self) -> None:
        self.row.ended = None if self.row.events else self.row.ended
        self.row.due = self._loop.now
        for number in sorted(self._idle):
            self._workers[number].wake(max(self._loop.now, self.row.lease))

    def _take_event(self, row: Row) -> None:
        """The tiny flow: a cancel or a change withdraws what is unresolved."""
        kind = row.events.pop(0)
        self._seen[f"event {kind}"] += 1
        row.adopts = row.content + 1 if kind == "change" else None
        in_flight = row.intent.state is IntentState.IN_FLIGHT
        self.withdrawals.append(Withdrawal(self._next_tick(), in_flight))
        self._commit(self._conduct.withdraw(row.intent, instant(self._loop.now)), "withdraw")

    def _commit(self, intent: Intent, why: str) -> None:
        self.row.intent = intent
        if self.trace is not None:
            changed = {
                name: getattr(intent, name)
                for name in ("state", "withdrawn", "settled_at", "failures", "parked", "outcome")
            }
            self.note("commit", why, changed)

    def _end(self, ended: Ended) -> None:
        row = self.row
        row.ended = ended
        self.note("ended", ended)
        if isinstance(ended.result, Refusal):
            self._seen[f"parked {ended.result.code}"] += 1
            if self._retries > 0:
                self._retries -= 1
                after = self._loop.now + self._rng.randrange(QUIET_AT)
                self._loop.at(after, self._person_retries)
        else:
            self._seen[f"resolved {type(ended.result).__name__}"] += 1
        self._plan_reconciliation()

    def _person_retries(self) -> None:
        """Somebody who owns the exception acts: he looks himself, or has it tried again."""
        row, now = self.row, instant(self._loop.now)
        if row.ended is None or row.ended.how != "parked":
            return
        refusal = row.ended.result
        assert isinstance(refusal, Refusal)
        settled = row.intent.settled_at is None or row.intent.settled_at <= now
        intent = posting.retried(row.intent, now)
        can_tell = settled and not self._plan.late and not self._erp.busy
        if refusal.code in ("outcome_unknown", "resend_forbidden") and can_tell:
            found = self._erp.ours
            fact = found[0].seen(row.content) if len(found) == 1 else None if found else Absent()
            if fact is not None:
                self._seen["told"] += 1
                self.told = True
                intent = posting.told(row.intent, now, fact)
        self._seen["retried"] += 1
        row.ended = None
        self._commit(intent, "retried")
        self._ring()

    # --- reconciliation --------------------------------------------------------------------------

    def _plan_reconciliation(self) -> None:
        due = posting.reconcile_due(self.row.intent, RECONCILE_EVERY_S, RECONCILE_UNTIL_S)
        if due is not None:
            self._loop.at(milliseconds(due), self._reconcile)

    def _reconcile(self) -> None:
        row, now = self.row, instant(self._loop.now)
        due = posting.reconcile_due(row.intent, RECONCILE_EVERY_S, RECONCILE_UNTIL_S)
        if row.ended is None or due is None or due > now:
            return
        self._seen["reconciled"] += 1
        before = row.intent.outcome
        intent, refusal = posting.reconciled(row.intent, now, self._erp.find(row.content))
        self._commit(intent, "reconciled")
        if refusal is not None:
            self.reported.append(refusal)
            self._seen[f"reported {refusal.code}"] += 1
        if intent.outcome is not None and before is None:
            row.ended = Ended("resolved", intent.outcome)
        elif intent.parked is not None:
            row.ended = Ended("parked", intent.parked)
        self._plan_reconciliation()

    # --- workers ---------------------------------------------------------------------------------

    def _work(self, number: int) -> Work:
        while True:
            try:
                yield from self._claims(number)
            except _Killed:
                yield self._rng.randrange(1, 90_000)

    def _claims(self, number: int) -> Work:
        row, loop = self.row, self._loop
        while True:
            ready = max(row.due, row.lease)
            if row.ended is not None or loop.now < ready:
                self._idle.add(number)
                if row.ended is not None:
                    yield _until_woken
                else:
                    yield ready - loop.now + self._rng.randrange(40)
                self._idle.discard(number)
                continue
            row.fence += 1
            row.lease, before = loop.now + LEASE, row.lease
            if row.intent.state is IntentState.IN_FLIGHT:
                self._seen["send lost"] += 1
                self._commit(self._conduct.send_lost(row.intent, instant(before)), "lost")
            yield from self._hold(row.fence)

    def _hold(self, fence: int) -> Work:
        """Carry the document on under one lease, as long as something can be done."""
        row, loop = self.row, self._loop
        while row.fence == fence and loop.now + TIMEOUT <= row.lease:
            if row.events and row.intent.state is not IntentState.IN_FLIGHT:
                self._take_event(row)
            move = self._conduct.next_move(row.intent, instant(loop.now), LIMITS)
            self.note("move", move)
            self._seen[f"move {type(move).__name__}"] += 1
            if isinstance(move, SendNow | LookNow) and loop.now < self._circuit:
                return self._release(self._circuit)
            match move:
                case SendNow():
                    yield from self._send(fence)
                case LookNow():
                    yield from self._look(fence)
                case WaitUntil(at):
                    return self._release(milliseconds(at))
                case ParkSend(refusal):
                    row.lease = 0
                    return self._end(Ended("parked", refusal))
                case Resolved(result):
                    if self._goes_on(result):
                        continue
                    row.lease = 0
                    return self._end(Ended("resolved", result))
        if row.fence == fence:
            self._release(loop.now)
        return None

    def _release(self, due: int) -> None:
        self.row.lease, self.row.due = 0, due
        if self.row.events:
            self.row.due = self._loop.now

    def _goes_on(self, result: Outcome) -> bool:
        """A change that left nothing behind is sent in its new version, under the same key."""
        row = self.row
        if row.adopts is None or result != Withdrawn(None):
            return False
        self._seen["sent in a later version"] += 1
        row.content, row.adopts = row.adopts, None
        for withdrawal in self.withdrawals:
            withdrawal.ended = withdrawal.ended or self._next_tick()
        self._commit(posting.retried(row.intent, instant(self._loop.now)), "later version")
        return True

    def _send(self, fence: int) -> Work:
        row, loop = self.row, self._loop
        self._may_die("before_intent")
        lease, begun, begun_at = row.lease, self._next_tick(), loop.now
        content = row.content
        if self._conduct.records_before_sending:
            intent = self._conduct.begin_send(row.intent, instant(loop.now), instant(lease))
            self._commit(intent, "begin send")
            self._may_die("after_intent")
        attempt = row.intent.attempts
        yield from self._may_sleep()
        if loop.now + TIMEOUT > lease:
            # Checked right before the first byte: nothing is sent that could outlive its lease.
            self._seen["deadline passed before the first byte"] += 1
            reply = Reply(Transient("no lease left to send under"), loop.now)
        else:
            if self._plan.late:
                # A frozen process between the check and the byte breaks the settle time, too.
                yield from self._may_sleep()
            self.creates.append(Left(begun, self._next_tick()))
            self.note("first byte of version", content)
            if self._rng.random() < self._plan.crashes:
                self._wire.create(content, lambda _: None)
                self._seen["crash after_send"] += 1
                raise _Killed
            reply = yield lambda resume: self._wire.create(content, resume)
        self.note("reply", repr(reply.answer))
        self._may_die("after_answer")
        yield from self._may_sleep()
        if not self._conduct.records_before_sending and row.fence == fence:
            begin = self._conduct.begin_send(row.intent, instant(begun_at), instant(lease))
            self._commit(begin, "begin send, too late")
            attempt = row.intent.attempts
        self._may_die("before_outcome")
        self._open_circuit(reply.answer)
        self._outcome(fence, attempt, reply)
        if self._rng.random() < 0.05:
            self._seen["answer delivered twice"] += 1
            self._outcome(fence, attempt, reply)

    def _outcome(self, fence: int, attempt: int, reply: Reply) -> None:
        """The fenced commit: refused for a worker that lost its lease, and the second time."""
        row = self.row
        if row.fence != fence:
            self._seen["fenced off"] += 1
            return
        if row.intent.state is not IntentState.IN_FLIGHT or row.intent.attempts != attempt:
            return
        now, last_byte_by = instant(self._loop.now), instant(reply.last_byte_by)
        intent = self._conduct.send_answered(row.intent, now, reply.answer, last_byte_by)
        self._seen[f"answer {type(reply.answer).__name__}"] += 1
        self._commit(intent, "outcome")

    def _look(self, fence: int) -> Work:
        row, loop = self.row, self._loop
        self._commit(posting.begin_look(row.intent, instant(loop.now)), "begin look")
        started = loop.now
        yield from self._may_sleep()
        found: Found | NotKnown = yield lambda resume: self._wire.find(row.content, resume)
        self.note("found", repr(found))
        self._may_die("after_answer")
        self._open_circuit(found)
        if row.fence != fence or row.intent.state in (IntentState.IN_FLIGHT, IntentState.RESOLVED):
            self._seen["look fenced off"] += 1
            return
        self._seen[f"found {type(found).__name__}"] += 1
        now = instant(loop.now)
        self._commit(self._conduct.looked(row.intent, instant(started), now, found), "looked")

    def _open_circuit(self, answer: Submitted | Found | NotKnown) -> None:
        if isinstance(answer, Transient | Ambiguous) and answer.system:
            self._circuit = self._loop.now + self._rng.randrange(1, 20_000)

    def _may_die(self, point: str) -> None:
        if self._loop.now < QUIET_AT and self._rng.random() < self._plan.crashes:
            self._seen[f"crash {point}"] += 1
            self.note("worker dies", point)
            raise _Killed

    def _may_sleep(self) -> Work:
        if self._loop.now < QUIET_AT and self._rng.random() < self._plan.pauses:
            self._seen["pause"] += 1
            yield self._rng.randrange(3 * LEASE)
