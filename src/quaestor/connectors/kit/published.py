"""What a system publishes, as it concerns us: a requisition, its withdrawal, or a decision on one.

A vendor reads the items of its streams into these, purely, from the bytes as published. What they
become in our database is not the vendor's matter.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import msgspec

from quaestor.connectors.kit.loss import LossReport
from quaestor.model.approval import ApprovalEvidence
from quaestor.model.crosswalk import Crosswalks
from quaestor.model.employee import Directory
from quaestor.model.refusal import Refusal
from quaestor.model.requisition import Requisition

__all__ = [
    "Decision",
    "Mapped",
    "NotDecided",
    "NotMapped",
    "Published",
    "ReadPublished",
    "Reading",
    "Withdrawn",
]


class Reading(msgspec.Struct, frozen=True):
    """What an item is read with: codes and people as known now.

    `on` is the day whose codes count. `version` is the receiver's count of versions, for a source
    that numbers none.
    """

    crosswalks: Crosswalks
    directory: Directory
    on: date
    version: int = 1


class Mapped(msgspec.Struct, frozen=True, tag="mapped"):
    """The requisition, and what was not carried over into it."""

    requisition: Requisition
    loss: LossReport


class NotMapped(msgspec.Struct, frozen=True, tag="not_mapped"):
    """Nothing can be made of the item; every reason at once."""

    refusals: tuple[Refusal, ...]
    loss: LossReport = LossReport()


class Withdrawn(msgspec.Struct, frozen=True, tag="withdrawn"):
    """The requisition with this id there was taken back there."""

    source_id: str


class Decision(msgspec.Struct, frozen=True, tag="decision"):
    """The decision on one version of a document of ours; `reference` is its number there."""

    source_system: str
    source_id: str
    version: int
    reference: str
    event: str
    decided_at: datetime
    evidence: ApprovalEvidence


class NotDecided(msgspec.Struct, frozen=True, tag="not_decided"):
    """It ended there without a decision: somebody cancelled or rescinded it."""

    source_system: str
    source_id: str
    version: int
    reference: str
    event: str
    status: str


Published = Mapped | NotMapped | Withdrawn | Decision | NotDecided

ReadPublished = Callable[[Any, bytes, Reading], Published]
"""Configuration of the system, the item's bytes, and what it is read with."""
