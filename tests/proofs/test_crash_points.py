"""A worker that dies at any of the five points of a send leaves exactly one order behind."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from quaestor.runtime.crash import CRASH_POINTS
from tests.proofs.deployment import deployed
from tests.support.database import TestDatabase
from tests.support.simulator_process import RunningSimulator

pytestmark = [pytest.mark.slow, pytest.mark.serial]

# As the example ships them: the demo promises a recovery within `lease_s` and five seconds.
SHIPPED = {"deployment": {"lease_s": 5}, "systems.sap": {"total_timeout_s": 3, "settle_s": 1}}
RESUMED_WITHIN_S = 5 + 5


@pytest.mark.parametrize("point", CRASH_POINTS)
async def test_a_worker_killed_at_any_point_is_followed_and_one_order_stands(
    database: TestDatabase, place: Path, sap: RunningSimulator, point: str
) -> None:
    async with deployed(database.dsn, place, sap, settings=SHIPPED) as deployment:
        doomed = await deployment.worker("doomed", crash_at=point)
        await deployment.take_in(1)

        code = await doomed.ended()
        died = time.monotonic()
        await deployment.worker("next")
        await deployment.until_outcomes({"ordered": 1})
        resumed_s = time.monotonic() - died

        orders = deployment.orders()
    print(f"{point}: one order, resumed in {resumed_s:.1f} s")
    assert code == -signal.SIGKILL
    assert list(orders.values()) == [1]
    assert resumed_s <= RESUMED_WITHIN_S


async def test_without_permission_the_crash_points_do_nothing(
    database: TestDatabase, place: Path, sap: RunningSimulator
) -> None:
    async with deployed(database.dsn, place, sap) as deployment:
        worker = await deployment.worker("sturdy", crash_at="after_send", allow_crash=False)

        await deployment.take_in(1)
        await deployment.until_outcomes({"ordered": 1})

        assert worker.code is None
        assert list(deployment.orders().values()) == [1]
