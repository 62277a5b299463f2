"""What a run of `pressure` found. Each figure that compares was measured in pairs."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from quaestor.bench.overload import Overload

__all__ = ["SLOTS", "Burst", "Pair", "Pressed", "Trouble"]

SLOTS = 40
"""How many sends each system takes at a time."""


class Burst(msgspec.Struct, frozen=True):
    """So many requisitions handed in at once, nine of ten by one entity.

    `out_of_turn` is how far the median document of an entity was done from its turn among them,
    as a share of all; `others_drained_s` when the last of the other entity was done.
    """

    count: int
    accepted_per_s: float
    drained_s: float
    others_drained_s: float
    flows_per_s: float
    out_of_turn: Mapping[str, float]
    worker_memory_mb: float
    ordered: int
    orders: int
    references: int
    at_once_max: int

    @property
    def is_exact(self) -> bool:
        """Whether each became one order, and no system was sent more at a time than it takes."""
        once = self.count == self.ordered == self.orders == self.references
        return once and self.at_once_max <= SLOTS


class Pair(msgspec.Struct, frozen=True):
    """One measurement without and one with the pressure, in one run."""

    without: float
    under: float

    @property
    def ratio(self) -> float:
        return self.under / self.without


class Trouble(msgspec.Struct, frozen=True):
    """Flows/s of an entity whose system is well, without and with another one's that is down, and
    that is slow. Once the one that was down is back, what waited was done in `drained_s`, with at
    most `at_once_max` sends at a time.
    """

    down: Pair
    slow: Pair
    drained_s: float
    at_once_max: int


class Pressed(msgspec.Struct, frozen=True):
    """Everything of one run. `floods` are the other entity's p99 in ms beside an entity that keeps
    the worker busy, and beside one that floods it; `alone_p99_ms` with nobody beside it.
    """

    machine: str
    burst: Burst
    alone_p99_ms: float
    floods: list[Pair]
    troubles: list[Trouble]
    overload: Overload

    @property
    def is_exact(self) -> bool:
        """Whether everything became one order each, and no quota was broken."""
        kept = all(trouble.at_once_max <= SLOTS for trouble in self.troubles)
        return self.burst.is_exact and self.overload.is_exact and kept
