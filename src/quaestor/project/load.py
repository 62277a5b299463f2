"""Loading a project folder: read every part, report every problem, then check that they agree."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import msgspec

from quaestor.model.crosswalk import Crosswalks
from quaestor.model.employee import Directory
from quaestor.model.entity import Entity, LedgerFrom
from quaestor.project.agreement import check_agreement
from quaestor.project.configs import read_configs
from quaestor.project.files import Folder
from quaestor.project.ownership import EVERY_ENTITY
from quaestor.project.parts import (
    read_calendars,
    read_chart,
    read_crosswalks,
    read_entities,
    read_people,
    read_rates,
    read_suppliers,
)
from quaestor.project.policies import (
    read_approval_rules,
    read_budget,
    read_limits,
    read_ownership,
)
from quaestor.project.problems import Problems
from quaestor.project.project import Project, Release
from quaestor.project.toml_settings import read_settings
from quaestor.settings import Settings

__all__ = ["load_project"]

# What a folder may hold. A file with another name would be read by nobody, and nobody told.
KNOWN = {
    "": ("quaestor.toml", "entities.yaml", "ownership.yaml", "README.md"),
    "calendars": ("*.yaml",),
    "connectors": ("*/*.py", "*/README.md"),
    "crosswalks": ("*.csv",),
    "directory": ("people.yaml",),
    "flows": ("*.py",),
    "masterdata": ("suppliers.yaml", "cost_centers.yaml", "accounts.yaml"),
    "policies": ("approvals.yaml", "budget.yaml", "validation.yaml"),
    "rates": ("*.csv",),
}


def load_project(path: Path) -> Project:
    """The project in this folder. Raises `ProjectError` with every problem found."""
    problems = Problems()
    if not path.is_dir():
        problems.add("folder_missing", str(path), "", "there is no such folder")
        problems.raise_if_any()
    folder = Folder(path, problems)
    settings = read_settings(folder)
    entities = read_entities(folder)
    directory = read_people(folder)
    calendars = read_calendars(folder)
    rates = read_rates(folder)
    suppliers = read_suppliers(folder)
    chart = read_chart(folder)
    rows = read_crosswalks(folder, entities)
    approval_rules = read_approval_rules(folder)
    budget_policy, budget_nodes = read_budget(folder)
    limits = read_limits(folder)
    ownership = read_ownership(folder)
    for name in [*folder.names("flows/*.py"), *folder.names("connectors/*/*.py")]:
        folder.read(name)
    _refuse_strangers(folder)
    if settings is None:
        problems.raise_if_any()
    assert settings is not None
    faulty = problems.files
    project = Project(
        path=path,
        settings=settings,
        entities=_with_ledgers(entities, settings, problems),
        directory=Directory(directory),
        calendars=calendars,
        rates=rates,
        suppliers=suppliers,
        chart=chart,
        crosswalks=Crosswalks.of(rows),
        approval_rules=approval_rules,
        budget_policy=budget_policy,
        budget_nodes=budget_nodes,
        validation_limits=limits,
        ownership=ownership,
        configs=read_configs(folder, settings, directory),
        files=dict(sorted(folder.hashes.items())),
        pinned=_release(folder.hashes),
    )
    check_agreement(project, problems, faulty)
    problems.raise_if_any()
    return project


def _with_ledgers(
    entities: Mapping[str, Entity], settings: Settings, problems: Problems
) -> dict[str, Entity]:
    """Entities without ledgers of their own get the routed one; it must not be said twice."""
    routed = settings.routing.purchase_order
    found: dict[str, Entity] = {}
    for name, entity in entities.items():
        system = routed.get(name) or (None if entity.ledgers else routed.get(EVERY_ENTITY))
        if system is not None and entity.ledgers:
            problems.add(
                "ledger_ambiguous",
                "quaestor.toml",
                f"routing.purchase_order.{name}",
                "entities.yaml gives the entity its ledgers by date",
                "the one or the other",
            )
        elif system is not None:
            entity = msgspec.structs.replace(entity, ledgers=(LedgerFrom(system, date.min),))
        if not entity.ledgers and system is None:
            problems.add(
                "ledger_missing",
                "entities.yaml",
                name,
                "the entity's orders have nowhere to go",
                f'[routing.purchase_order] {name} = "SYSTEM" in quaestor.toml, or ledgers here',
            )
        found[name] = entity
    return found


def _refuse_strangers(folder: Folder) -> None:
    for place, patterns in KNOWN.items():
        inside = f"{place}/" if place else ""
        known = {name for pattern in patterns for name in folder.names(inside + pattern)}
        for suffix in ("yaml", "yml", "toml", "csv"):
            for name in folder.names(f"{inside}*.{suffix}"):
                if name not in known:
                    wanted = ", ".join(inside + pattern for pattern in patterns)
                    folder.problems.add(
                        "file_unknown", name, "", "nothing reads this file", f"one of {wanted}"
                    )


def _release(hashes: Mapping[str, str]) -> Release:
    """A part is a file of the policies, else the file or folder at the top."""
    grouped: dict[str, list[str]] = {}
    for name, digest in sorted(hashes.items()):
        top = name if name.startswith("policies/") else name.split("/")[0]
        grouped.setdefault(top, []).append(f"{name} {digest}\n")
    parts = {part: _sha256("".join(lines)) for part, lines in grouped.items()}
    whole = _sha256("".join(f"{part} {digest}\n" for part, digest in sorted(parts.items())))
    return Release(whole, parts)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
