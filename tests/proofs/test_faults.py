"""The catalogue's faults of a send, on real processes: one order for each requisition."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quaestor.connectors.kit.faults import FaultyProxy, WireFault
from tests.proofs.deployment import ORDERS_PATH, QUICK, deployed
from tests.support.database import TestDatabase
from tests.support.holding_proxy import HoldingProxy
from tests.support.simulator_process import RunningSimulator

pytestmark = [pytest.mark.slow, pytest.mark.serial]

CREATE, LOOK = f"POST {ORDERS_PATH}", f"GET {ORDERS_PATH}"
# Longer than the late commit below takes, as an installation has to state it.
PATIENT = QUICK | {"systems.sap": {"total_timeout_s": 1, "settle_s": 3}}

# One of them for each send: what goes wrong, and whether SAP has made the order all the same.
FAULTS: dict[str, tuple[dict[str, Any], bool]] = {
    "F1 the answer is lost": ({"do": "drop_after_commit"}, True),
    "F2 it answers 500 after the commit": ({"do": "500_after_commit"}, True),
    "F3 the connection is reset before the commit": ({"do": "reset"}, False),
    "F4 it commits after a look found nothing": ({"do": "commit_late", "seconds": 2}, True),
    "F19 it hangs longer than we wait": ({"do": "hang", "seconds": 4}, False),
}


async def test_one_order_stands_whatever_goes_wrong_with_a_send(
    database: TestDatabase, place: Path, sap: RunningSimulator
) -> None:
    async with deployed(database.dsn, place, sap, settings=PATIENT) as deployment:
        plan = [
            fault | {"on": CREATE, "nth": nth} for nth, (fault, _) in enumerate(FAULTS.values(), 1)
        ]
        sap.faults(plan)
        await deployment.worker("worker")

        await deployment.take_in(*range(1, len(FAULTS) + 1))
        took_s = await deployment.until_outcomes({"ordered": len(FAULTS)})

        sends, looks = deployment.sent("POST"), deployment.sent("GET")
        lost = [made for _, made in FAULTS.values()].count(False)
        print(f"{len(FAULTS)} faults: {len(looks)} look-ups, {took_s:.1f} s")
        assert list(deployment.orders().values()) == [1] * len(FAULTS)
        assert sorted(r["fault"] for r in sends if r["fault"]) == sorted(f["do"] for f in plan)
        assert len(sends) == len(FAULTS) + lost
        assert len(looks) > len(FAULTS)


async def test_nothing_is_sent_while_the_look_up_fails(
    database: TestDatabase, place: Path, sap: RunningSimulator
) -> None:
    async with deployed(database.dsn, place, sap) as deployment:
        sap.faults(
            [
                {"on": CREATE, "do": "drop_after_commit"},
                {"on": LOOK, "do": "500_after_commit"},
                {"on": LOOK, "do": "reset", "nth": 2},
            ]
        )
        await deployment.worker("worker")

        await deployment.take_in(1)
        await deployment.until_outcomes({"ordered": 1})

        assert list(deployment.orders().values()) == [1]
        assert len(deployment.sent("POST")) == 1
        assert len(deployment.sent("GET")) == 3


async def test_a_gateway_that_answers_for_sap_is_not_believed(
    database: TestDatabase, place: Path, sap: RunningSimulator
) -> None:
    async with (
        deployed(database.dsn, place, sap) as deployment,
        FaultyProxy(sap.url) as proxy,
    ):
        # The first request is done by SAP, the second is not; the answer is the same.
        proxy.plan(WireFault("POST ", "502"), WireFault("POST ", "502", forward=False))
        await deployment.worker("worker", sap_url=proxy.url)

        await deployment.take_in(1, 2)
        await deployment.until_outcomes({"ordered": 2})

        assert list(deployment.orders().values()) == [1, 1]
        assert len(deployment.sent("POST")) == 2


async def test_two_workers_share_the_work_and_no_order_is_made_twice(
    database: TestDatabase, place: Path, sap: RunningSimulator
) -> None:
    count = 40
    async with (
        deployed(database.dsn, place, sap) as deployment,
        HoldingProxy(sap.url) as one,
        HoldingProxy(sap.url) as two,
    ):
        await asyncio.gather(
            deployment.worker("one", sap_url=one.url), deployment.worker("two", sap_url=two.url)
        )

        await deployment.take_in(*range(1, count + 1))
        await deployment.until_outcomes({"ordered": count})

        print(f"two workers made {one.requests} and {two.requests} requests")
        assert list(deployment.orders().values()) == [1] * count
        assert len(deployment.sent("POST")) == count
        assert min(one.requests, two.requests) > 0


async def test_a_wish_to_wait_is_obeyed(
    database: TestDatabase, place: Path, sap: RunningSimulator
) -> None:
    window_s = 3.0
    async with deployed(database.dsn, place, sap) as deployment:
        sap.faults([{"on": CREATE, "do": "429", "seconds": window_s}])
        await deployment.worker("worker")

        await deployment.take_in(*range(1, 7))
        await deployment.until_outcomes({"ordered": 6})

        requests = sap.requests()
        told = next(request for request in requests if request["status"] == 429)
        told_at = told["at"] + told["elapsed_ms"] / 1000
        inside = [r for r in requests if told_at + 0.5 < r["at"] < told_at + window_s]
        assert list(deployment.orders().values()) == [1] * 6
        assert inside == []


async def test_a_system_that_was_down_is_drained_without_anybody(
    database: TestDatabase, place: Path, sap: RunningSimulator
) -> None:
    down_s, count = 20.0, 20
    async with (
        deployed(database.dsn, place, sap) as deployment,
        HoldingProxy(sap.url) as proxy,
    ):
        await proxy.down()
        await deployment.worker("worker", sap_url=proxy.url)
        await deployment.take_in(*range(1, count + 1))
        await deployment.passed(down_s)
        waiting = await deployment.outcomes()
        intents = await deployment.ask("select core from quaestor.intent")
        counted = [core for (core,) in intents if msgspec.json.decode(core).get("failures")]

        await proxy.up()
        came_up = time.monotonic()
        await deployment.until_outcomes({"ordered": count}, seconds=60)

        print(f"down {down_s:.0f} s, drained in {time.monotonic() - came_up:.1f} s")
        assert waiting == {"open": count}
        assert (len(intents), counted) == (count, [])
        assert list(deployment.orders().values()) == [1] * count
        assert len(deployment.sent("POST")) == count
