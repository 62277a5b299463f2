"""Inquiring: a question of a flow is put to its system, outside of every transaction.

Asking changes nothing there. So nothing is stored before, and what was not answered is asked
again, also after a worker died. Questions of a document go one after the other, each through its
system's lane. A system in trouble is waited for, uncounted (DESIGN D6); one that answers and says
nothing is counted, and in the end refused by name, like what it does not answer at all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from quaestor.connectors.kit.attempt import Attempt, open_attempt
from quaestor.connectors.kit.contract import (
    DEADLINE_PASSED,
    Answer,
    Answers,
    NotKnown,
    Permanent,
    Question,
    Transient,
)
from quaestor.flows.kit.dossier import Answered
from quaestor.flows.kit.effects import Inquire
from quaestor.model.refusal import Refused, refuse
from quaestor.runtime.intent import Limits, ParkSend, WaitUntil
from quaestor.runtime.lanes import Circuit
from quaestor.runtime.state import Asking

__all__ = [
    "AnswerLink",
    "AskNow",
    "ask_at_once",
    "asked_again",
    "begin_asking",
    "next_question",
    "outcome_of",
]

_DOUBLINGS_MAX = 30
# For whoever waits, between two questions to a system in trouble.
_PAUSE_MAX_S = 2.0


@dataclass(frozen=True)
class AnswerLink:
    """A system as it is asked; `total_timeout_s` bounds each request. `circuit` is for questions
    of somebody who waits: those of a flow have their lane's.
    """

    name: str
    connector: Answers
    total_timeout_s: float
    circuit: Circuit = field(default_factory=Circuit)


@dataclass(frozen=True)
class AskNow:
    """Put this question; its result comes under `name`."""

    name: str
    system: str
    question: Question


def begin_asking(effect: Inquire, now: datetime) -> Asking:
    """The question as it waits."""
    return Asking(effect.system, effect.question, effect.facts, now)


def asked_again(asking: Mapping[str, Asking], now: datetime) -> Mapping[str, Asking]:
    """A person lets what was parked be asked anew."""
    return {
        name: msgspec.structs.replace(each, since=now, failures=0, not_before=None)
        for name, each in asking.items()
    }


def next_question(
    asking: Mapping[str, Asking],
    entity: str,
    now: datetime,
    limits: Limits,
    systems: Container[str],
) -> AskNow | WaitUntil | ParkSend:
    """The one thing that may be done now about the first question."""
    name, first = next(iter(asking.items()))
    if first.system not in systems:
        return ParkSend(refuse("question_unanswerable", system=first.system))
    if now - first.since > timedelta(seconds=limits.unresolved_max_s):
        return ParkSend(refuse("lane_wait_exceeded", system=first.system))
    if first.not_before is not None and now < first.not_before:
        return WaitUntil(first.not_before)
    return AskNow(name, first.system, Question(first.question, entity, first.facts))


def outcome_of(
    asking: Asking, answer: Answer | NotKnown, now: datetime, limits: Limits
) -> Answered | Refused | Asking:
    """What was heard: the result, or the question as it goes on waiting."""
    if isinstance(answer, Answer):
        return Answered(answer.value, answer.as_of, now)
    if isinstance(answer, Permanent):
        return Refused(answer.refusal)
    wait_s, failures = limits.send_backoff_s, asking.failures
    if answer.code == DEADLINE_PASSED:
        # Our own lateness: nobody's failure, and nothing to wait for.
        wait_s = 0.0
    elif isinstance(answer, Transient) and not answer.system:
        failures += 1
        doubled = limits.send_backoff_s * 2 ** min(failures - 1, _DOUBLINGS_MAX)
        wait_s = min(limits.send_backoff_max_s, doubled)
    elif isinstance(answer, Transient) and answer.retry_after_s is not None:
        wait_s = answer.retry_after_s
    if failures >= limits.failures_max:
        details = {"system": asking.system, "question": asking.question}
        return Refused(refuse("check_unknown", **details, reason=answer.reason))
    not_before = now + timedelta(seconds=wait_s)
    return msgspec.structs.replace(asking, failures=failures, not_before=not_before)


async def ask_at_once(link: AnswerLink, question: Question, within_s: float) -> Answer | NotKnown:
    """Ask while somebody waits, for `within_s` seconds at most; what is raised comes back.

    A system in trouble is asked by one at a time: the others hear at once that it is.
    """
    began, circuit = time.monotonic(), link.circuit
    if circuit.open and (circuit.probing or began < circuit.probe_at):
        return Transient(f"the system is in trouble: {circuit.reason}")
    circuit.probing = circuit.open
    try:
        answer = await _ask(link, question, within_s)
    finally:
        circuit.probing = False
    if isinstance(answer, Transient) and answer.system:
        # The answer's own microseconds are as good a jitter as any.
        jitter = (time.monotonic() - began) * 1000 % 1
        now = time.monotonic()
        circuit.trouble(now, answer.reason, wait_s=answer.retry_after_s, jitter=jitter)
        # Nobody who waits is kept for long from a system that is back.
        circuit.probe_at = min(circuit.probe_at, now + _PAUSE_MAX_S)
    else:
        circuit.spoke()
    return answer


async def _ask(link: AnswerLink, question: Question, within_s: float) -> Answer | NotKnown:
    attempt = Attempt(
        send_before=time.monotonic() + within_s,
        total_timeout_s=min(within_s, link.total_timeout_s),
    )
    try:
        with open_attempt(attempt):
            async with asyncio.timeout(within_s):
                return await link.connector.answer(question)
    except NotKnown as error:
        return error
    except TimeoutError:
        return Transient("no answer within the time of a question")
    except Exception as error:  # noqa: BLE001 - a customer's connector may raise anything
        return Transient(f"unforeseen {type(error).__name__} in the connector", system=False)
