"""Migrations: in order, once, recorded, and never changed afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from quaestor.store.epoch import require_same_epoch
from quaestor.store.migrate import (
    MIGRATIONS,
    DatabaseNewer,
    MigrationBlocked,
    MigrationChanged,
    MigrationFailed,
    MigrationMisnamed,
    MigrationsPending,
    migrate,
    pending,
    read_migrations,
    require_migrated,
)
from tests.support.database import TestDatabase


def written(directory: Path, **files: str) -> Path:
    directory.mkdir(exist_ok=True)
    for name, sql in files.items():
        (directory / f"{name.lstrip('_')}.sql").write_text(sql)
    return directory


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return written(
        tmp_path / "migrations",
        _0001_supplier="create table quaestor.supplier (id int)",
        _0002_terms="alter table quaestor.supplier add terms text; insert into "
        "quaestor.supplier values (1, 'net 30')",
    )


async def test_pending_migrations_are_applied_in_order(
    empty_database: TestDatabase, two: Path
) -> None:
    applied = await migrate(empty_database.dsn, directory=two)

    database = await empty_database.connect()
    assert [str(migration) for migration in applied] == ["0001_supplier", "0002_terms"]
    assert await database.fetchval("select terms from quaestor.supplier") == "net 30"


async def test_what_is_applied_is_recorded_with_its_hash(
    empty_database: TestDatabase, two: Path
) -> None:
    await migrate(empty_database.dsn, directory=two)

    database = await empty_database.connect()
    rows = await database.fetch("select name, sha256 from quaestor.migration order by number")
    assert [tuple(row) for row in rows] == [(m.name, m.sha256) for m in read_migrations(two)]


async def test_a_second_run_applies_nothing(empty_database: TestDatabase, two: Path) -> None:
    await migrate(empty_database.dsn, directory=two)

    again = await migrate(empty_database.dsn, directory=two)

    assert again == ()


async def test_twins_that_migrate_at_once_do_it_once(
    empty_database: TestDatabase, two: Path
) -> None:
    answers = await asyncio.gather(*(migrate(empty_database.dsn, directory=two) for _ in range(4)))

    assert sorted(len(applied) for applied in answers) == [0, 0, 0, 2]


async def test_pending_lists_what_a_run_would_apply(
    empty_database: TestDatabase, two: Path
) -> None:
    await migrate(empty_database.dsn, directory=two)
    written(two, _0003_more="select 1")

    missing = await pending(empty_database.dsn, directory=two)

    assert [str(migration) for migration in missing] == ["0003_more"]


async def test_everything_is_pending_in_a_new_database(
    empty_database: TestDatabase, two: Path
) -> None:
    missing = await pending(empty_database.dsn, directory=two)

    assert len(missing) == 2


async def test_a_migration_that_fails_leaves_nothing_behind(
    empty_database: TestDatabase, two: Path
) -> None:
    written(two, _0003_wrong="create table quaestor.half (id int); select 1/0")

    with pytest.raises(MigrationFailed, match=r"0003_wrong.*division by zero"):
        await migrate(empty_database.dsn, directory=two)

    database = await empty_database.connect()
    assert await database.fetchval("select to_regclass('quaestor.half')") is None
    assert await database.fetchval("select max(number) from quaestor.migration") == 2


async def test_a_recorded_migration_may_not_change(empty_database: TestDatabase, two: Path) -> None:
    await migrate(empty_database.dsn, directory=two)
    written(two, _0001_supplier="create table quaestor.supplier (id bigint)")

    with pytest.raises(MigrationChanged, match="0001_supplier"):
        await migrate(empty_database.dsn, directory=two)


async def test_an_older_release_does_not_migrate_a_newer_database(
    empty_database: TestDatabase, two: Path
) -> None:
    await migrate(empty_database.dsn, directory=two)
    (two / "0002_terms.sql").unlink()

    with pytest.raises(DatabaseNewer, match="0002_terms"):
        await migrate(empty_database.dsn, directory=two)


async def test_an_older_release_runs_on_a_newer_database(
    empty_database: TestDatabase, two: Path
) -> None:
    await migrate(empty_database.dsn, directory=two)
    (two / "0002_terms.sql").unlink()
    database = await empty_database.connect()

    async with database.connection() as connection:
        answer = await require_migrated(connection, directory=two)

    assert answer is None


async def test_a_release_does_not_run_on_a_database_that_lacks_migrations(
    empty_database: TestDatabase, two: Path
) -> None:
    await migrate(empty_database.dsn, directory=two)
    written(two, _0003_more="select 1")
    database = await empty_database.connect()

    async with database.connection() as connection:
        with pytest.raises(MigrationsPending, match="0003_more"):
            await require_migrated(connection, directory=two)


@pytest.mark.parametrize(
    "names",
    [["0002_late"], ["0001_a", "0003_b"], ["0001_a", "0001_b"], ["first"], ["0001-a"]],
    ids=" ".join,
)
def test_migrations_are_numbered_without_a_gap(tmp_path: Path, names: list[str]) -> None:
    directory = written(tmp_path / "migrations", **dict.fromkeys(names, "select 1"))

    with pytest.raises(MigrationMisnamed):
        read_migrations(directory)


async def test_a_table_in_use_stops_a_migration_instead_of_everyone(
    empty_database: TestDatabase, two: Path
) -> None:
    await migrate(empty_database.dsn, directory=two)
    written(two, _0003_blocked="alter table quaestor.supplier add iban text")
    reader = await asyncpg.connect(empty_database.dsn)
    transaction = reader.transaction()
    await transaction.start()
    await reader.execute("select from quaestor.supplier")

    with pytest.raises(MigrationBlocked, match="0003_blocked"):
        await migrate(empty_database.dsn, directory=two, table_lock_timeout_s=0.02)

    await transaction.rollback()
    await reader.close()
    assert len(await migrate(empty_database.dsn, directory=two)) == 1


async def test_the_shipped_migrations_apply_and_the_worker_may_run(
    empty_database: TestDatabase,
) -> None:
    await migrate(empty_database.dsn)

    worker = await empty_database.connect(role="quaestor_worker")
    assert await pending(empty_database.dsn, directory=MIGRATIONS) == ()
    async with worker.connection() as connection:
        assert await require_migrated(connection) is None


async def test_a_database_that_was_just_made_knows_its_epoch(
    empty_database: TestDatabase,
) -> None:
    await migrate(empty_database.dsn)

    worker = await empty_database.connect(role="quaestor_worker")
    async with worker.connection() as connection:
        accepted = await require_same_epoch(connection)
    assert accepted.accepted_by == "migrate"
    assert accepted.epoch.timeline == 1
