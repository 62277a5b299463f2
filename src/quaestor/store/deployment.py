"""Whose database this is: the name and environment of the one deployment that it belongs to.

The first start writes them down; from then on a project that says otherwise is refused. A test
project on a production database would send what was only tried out, and under another name every
posting key, and so every look for an earlier order, would be another.
"""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from quaestor.store.database import SCHEMA
from quaestor.store.errors import StoreError

__all__ = ["EnvironmentMismatch", "Pinned", "pin_deployment", "read_pinned"]

_PIN = f"""
insert into {SCHEMA}.deployment (name, environment, since) values ($1, $2, {SCHEMA}.clock())
on conflict do nothing
"""
_PINNED = f"select name, environment from {SCHEMA}.deployment"


class EnvironmentMismatch(StoreError):
    """The database belongs to another deployment; nothing was done."""


@dataclass(frozen=True)
class Pinned:
    """A deployment by name, and what is at stake there: `test` or `production`."""

    name: str
    environment: str

    def __str__(self) -> str:
        return f"{self.name} ({self.environment})"


async def pin_deployment(connection: asyncpg.Connection, wanted: Pinned) -> None:
    """Write it down where nobody did yet. Raises `EnvironmentMismatch` where it is another."""
    await connection.execute(_PIN, wanted.name, wanted.environment)
    pinned = await read_pinned(connection)
    if pinned != wanted:
        raise EnvironmentMismatch(f"The database is that of {pinned}, the project is {wanted}.")


async def read_pinned(connection: asyncpg.Connection) -> Pinned | None:
    """Whose database it is; `None` where no deployment ever started on it."""
    row = await connection.fetchrow(_PINNED)
    return None if row is None else Pinned(row["name"], row["environment"])
