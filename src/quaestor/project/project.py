"""The project: everything a customer says about his deployment, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import msgspec

from quaestor.approvals.snapshot import ApprovalPolicy, Mode
from quaestor.budget.keys import BudgetPolicy
from quaestor.masterdata.replica import MasterData
from quaestor.model.budget import BudgetNode
from quaestor.model.calendar import Calendar
from quaestor.model.crosswalk import Crosswalks
from quaestor.model.employee import Directory
from quaestor.model.entity import Entity
from quaestor.model.rates import Rates
from quaestor.project.ownership import Ownership
from quaestor.settings import Settings, SystemSettings
from quaestor.validation.requisition import Limits

__all__ = ["ApprovalRules", "Project", "Release"]


class ApprovalRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """policies/approvals.yaml: an open request ends as expired after so many days (A16)."""

    expire_after_days: int = 30


class Release(msgspec.Struct, frozen=True):
    """What was read, by content: `parts` has the hex SHA-256 of each part, `hash` of them all.

    A document pins the parts it was decided under; a change never works backwards (D12).
    """

    hash: str
    parts: Mapping[str, str]


class Project(msgspec.Struct, frozen=True):
    """A project folder as values. Made by `load_project` alone, which has checked that its parts
    agree: each system, entity, person and calendar named anywhere exists.
    """

    path: Path
    settings: Settings
    entities: Mapping[str, Entity]
    directory: Directory
    calendars: Mapping[str, Calendar]
    rates: Rates
    masterdata: MasterData
    crosswalks: Crosswalks
    approval_rules: ApprovalRules
    budget_policy: BudgetPolicy
    budget_nodes: Mapping[str, BudgetNode]
    validation_limits: Limits
    ownership: Ownership
    files: Mapping[str, str]
    pinned: Release

    def release(self) -> Release:
        """The content hashes of what was read."""
        return self.pinned

    def system(self, name: str) -> SystemSettings:
        """The settings of a system; a `KeyError` for one that is not declared."""
        return self.settings.systems[name]

    def route(self, document_type: str, entity: str, on: date) -> str | None:
        """The system that a document of this type goes to: routed for the entity, routed for
        all, or the entity's ledger of that day. `None` where the entity has none yet.
        """
        by_entity = self.settings.routing.get(document_type, {})
        routed = by_entity.get(entity) or by_entity.get("*")
        return routed or self.entities[entity].ledger_on(on)

    def calendar(self, entity: str) -> Calendar:
        """The entity's calendar."""
        return self.calendars[self.entities[entity].calendar]

    def approval_policy(self, document_type: str, entity: str) -> ApprovalPolicy:
        """Who decides approvals there, how far he is trusted, and how long is waited."""
        days = self.approval_rules.expire_after_days
        declared = self.ownership.decider("approval", document_type, entity)
        if declared is None:
            return ApprovalPolicy(expire_after_days=days)
        mode: Mode = "relay" if declared.mode == "relay" else "verify"
        return ApprovalPolicy(decider=declared.decider, mode=mode, expire_after_days=days)
