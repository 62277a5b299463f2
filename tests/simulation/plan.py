"""What a seed means: the requisitions, what becomes of them, and how bad the weather is.

A plan is a value made from the seed alone. Everything random of a document is drawn from the seed
and the document's own number, so that one document more moves no other.
"""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from typing import Literal

import msgspec

from quaestor.connectors.kit.contract import Guarantee
from quaestor.model.approval import ApprovalDecision, ApprovalEvidence, Verdict
from quaestor.model.canonical import content_hash
from quaestor.model.requisition import Requisition
from tests.simulation.folder import ENTITIES, LATE_MAX_S, LEDGERS, SUPPLIERS
from tests.simulation.stepping import BEGAN_AT
from tests.simulation.wires import Weather
from tests.support.builders import a_coding, a_line, a_requisition, a_split

__all__ = ["BUSY_S", "Happening", "Plan", "Planned", "Vote", "WorkerPlan", "evidence_on", "plan_of"]

# How long new things happen and lines are faulty; then the quiet phase begins.
BUSY_S = 50.0

What = Literal["submit", "again", "change", "cancel"]
Vote = Literal["early", "approve", "reject", "own", "stale_first", "never"]


class Happening(msgspec.Struct, frozen=True):
    """Something comes in at a virtual second; `version` is what it brings or is about."""

    at_s: float
    what: What
    version: int = 1


class Planned(msgspec.Struct, frozen=True):
    """One requisition: its versions in order, what happens to it, how its approvers behave.

    `early` approvals come with the document; `own` is the requester's vote for himself;
    `stale_first` votes on the wrong content before the right one.
    """

    number: str
    correlation_id: str
    versions: tuple[Requisition, ...]
    happenings: tuple[Happening, ...]
    vote: Vote
    votes_after_s: float
    twice: bool
    healthy: bool

    @property
    def entity(self) -> str:
        return self.versions[0].entity


class WorkerPlan(msgspec.Struct, frozen=True):
    """One place for a worker. It dies after so many statements, again and again, in turn;
    sleeps are (from, for) in virtual seconds; `loses_commits` of its acknowledgements get lost.
    """

    lives: tuple[int, ...]
    sleeps: tuple[tuple[float, float], ...]
    loses_commits: float


class Plan(msgspec.Struct, frozen=True):
    """Everything that a seed decides."""

    seed: int
    documents: tuple[Planned, ...]
    workers: tuple[WorkerPlan, ...]
    weather: Weather
    visible_s: float
    jumps: tuple[tuple[float, float], ...]
    promised: tuple[tuple[str, Guarantee], ...] = ()


def plan_of(seed: int, *, documents: int = 24) -> Plan:
    """The plan of this seed."""
    draw = random.Random(f"plan {seed}")
    mild = draw.random() < 0.15
    return Plan(
        seed=seed,
        documents=tuple(_planned(seed, number) for number in range(documents)),
        workers=tuple(_worker(draw, mild) for _ in range(draw.choice((1, 2, 2, 3)))),
        weather=Weather(
            rate=0.0 if mild else draw.choice((0.05, 0.15, 0.3, 0.5)),
            until_s=BUSY_S,
            outages={} if mild else _outages(draw),
            late_max_s=LATE_MAX_S,
        ),
        visible_s=draw.choice((0.0, 0.5, 2.5)),
        # Small enough that what is late stays within the settle time.
        jumps=() if mild else ((draw.uniform(5, BUSY_S), draw.choice((-2.0, -0.5, 0.9))),),
    )


def _outages(draw: random.Random) -> dict[str, tuple[tuple[float, float], ...]]:
    found = {}
    for ledger in LEDGERS.values():
        if draw.random() < 0.3:
            start = draw.uniform(0, BUSY_S - 25)
            found[ledger.system] = ((start, start + draw.uniform(2, 25)),)
    return found


def _worker(draw: random.Random, mild: bool) -> WorkerPlan:
    deaths = 0 if mild else draw.choice((0, 1, 1, 2, 4))
    sleeps = 0 if mild else draw.choice((0, 0, 1))
    return WorkerPlan(
        lives=tuple(int(draw.expovariate(1 / 120)) + 1 for _ in range(deaths)),
        sleeps=tuple((draw.uniform(5, 30), draw.uniform(5, 25)) for _ in range(sleeps)),
        loses_commits=0.0 if mild else draw.choice((0.0, 0.0, 0.02, 0.1)),
    )


def _planned(seed: int, number: int) -> Planned:
    draw = random.Random(f"document {seed} {number}")
    name = f"{seed}-{number:03}"
    entity = ENTITIES[number % len(ENTITIES)]
    kind = draw.choices(
        ("plain", "tight", "blocked", "unmapped", "refused", "held"), (70, 14, 4, 3, 5, 4)
    )[0]
    vote: Vote = draw.choices(
        ("early", "approve", "reject", "own", "stale_first", "never"), (50, 28, 6, 4, 8, 4)
    )[0]
    begins = draw.uniform(0, BUSY_S * 0.6)
    happenings = [Happening(begins, "submit")]
    if draw.random() < 0.2:
        happenings.append(Happening(begins + draw.uniform(0, 30), "again"))
    changes = draw.choices((0, 1, 2), (78, 17, 5))[0]
    at = begins
    for version in range(2, 2 + changes):
        at += draw.expovariate(1 / 6)
        happenings.append(Happening(at, "change", version))
    cancelled = draw.random() < 0.2
    if cancelled:
        happenings.append(Happening(begins + draw.expovariate(1 / 8), "cancel"))
        if draw.random() < 0.3:
            happenings.append(Happening(begins + draw.expovariate(1 / 8), "cancel"))
    versions = tuple(
        _version(draw, name, entity, kind, vote, version) for version in range(1, 2 + changes)
    )
    return Planned(
        number=name,
        correlation_id=f"simulated-{name}",
        versions=versions,
        happenings=tuple(sorted(happenings, key=lambda each: each.at_s)),
        vote=vote,
        votes_after_s=draw.choice((0.0, draw.uniform(0, 5), draw.uniform(5, 40))),
        twice=draw.random() < 0.3,
        healthy=kind in ("plain", "held")
        and not changes
        and not cancelled
        and vote in ("early", "approve", "stale_first"),
    )


def _version(
    draw: random.Random, name: str, entity: str, kind: str, vote: Vote, version: int
) -> Requisition:
    ledger = LEDGERS[entity]
    center = f"{'tight' if kind == 'tight' else 'roomy'}-{entity}"
    suppliers = {"blocked": ("old-iron",), "unmapped": ("no-counterpart",)}.get(
        kind, tuple(draw.sample(SUPPLIERS, draw.choices((1, 2, 3), (6, 3, 1))[0]))
    )
    lines = []
    for place, supplier in enumerate(suppliers, start=1):
        quantity = draw.randrange(1, 5)
        # The cents of an order's total are what bogus goes by: see the README beside it.
        cents = {"refused": "01", "held": "16"}.get(kind, "50")
        if quantity != 1 and cents != "50":
            quantity = 1
        price = Decimal(f"{draw.randrange(100, 900)}.{cents}")
        amount = str(price * quantity)
        lines.append(
            a_line(
                place,
                supplier=supplier,
                quantity=str(quantity),
                unit_price=str(price),
                currency=ledger.currency,
                splits=(a_split(amount),),
            )
        )
    coded = [
        msgspec.structs.replace(
            line,
            splits=(msgspec.structs.replace(line.splits[0], coding=a_coding(center)),),
        )
        for line in lines
    ]
    made = a_requisition(
        coded,
        number=name,
        version=version,
        entity=entity,
        currency=ledger.currency,
        submitted_at=BEGAN_AT - timedelta(minutes=5),
        title=f"version {version}",
    )
    made = msgspec.structs.replace(made, source_system="portal")
    return msgspec.structs.replace(made, approval=evidence_on(made)) if vote == "early" else made


def evidence_on(
    requisition: Requisition, verdict: Verdict = "approved", *, by: str = "carla.lindt"
) -> ApprovalEvidence:
    """What the desk says about exactly this content."""
    return ApprovalEvidence(
        decided_by="desk",
        decisions=(ApprovalDecision(by, verdict, BEGAN_AT),),
        content_hash=content_hash(requisition),
        version=requisition.version,
    )
