"""Sending: one call of a connector, outside of every transaction, within its deadline.

Whatever happens comes back as a value; nothing that a connector raises gets lost or is taken for
a fact. What is not one of the three kinds of not-knowing counts as perhaps applied.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from quaestor.connectors.kit.attempt import Attempt, Exchange, open_attempt
from quaestor.connectors.kit.contract import (
    DEADLINE_PASSED,
    Ambiguous,
    Answer,
    Command,
    Found,
    NotKnown,
    Submits,
    Submitted,
    Transient,
)
from quaestor.runtime.case import Case, IntentRow
from quaestor.runtime.inquiring import AnswerLink, AskNow
from quaestor.runtime.posting import LookNow, SendNow

__all__ = ["Call", "Outcome", "SystemLink", "make_call"]

_command_decoder = msgspec.json.Decoder(Command)
# What the last request may take beyond its own time-out before the whole call is cut off.
_GRACE_S = 0.25
_KINDS = {SendNow: "send", LookNow: "look", AskNow: "ask"}


@dataclass(frozen=True)
class SystemLink:
    """A system as the runtime reaches it; `total_timeout_s` bounds each of its requests."""

    name: str
    connector: Submits
    total_timeout_s: float


class Call(msgspec.Struct, frozen=True):
    """What is to be done for a case: a send or a look-up of its unresolved intent (`row`), or a
    question, which has none.

    A call may make several requests (token, CSRF, the post itself). None begins after
    `send_before` (monotonic), and none outlasts its time-out, so the call ends within the lease.
    `began_at` is database time of the claim, never later than the call's own beginning.
    """

    case: Case
    row: IntentRow | None
    move: SendNow | LookNow | AskNow
    link: SystemLink | AnswerLink
    lane: str
    began_at: datetime
    send_before: float

    @property
    def kind(self) -> str:
        """What it does there, in a word."""
        return _KINDS[type(self.move)]

    @property
    def attempts(self) -> int:
        """Sends begun of its intent, this one included."""
        return 0 if self.row is None else self.row.core.attempts


class Outcome(msgspec.Struct, frozen=True):
    """What came of a call.

    `last_byte_by` is database time, reckoned on the monotonic clock from the time of the claim.
    """

    call: Call
    answer: Submitted | Found | Answer | NotKnown
    last_byte_by: datetime
    elapsed_ms: float
    answered_monotonic: float
    exchanges: tuple[Exchange, ...]


async def make_call(
    call: Call, claimed_monotonic: float, at: Callable[[str], None] | None
) -> Outcome:
    """Make the call; always returns, except when it is cancelled."""
    attempt = Attempt(
        send_before=call.send_before,
        total_timeout_s=call.link.total_timeout_s,
        correlation_id=call.case.document.correlation_id,
        at=at if isinstance(call.move, SendNow) else None,
    )
    began = time.monotonic()
    with open_attempt(attempt):
        answer = await _ask(call)
    ended = time.monotonic()
    return Outcome(
        call=call,
        answer=answer,
        last_byte_by=call.began_at + timedelta(seconds=ended - claimed_monotonic),
        elapsed_ms=(ended - began) * 1000,
        answered_monotonic=ended,
        exchanges=tuple(attempt.exchanges),
    )


async def _ask(call: Call) -> Submitted | Found | Answer | NotKnown:
    sends = isinstance(call.move, SendNow)
    if time.monotonic() >= call.send_before:
        # The event loop was starved: nothing left us, and nothing may leave any more.
        return Transient(
            "the lease has no time left for a call", code=DEADLINE_PASSED, system=False
        )
    ends = call.send_before + call.link.total_timeout_s + _GRACE_S
    try:
        async with asyncio.timeout_at(ends):
            return await _speak(call)
    except NotKnown as error:
        return error
    except TimeoutError:
        reason = "no answer within the time of a call"
        return Ambiguous(reason) if sends else Transient(reason)
    except Exception as error:  # noqa: BLE001 - an unforeseen exception is perhaps applied (§4)
        reason = f"unforeseen {type(error).__name__} in the connector"
        return Ambiguous(reason) if sends else Transient(reason, system=False)


async def _speak(call: Call) -> Submitted | Found | Answer:
    if isinstance(call.move, AskNow):
        assert isinstance(call.link, AnswerLink)
        return await call.link.connector.answer(call.move.question)
    assert isinstance(call.link, SystemLink)
    assert call.row is not None
    command = _command_decoder.decode(call.row.command)
    if isinstance(call.move, SendNow):
        return await call.link.connector.submit(command, call.row.payload)
    return await call.link.connector.find(command)
