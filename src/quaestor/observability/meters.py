"""What a process counts and times of its own work: plain additions, as the main path makes them.

Whoever asks for the metrics reads these; nothing else of a process slows down for it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["BOUNDS_S", "Meters", "Timings"]

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Timings:
    """Durations in seconds: how many were up to each of `BOUNDS_S`, and their sum."""

    __slots__ = ("counts", "items", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.items = 0
        self.sum_s = 0.0

    def add(self, seconds: float, items: int = 1) -> None:
        """One more; `items` is how many things it was about."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds
        self.items += items


@dataclass(slots=True)
class Meters:
    """Of one process: calls by system, kind and the type of what came of them; claims and commits
    with the documents in them; requests by route, method and status; ends of documents by outcome.
    """

    calls: dict[tuple[str, str, type], Timings] = field(default_factory=dict)
    claims: Timings = field(default_factory=Timings)
    commits: Timings = field(default_factory=Timings)
    requests: dict[tuple[str, str, int], Timings] = field(default_factory=dict)
    requests_open: int = 0
    ended: dict[str, int] = field(default_factory=dict)

    def called(self, system: str, kind: str, answer: object, seconds: float) -> None:
        """A call of a system ended with this answer."""
        key = system, kind, type(answer)
        timings = self.calls.get(key)
        if timings is None:
            timings = self.calls[key] = Timings()
        timings.add(seconds)

    def saved(self, outcomes: Iterable[str | None]) -> None:
        """Documents were saved; some of them ended."""
        for outcome in outcomes:
            if outcome is not None:
                self.ended[outcome] = self.ended.get(outcome, 0) + 1

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered."""
        key = route, method, status
        timings = self.requests.get(key)
        if timings is None:
            timings = self.requests[key] = Timings()
        timings.add(seconds)
