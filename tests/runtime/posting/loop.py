"""Simulated time: a heap of things to do, and processes that are generators. Whole milliseconds."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["Loop", "Process", "Wait", "instant", "milliseconds"]

_START = datetime(2026, 1, 5, tzinfo=UTC)

# A process yields milliseconds to sleep, or a function that is given what resumes it.
Wait = int | Callable[[Callable[[Any], None]], None]
Work = Generator[Wait, Any, None]


def instant(at_ms: int) -> datetime:
    """Database time at this moment of the simulation."""
    return _START + timedelta(milliseconds=at_ms)


def milliseconds(at: datetime) -> int:
    """The first moment of the simulation that is not before `at`."""
    return -((_START - at) // timedelta(milliseconds=1))


class Loop:
    """Runs what is due, in order of time and then of asking; nothing else happens between."""

    def __init__(self) -> None:
        self.now = 0
        self.steps = 0
        self._asked = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []

    def at(self, when_ms: int, act: Callable[[], None]) -> None:
        self._asked += 1
        heapq.heappush(self._heap, (max(when_ms, self.now), self._asked, act))

    def run(self, steps_max: int) -> bool:
        """Until nothing is left to do; false when that took more than `steps_max`."""
        while self._heap and self.steps < steps_max:
            self.now, _, act = heapq.heappop(self._heap)
            self.steps += 1
            act()
        return not self._heap


class Process:
    """One generator on a loop. A killed process never goes on; what it asked for is not heard."""

    def __init__(self, loop: Loop, work: Work) -> None:
        self._loop = loop
        self._work = work
        self._turn = 0
        self.alive = True
        loop.at(loop.now, self._resume(None))

    def kill(self) -> None:
        """The end, at the next yield at the latest."""
        self.alive = False

    def wake(self, at_ms: int) -> None:
        """Go on at that time, whatever it was waiting for."""
        self._loop.at(at_ms, self._resume(None))

    def _resume(self, value: Any) -> Callable[[], None]:
        turn = self._turn
        return lambda: self._go_on(turn, value)

    def _go_on(self, turn: int, value: Any) -> None:
        if not self.alive or turn != self._turn:
            return
        self._turn += 1
        try:
            wait = self._work.send(value)
        except StopIteration:
            self.alive = False
            return
        if isinstance(wait, int):
            self._loop.at(self._loop.now + wait, self._resume(None))
        else:
            turn = self._turn
            wait(lambda value: self._go_on(turn, value))
