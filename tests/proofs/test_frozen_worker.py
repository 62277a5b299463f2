"""A worker that stands still for longer than its lease comes back to nothing (fault F9)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

import pytest

from tests.proofs.deployment import deployed, until
from tests.support.database import TestDatabase
from tests.support.holding_proxy import HoldingProxy
from tests.support.simulator_process import RunningSimulator

pytestmark = [pytest.mark.slow, pytest.mark.serial]

Side = Literal["request", "answer"]


@pytest.mark.parametrize(
    ("hold", "side"),
    [("GET ", "request"), ("POST ", "answer")],
    ids=["before_it_sends", "after_it_sent"],
)
async def test_a_worker_frozen_beyond_its_lease_changes_nothing_when_it_wakes(
    database: TestDatabase, place: Path, sap: RunningSimulator, hold: str, side: Side
) -> None:
    async with (
        deployed(database.dsn, place, sap) as deployment,
        HoldingProxy(deployment.sap.url, hold=hold, side=side) as proxy,
    ):
        frozen = await deployment.worker("frozen", sap_url=proxy.url)
        await deployment.take_in(1)
        await asyncio.wait_for(proxy.reached.wait(), 20.0)
        frozen.freeze()
        await deployment.worker("awake")
        await deployment.until_outcomes({"ordered": 1})
        before = await deployment.ask("select fence, state, outcome from quaestor.work")

        proxy.release.set()
        frozen.thaw()

        async def fenced() -> bool:
            return bool(frozen.logged("outcome_fenced"))

        await until(fenced, "the late answer met the fence")
        after = await deployment.ask("select fence, state, outcome from quaestor.work")
        assert after == before
        assert list(deployment.orders().values()) == [1]
        assert len(deployment.sent("POST")) == 1
        assert frozen.code is None
