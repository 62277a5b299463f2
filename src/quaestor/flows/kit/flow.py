"""A flow: named stages, pure functions from a dossier to a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quaestor.flows.kit.dossier import Dossier
from quaestor.flows.kit.step import Step
from quaestor.model.event import Event

__all__ = ["Flow", "Interrupted", "Stage", "StageFunction"]

StageFunction = Callable[[Dossier], Step]
Interrupted = Callable[[Dossier, Event], Step | None]


@dataclass(frozen=True)
class Stage:
    """One stage and what the loader must fetch for it."""

    run: StageFunction
    reads: tuple[type, ...] = ()


@dataclass(frozen=True)
class Flow:
    """One business process.

    `interrupted` is asked for each unconsumed event, oldest first, before every stage and before
    every resend, also of a document that sleeps, is parked or is done; a step from it replaces
    the stage's, and the event is consumed. `None` leaves the event for later: a stage may consume
    it, or it is asked about again. A `Retry` resumes what is parked and is consumed thereby; where
    nothing is parked it is consumed without effect. `reads` of a stage are also what
    `interrupted` sees before it. `body` is the canonical noun of the document.
    """

    name: str
    version: int
    document_type: str
    body: type
    first: str
    stages: Mapping[str, Stage]
    interrupted: Interrupted
