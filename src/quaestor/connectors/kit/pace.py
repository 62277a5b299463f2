"""Keeping to a vendor's rate: a token bucket in front of the wire, one per worker.

Waiting happens here, where the deadline of the send is known, and never inside the HTTP client: a
turn that would come after the deadline is refused at once, and takes nobody else's place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

__all__ = ["Pace", "TurnTooLate"]


class TurnTooLate(Exception):
    """The turn would come after the time until which it is of use."""


class Pace:
    """At most `per_s` requests a second in the long run, and `burst` of them at once.

    Turns are given in the order in which they are asked for. A turn that is cancelled while it
    waits is lost, which only makes us slower than we may be. `now` is monotonic, in seconds.
    """

    def __init__(
        self, per_s: float, burst: int, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        if per_s <= 0 or burst < 1:
            raise ValueError("a pace needs a positive rate and a burst of at least one")
        self._gap_s = 1.0 / per_s
        self._ahead_s = (burst - 1) * self._gap_s
        self._now = now
        # The time at which the bucket would be full again if nobody asked any more.
        self._full_at = now()

    def wait_s(self, until: float) -> float:
        """Take a turn: how long to wait for it. Raises `TurnTooLate` where it comes after `until`
        (monotonic seconds).
        """
        now = self._now()
        due = self._due(now)
        if due >= until:
            raise TurnTooLate
        self._full_at = max(self._full_at, now) + self._gap_s
        return due - now

    def taken(self) -> bool:
        """Take a turn if one is due at once."""
        now = self._now()
        if self._due(now) > now:
            return False
        self._full_at = max(self._full_at, now) + self._gap_s
        return True

    def _due(self, now: float) -> float:
        return max(now, self._full_at - self._ahead_s)

    async def turn(self, until: float) -> None:
        """Wait for the next turn. Raises `TurnTooLate` at once where it comes too late."""
        wait_s = self.wait_s(until)
        if wait_s > 0:
            await asyncio.sleep(wait_s)
