"""What a flow's stages may read of a project, by the type that they declare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from quaestor.approvals.snapshot import ApprovalPolicy
from quaestor.budget.keys import BudgetPolicy
from quaestor.flows.kit.reads import EntityBook, Routing, Seams
from quaestor.model.crosswalk import Crosswalks
from quaestor.model.employee import Directory
from quaestor.model.rates import Rates
from quaestor.project.project import Project
from quaestor.project.replicas import NO_REPLICAS, Overlay, Replicas
from quaestor.project.systems import submitting_kinds
from quaestor.validation.facts import ChartReplica, SupplierReplica, ValidationPolicy

__all__ = ["ProjectReads", "project_reads"]

ProjectReads = Callable[[str, str, tuple[type, ...]], Mapping[type, Any]]


def project_reads(project: Project, seams: Seams, replicas: Replicas = NO_REPLICAS) -> ProjectReads:
    """A function of document type, entity and the declared types to what is read.

    Where ownership gives an object to a connected system, its replica stands for our file.

    A type that no project holds is a `KeyError`: a stage has declared what nobody can give.
    """
    systems = project.settings.systems
    shared: dict[type, Any] = {
        BudgetPolicy: project.budget_policy,
        ChartReplica: project.chart,
        Crosswalks: project.crosswalks,
        Directory: project.directory,
        EntityBook: EntityBook(project.entities, project.calendars),
        Rates: project.rates,
        Routing: Routing(
            by_ship_to=frozenset(n for n, one in systems.items() if one.order_per_address),
            reports_to=_doing("report_status", project),
            asks=_doing("submit_requisition", project),
            takes_back=_doing("cancel_requisition", project),
        ),
        Seams: seams,
        SupplierReplica: project.suppliers,
        ValidationPolicy: project.validation_policy(),
    }

    overlay = Overlay(project, replicas)
    moment = overlay.moment()

    # A project never changes, so between two moments of its replicas it answers the same.
    @cache
    def held(document_type: str, entity: str, kinds: tuple[type, ...]) -> Mapping[type, Any]:
        policy = project.approval_policy(document_type, entity)
        known = shared | overlay.reads() | {ApprovalPolicy: policy}
        return {kind: known[kind] for kind in kinds}

    def read(document_type: str, entity: str, kinds: tuple[type, ...]) -> Mapping[type, Any]:
        nonlocal moment
        if moment != (now := overlay.moment()):
            moment = now
            held.cache_clear()
        return held(document_type, entity, kinds)

    return read


def _doing(action: str, project: Project) -> frozenset[str]:
    """The systems whose connector can do this."""
    kinds = submitting_kinds(project)
    return frozenset(name for name, kind in kinds.items() if action in kind.manifest.actions)
