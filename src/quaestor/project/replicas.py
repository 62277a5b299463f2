"""Replicas over files: what a connected system owns is as that system says, once it has said so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from msgspec.structs import replace

from quaestor.masterdata.replicas import people_with, suppliers_with
from quaestor.model.crosswalk import Missing
from quaestor.model.employee import Directory
from quaestor.model.replica import Replica
from quaestor.project.ownership import ObjectOwner
from quaestor.project.project import Project
from quaestor.validation.facts import SupplierReplica

__all__ = ["NO_REPLICAS", "Overlay", "Replicas", "replica_owner"]


class Replicas(Protocol):
    """What is known of replicas now. `serial` moves when one of them is another or newer; `now` is
    the time by which their age counts."""

    @property
    def serial(self) -> int: ...

    @property
    def now(self) -> datetime: ...

    def find(self, kind: str, system: str) -> Replica | None: ...


class _None:
    """A process that has no replicas."""

    serial = 0
    now = datetime.min.replace(tzinfo=UTC)

    def find(self, kind: str, system: str) -> Replica | None:
        return None


NO_REPLICAS: Replicas = _None()


def replica_owner(project: Project, kind: str) -> ObjectOwner | None:
    """Who owns this kind of object, where his list is to be kept as a replica."""
    owner = project.ownership.owner(kind)
    return owner if owner is not None and owner.mode == "replica" else None


class Overlay:
    """The reads of a project that replicas have a say in.

    Made anew only at another `moment`; people and suppliers are put together only when the rows
    of their replica moved.
    """

    def __init__(self, project: Project, replicas: Replicas) -> None:
        self._project = project
        self._replicas = replicas
        self._employee = replica_owner(project, "employee")
        self._supplier = replica_owner(project, "supplier")
        self._made: dict[str, tuple[int, Any]] = {}

    def moment(self) -> tuple[int, bool]:
        """Moves when `reads` would be others."""
        return self._replicas.serial, self._directory_is_stale()

    def reads(self) -> dict[type, Any]:
        """What takes the place of the files."""
        found: dict[type, Any] = {}
        people = self._find(self._employee)
        if people is not None and self._employee is not None:
            own, kept = self._project.directory.people, _kept(self._employee)
            made = self._made_once("employee", people, lambda: people_with(people, own, kept))
            found[Directory] = replace(
                self._project.directory,
                people=made,
                as_of=people.as_of,
                stale=self._directory_is_stale(),
            )
        suppliers = self._find(self._supplier)
        if suppliers is not None and self._supplier is not None:
            files, held = self._project.suppliers, _kept(self._supplier)
            masters = files.suppliers if files is not None else {}
            codes = self._codes(suppliers)
            made = self._made_once(
                "supplier", suppliers, lambda: suppliers_with(suppliers, masters, codes, held)
            )
            found[SupplierReplica] = SupplierReplica(made, suppliers.as_of)
        return found

    def _find(self, owner: ObjectOwner | None) -> Replica | None:
        return None if owner is None else self._replicas.find(owner.object, owner.owner)

    def _directory_is_stale(self) -> bool:
        owner = self._employee
        if owner is None or owner.max_age_s is None:
            return False
        replica = self._find(owner)
        # Before the first load the file holds, which has no age.
        age = self._replicas.now - replica.as_of if replica is not None else timedelta()
        return age > timedelta(seconds=owner.max_age_s)

    def _made_once(self, kind: str, replica: Replica, make: Any) -> Any:
        version, made = self._made.get(kind, (None, None))
        if version != replica.version:
            made = make()
            self._made[kind] = replica.version, made
        return made

    def _codes(self, replica: Replica) -> Any:
        day = replica.as_of.date()

        def ours(kind: Any, theirs: str) -> str | None:
            if not theirs:
                return None
            found = self._project.crosswalks.ours(replica.system, kind, theirs, day)
            return None if isinstance(found, Missing) else found

        return ours


def _kept(owner: ObjectOwner) -> frozenset[str]:
    """The fields that the owner of the object does not own."""
    return frozenset(name for name, system in owner.fields.items() if system != owner.owner)
