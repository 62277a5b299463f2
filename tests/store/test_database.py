"""The pool: roles, limits, retries, and trouble by its name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest

from quaestor.store.database import Connection, Database
from quaestor.store.embedded import EmbeddedServer
from quaestor.store.errors import StorageRefused, StorageUnavailable
from quaestor.store.migrate import migrate
from tests.support.database import TestDatabase


@pytest.fixture
async def counter(empty_database: TestDatabase) -> TestDatabase:
    """A database with two counters, 'a' and 'b', both 0."""
    database = await empty_database.connect()
    async with database.transaction() as connection:
        await connection.execute(
            "create table public.counter (name text primary key, value int);"
            "insert into public.counter values ('a', 0), ('b', 0)"
        )
    return empty_database


async def value_of(database: Database, name: str) -> int:
    value: int = await database.fetchval("select value from public.counter where name = $1", name)
    return value


async def test_a_connection_works_under_its_role_from_the_start(database: TestDatabase) -> None:
    worker = await database.connect(role="quaestor_worker")

    assert await worker.fetchval("select current_user::text") == "quaestor_worker"


async def test_a_connection_comes_back_under_its_role(database: TestDatabase) -> None:
    worker = await database.connect(role="quaestor_worker", max_size=1)
    async with worker.connection() as connection:
        await connection.execute("set role postgres; set search_path to public")

    row = await worker.fetchrow("select current_user::text, current_setting('search_path')")

    assert tuple(row or ()) == ("quaestor_worker", "quaestor")


async def test_a_session_carries_our_name_and_limits(empty_database: TestDatabase) -> None:
    database = await empty_database.connect(
        application_name="quaestor work",
        command_timeout_s=3,
        transaction_timeout_s=4.5,
        idle_in_transaction_timeout_s=2,
    )

    names = (
        "application_name",
        "statement_timeout",
        "transaction_timeout",
        "idle_in_transaction_session_timeout",
        "timezone",
        "search_path",
    )
    values = [await database.fetchval("select current_setting($1)", name) for name in names]

    assert values == ["quaestor work", "3s", "4500ms", "2s", "UTC", "quaestor"]


async def test_the_server_ends_a_transaction_that_takes_too_long(
    empty_database: TestDatabase,
) -> None:
    database = await empty_database.connect(transaction_timeout_s=0.2)

    with pytest.raises((asyncpg.PostgresError, StorageUnavailable)):
        async with database.transaction() as connection:
            await connection.execute("select pg_sleep(5)")

    assert await database.fetchval("select 1") == 1


async def test_values_cross_exactly(empty_database: TestDatabase) -> None:
    database = await empty_database.connect()

    row = await database.fetchrow(
        "select 0.10::numeric, timestamptz '2026-03-01 12:00+02', '{\"b\": 1, \"a\": 2}'::json"
    )

    assert tuple(row or ()) == (
        Decimal("0.10"),
        datetime(2026, 3, 1, 10, tzinfo=UTC),
        '{"b": 1, "a": 2}',
    )


async def test_a_transaction_that_raises_changes_nothing(counter: TestDatabase) -> None:
    database = await counter.connect()

    async def write_and_fail(connection: Connection) -> None:
        await connection.execute("update public.counter set value = 1")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.run(write_and_fail)

    assert await value_of(database, "a") == 0


async def test_a_cancelled_transaction_changes_nothing(counter: TestDatabase) -> None:
    database = await counter.connect()
    written = asyncio.Event()

    async def write_and_wait() -> None:
        async with database.transaction() as connection:
            await connection.execute("update public.counter set value = 1")
            written.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write_and_wait())
    await written.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await value_of(database, "a") == 0


async def test_the_entities_of_a_caller_last_for_one_transaction(
    empty_database: TestDatabase,
) -> None:
    database = await empty_database.connect(max_size=1)
    setting = "select coalesce(current_setting('quaestor.entities', true), '')"

    async with database.transaction(entities=["DE01", "US01"]) as connection:
        inside = await connection.fetchval(setting)
    afterwards = await database.fetchval(setting)

    assert (inside, afterwards) == ("DE01,US01", "")


async def test_an_entity_cannot_smuggle_in_another_one(empty_database: TestDatabase) -> None:
    database = await empty_database.connect()

    with pytest.raises(ValueError, match="no comma"):
        async with database.transaction(entities=["DE01,US01"]):
            pass


async def test_a_gateway_sees_its_entities_only(database: TestDatabase) -> None:
    owner = await database.connect()
    gateway = await database.connect(role="quaestor_gateway")
    async with owner.transaction() as connection:
        await connection.execute(
            "create table quaestor.sample (entity text);"
            "grant select on quaestor.sample to quaestor_gateway;"
            "call quaestor.guard_rows('quaestor.sample');"
            "insert into quaestor.sample values ('DE01'), ('US01')"
        )
    entities = "select array_agg(entity) from quaestor.sample"

    async with gateway.transaction(entities=["US01"]) as connection:
        with_one = await connection.fetchval(entities)
    without = await gateway.fetchval(entities)

    assert (with_one, without) == (["US01"], None)


async def test_a_serialization_failure_is_retried_whole(counter: TestDatabase) -> None:
    database = await counter.connect(max_size=8)

    async def increment(connection: Connection) -> None:
        value = await connection.fetchval("select value from public.counter where name = 'a'")
        await connection.execute("update public.counter set value = $1 where name = 'a'", value + 1)

    await asyncio.gather(
        *(database.run(increment, isolation="serializable", attempts=50) for _ in range(8))
    )

    assert await value_of(database, "a") == 8


async def test_a_dead_lock_is_retried_whole(counter: TestDatabase) -> None:
    database = await counter.connect()
    both_hold_one = asyncio.Barrier(2)

    def touching(first: str, second: str) -> Callable[[Connection], Awaitable[int]]:
        runs = 0

        async def touch(connection: Connection) -> int:
            nonlocal runs
            runs += 1
            add = "update public.counter set value = value + 1 where name = $1"
            await connection.execute(add, first)
            if runs == 1:
                await both_hold_one.wait()
            await connection.execute(add, second)
            return runs

        return touch

    runs = await asyncio.gather(database.run(touching("a", "b")), database.run(touching("b", "a")))

    assert sorted(runs) == [1, 2]
    assert [await value_of(database, name) for name in "ab"] == [2, 2]


async def test_retries_end(counter: TestDatabase) -> None:
    database = await counter.connect()
    runs = 0

    async def fail(connection: Connection) -> None:
        nonlocal runs
        runs += 1
        raise asyncpg.SerializationError("could not serialize access")

    with pytest.raises(asyncpg.SerializationError):
        await database.run(fail, attempts=3)

    assert runs == 3


async def test_other_errors_are_not_retried(counter: TestDatabase) -> None:
    database = await counter.connect()
    runs = 0

    async def fail(connection: Connection) -> None:
        nonlocal runs
        runs += 1
        await connection.execute("insert into public.counter values ('a', 1)")

    with pytest.raises(asyncpg.UniqueViolationError):
        await database.run(fail)

    assert runs == 1


async def test_the_wait_for_a_connection_is_bounded(empty_database: TestDatabase) -> None:
    database = await empty_database.connect(max_size=1, acquire_timeout_s=0.1)

    async with database.connection():
        with pytest.raises(StorageUnavailable, match="No connection became free"):
            await database.fetchval("select 1")

    assert await database.fetchval("select 1") == 1


async def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(StorageUnavailable):
        await Database.connect(
            "postgresql://postgres:secret@127.0.0.1:1/none", role=None, application_name="tests"
        )


async def test_a_message_never_holds_the_password() -> None:
    with pytest.raises(StorageUnavailable) as caught:
        await Database.connect(
            "postgresql://postgres:secret@127.0.0.1:1/none", role=None, application_name="tests"
        )

    assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r}"


async def test_a_database_that_is_not_there_is_refused(database_server: EmbeddedServer) -> None:
    with pytest.raises(StorageRefused, match="does not exist"):
        await Database.connect(
            database_server.dsn_of("nowhere"), role=None, application_name="tests"
        )


async def test_a_role_that_is_not_there_is_refused(empty_database: TestDatabase) -> None:
    with pytest.raises(StorageRefused, match="quaestor_auditor"):
        await empty_database.connect(role="quaestor_auditor")


async def test_a_server_that_went_away_is_unavailable_until_it_is_back(prepared: Path) -> None:
    server = EmbeddedServer.start(prepared / "data", elsewhere=prepared)
    database = await Database.connect(server.dsn, role=None, application_name="tests")
    server.stop()

    with pytest.raises(StorageUnavailable):
        await database.fetchval("select 1")

    with EmbeddedServer.start(prepared / "data", elsewhere=prepared):
        assert await database.fetchval("select 1") == 1
        await database.close()


async def test_a_connection_that_the_server_ends_is_replaced(counter: TestDatabase) -> None:
    database = await counter.connect(max_size=1)
    other = await counter.connect()

    async def write_and_lose_the_connection(connection: Connection) -> None:
        pid = await connection.fetchval("select pg_backend_pid()")
        await connection.execute("update public.counter set value = 1")
        await other.fetchval("select pg_terminate_backend($1, 5000)", pid)
        await connection.execute("update public.counter set value = 2")

    with pytest.raises(StorageUnavailable):
        await database.run(write_and_lose_the_connection)

    assert await value_of(database, "a") == 0


async def test_a_read_only_server_is_unavailable_and_recovers(counter: TestDatabase) -> None:
    database = await counter.connect()
    change = "update public.counter set value = value + 1 where name = 'a'"

    with pytest.raises(StorageUnavailable):
        async with database.transaction(readonly=True) as connection:
            await connection.execute(change)
    async with database.transaction() as connection:
        await connection.execute(change)

    assert await value_of(database, "a") == 1


async def test_each_new_connection_is_prepared_before_its_first_use(
    empty_database: TestDatabase,
) -> None:
    prepared: list[int] = []

    async def remember(connection: Connection) -> None:
        prepared.append(await connection.fetchval("select pg_backend_pid()"))

    database = await empty_database.connect(max_size=1, on_connect=remember)

    assert [await database.fetchval("select pg_backend_pid()")] == prepared


async def test_the_worker_cannot_rewrite_what_is_append_only(database: TestDatabase) -> None:
    await migrate(database.dsn)
    worker = await database.connect(role="quaestor_worker")

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with worker.transaction() as connection:
            await connection.execute("delete from budget_entry")
