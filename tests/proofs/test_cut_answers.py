"""An answer that is cut, wherever it is cut, never leads to a second order."""

from __future__ import annotations

from pathlib import Path

import pytest

from quaestor.connectors.kit.faults import CUT_POINTS, FaultyProxy, WireFault, cut_points
from tests.proofs.deployment import deployed
from tests.support.database import TestDatabase
from tests.support.simulator_process import RunningSimulator

pytestmark = [pytest.mark.slow, pytest.mark.serial]


async def test_an_answer_cut_at_any_of_sixteen_points_leaves_one_order(
    database: TestDatabase, place: Path, sap: RunningSimulator
) -> None:
    async with (
        deployed(database.dsn, place, sap) as deployment,
        FaultyProxy(deployment.sap.url) as proxy,
    ):
        await deployment.worker("worker", sap_url=proxy.url)
        # The first answer arrives whole and tells how long one is.
        await deployment.take_in(100)
        await deployment.until_outcomes({"ordered": 1})
        points = cut_points(proxy.answered_bytes)
        proxy.plan(*(WireFault("POST ", "cut", after_bytes=point) for point in points))

        await deployment.take_in(*range(1, CUT_POINTS + 1))
        took_s = await deployment.until_outcomes({"ordered": 1 + CUT_POINTS})

        sends, looks = deployment.sent("POST"), deployment.sent("GET")
        orders = deployment.orders()
    print(f"{len(points)} cuts in {points[-1]} bytes, {len(looks)} look-ups, {took_s:.1f} s")
    assert len(set(points)) == CUT_POINTS
    assert list(orders.values()) == [1] * (1 + CUT_POINTS)
    assert len(sends) == 1 + CUT_POINTS
    assert len(looks) >= CUT_POINTS
