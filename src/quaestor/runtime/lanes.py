"""Lanes: who is taken next, and who may be sent now.

A lane is a target system for one entity; slots are the system's. A document is claimed for a lane
only while its system has a free slot, so that a send never queues anywhere but in the database
(DESIGN D5). A system in trouble closes all of its lanes: its documents wait there, uncounted and
unparked, and one probe at a time decides (D6). What needs no system next waits in a lane of its
entity alone: so no entity waits behind another's flood there either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["NO_SYSTEM", "Circuit", "Lanes", "lane_name", "lane_names", "system_of"]

# The system of what needs none; its lanes are `/entity`.
NO_SYSTEM = ""

PROBE_FIRST_S = 1.0
PROBE_MAX_S = 30.0


def lane_name(system: str, entity: str) -> str:
    """The lane of a target system, or of none (`NO_SYSTEM`), for one legal entity."""
    return f"{system}/{entity}"


def lane_names(systems: Iterable[str], entities: Sequence[str]) -> tuple[str, ...]:
    """All lanes of a deployment: each system for each entity, and each entity alone."""
    return tuple(
        lane_name(system, entity) for system in (*systems, NO_SYSTEM) for entity in entities
    )


def system_of(lane: str) -> str:
    """The target system of a lane."""
    return lane.partition("/")[0]


@dataclass(slots=True)
class Circuit:
    """One system as this worker sees it. Times are monotonic seconds.

    `failures` counts troubles in a row: the one that opened it, and those of probes. While open,
    one document is let through at `probe_at`; its answer closes the circuit or moves the next
    probe out, doubling up to `PROBE_MAX_S`.
    """

    open: bool = False
    reason: str = ""
    failures: int = 0
    probe_at: float = 0.0
    probing: bool = False

    def trouble(self, now: float, reason: str, *, wait_s: float | None, jitter: float) -> bool:
        """The system is in trouble; true when that is news. `jitter` is from [0, 1)."""
        news = not self.open
        if self.open and now < self.probe_at:
            # Of a call that was under way when the circuit opened, as all of them are at once.
            self.probe_at = max(self.probe_at, now + (wait_s or 0.0))
            return False
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
    """Slots of this worker. `slots` is how many calls one system takes at once, by system;
    `names` are the lanes of the deployment.

    The slots of a system are shared by its lanes: each lane that had work lately may claim its
    share, and the order of the lanes rotates, so that no entity waits behind another's flood.
    """

    slots: Mapping[str, int]
    names: Sequence[str] = ()
    slots_default: int = 8
    _taken: dict[str, int] = field(default_factory=dict)
    _circuits: dict[str, Circuit] = field(default_factory=dict)
    _busy: dict[str, set[str]] = field(default_factory=dict)
    _turn: int = 0

    def circuit(self, system: str) -> Circuit:
        """The circuit of a system, closed at first."""
        return self._circuits.setdefault(system, Circuit())

    def circuits(self) -> Mapping[str, Circuit]:
        """All circuits, by system."""
        return self._circuits

    def free(self, system: str, now: float) -> int:
        """How many calls this system takes at this moment; one probe while its circuit is open."""
        circuit = self.circuit(system)
        if circuit.open:
            return 1 if now >= circuit.probe_at and not circuit.probing else 0
        return max(0, self.slots.get(system, self.slots_default) - self._taken.get(system, 0))

    def free_slots(self, now: float) -> dict[str, int]:
        """How many calls each system takes at this moment."""
        systems = {system_of(lane) for lane in self.names} - {NO_SYSTEM}
        return {system: self.free(system, now) for system in systems}

    def shares(self, now: float, *, room: int) -> dict[str, int]:
        """How many documents may be claimed per lane; lanes of a system without a slot are out.

        `room` is how many may be taken that need no system.
        """
        self._turn = (self._turn + 1) % max(1, len(self.names))
        found: dict[str, int] = {}
        # What needs no system yet comes last: it takes no slot from who waits for one.
        turned = (*self.names[self._turn :], *self.names[: self._turn])
        for lane in sorted(turned, key=lambda lane: system_of(lane) == NO_SYSTEM):
            system = system_of(lane)
            free = room if system == NO_SYSTEM else self.free(system, now)
            if free > 0:
                found[lane] = -(-free // max(1, len(self._busy.get(system, ()))))
        return found

    def saw_work(self, lanes: Iterable[str]) -> None:
        """These lanes had documents in the last claim."""
        self._busy = {}
        for lane in lanes:
            self._busy.setdefault(system_of(lane), set()).add(lane)

    def take(self, lane: str, now: float) -> bool:
        """Take one slot; false when none is free."""
        system = system_of(lane)
        if self.free(system, now) == 0:
            return False
        circuit = self.circuit(system)
        circuit.probing = circuit.open
        self._taken[system] = self._taken.get(system, 0) + 1
        return True

    def give_back(self, lane: str) -> None:
        """Return a slot that was taken."""
        system = system_of(lane)
        self._taken[system] -= 1
        self.circuit(system).probing = False

    def taken_of(self, system: str) -> int:
        """Calls in flight of one system."""
        return self._taken.get(system, 0)

    def taken(self) -> int:
        """Calls in flight."""
        return sum(self._taken.values())
