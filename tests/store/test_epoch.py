"""The epoch gate: a restored or failed-over database is noticed (D3)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from quaestor.store.epoch import (
    EpochChanged,
    EpochUnknown,
    accept_epoch,
    establish_epoch,
    read_epoch,
    require_same_epoch,
    stored_epoch,
)
from tests.support.database import TestDatabase


async def test_the_worker_reads_the_epoch(database: TestDatabase) -> None:
    worker = await database.connect(role="quaestor_worker")

    async with worker.connection() as connection:
        epoch = await read_epoch(connection)

    assert epoch.system_identifier.isdigit()
    assert epoch.timeline == 1


@pytest.mark.parametrize(
    "recorded", ["'1', timeline", "system_identifier, timeline + 1"], ids=["system", "timeline"]
)
async def test_another_system_or_timeline_holds_everything(
    database: TestDatabase, recorded: str
) -> None:
    owner = await database.connect()
    async with owner.transaction() as connection:
        await connection.execute(
            "insert into epoch (system_identifier, timeline, accepted_at, accepted_by)"
            f" select {recorded}, now(), 'test' from epoch"
        )

    async with owner.connection() as connection:
        with pytest.raises(EpochChanged):
            await require_same_epoch(connection)


async def test_recover_accepts_the_epoch_with_its_recovery_point(database: TestDatabase) -> None:
    worker = await database.connect(role="quaestor_worker")
    recovery_point = datetime(2026, 3, 1, 12, tzinfo=UTC)

    async with worker.transaction() as connection:
        await accept_epoch(connection, accepted_by="u-17", recovery_point=recovery_point)
        accepted = await require_same_epoch(connection)

    assert (accepted.accepted_by, accepted.recovery_point) == ("u-17", recovery_point)


async def test_a_database_without_an_epoch_sends_nothing(database: TestDatabase) -> None:
    owner = await database.connect()
    async with owner.transaction() as connection:
        await connection.execute("truncate epoch")

    async with owner.connection() as connection:
        with pytest.raises(EpochUnknown):
            await require_same_epoch(connection)


async def test_an_epoch_is_established_once(database: TestDatabase) -> None:
    owner = await database.connect()

    async with owner.transaction() as connection:
        before = await stored_epoch(connection)
        await establish_epoch(connection, accepted_by="someone else")
        after = await stored_epoch(connection)

    assert before == after
