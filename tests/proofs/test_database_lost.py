"""The database restarts, or comes back as an older one, under a worker that goes on running."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from quaestor.store.embedded import EmbeddedServer
from quaestor.store.migrate import migrate
from tests.proofs.deployment import deployed, until
from tests.support.restore import archiving, base_backup, recovering, restore_point
from tests.support.simulator_process import RunningSimulator, running_simulator

pytestmark = [pytest.mark.slow, pytest.mark.serial]

SUBMITTED = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


@contextmanager
def restarted(place: Path, **given: dict[str, str]) -> Iterator[EmbeddedServer]:
    """The server of `place` at the address where it was before."""
    with EmbeddedServer.start(place / "data", elsewhere=place, **given) as server:
        yield server


def put_back(server: EmbeddedServer, backup: Path) -> None:
    """Lay the backup down in the place of the stopped server's cluster, ready to recover."""
    owner = server.cluster.stat()
    server.cluster.rename(server.cluster.with_name("lost"))
    backup.rename(server.cluster)
    (server.cluster / "recovery.signal").touch()
    for path in (server.cluster, *server.cluster.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


async def test_a_worker_goes_on_after_its_database_has_restarted(prepared: Path) -> None:
    with (
        restarted(prepared) as server,
        running_simulator("sap_s4", latency_ms=200, settle_s=0.2) as slow,
    ):
        await migrate(server.dsn)
        async with deployed(server.dsn, prepared, slow) as deployment:
            worker = await deployment.worker("steady")
            await deployment.take_in(*range(1, 9))

            async def sent() -> bool:
                return len(deployment.sent("POST")) >= 4

            await until(sent, "some are on the wire")
            await asyncio.to_thread(server.stop)
            with restarted(prepared):
                # The test's own pool notices as late as anybody's.
                await deployment.take_in_patiently(9)
                await deployment.until_outcomes({"ordered": 9}, seconds=40)
                await deployment.upkeep_rounds(2)

                assert list(deployment.orders().values()) == [1] * 9
                assert worker.code is None
                assert worker.logged("epoch_changed") == []
                await deployment.stop_workers()


async def test_a_worker_that_runs_sends_nothing_to_an_older_database_until_it_is_recovered(
    prepared: Path, sap: RunningSimulator
) -> None:
    place = prepared
    with restarted(place, settings=archiving(place / "archive")) as server:
        await migrate(server.dsn)
        async with deployed(server.dsn, place, sap) as deployment:
            await asyncio.to_thread(base_backup, server, place / "backup")
            await asyncio.to_thread(restore_point, server, "before_it_all")
            (row,) = await deployment.ask("select quaestor.clock() as now")
            worker = await deployment.worker("steady")
            await deployment.take_in(1, submitted_at=SUBMITTED)
            await deployment.until_outcomes({"ordered": 1})
            ordered = deployment.orders()
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(put_back, server, place / "backup")

            with restarted(place, settings=recovering(place / "archive", until="before_it_all")):
                await deployment.take_in_patiently(1, submitted_at=SUBMITTED)
                await deployment.upkeep_rounds(3)
                assert len(worker.logged("epoch_changed")) == 1
                assert await deployment.outcomes() == {"open": 1}

                await deployment.recover(row["now"])
                await deployment.until_outcomes({"ordered": 1})

                assert deployment.orders() == ordered
                assert len(deployment.sent("POST")) == 1
                assert worker.code is None
                await deployment.stop_workers()
