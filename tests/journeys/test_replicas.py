"""Lists that other systems own: pulled from their simulators, and asked by checks and forms.

Coupa owns suppliers, Workday owns people. What the project's files say of them is overruled.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quaestor.app import Application
from quaestor.connectors.kit.ready import Ready
from quaestor.project.load import load_project
from quaestor.project.project import Project
from quaestor.store.epoch import establish_epoch
from tests.support.database import TestDatabase
from tests.support.file_only import EXAMPLE, file_only
from tests.support.gateway import AUDIT_KEY, a_body, gateway_on
from tests.support.simulator_process import RunningSimulator, running_simulator

SYSTEMS = """
[systems.coupa]
connector = "coupa"
simulate = true
total_timeout_s = 3
oauth = {gap_s = 0.3}

[systems.coupa.segments]
company = 1
cost_center = 2
gl_account = 3

[systems.workday]
connector = "workday"
simulate = true
tenant = "acme"
initiator = "a50e8bf535482ec51d91387e45ec4986"
total_timeout_s = 3

"""
PEOPLE = [
    {"id": "21001", "name": "Ana Berger-Roth", "manager": "21002"},
    {"id": "21002", "name": "Ben Koch", "manager": "10001", "active": False},
    {"id": "21003", "name": "Carla Lindt", "manager": "10001"},
    {"id": "10001", "name": "Gus Adler"},
    {"id": "40001", "name": "Kim Novak", "manager": "21003"},
]


def _project(folder: Path) -> Project:
    path = file_only(folder)
    settings, ownership = path / "quaestor.toml", path / "ownership.yaml"
    text = settings.read_text(encoding="utf-8")
    head, _, rest = text.partition("[systems.coupa]")
    settings.write_text(head + SYSTEMS + rest[rest.index("[systems.sap]") :], encoding="utf-8")
    owned = ownership.read_text(encoding="utf-8")
    told = "object: supplier, owner: coupa, mode: replica, max_age_s: 3600"
    owned = owned.replace("object: supplier, owner: sap, mode: replica", told)
    ownership.write_text(owned, encoding="utf-8")
    return load_project(path)


def _requisition(folder: Path) -> str:
    """The headline, whose supplier somebody at Coupa has put on hold."""
    source = (EXAMPLE / "requisitions" / "headline.json").read_bytes()
    requisition = json.loads(source) | {"status": "draft"}
    for line in requisition["requisition-lines"]:
        line["supplier"] |= {"status": "active", "on-hold": True}
    folder.mkdir()
    (folder / "headline.json").write_text(json.dumps(requisition), encoding="utf-8")
    return str(folder)


async def _known(app: Application) -> None:
    async with asyncio.timeout(30):
        while (  # noqa: ASYNC110 - the database tells of a change to nobody who does not ask
            app.replicas.find("supplier", "coupa") is None
            or app.replicas.find("employee", "workday") is None
        ):
            await asyncio.sleep(0.1)


def _ready(simulator: RunningSimulator) -> Ready:
    return Ready(simulator.url, simulator.control, simulator.credentials)


@pytest.mark.slow
@pytest.mark.serial
async def test_the_owners_word_on_suppliers_and_people_overrules_the_files(
    database: TestDatabase, tmp_path: Path
) -> None:
    project = _project(tmp_path / "acme")
    held = {"requisitions": [_requisition(tmp_path / "r")]}
    owner = await database.connect()
    async with owner.connection() as connection:
        await establish_epoch(connection, accepted_by="tests")

    with (
        running_simulator("coupa", options=held) as coupa,
        running_simulator("workday", options={"people": PEOPLE}) as workday,
    ):
        simulated = {"coupa": _ready(coupa), "workday": _ready(workday)}
        simulated["sap"] = Ready("http://127.0.0.1:9", "", {"user": "u", "password": "p"})
        async with await Application.open(
            project, database.dsn, audit_key=AUDIT_KEY, simulated=simulated
        ) as app:
            engine, stop = await app.engine("worker-1"), asyncio.Event()
            working = asyncio.create_task(engine.run())
            pulling = asyncio.create_task(app.puller(engine).run(stop))
            try:
                await _known(app)
            finally:
                engine.stop()
                stop.set()
                await asyncio.gather(working, pulling)
            people = app.directory.people
        async with gateway_on(database, project=project) as gateway:
            listed = await gateway.ask("GET", "/v1/reference/suppliers")
            checked = await gateway.ask("POST", "/v1/validations", a_body(), key=None)

    assert (people["ana.berger"].name, people["ana.berger"].active) == ("Ana Berger-Roth", True)
    # Terminated there, and not there at all: no authority here.
    assert (people["ben.koch"].active, people["dan.moore"].active) == (False, False)
    assert (people["40001"].manager, people["40001"].limit) == ("carla.lindt", 0)
    _blocked(listed.json, checked.json)


def _blocked(listed: Any, checked: Any) -> None:
    """The form shows the supplier as blocked, as of now; the check refuses it."""
    as_of = datetime.fromisoformat(listed["as_of"])
    assert datetime.now(UTC) - as_of < timedelta(minutes=2)
    assert [(one["code"], one["state"]) for one in listed["items"]] == [
        ("helio-systems", "blocked")
    ]
    assert "supplier_blocked" in json.dumps(checked)
