"""Budget held for something that is decided elsewhere: held, then released.

    holding ─► (awaited) ─► releasing ─► released

The reservation itself is decided while its caller waits. No reservation outlives its document
(I13): it ends when somebody gives it back, and at its time at the latest.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from quaestor.budget.effects import BudgetLine
from quaestor.flows.kit.dossier import Dossier
from quaestor.flows.kit.effects import Release
from quaestor.flows.kit.flow import Flow, Stage
from quaestor.flows.kit.step import Await, Done, Stay, Step
from quaestor.model.event import Cancel, Event

__all__ = ["BUDGET_RESERVATION", "HeldBudget"]


class HeldBudget(msgspec.Struct, frozen=True):
    """What is held, in base currency, and until when. `requester` is who asked for it."""

    source_system: str
    source_id: str
    entity: str
    requester: str
    lines: tuple[BudgetLine, ...]
    expires_at: datetime


def holding(dossier: Dossier) -> Step:
    """Wait for whoever gives it back, or for its time."""
    held: HeldBudget = dossier.document.body
    return Step((), Await(("Cancel",), "releasing", held.expires_at, "releasing"))


def releasing(dossier: Dossier) -> Step:
    """Free what is still held; asking twice frees nothing twice (B12)."""
    asked = tuple(event for event in dossier.events if isinstance(event, Cancel))
    return Step((Release("reservation"),), "released", asked)


def released(dossier: Dossier) -> Step:
    """The end."""
    return Step((), Done("released"))


def interrupted(dossier: Dossier, event: Event) -> Step | None:
    """The stage that waits is told by the event itself; once it is given back, nothing is left."""
    if dossier.stage == "released":
        return Step((), Stay())
    return None


BUDGET_RESERVATION = Flow(
    name="budget_reservation",
    version=1,
    document_type="budget_reservation",
    body=HeldBudget,
    first="holding",
    stages={
        "holding": Stage(holding),
        "releasing": Stage(releasing),
        "released": Stage(released),
    },
    interrupted=interrupted,
)
