"""No send outlives its lease, whatever holds it up inside of the worker (DESIGN D5)."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from quaestor.connectors.bogus.config import BogusConfig
from quaestor.connectors.bogus.connector import KIND
from quaestor.connectors.kit.auth import BearerAuth
from quaestor.connectors.kit.contract import Guarantee, Submits
from quaestor.connectors.kit.wires.http import HttpWire
from quaestor.security.secrets import Secret
from tests.support.builders import an_order
from tests.support.database import TestDatabase
from tests.support.engine import bench_on, running
from tests.support.simulator_process import RunningSimulator, running_simulator


async def _starve(seed: int) -> None:
    """Hold the event loop, now and then for longer than a lease lasts."""
    chance = random.Random(seed)
    while True:
        await asyncio.sleep(0.1)
        # This is the starvation itself, not a wait of the test.
        time.sleep(chance.choices([0.02, 0.3, 1.6], [90, 8, 2])[0])  # noqa: ASYNC251


def _connector(simulator: RunningSimulator) -> tuple[Submits, HttpWire]:
    async def token(renew: bool) -> Secret:
        return Secret(simulator.credentials["token"])

    wire = HttpWire(simulator.url, auth=BearerAuth(token), slots=1, total_timeout_s=0.5)
    config = BogusConfig(
        connector="bogus", base_url=simulator.url, guarantee=Guarantee.SEARCH, settle_s=0.3
    )
    return KIND.build(config, wire), wire  # type: ignore[return-value]


@pytest.mark.slow
@pytest.mark.serial
async def test_a_starved_worker_never_sends_after_its_lease(database: TestDatabase) -> None:
    documents = 1000
    with running_simulator("bogus", latency_ms=5) as simulator:
        connector, wire = _connector(simulator)
        bench = await bench_on(database, connector=connector)
        await bench.take_in(documents, order=an_order())
        options = {"slots": 1, "lease_s": 1.5, "total_timeout_s": 0.5, "settle_s": 0.3}
        starving = asyncio.create_task(_starve(seed=7))

        async with running(bench.engine("one", **options)), running(bench.engine("two", **options)):
            await bench.until({"ordered": documents}, seconds=900)

        starving.cancel()
        made = simulator.documents()
        await wire.close()

    assert len(made) == documents
    assert len({order["reference"] for order in made}) == documents
