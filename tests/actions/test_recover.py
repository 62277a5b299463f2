"""Accepting a database after a restore is a person's act: told before, recorded afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from quaestor.actions.recover import RecoveryPointInvalid, plan_recovery, recover
from quaestor.audit.entry import decode_entry
from quaestor.audit.subjects import Subjects
from quaestor.store.epoch import stored_epoch
from tests.support.database import TestDatabase
from tests.support.engine import bench_on

POINT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
KEY = bytes(range(32))


async def test_the_plan_says_what_will_be_looked_for(database: TestDatabase) -> None:
    bench = await bench_on(database)
    await bench.take_in(3)

    async with bench.database.transaction(readonly=True) as connection:
        plan = await plan_recovery(connection, POINT)

    assert (plan.open_documents, plan.unresolved) == (3, 0)
    assert plan.recovery_point == POINT
    assert not plan.has_changed


async def test_a_recovery_is_accepted_by_a_person_and_stands_in_the_trail(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database)
    subjects = Subjects(KEY)

    async with bench.database.transaction() as connection:
        plan = await plan_recovery(connection, POINT)
        await recover(connection, subjects, plan, by="carla.lindt")

    async with bench.database.connection() as connection:
        accepted = await stored_epoch(connection)
        rows = await connection.fetch("select canonical from quaestor.audit")
        entry = decode_entry(rows[0]["canonical"])
        person = await subjects.identity(connection, entry.actor)
    assert accepted is not None
    assert (accepted.accepted_by, accepted.recovery_point) == ("carla.lindt", POINT)
    assert (entry.effect, entry.outcome, person) == ("recover", "accepted", "carla.lindt")
    assert entry.details == {"recovery_point": POINT.isoformat()}


@pytest.mark.parametrize(
    "point", [POINT.replace(tzinfo=None), datetime.now(UTC) + timedelta(days=1)]
)
async def test_a_recovery_point_is_a_moment_of_the_past(
    point: datetime, database: TestDatabase
) -> None:
    bench = await bench_on(database)

    with pytest.raises(RecoveryPointInvalid):
        async with bench.database.transaction(readonly=True) as connection:
            await plan_recovery(connection, point)
