"""A wire that loses, delays, cuts and refuses; what it did is told as a connector would tell it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from quaestor.connectors.kit.contract import (
    Ambiguous,
    Found,
    NotKnown,
    Permanent,
    Submitted,
    Transient,
)
from quaestor.model.refusal import refuse
from tests.runtime.posting.conduct import Conduct
from tests.runtime.posting.erp import Erp
from tests.runtime.posting.loop import Loop
from tests.runtime.posting.plan import QUIET_AT, TIMEOUT, Plan

__all__ = ["CREATE_FAULTS", "Reply", "Wire"]

CREATE_FAULTS = (
    "refused",
    "throttled",
    "reset_before",
    "reset_after",
    "request_lost",
    "request_late",
    "answer_lost",
    "answer_cut",
    "bad_gateway_before",
    "bad_gateway_after",
    "unmappable",
)
_FIND_FAULTS = ("refused", "slow", "garbled", "forbidden")


@dataclass(frozen=True)
class Reply:
    """What a create came to, and when its last byte can have left us at the latest."""

    answer: Submitted | NotKnown
    last_byte_by: int


class Wire:
    """Between one worker fleet and one system. `creates` are the first bytes that left, by time."""

    def __init__(
        self, loop: Loop, rng: Random, plan: Plan, erp: Erp, conduct: Conduct, seen: Counter[str]
    ) -> None:
        self._loop, self._rng, self._plan = loop, rng, plan
        self._erp, self._conduct, self._seen = erp, conduct, seen

    def create(self, content: int, resume: Callable[[Reply], None]) -> None:
        """Send the bytes once. Exactly one reply is given, at the time-out at the latest."""
        loop, rng = self._loop, self._rng
        fault = self._create_fault()
        self._seen[f"wire {fault}"] += 1
        match fault:
            case "refused":
                return self._soon(resume, Transient("connection refused"))
            case "throttled":
                wait_s = float(rng.randrange(1, 90))
                return self._soon(resume, Transient("429", retry_after_s=wait_s))
            case "unmappable":
                refusal = refuse("connector_refused", reason="unsupported version")
                return self._soon(resume, Permanent("unsupported version", refusal))
            case "reset_before":
                return self._soon(resume, Ambiguous("connection reset"))
            case "bad_gateway_before":
                return self._soon(resume, self._conduct.bad_gateway())
        last_byte = loop.now + rng.randrange(200)
        deadline = loop.now + TIMEOUT
        said = _Once(loop, resume)
        loop.at(deadline, lambda: said(Ambiguous("read timed out"), deadline))
        if fault == "request_lost":
            return None
        if fault == "reset_after":
            at = last_byte + rng.randrange(50)
            loop.at(at, lambda: said(Ambiguous("connection reset"), at))
        if fault == "request_late":
            # A proxy holds it back: our time-out comes first, the commit may come after.
            held = last_byte + rng.randrange(self._plan.settle + 1)
            loop.at(held, lambda: self._erp.receive(content, last_byte, _nobody))
            return None
        loop.at(last_byte, lambda: self._deliver(content, last_byte, fault, said))
        return None

    def _deliver(self, content: int, last_byte: int, fault: str, said: _Once) -> None:
        def answer(value: Submitted | NotKnown) -> None:
            translated: Submitted | NotKnown
            match fault:
                case "answer_lost" | "reset_after":
                    return
                case "answer_cut":
                    translated = Ambiguous("the answer ends in the middle")
                case "bad_gateway_after":
                    translated = self._conduct.bad_gateway()
                case _:
                    translated = self._conduct.answered(value)
            at = self._loop.now + self._rng.randrange(300)
            self._loop.at(at, lambda: said(translated, at))

        self._erp.receive(content, last_byte, answer)

    def _create_fault(self) -> str:
        rng, now = self._rng, self._loop.now
        if self._is_down():
            return rng.choice(("refused", "refused", "throttled", "bad_gateway_before"))
        if now < QUIET_AT and rng.random() < self._plan.faults:
            fault = CREATE_FAULTS[rng.randrange(len(CREATE_FAULTS))]
            # A version that is not supported is rare: it would end most schedules at once.
            return fault if fault != "unmappable" or rng.random() < 0.2 else "answer_lost"
        return "none"

    def find(self, content: int, resume: Callable[[Found | NotKnown], None]) -> None:
        """Ask once; the system is read at some moment between now and the answer."""
        loop, rng = self._loop, self._rng
        fault = "none"
        if self._is_down():
            fault = "refused"
        elif loop.now < QUIET_AT and rng.random() < self._plan.faults * 0.6:
            fault = _FIND_FAULTS[rng.randrange(len(_FIND_FAULTS))]
        if fault == "forbidden" and rng.random() < 0.9:
            fault = "none"
        self._seen[f"look {fault}"] += 1
        read = loop.now + rng.randrange(200)
        answered = read + rng.randrange(200)
        match fault:
            case "refused":
                loop.at(answered, lambda: resume(Transient("connection refused")))
            case "slow":
                slow = loop.now + TIMEOUT
                loop.at(slow, lambda: resume(Transient("read timed out", system=False)))
            case "garbled":
                loop.at(answered, lambda: resume(Ambiguous("not the vendor's format")))
            case "forbidden":
                refusal = refuse("connector_refused", reason="no permission to search")
                loop.at(answered, lambda: resume(Permanent("no permission", refusal)))
            case _:
                loop.at(read, lambda: self._found(content, answered, resume))

    def _found(
        self, content: int, answered: int, resume: Callable[[Found | NotKnown], None]
    ) -> None:
        found = self._erp.find(content)
        self._loop.at(answered, lambda: resume(found))

    def _is_down(self) -> bool:
        return any(start <= self._loop.now < end for start, end in self._plan.outages)

    def _soon(self, resume: Callable[[Reply], None], answer: Submitted | NotKnown) -> None:
        at = self._loop.now + self._rng.randrange(100)
        self._loop.at(at, lambda: resume(Reply(answer, at)))


class _Once:
    """The first word counts: what comes after a time-out or a reset is not heard."""

    def __init__(self, loop: Loop, resume: Callable[[Reply], None]) -> None:
        self._loop, self._resume, self._open = loop, resume, True

    def __call__(self, answer: Submitted | NotKnown, last_byte_by: int) -> None:
        if self._open:
            self._open = False
            self._resume(Reply(answer, last_byte_by))


def _nobody(_answer: Submitted | NotKnown) -> None:
    """The connection that asked is gone."""
