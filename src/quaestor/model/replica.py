"""Replica: a list that another system owns, in that system's own codes, as of a moment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

__all__ = ["PersonRow", "Replica", "ReplicaRow", "SupplierRow"]


class PersonRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One person. `id` is what a directory's `identities` hold for the system, `manager` the id
    of the nearest manager who is somebody else, `login` the user name there.
    """

    id: str
    name: str
    login: str = ""
    manager: str | None = None
    active: bool = True


class SupplierRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One supplier. `id` is the number by which the system's documents name it."""

    id: str
    name: str
    active: bool = True
    payment_terms: str = ""


ReplicaRow = PersonRow | SupplierRow


class Replica(msgspec.Struct, frozen=True):
    """The rows by their id. What the system knew at `as_of` is in it; `version` moves with them."""

    system: str
    version: int
    as_of: datetime
    rows: Mapping[str, ReplicaRow]
