"""One schedule: a seed becomes a plan, a run and a verdict, the same each time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random

from quaestor.connectors.kit.contract import Guarantee
from tests.runtime.posting.conduct import Conduct
from tests.runtime.posting.erp import Erp
from tests.runtime.posting.fleet import Fleet
from tests.runtime.posting.law import broken
from tests.runtime.posting.loop import Loop
from tests.runtime.posting.plan import Plan, draw_plan
from tests.runtime.posting.wire import Wire

__all__ = ["Verdict", "first_broken", "play"]

STEPS_MAX = 20_000


@dataclass(frozen=True)
class Verdict:
    """What came of one schedule. `documents` are counted in the system."""

    guarantee: Guarantee
    seed: int
    laws: tuple[str, ...]
    documents: int
    creates: int
    plan: Plan
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = "\n".join(self.trace)
        return f"{self.guarantee} seed {self.seed} broke {self.laws}\n{self.plan}\n{lines}"


def play(
    guarantee: Guarantee,
    seed: int,
    *,
    conduct: Conduct | None = None,
    late: bool = False,
    kept: Guarantee | None = None,
    seen: Counter[str] | None = None,
    traced: bool = False,
) -> Verdict:
    """Run one schedule to its end. `kept` is what the system really does, if it is not that."""
    rng = Random(f"{guarantee}/{seed}/{late}")
    conduct = conduct or Conduct()
    seen = Counter() if seen is None else seen
    plan = draw_plan(guarantee, rng, late=late, kept=kept)
    loop = Loop()
    erp = Erp(loop, rng, plan)
    wire = Wire(loop, rng, plan, erp, conduct, seen)
    fleet = Fleet(loop, rng, plan, erp, wire, conduct, seen)
    fleet.trace = [] if traced else None
    try:
        idle = loop.run(STEPS_MAX)
    except ValueError as refused:
        # The core's second lock: something asked for what may never happen.
        fleet.note("refused by the core:", refused)
        laws = ["refused_by_the_core"]
    else:
        laws = broken(plan, erp, fleet, idle)
    trace = tuple(fleet.trace or ())
    return Verdict(guarantee, seed, tuple(laws), len(erp.ours), len(fleet.creates), plan, trace)


def first_broken(
    guarantee: Guarantee,
    seeds: range,
    *,
    conduct: Conduct | None = None,
    late: bool = False,
    kept: Guarantee | None = None,
    seen: Counter[str] | None = None,
) -> Verdict | None:
    """The first schedule that breaks a law, replayed with its trace; `None` when all hold."""
    for seed in seeds:
        if play(guarantee, seed, conduct=conduct, late=late, kept=kept, seen=seen).laws:
            return play(guarantee, seed, conduct=conduct, late=late, kept=kept, traced=True)
    return None
