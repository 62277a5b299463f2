"""A document that kills its worker harms no other, and ends with an operator (DESIGN D5)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.proofs.deployment import Deployment, deployed, until
from tests.support.database import TestDatabase
from tests.support.simulator_process import RunningSimulator
from tests.support.worker_process import WorkerProcess

pytestmark = [pytest.mark.slow, pytest.mark.serial]

DEATHS_MAX = 3
POISON = 5
COUNT = 10
# A customer's own step in the flow, which ends its process at one requisition.
SEAM = f'''
from __future__ import annotations

import os

__all__ = ["before_post"]


def before_post(order, requisition):
    if requisition.source_id == "{POISON}":
        os._exit(7)
    return None
'''


async def kept_alive(deployment: Deployment, name: str) -> list[WorkerProcess]:
    """Start a worker, and another in its place whenever it dies; all of them, the living last."""
    generations: list[WorkerProcess] = []
    done = {"ordered": COUNT - 1, "document_kills_worker": 1}
    while True:
        worker = await deployment.worker(f"{name}-{len(generations)}")
        generations.append(worker)

        async def dead_or_done(worker: WorkerProcess = worker) -> bool:
            return worker.code is not None or await deployment.outcomes() == done

        await until(dead_or_done, f"{name} has died or everything is done", seconds=40)
        if worker.code is None:
            return generations


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_document_that_kills_workers_is_parked_and_the_others_are_ordered(
    database: TestDatabase, place: Path, sap: RunningSimulator, workers: int
) -> None:
    async with deployed(database.dsn, place, sap, seam=SEAM) as deployment:
        await deployment.take_in(*range(1, COUNT + 1))

        lines = await asyncio.gather(
            *(kept_alive(deployment, f"line-{number}") for number in range(workers))
        )

        everybody = [worker for line in lines for worker in line]
        died = [worker for worker in everybody if worker.code == 7]
        alone = [line["documents"] for worker in everybody for line in worker.logged("worker_died")]
        (parked,) = await deployment.ask(
            "select d.source_id, w.parked_owner, w.deaths from quaestor.work w "
            "join quaestor.document d on d.id = w.document_id where w.parked_at is not null"
        )
        print(f"{workers} at a time: {len(died)} died, with {sorted(alone)} documents in hand")
        assert len(died) == DEATHS_MAX
        assert sorted(alone) == [1, 1, COUNT]
        assert (parked["source_id"], parked["parked_owner"]) == (str(POISON), "operator")
        assert list(deployment.orders().values()) == [1] * (COUNT - 1)
        assert len(deployment.sent("POST")) == COUNT - 1
