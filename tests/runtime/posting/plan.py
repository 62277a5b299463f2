"""The plan of one schedule: everything that is drawn before it starts, from its seed alone."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from quaestor.connectors.kit.contract import ActionGuarantee, Guarantee
from quaestor.runtime.posting import Limits

__all__ = ["CRASH_POINTS", "HOUR", "LEASE", "LIMITS", "MINUTE", "Plan", "draw_plan"]

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

LEASE = 30 * SECOND
TIMEOUT = 10 * SECOND
QUIET_AT = 20 * MINUTE
RECONCILE_EVERY_S = 1_800.0
RECONCILE_UNTIL_S = 14_400.0
LATENESS_MAX = 2 * HOUR

CRASH_POINTS = ("before_intent", "after_intent", "after_send", "after_answer", "before_outcome")

LIMITS = Limits(
    failures_max=8,
    look_failures_max=12,
    unresolved_max_s=86_400.0,
    pending_max_s=86_400.0,
    key_margin_s=LEASE / SECOND,
    send_backoff_s=2.0,
    send_backoff_max_s=120.0,
    look_backoff_s=1.0,
    look_backoff_max_s=120.0,
)


@dataclass(frozen=True)
class Plan:
    """Chances are per occasion, between 0 and 1; times are milliseconds.

    `promised` is what the connector declares, `kept` how the system really behaves: they differ
    only where a test plants a false claim. `late` lets commits happen after the settle time.
    """

    promised: ActionGuarantee
    kept: Guarantee
    findable: bool
    late: bool
    settle: int
    remembered: int | None
    faults: float
    crashes: float
    pauses: float
    outages: tuple[tuple[int, int], ...]
    events: tuple[tuple[int, str], ...]
    withdraws_in_flight: bool
    rejects: float
    differs: float
    pending: float
    foreign: bool
    restored: bool
    retries: int


def draw_plan(guarantee: Guarantee, rng: Random, *, late: bool, kept: Guarantee | None) -> Plan:
    """A plan for a system that promises `guarantee`; calm and stormy ones both come up."""
    settle = rng.choice((0, 2, 10, 45, 180)) * SECOND
    remembered = rng.choice((None, 90, 240, 600))
    findable = {
        Guarantee.SEARCH: True,
        Guarantee.NONE: False,
        Guarantee.UNIQUE: True,
    }.get(guarantee, late or rng.random() < 0.7)
    storm = rng.choice((0.15, 0.4, 0.7))
    events = []
    if rng.random() < 0.45:
        kinds = (("cancel",), ("change",), ("change", "cancel"))[rng.randrange(3)]
        at = rng.randrange(rng.choice((100, 20 * SECOND, 5 * MINUTE)))
        for kind in kinds:
            events.append((at, kind))
            at += rng.randrange(3 * MINUTE)
    outages = []
    if rng.random() < 0.2:
        start = rng.randrange(2 * MINUTE)
        outages.append((start, start + rng.randrange(10 * MINUTE)))
    return Plan(
        promised=ActionGuarantee(
            guarantee,
            settle_s=settle / SECOND,
            remembered_for_s=remembered if guarantee is Guarantee.KEY else None,
            resend="never" if rng.random() < 0.08 else "allowed",
        ),
        kept=kept or guarantee,
        findable=findable,
        late=late,
        settle=settle,
        remembered=None if remembered is None else remembered * SECOND,
        faults=storm,
        crashes=rng.choice((0.0, 0.05, 0.25)),
        pauses=rng.choice((0.0, 0.05, 0.2)),
        outages=tuple(outages),
        events=tuple(events),
        withdraws_in_flight=rng.random() < 0.5,
        rejects=rng.choice((0.0, 0.0, 0.1, 0.4)),
        differs=rng.choice((0.0, 0.0, 0.0, 0.1)),
        pending=rng.choice((0.0, 0.0, 0.0, 0.3)),
        foreign=rng.random() < 0.02,
        restored=rng.random() < 0.05,
        retries=rng.choice((0, 1, 3)),
    )
