"""After a restore nothing is sent until somebody recovers, and then nothing is ordered twice.

Three requisitions are posted in the time that the restore loses: one that the restored database
never heard of and that comes in again before the recovery, one that comes in again after it, and
one whose intent is in the restored database, unsent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from quaestor.store.embedded import EmbeddedServer
from quaestor.store.migrate import migrate
from tests.proofs.deployment import Deployment, deployed, until
from tests.support.restore import (
    archiving,
    base_backup,
    dump_into,
    recovering,
    restore_backup,
    restore_point,
)
from tests.support.simulator_process import RunningSimulator

pytestmark = [pytest.mark.slow, pytest.mark.serial]

BEFORE, AFTER, UNSENT, FRESH = 1, 2, 3, 4
# The restore is made long after the orders: SAP's date must not hide them.
SUBMITTED = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
CREATED_DAYS_AGO = 12


@dataclass(frozen=True)
class Lost:
    """What the restore loses: posting keys by requisition, and the moment before it all."""

    keys: Mapping[str, str]
    recovery_point: datetime


async def leave_one_unsent(deployment: Deployment) -> None:
    """SAP asks to wait, and the worker is stopped: an intent stands there, unsent."""
    deployment.sap.faults([{"on": "POST /", "do": "429", "seconds": 1}])
    worker = await deployment.worker("refused")
    await deployment.take_in(UNSENT, submitted_at=SUBMITTED)

    async def told_to_wait() -> bool:
        rows = await deployment.ask("select state from quaestor.intent")
        return len(deployment.sent("POST")) == 1 and [row["state"] for row in rows] == ["unsent"]

    await until(told_to_wait, "SAP was asked, and the intent is unsent")
    await worker.stop()


async def post_all(deployment: Deployment) -> Lost:
    """Post what will be lost."""
    (row,) = await deployment.ask("select quaestor.clock() as now")
    worker = await deployment.worker("first")
    await deployment.take_in(BEFORE, AFTER, submitted_at=SUBMITTED)
    await deployment.until_outcomes({"ordered": 3})
    await worker.stop()
    return Lost(await keys_of(deployment), row["now"])


async def keys_of(deployment: Deployment) -> Mapping[str, str]:
    rows = await deployment.ask(
        "select d.source_id, i.key from quaestor.intent i "
        "join quaestor.document d on d.id = i.document_id"
    )
    return {row["source_id"]: row["key"] for row in rows}


def age_orders(deployment: Deployment, lost: Lost) -> None:
    """Let SAP say that its orders were made days ago; not the one whose intent is of today."""
    day = datetime.now(UTC).date() - timedelta(days=CREATED_DAYS_AGO)
    midnight_ms = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
    for number in (BEFORE, AFTER):
        (order,) = deployment.sap.documents(lost.keys[str(number)])
        deployment.sap.edit(order["number"], {"CreationDate": f"/Date({midnight_ms})/"})


async def recovers_without_a_second_order(restored: Deployment, lost: Lost) -> None:
    """The drill itself, on the restored database."""
    ordered, requests = restored.orders(), len(restored.sap.requests())
    worker = await restored.worker("second")
    await restored.take_in(BEFORE, submitted_at=SUBMITTED)
    await restored.upkeep_rounds(3)

    troubles = worker.logged("epoch_changed")
    assert len(troubles) == 1
    assert "quaestor recover" in troubles[0]["reason"]
    rows = await restored.ask("select fence from quaestor.work w where stage = 'validating'")
    assert [row["fence"] for row in rows] == [0]
    assert [r["state"] for r in await restored.ask("select state from quaestor.intent")] == [
        "unsent"
    ]
    assert len(restored.sap.requests()) == requests

    await restored.recover(lost.recovery_point)
    await restored.take_in(AFTER, submitted_at=SUBMITTED)
    took_s = await restored.until_outcomes({"ordered": 3})

    looks = restored.sent("GET")
    print(f"recovered: three found, none sent, in {took_s:.1f} s")
    assert await keys_of(restored) == lost.keys
    assert restored.orders() == ordered
    assert list(ordered.values()) == [1, 1, 1]
    assert len(looks) == 3

    await restored.take_in(FRESH, submitted_at=datetime.now(UTC))
    await restored.until_outcomes({"ordered": 4})
    assert list(restored.orders().values()) == [1, 1, 1, 1]


async def test_a_restore_from_backup_and_wal_creates_no_second_order(
    place: Path, sap: RunningSimulator
) -> None:
    settings = archiving(place / "archive")
    with EmbeddedServer.start(place / "data", settings=settings, elsewhere=place) as server:
        await migrate(server.dsn)
        async with deployed(server.dsn, place, sap) as deployment:
            await asyncio.to_thread(base_backup, server, place / "backup")
            await leave_one_unsent(deployment)
            await asyncio.to_thread(restore_point, server, "before_it_all")
            lost = await post_all(deployment)
            age_orders(deployment, lost)
            await asyncio.to_thread(restore_backup, place / "backup", server, place / "restored")
            settings = recovering(place / "archive", until="before_it_all")
            with EmbeddedServer.start(
                place / "restored", settings=settings, elsewhere=place
            ) as other:
                async with deployed(other.dsn, place, sap) as restored:
                    await recovers_without_a_second_order(restored, lost)


async def test_a_dump_into_another_cluster_creates_no_second_order(
    prepared: Path, sap: RunningSimulator
) -> None:
    place = prepared
    with (
        EmbeddedServer.start(place / "data", elsewhere=place) as server,
        EmbeddedServer.start(place / "other", elsewhere=place) as other,
    ):
        await migrate(server.dsn)
        async with deployed(server.dsn, place, sap) as deployment:
            await leave_one_unsent(deployment)
            await asyncio.to_thread(dump_into, server, "quaestor", other)
            lost = await post_all(deployment)
            age_orders(deployment, lost)

            async with deployed(other.dsn, place, sap) as restored:
                await recovers_without_a_second_order(restored, lost)
