"""Lanes: free send slots per target system and entity, and the circuit of each system.

A document is claimed for a lane only while the lane has a free slot, so that a send never queues
anywhere but in the database (DESIGN D5). A system in trouble closes all of its lanes: its
documents wait there, uncounted and unparked, and one probe at a time decides (D6).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["Circuit", "Lanes", "lane_name", "system_of"]

PROBE_FIRST_S = 1.0
PROBE_MAX_S = 30.0


def lane_name(system: str, entity: str) -> str:
    """The lane of a target system for one legal entity."""
    return f"{system}/{entity}"


def system_of(lane: str) -> str:
    """The target system of a lane."""
    return lane.partition("/")[0]


@dataclass(slots=True)
class Circuit:
    """One system as this worker sees it. Times are monotonic seconds.

    `failures` counts troubles in a row. While open, one document is let through at `probe_at`;
    its answer closes the circuit or moves the next probe out, doubling up to `PROBE_MAX_S`.
    """

    open: bool = False
    reason: str = ""
    failures: int = 0
    probe_at: float = 0.0
    probing: bool = False

    def trouble(self, now: float, reason: str, *, wait_s: float | None, jitter: float) -> bool:
        """The system is in trouble; true when that is news. `jitter` is from [0, 1)."""
        news = not self.open
        self.failures += 1
        backoff = min(PROBE_MAX_S, PROBE_FIRST_S * 2 ** min(self.failures - 1, 10))
        # Full jitter on the upper half, so that many workers do not knock at one instant.
        pause = wait_s if wait_s is not None else backoff * (0.5 + 0.5 * jitter)
        self.open, self.reason, self.probing = True, reason, False
        self.probe_at = now + pause
        return news

    def spoke(self) -> bool:
        """The application itself answered; true when the circuit closes by it."""
        news = self.open
        self.open, self.reason, self.failures, self.probing = False, "", 0, False
        return news


@dataclass(slots=True)
class Lanes:
    """Slots of this worker. `slots` is the number of sends at once per lane, by system."""

    slots: Mapping[str, int]
    slots_default: int = 8
    _taken: dict[str, int] = field(default_factory=dict)
    _circuits: dict[str, Circuit] = field(default_factory=dict)

    def circuit(self, system: str) -> Circuit:
        """The circuit of a system, closed at first."""
        return self._circuits.setdefault(system, Circuit())

    def free(self, lane: str, now: float) -> int:
        """How many documents of this lane may be sent at this moment."""
        system = system_of(lane)
        circuit = self.circuit(system)
        if circuit.open:
            return 1 if now >= circuit.probe_at and not circuit.probing else 0
        return max(0, self.slots.get(system, self.slots_default) - self._taken.get(lane, 0))

    def free_all(self, lanes: Iterable[str], now: float) -> dict[str, int]:
        """Lanes with at least one free slot; of an open system at most one lane probes."""
        found: dict[str, int] = {}
        probed: set[str] = set()
        for lane in lanes:
            count = self.free(lane, now)
            system = system_of(lane)
            if count == 0 or system in probed:
                continue
            if self.circuit(system).open:
                probed.add(system)
            found[lane] = count
        return found

    def take(self, lane: str, now: float) -> bool:
        """Take one slot; false when none is free."""
        if self.free(lane, now) == 0:
            return False
        circuit = self.circuit(system_of(lane))
        if circuit.open:
            circuit.probing = True
        self._taken[lane] = self._taken.get(lane, 0) + 1
        return True

    def give_back(self, lane: str) -> None:
        """Return a slot that was taken."""
        self._taken[lane] -= 1
        circuit = self.circuit(system_of(lane))
        circuit.probing = False

    def taken(self) -> int:
        """Sends and look-ups in flight."""
        return sum(self._taken.values())
