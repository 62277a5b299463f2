"""One attempt on the wire: its deadline, its recording, its crash hook.

The runtime opens an attempt around each call of a connector; the wires read it. So a connector
does not carry deadlines through its methods, and no wire can forget them.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec

__all__ = ["Attempt", "Exchange", "current_attempt", "open_attempt"]


class Exchange(msgspec.Struct, frozen=True):
    """One request and its answer as they went over the wire, secrets already masked.

    `status` is 0 where no answer came; `broke` then says where. Times in milliseconds.
    """

    method: str
    target: str
    request_headers: tuple[tuple[str, str], ...]
    request_body: bytes
    status: int
    response_headers: tuple[tuple[str, str], ...]
    response_body: bytes
    elapsed_ms: float
    broke: str = ""


@dataclass
class Attempt:
    """Limits and recording of one call.

    `send_before` is the monotonic time in seconds after which no first byte may leave;
    `total_timeout_s` bounds each request. `at` is called with the name of each point passed
    (`after_send`, `after_answer`), for tests that kill the process there.
    """

    send_before: float
    total_timeout_s: float
    correlation_id: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    at: Callable[[str], None] | None = None

    def passed(self, point: str) -> None:
        if self.at is not None:
            self.at(point)


_attempt: contextvars.ContextVar[Attempt | None] = contextvars.ContextVar("attempt", default=None)


def current_attempt() -> Attempt | None:
    """The attempt around the running call; `None` outside of the runtime (`connector check`)."""
    return _attempt.get()


@contextmanager
def open_attempt(attempt: Attempt) -> Iterator[Attempt]:
    """Make `attempt` the current one."""
    token = _attempt.set(attempt)
    try:
        yield attempt
    finally:
        _attempt.reset(token)
