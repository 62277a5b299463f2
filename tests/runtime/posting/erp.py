"""A system that keeps its promise to the letter and not a millisecond better.

A request may commit, and become visible, at any time until the settle time after its last byte;
with `late` in the plan even after that. What it holds is counted here, not in our records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from quaestor.connectors.kit.contract import (
    Absent,
    AlreadyExists,
    Applied,
    Found,
    Guarantee,
    NotKnown,
    Pending,
    Rejected,
    Several,
    Submitted,
    Transient,
)
from quaestor.model.refusal import refuse
from tests.runtime.posting.loop import Loop
from tests.runtime.posting.plan import LATENESS_MAX, MINUTE, Plan

__all__ = ["Erp", "Order"]

Answered = Callable[[Submitted | NotKnown], None]


@dataclass
class Order:
    """A document in the system. A foreign one only shares our short reference."""

    number: str
    committed: int
    visible: int
    content: int
    whole: bool = True
    foreign: bool = False

    def seen(self, content: int) -> Applied:
        """As a connector tells it, which compares what it finds with what was commanded."""
        same = self.whole and not self.foreign and self.content == content
        return Applied(self.number, differences=() if same else ("lines[2]: missing",))


@dataclass
class Job:
    """Asynchronous work: visible as pending until `ends`, when its order is there or is not."""

    reference: str
    visible: int
    ends: int


class Erp:
    """One posting key is under observation: every order here answers to it."""

    def __init__(self, loop: Loop, rng: Random, plan: Plan) -> None:
        self._loop, self._rng, self._plan = loop, rng, plan
        self.orders: list[Order] = []
        self._jobs: list[Job] = []
        self._claimed = False
        self._key_seen: int | None = None
        self._key_answer: Order | Pending | None = None
        self.contradicted = False
        self._numbers = 0
        if plan.foreign:
            self.orders.append(Order("F-900", 0, 0, 0, foreign=True))

    @property
    def ours(self) -> list[Order]:
        """The orders made by our requests."""
        return [order for order in self.orders if not order.foreign]

    @property
    def busy(self) -> bool:
        """Whether asynchronous work is still running."""
        return any(self._loop.now < job.ends for job in self._jobs)

    def receive(self, content: int, last_byte: int, answer: Answered) -> None:
        """A create whose last byte left us at `last_byte` arrives somewhere before it settles."""
        rng, plan = self._rng, self._plan
        settles = last_byte + plan.settle
        if plan.late and rng.random() < 0.4:
            settles += rng.randrange(LATENESS_MAX)
        arrives = max(self._loop.now, self._draw(last_byte, settles))
        commits = self._draw(arrives, settles)
        visible = settles if rng.random() < 0.4 else self._draw(commits, settles)
        self._loop.at(arrives, lambda: self._arrive(content, commits, visible, answer))

    def _draw(self, low: int, high: int) -> int:
        """Mostly soon, sometimes at the very end."""
        if high <= low:
            return low
        roll = self._rng.random()
        if roll < 0.15:
            return high
        span = high - low if roll < 0.4 else min(high - low, 400)
        return low + self._rng.randrange(span + 1)

    def _arrive(self, content: int, commits: int, visible: int, answer: Answered) -> None:
        plan, now = self._plan, self._loop.now
        if plan.kept is Guarantee.KEY:
            until = None if plan.remembered is None else plan.remembered
            if self._key_seen is not None and (until is None or now < self._key_seen + until):
                match self._key_answer:
                    case Order() as order:
                        answer(order.seen(content))
                    case Pending() as pending:
                        answer(pending)
                    case None:
                        answer(Transient("the first request is still running", system=False))
                return
        if self._rng.random() < plan.rejects:
            answer(Rejected(refuse("erp_rejected", reason="period closed")))
            return
        if plan.kept is Guarantee.KEY:
            self._key_seen, self._key_answer = now, None
        self._loop.at(commits, lambda: self._commit(content, visible, answer))

    def _commit(self, content: int, visible: int, answer: Answered) -> None:
        rng, plan, now = self._rng, self._plan, self._loop.now
        if plan.kept is Guarantee.UNIQUE:
            if self._claimed or plan.foreign:
                answer(AlreadyExists())
                return
            self._claimed = True
        if rng.random() < plan.pending:
            ends = now + rng.randrange(1, 6 * MINUTE)
            job = Job(f"J-{len(self._jobs) + 1}", visible, max(ends, visible))
            self._jobs.append(job)
            self._loop.at(job.ends, lambda: self._finish(content))
            self._key_answer = Pending(job.reference)
            answer(self._key_answer)
        else:
            order = self._create(content, visible)
            self._key_answer = order
            answer(order.seen(content))

    def _finish(self, content: int) -> None:
        if self._rng.random() < 0.25 and self._plan.kept is not Guarantee.KEY:
            self._claimed = False
            self.contradicted = True
            return
        late = self._rng.randrange(2 * self._plan.settle + 1) if self._plan.late else 0
        self._create(content, self._loop.now + late)

    def _create(self, content: int, visible: int) -> Order:
        if self._plan.kept is Guarantee.REPEATABLE and self.ours:
            order = self.ours[0]
            order.content = content
            return order
        self._numbers += 1
        whole = self._rng.random() >= self._plan.differs
        order = Order(f"450{self._numbers}", self._loop.now, visible, content, whole)
        self.orders.append(order)
        return order

    def find(self, content: int) -> Found:
        """What answers to the reference and is visible now, compared with what was commanded."""
        now = self._loop.now
        seen = [order for order in self.orders if order.visible <= now]
        if len(seen) > 1:
            return Several(tuple(order.number for order in seen))
        if seen:
            return seen[0].seen(content)
        for job in self._jobs:
            if job.visible <= now < job.ends:
                return Pending(job.reference)
        return Absent()
