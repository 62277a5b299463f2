"""A database belongs to one deployment, and refuses the others."""

from __future__ import annotations

import asyncpg
import pytest

from quaestor.store.deployment import EnvironmentMismatch, Pinned, pin_deployment, read_pinned
from tests.support.database import TestDatabase

OURS = Pinned("acme", "test")


@pytest.mark.parametrize("role", ["quaestor_worker", "quaestor_gateway"])
async def test_the_first_start_writes_down_whose_database_it_is(
    database: TestDatabase, role: str
) -> None:
    store = await database.connect(role=role)

    async with store.transaction() as connection:
        before = await read_pinned(connection)
        await pin_deployment(connection, OURS)
        await pin_deployment(connection, OURS)
        after = await read_pinned(connection)

    assert (before, after) == (None, OURS)


@pytest.mark.parametrize("other", [Pinned("acme", "production"), Pinned("acme-two", "test")])
async def test_another_name_or_environment_is_refused(
    database: TestDatabase, other: Pinned
) -> None:
    worker = await database.connect(role="quaestor_worker")
    async with worker.transaction() as connection:
        await pin_deployment(connection, OURS)

    async with worker.connection() as connection:
        with pytest.raises(EnvironmentMismatch, match=r"acme \(test\)"):
            await pin_deployment(connection, other)


@pytest.mark.parametrize("role", [None, "quaestor_worker"])
async def test_what_is_written_down_never_changes(database: TestDatabase, role: str | None) -> None:
    store = await database.connect(role=role)
    async with store.transaction() as connection:
        await pin_deployment(connection, OURS)

    async with store.connection() as connection:
        with pytest.raises((asyncpg.RestrictViolationError, asyncpg.InsufficientPrivilegeError)):
            await connection.execute("update quaestor.deployment set environment = 'production'")
