"""Employee and directory: people, their managers, their authority, their names elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Annotated

import msgspec

__all__ = ["Delegation", "Directory", "Employee"]

_Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class Delegation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person lends his authority to another, from `start` until just before `end` (A15).

    `max_amount` caps it per document, in the lender's `limit_currency`; `None` is his own limit.
    """

    to: str
    start: _Instant
    end: _Instant
    max_amount: Decimal | None = None


class Employee(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One person.

    `limit` is the approval authority per document in `limit_currency`, inclusive (A3); `None`
    is without limit. `entities` are those the authority reaches, empty for all; elsewhere it is
    zero (A30). `identities` hold the person's login per system, `delegations` to whom he has lent
    his authority.
    """

    id: str
    name: str
    manager: str | None = None
    limit: Decimal | None = Decimal(0)
    limit_currency: str | None = None
    entities: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    active: bool = True
    identities: dict[str, str] = {}
    delegations: tuple[Delegation, ...] = ()

    def may_act_for(self, entity: str) -> bool:
        """Whether the authority reaches that entity."""
        return not self.entities or entity in self.entities

    def lent_to(self, person: str, at: datetime) -> tuple[Delegation, ...]:
        """What he has lent that person at that instant. One level: what is lent is not lent on."""
        return tuple(
            one for one in self.delegations if one.to == person and one.start <= at < one.end
        )


class Directory(msgspec.Struct, frozen=True, dict=True):
    """Everybody, by id, as known at `as_of`; `stale` where that is too long ago to say who may
    approve."""

    people: Mapping[str, Employee]
    as_of: datetime | None = None
    stale: bool = False

    def find(self, person: str) -> Employee | None:
        """The person of this id."""
        return self.people.get(person)

    def by_identity(self, system: str, login: str) -> Employee | None:
        """The one person who has this login in that system; `None` for nobody."""
        return self._by_identity.get((system, login.casefold()))

    @cached_property
    def _by_identity(self) -> Mapping[tuple[str, str], Employee]:
        """A directory has thousands of people, and each document asks it several times."""
        return {
            (system, login.casefold()): employee
            for employee in self.people.values()
            for system, login in employee.identities.items()
            if login
        }

    def in_role(self, role: str) -> tuple[Employee, ...]:
        """Active people of the role, ordered by id."""
        found = (one for one in self.people.values() if one.active and role in one.roles)
        return tuple(sorted(found, key=lambda employee: employee.id))
