"""What several tests of the trail start from."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.audit.archived import Trail, fill
from tests.support.database import TestDatabase


@pytest.fixture
async def modest(database: TestDatabase) -> AsyncIterator[str]:
    """An empty database whose owner is no superuser, so that policies hold for him as well."""
    owner = await database.connect()
    name = f"{database.name}_modest"
    await owner.fetch(f"create role {name} login createrole")
    for role in ("quaestor_worker", "quaestor_gateway", "quaestor_reader", "quaestor_eraser"):
        await owner.fetch(f"grant {role} to {name} with admin option")
    await owner.fetch(f"create database {name} owner {name}")
    yield database.server.dsn_of(name).replace("postgresql://postgres@", f"postgresql://{name}@")
    await owner.fetch(f"drop database {name} with (force)")
    await owner.fetch(f"drop owned by {name}")
    await owner.fetch(f"drop role {name}")


@pytest.fixture
async def trail(database: TestDatabase) -> Trail:
    worker, owner = await database.connect("quaestor_worker"), await database.connect()
    return Trail(worker, owner, await fill(worker))
