"""Where it broke decides the error: the table of DESIGN §4, once for every wire.

HTTP status alone cannot classify. One vendor answers a duplicate key with 400 although it *did*
work, another puts 401 inside 200. So each wire asks the connector whether the application
itself spoke, and gets a `Voice`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import cached_property
from typing import Any

import msgspec

from quaestor.connectors.kit.contract import (
    DEADLINE_PASSED,
    Ambiguous,
    NotKnown,
    Transient,
)

__all__ = ["Answer", "Broke", "Break", "Hearing", "Voice", "known_or_raise", "retry_after_s"]

RETRY_AFTER_MAX_S = 3600.0
_GATEWAY = frozenset({502, 503, 504})


class Answer(msgspec.Struct, frozen=True, dict=True):
    """A whole HTTP answer, of any status."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @cached_property
    def json(self) -> Any:
        """The body as JSON, decoded once; `None` where it is none."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError):
            return None

    def header(self, name: str) -> str:
        """The first header of that name, or an empty string."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")

    def all_of(self, name: str) -> tuple[str, ...]:
        """Every header of that name, in order."""
        wanted = name.lower()
        return tuple(value for key, value in self.headers if key.lower() == wanted)


class Voice(StrEnum):
    """Who spoke in an answer, and what was said."""

    DONE = "done"
    """The application did it, or gave what was asked, and the answer is parseable."""
    REFUSED = "refused"
    """The application's own, parsed refusal: nothing was done."""
    STALE = "stale"
    """A session or token of ours has run out; nothing was done, a fresh one may be tried."""
    BUSY = "busy"
    """Not now: 429, or the application's own 503 with Retry-After. Nothing was done."""
    LOGIN = "login"
    """Our credentials are not accepted; nothing was done."""
    UNSURE = "unsure"
    """Not the application (a proxy, a login page), unparseable, or it failed while working."""


Hearing = Callable[[Answer], Voice]
"""A connector's ear: did the application itself speak, and what did it say?"""


class Broke(StrEnum):
    """Where an exchange broke."""

    DEADLINE = "the deadline passed before the first byte"
    CONNECT = "no connection"
    CONNECT_TIMEOUT = "no connection in time"
    RESET = "the connection was reset"
    DISCONNECTED = "the connection ended before the answer"
    TRUNCATED = "the answer was cut"
    TIMEOUT = "no answer in time"
    TOO_LARGE = "the answer is larger than the limit"
    UNFORESEEN = "an unforeseen error"


_SYSTEM_TROUBLE = frozenset(
    {Broke.CONNECT, Broke.CONNECT_TIMEOUT, Broke.RESET, Broke.DISCONNECTED, Broke.TIMEOUT}
)


class Break(msgspec.Struct, frozen=True):
    """An exchange that gave no whole answer. `sent` says that bytes may have left."""

    where: Broke
    sent: bool
    detail: str = ""

    @property
    def reason(self) -> str:
        return f"{self.where.value} ({self.detail})" if self.detail else self.where.value

    def error(self, commits: bool) -> NotKnown:
        """What to raise; `commits` says that the request could have created something."""
        if self.sent and commits:
            return Ambiguous(self.reason)
        # Our own lateness is nobody's failure: the runtime neither counts it nor opens a circuit.
        code = DEADLINE_PASSED if self.where is Broke.DEADLINE else ""
        return Transient(self.reason, code=code, system=self.where in _SYSTEM_TROUBLE)


def known_or_raise(answer: Answer, voice: Voice, commits: bool) -> Answer:
    """The answer where a fact was stated (`DONE`, `REFUSED`, `STALE`); else raises not-knowing.

    Raises `Transient` for `BUSY` and `LOGIN`, `Ambiguous` for `UNSURE` where the request could
    have created something, else `Transient`.
    """
    if voice in (Voice.DONE, Voice.REFUSED, Voice.STALE):
        return answer
    if voice is Voice.BUSY:
        raise Transient(
            f"the system asks to wait (HTTP {answer.status})",
            code="busy",
            retry_after_s=retry_after_s(answer),
        )
    if voice is Voice.LOGIN:
        raise Transient(
            f"the system refuses our credentials (HTTP {answer.status})",
            code="connector_auth_failed",
        )
    reason = f"HTTP {answer.status} that is not the application's word"
    gateway = answer.status in _GATEWAY
    if commits:
        raise Ambiguous(reason, system=gateway)
    raise Transient(reason, system=True)


def retry_after_s(answer: Answer) -> float | None:
    """Seconds of `Retry-After`, bounded; `None` where it is absent or a date.

    A date would need a clock that agrees with theirs; our own back-off serves then.
    """
    text = answer.header("Retry-After").strip()
    if not text.isascii() or not text.isdigit():
        return None
    return min(float(text), RETRY_AFTER_MAX_S)
