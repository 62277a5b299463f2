"""Ownership decides: a replica stands for the file of what its system owns, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quaestor.flows.kit.reads import Seams
from quaestor.model.employee import Directory
from quaestor.model.replica import PersonRow, Replica, SupplierRow
from quaestor.project.load import load_project
from quaestor.project.project import Project
from quaestor.project.reads import project_reads
from quaestor.validation.facts import SupplierReplica
from tests.project.folders import a_copy, change

AS_OF = datetime(2026, 11, 20, 9, tzinfo=UTC)
KINDS = (Directory, SupplierReplica)
BEN = PersonRow("21002", "Ben Koch", manager="10001")
GUS = PersonRow("10001", "Gus Adler")
HELIO = SupplierRow("SUP-1001", "Helio", active=False)


class Known:
    """Replicas as a process knows them; `tell` makes another version."""

    def __init__(self) -> None:
        self.serial, self.now = 0, AS_OF
        self.lists: dict[tuple[str, str], Replica] = {}

    def tell(self, kind: str, system: str, *rows: Any, as_of: datetime = AS_OF) -> None:
        self.serial += 1
        by_id = {row.id: row for row in rows}
        self.lists[kind, system] = Replica(system, self.serial, as_of, by_id)

    def find(self, kind: str, system: str) -> Replica | None:
        return self.lists.get((kind, system))


def a_project(folder: Path, *, employee: str = "", supplier: str = "owner: sap") -> Project:
    path = a_copy(folder)
    change(path, "ownership.yaml", "owner: sap, mode", f"{supplier}, mode")
    if employee:
        change(path, "ownership.yaml", "owner: workday, mode: replica", employee)
    return load_project(path)


def read(project: Project, known: Known) -> Mapping[type, Any]:
    return project_reads(project, Seams(), known)("requisition", "acme-de", KINDS)


def test_before_the_first_load_the_file_holds(tmp_path: Path) -> None:
    project = a_project(tmp_path)

    found = read(project, Known())

    assert found[Directory] is project.directory
    assert found[SupplierReplica] is project.suppliers


def test_a_loaded_replica_of_the_owner_stands_for_the_file(tmp_path: Path) -> None:
    project, known = a_project(tmp_path, supplier="owner: coupa"), Known()
    known.tell("employee", "workday", BEN, GUS)
    known.tell("supplier", "coupa", HELIO)

    found = read(project, known)

    active = {person.id for person in found[Directory].people.values() if person.active}
    assert active == {"ben.koch", "gus.adler"}
    assert found[SupplierReplica].as_of == AS_OF
    assert [(one.id, one.status) for one in found[SupplierReplica].suppliers.values()] == [
        ("helio-systems", "blocked")
    ]


@pytest.mark.parametrize(
    "employee",
    [
        "owner: coupa, mode: replica",
        "owner: quaestor, mode: replica",
        "owner: workday, mode: live",
    ],
)
def test_the_list_of_a_system_that_is_not_declared_as_owner_changes_nothing(
    tmp_path: Path, employee: str
) -> None:
    project, known = a_project(tmp_path, employee=employee), Known()
    known.tell("employee", "workday", BEN)
    known.tell("supplier", "coupa", HELIO)

    found = read(project, known)

    assert found[Directory] is project.directory
    assert found[SupplierReplica] is project.suppliers


def test_somebody_new_is_known_by_the_login_that_its_owner_tells(tmp_path: Path) -> None:
    employee = "owner: workday, mode: replica, fields: {identities: coupa}"
    project, known = a_project(tmp_path, employee=employee), Known()
    known.tell("employee", "workday", GUS, PersonRow("40001", "Kim Novak", manager="10001"))
    known.tell("employee", "coupa", PersonRow("40001", "Kim Novak", login="knovak"))

    found = read(project, known)[Directory].by_identity("coupa", "KNovak")

    assert found is not None
    assert (found.id, found.manager, found.limit) == ("40001", "gus.adler", 0)
    assert project.ownership.sources("employee") == {"workday", "coupa"}


def test_another_version_is_read_at_the_next_question(tmp_path: Path) -> None:
    project, known = a_project(tmp_path), Known()
    known.tell("employee", "workday", BEN, GUS)
    reads = project_reads(project, Seams(), known)
    first = reads("requisition", "acme-de", KINDS)[Directory]
    same = reads("requisition", "acme-de", KINDS)[Directory]

    known.tell("employee", "workday", GUS)
    other = reads("requisition", "acme-de", KINDS)[Directory]

    assert same is first
    assert (first.people["ben.koch"].active, other.people["ben.koch"].active) == (True, False)


def test_a_directory_that_is_too_old_is_stale_without_any_change_of_it(tmp_path: Path) -> None:
    employee = "owner: workday, mode: replica, max_age_s: 3600"
    project, known = a_project(tmp_path, employee=employee), Known()
    known.tell("employee", "workday", BEN, GUS)
    reads = project_reads(project, Seams(), known)
    known.now = AS_OF + timedelta(seconds=3600)
    fresh = reads("requisition", "acme-de", KINDS)[Directory]

    known.now = AS_OF + timedelta(seconds=3601)
    stale = reads("requisition", "acme-de", KINDS)[Directory]

    assert (fresh.stale, stale.stale) == (False, True)
