"""The project: everything a customer says about his deployment, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from quaestor.approvals.snapshot import ApprovalPolicy, Mode
from quaestor.budget.keys import BudgetPolicy
from quaestor.model.budget import BudgetNode
from quaestor.model.calendar import Calendar
from quaestor.model.crosswalk import Crosswalks
from quaestor.model.employee import Directory
from quaestor.model.entity import Entity
from quaestor.model.rates import Rates
from quaestor.project.ownership import Ownership
from quaestor.settings import Settings, SystemSettings
from quaestor.validation.facts import ChartReplica, SupplierReplica, ValidationPolicy
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

    `configs` has each system's table as its connector's own configuration type; with `simulate`
    its `base_url` is empty until the simulator has told it. `files` has the hash of each file.
    """

    path: Path
    settings: Settings
    entities: Mapping[str, Entity]
    directory: Directory
    calendars: Mapping[str, Calendar]
    rates: Rates
    suppliers: SupplierReplica | None
    chart: ChartReplica | None
    crosswalks: Crosswalks
    approval_rules: ApprovalRules
    budget_policy: BudgetPolicy
    budget_nodes: Mapping[str, BudgetNode]
    validation_limits: Limits
    ownership: Ownership
    configs: Mapping[str, Any]
    files: Mapping[str, str]
    pinned: Release

    def release(self) -> Release:
        """The content hashes of what was read."""
        return self.pinned

    def system(self, name: str) -> SystemSettings:
        """The settings of a system; a `KeyError` for one that is not declared."""
        return self.settings.systems[name]

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

    def validation_policy(self) -> ValidationPolicy:
        """The limits, and how old the replicas may grow: ownership.yaml declares that."""
        supplier = self.ownership.owner("supplier")
        chart = [self.ownership.owner("cost_center"), self.ownership.owner("account")]
        ages = [owner.max_age_s for owner in chart if owner and owner.max_age_s is not None]
        return ValidationPolicy(
            supplier_max_age_s=supplier.max_age_s if supplier else None,
            chart_max_age_s=min(ages, default=None),
            limits=self.validation_limits,
        )
