"""Replicas over files: what a connected system owns is as that system says, once it has said so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from msgspec.structs import replace

from quaestor.masterdata.replicas import logins_with, people_with, suppliers_with
from quaestor.model.crosswalk import Missing
from quaestor.model.employee import Directory, Employee
from quaestor.model.replica import Replica
from quaestor.project.ownership import IDENTITIES, ObjectOwner
from quaestor.project.project import Project
from quaestor.validation.facts import SupplierReplica

__all__ = ["NO_REPLICAS", "Overlay", "Replicas"]


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


class Overlay:
    """The reads of a project that replicas have a say in.

    Made anew only at another `moment`; people and suppliers are put together only when the rows
    of their replica moved.
    """

    def __init__(self, project: Project, replicas: Replicas) -> None:
        self._project = project
        self._replicas = replicas
        self._employee = _owner(project, "employee")
        self._supplier = _owner(project, "supplier")
        self._made: dict[str, tuple[Any, Any]] = {}

    def moment(self) -> tuple[int, bool]:
        """Moves when `reads` would be others."""
        return self._replicas.serial, self._directory_is_stale()

    def reads(self) -> dict[type, Any]:
        """What takes the place of the files."""
        found: dict[type, Any] = {}
        directory = self._directory()
        if directory is not None:
            found[Directory] = directory
        suppliers = self._find(self._supplier)
        if suppliers is not None and self._supplier is not None:
            files, held = self._project.suppliers, _kept(self._supplier)
            masters = files.suppliers if files is not None else {}
            codes = self._codes(suppliers)
            made = self._made_once(
                "supplier", (suppliers,), lambda: suppliers_with(suppliers, masters, codes, held)
            )
            found[SupplierReplica] = SupplierReplica(made, suppliers.as_of)
        return found

    def _directory(self) -> Directory | None:
        owner = self._employee
        if owner is None:
            return None
        people = self._find(owner)
        logins = self._replicas.find("employee", owner.fields.get(IDENTITIES, ""))
        if people is None and logins is None:
            return None

        def make() -> Mapping[str, Employee]:
            made = self._project.directory.people
            if people is not None:
                made = people_with(people, made, _kept(owner))
            return made if logins is None else logins_with(logins, made, owner.owner)

        return replace(
            self._project.directory,
            people=self._made_once("employee", (people, logins), make),
            as_of=people.as_of if people is not None else None,
            stale=self._directory_is_stale(),
        )

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

    def _made_once(self, kind: str, of: Sequence[Replica | None], make: Callable[[], Any]) -> Any:
        versions = tuple(one and one.version for one in of)
        known, made = self._made.get(kind, (None, None))
        if known != versions:
            made = make()
            self._made[kind] = versions, made
        return made

    def _codes(self, replica: Replica) -> Any:
        day = replica.as_of.date()

        def ours(kind: Any, theirs: str) -> str | None:
            if not theirs:
                return None
            found = self._project.crosswalks.ours(replica.system, kind, theirs, day)
            return None if isinstance(found, Missing) else found

        return ours


def _owner(project: Project, kind: str) -> ObjectOwner | None:
    """Who owns this kind of object, where his list is kept as a replica."""
    owner = project.ownership.owner(kind)
    return owner if owner is not None and owner.mode == "replica" else None


def _kept(owner: ObjectOwner) -> frozenset[str]:
    """The fields that the owner of the object does not own."""
    return frozenset(name for name, system in owner.fields.items() if system != owner.owner)
