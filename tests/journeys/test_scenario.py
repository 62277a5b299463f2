"""The scenario of a multinational: Coupa asks, Workday decides, SAP orders, Coupa hears of it.

Three simulators in processes of their own, a real database, one worker. Nothing is handed over by
hand: the requisition is pulled, and everything else follows from it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from quaestor.app import Application
from quaestor.connectors.kit.ready import Ready
from quaestor.connectors.workday.simulator import INITIATOR
from quaestor.project.load import load_project
from quaestor.project.project import Project
from quaestor.store.epoch import establish_epoch
from tests.support.database import TestDatabase
from tests.support.simulator_process import RunningSimulator, running_simulator

EXAMPLE = Path("examples/it-hardware")
WORKERS = {
    "ana.berger": "21001",
    "ben.koch": "21002",
    "carla.lindt": "21003",
    "dan.moore": "31001",
    "erin.wells": "31002",
    "fay.nolan": "31003",
    "gus.adler": "10001",
}
WORKDAY = f"""
[systems.workday]
connector = "workday"
simulate = true
tenant = "acme"
initiator = "{INITIATOR}"
settle_s = 1
total_timeout_s = 3

[systems.workday.requisition.codes.worker]
""" + "\n".join(f'"{ours}" = "{theirs}"' for ours, theirs in WORKERS.items())
ROUTING = {"steps": [{"by": "manager", "after_ms": 200}, {"by": "finance", "after_ms": 200}]}
COUPA = """
[systems.coupa]
connector = "coupa"
simulate = true
settle_s = 1
total_timeout_s = 3

[systems.coupa.oauth]
gap_s = 0.3
"""


def _project(folder: Path) -> Project:
    """The example with Coupa and Workday behind their own interfaces."""
    shutil.copytree(EXAMPLE, folder)
    settings = folder / "quaestor.toml"
    text = settings.read_text(encoding="utf-8")
    head, _, rest = text.partition("[systems.coupa]")
    segments = rest[rest.index("[systems.coupa.segments]") : rest.index("[systems.workday]")]
    after = rest[rest.index("[systems.sap]") :]
    settings.write_text(head + COUPA + segments + WORKDAY + "\n\n" + after, encoding="utf-8")
    return load_project(folder)


def _ready(simulator: RunningSimulator) -> Ready:
    return Ready(simulator.url, simulator.control, simulator.credentials)


async def _until_outcome(app: Application, wanted: str, seconds: float = 60.0) -> Mapping[str, Any]:
    query = "select outcome, parked_code, stage from quaestor.work"
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        row = await app.database.fetchrow(query)
        if row is not None and row["outcome"] == wanted:
            return dict(row)
        assert asyncio.get_running_loop().time() < deadline, f"{row and dict(row)}, not {wanted}"
        await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.serial
async def test_a_requisition_is_pulled_decided_ordered_and_reported_home(
    database: TestDatabase, tmp_path: Path
) -> None:
    project = _project(tmp_path / "acme")
    headline = str((EXAMPLE / "requisitions" / "headline.json").resolve())
    owner = await database.connect()
    async with owner.connection() as connection:
        await establish_epoch(connection, accepted_by="tests")

    with (
        running_simulator("coupa", options={"requisitions": [headline]}) as coupa,
        running_simulator("workday", options={"routing": ROUTING}) as workday,
        running_simulator("sap_s4", settle_s=0.2) as sap,
    ):
        simulated = {"coupa": _ready(coupa), "workday": _ready(workday), "sap": _ready(sap)}
        async with await Application.open(
            project, database.dsn, audit_key=bytes(32), simulated=simulated
        ) as app:
            await app.release(by="system:tests")
            engine = await app.engine("worker-1")
            stop = asyncio.Event()
            working = asyncio.create_task(engine.run())
            pulling = asyncio.create_task(app.puller(engine).run(stop))
            try:
                await _until_outcome(app, "ordered")
            finally:
                engine.stop()
                stop.set()
                await asyncio.gather(working, pulling)
            steps = await app.database.fetch("select canonical from quaestor.audit order by id")
        orders = sap.documents()
        reports = coupa.documents()

    assert len(orders) == 1
    number = orders[0]["number"]
    assert any(number in str(document) for document in reports)
    assert any(b'"system:workday"' in bytes(row["canonical"]) for row in steps)
