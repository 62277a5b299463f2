"""What a replica changes: the owner's word on what it owns, ours on the rest. Pure.

A load is let in whole or not at all. What may be a mistake of the feed is refused, and the old one
stays (F40); then it grows old, and what relies on it fails closed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from quaestor.model.employee import Employee
from quaestor.model.refusal import Refusal, refuse
from quaestor.model.replica import PersonRow, Replica, ReplicaRow, SupplierRow
from quaestor.model.supplier import Supplier

__all__ = [
    "Difference",
    "difference",
    "load_refused",
    "logins_with",
    "people_with",
    "suppliers_with",
]

# A whole load that brings this share fewer than before is refused.
SHRINK_PCT = 10
_CYCLE_SHOWN_MAX = 10


class Difference(msgspec.Struct, frozen=True):
    """The ids of rows that are new, other than before, or gone; each in order."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def difference(before: Mapping[str, ReplicaRow], after: Mapping[str, ReplicaRow]) -> Difference:
    """What has to be done to the one list so that it is the other."""
    return Difference(
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(one for one in before.keys() & after.keys() if before[one] != after[one])),
        tuple(sorted(before.keys() - after.keys())),
    )


def load_refused(
    before: Mapping[str, ReplicaRow], after: Mapping[str, ReplicaRow], *, whole: bool
) -> Refusal | None:
    """Why these rows may not take the place of those before; `None` where they may.

    `whole` is a load of everything: who is missing in it is gone. Who is there and inactive counts
    as missing, since some feeds tell of a person who left and others do not.
    """
    had, has = _active(before), _active(after)
    if whole and had and (had - has) * 100 >= had * SHRINK_PCT:
        return refuse("directory_shrink_guard", before=str(had), after=str(has))
    circle = _circle(after)
    if circle:
        shown = " → ".join(circle[:_CYCLE_SHOWN_MAX])
        return refuse("hierarchy_cycle", people=shown, length=str(len(circle) - 1))
    return None


def people_with(
    replica: Replica, own: Mapping[str, Employee], kept: Collection[str] = ()
) -> dict[str, Employee]:
    """Everybody, by our id: names, managers and who is active as the owner says.

    Authority, roles and identities are ours, as are the fields in `kept`. A person of ours whom
    the owner does not have is inactive, and so has no authority; one whom only the owner has
    gets none.
    """
    system = replica.system
    logins = {
        person.identities[system].casefold(): person.id
        for person in own.values()
        if system in person.identities
    }
    people = [row for row in replica.rows.values() if isinstance(row, PersonRow)]
    ids = {row.id: logins.get(row.id.casefold()) or _new_id(row.id, system, own) for row in people}
    found = {person.id: replace(person, active=False) for person in own.values()}
    for row in people:
        told: dict[str, Any] = {
            "name": row.name,
            "manager": ids.get(row.manager) if row.manager else None,
            "active": row.active,
        }
        identity = ids[row.id]
        person = own.get(identity) or Employee(identity, row.name, identities={system: row.id})
        owned = {name: value for name, value in told.items() if name not in kept and value != ""}
        found[identity] = replace(person, **owned)
    return found


def logins_with(
    replica: Replica, people: Mapping[str, Employee], owner: str
) -> dict[str, Employee]:
    """The same people, with their logins in the system of this list.

    They meet by the identity that `owner`, who owns people, knows them by.
    """
    numbers = {
        person.identities[owner].casefold(): person.id
        for person in people.values()
        if owner in person.identities
    }
    found = dict(people)
    for row in replica.rows.values():
        identity = numbers.get(row.id.casefold())
        if identity is not None and isinstance(row, PersonRow):
            known = found[identity]
            logins = {**known.identities, replica.system: row.login}
            found[identity] = replace(known, identities=logins)
    return found


def suppliers_with(
    replica: Replica,
    own: Mapping[str, Supplier],
    ours: Callable[[str, str], str | None],
    kept: Collection[str] = (),
) -> dict[str, Supplier]:
    """The suppliers of the owner, by our code: whom it has not is not there.

    `ours` says our code of a `supplier` or `payment_terms` of the owner's. Entities and country
    are ours, as are the fields in `kept`: a supplier that we do not know is approved for nobody.
    """
    found: dict[str, Supplier] = {}
    for row in replica.rows.values():
        assert isinstance(row, SupplierRow)
        code = ours("supplier", row.id)
        if code is None:
            continue
        supplier = own.get(code) or Supplier(code, row.name)
        told: dict[str, Any] = {
            "name": row.name,
            "status": "active" if row.active else "blocked",
            "payment_terms": ours("payment_terms", row.payment_terms),
        }
        owned = {name: value for name, value in told.items() if name not in kept and value}
        found[code] = replace(supplier, **owned)
    return found


def _new_id(theirs: str, system: str, own: Mapping[str, Employee]) -> str:
    return f"{system}:{theirs}" if theirs in own else theirs


def _active(rows: Mapping[str, ReplicaRow]) -> int:
    return sum(row.active for row in rows.values())


def _circle(rows: Mapping[str, ReplicaRow]) -> list[str]:
    """People who are each other's managers, the first of them again at the end."""
    cleared: set[str] = set()
    for start in sorted(rows):
        chain: dict[str, None] = {}
        at: str | None = start
        while at is not None and at not in cleared:
            if at in chain:
                names = list(chain)
                return [*names[names.index(at) :], at]
            chain[at] = None
            row = rows.get(at)
            at = row.manager if isinstance(row, PersonRow) else None
        cleared.update(chain)
    return []
