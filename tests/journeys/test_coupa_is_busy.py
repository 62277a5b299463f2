"""Coupa says for how long it wants to be left alone: it is, and then it is asked again."""

from __future__ import annotations

import asyncio
from typing import Any

from quaestor.runtime.lanes import Lanes
from quaestor.runtime.pulling import Puller, Stream
from tests.connectors.coupa.installed import installed
from tests.support.database import TestDatabase
from tests.support.engine import bench_on

_STATE = """
select extract(epoch from due_at - asked_at)::float8 as pause_s, trouble, failures
from quaestor.stream
"""


def _nothing(item: Any) -> None:
    return None


async def test_a_busy_coupa_is_left_alone_for_as_long_as_it_says(database: TestDatabase) -> None:
    bench = await bench_on(database)
    async with installed() as coupa:
        coupa.fault("GET /api/users", "429", seconds=2)
        stream = Stream("coupa", "users", coupa.connector, _nothing, every_s=0.0)
        lanes = Lanes({"coupa": 1})
        puller = Puller(bench.database, bench.recorder, [stream], lambda: "r", lanes, lambda: 0.0)

        await puller.once(stream)
        busy = await bench.database.fetchrow(_STATE)
        async with asyncio.timeout(20):
            while lanes.circuit("coupa").open:
                await puller.once(stream)
                await asyncio.sleep(0.05)
        well = await bench.database.fetchrow(_STATE)

    assert busy is not None
    assert 2.0 <= busy["pause_s"] < 3.5
    assert (busy["trouble"] != "", busy["failures"]) == (True, 1)
    assert well is not None
    assert (well["trouble"], well["failures"]) == ("", 0)
