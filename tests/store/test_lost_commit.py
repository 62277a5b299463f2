"""F11: a commit whose acknowledgement is lost is looked up by its transaction id."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from quaestor.store.database import Connection, Database
from quaestor.store.errors import CommitOutcomeUnknown, StorageUnavailable
from tests.support.cutting_proxy import CuttingProxy
from tests.support.database import TestDatabase


@pytest.fixture
async def proxy(empty_database: TestDatabase) -> AsyncIterator[CuttingProxy]:
    with tempfile.TemporaryDirectory() as directory:
        sockets = empty_database.server.socket_directory
        async with CuttingProxy(sockets, Path(directory)) as proxy:
            yield proxy


@pytest.fixture
async def through(empty_database: TestDatabase, proxy: CuttingProxy) -> AsyncIterator[Database]:
    """A pool that reaches the database through the proxy."""
    owner = await empty_database.connect()
    async with owner.transaction() as connection:
        await connection.execute("create table public.note (text text)")
    database = await Database.connect(
        proxy.dsn_of(empty_database.name),
        role=None,
        application_name="tests",
        look_up_timeout_s=1.0,
    )
    yield database
    await database.terminate()


async def take_note(connection: Connection) -> str:
    await connection.execute("insert into public.note values ('once')")
    return "taken"


async def test_a_commit_that_took_effect_counts_as_done(
    through: Database, proxy: CuttingProxy
) -> None:
    proxy.cut_at_commit = "after"

    answer = await through.run(take_note)

    assert answer == "taken"
    assert await through.fetchval("select count(*) from public.note") == 1


async def test_a_commit_that_never_arrived_is_told_as_undone(
    through: Database, proxy: CuttingProxy
) -> None:
    proxy.cut_at_commit = "before"

    with pytest.raises(StorageUnavailable, match="undone"):
        await through.run(take_note)

    assert await through.fetchval("select count(*) from public.note") == 0


async def test_a_commit_that_nobody_can_look_up_is_told_as_unknown(
    through: Database, proxy: CuttingProxy
) -> None:
    proxy.cut_at_commit = "after"
    proxy.stays_cut = True

    with pytest.raises(CommitOutcomeUnknown):
        await through.run(take_note)


async def test_a_lost_commit_of_a_reader_is_nothing_to_look_up(
    through: Database, proxy: CuttingProxy
) -> None:
    proxy.cut_at_commit = "after"

    async with through.transaction() as connection:
        answer = await connection.fetchval("select 7")

    assert answer == 7
