"""Coupa calls out when a requisition is submitted: it is checked at once, and a refusal goes back.

Coupa's simulator in a process of its own, a gateway and a worker here. The stream is polled once
an hour, so whatever happens is the call-out's doing (DESIGN D15).
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
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
from tests.support.gateway import AUDIT_KEY, Gateway, Said, gateway_on
from tests.support.simulator_process import RunningSimulator, running_simulator

COUPA = """
simulate = true
settle_s = 1
total_timeout_s = 3
webhook = {client_id = "coupa", client_secret = "env:COUPA_CALL_OUT"}
pulls = {statuses = ["pending_approval", "approved"]}
oauth = {gap_s = 0.3}
pull_every_s = 3600
"""
CALL_OUT = b'{"requisition-header": {"id": 20433, "status": "pending_approval"}}'


def _project(folder: Path) -> Project:
    settings = file_only(folder) / "quaestor.toml"
    text = settings.read_text(encoding="utf-8")
    head, _, rest = text.partition('connector = "coupa"')
    segments = rest[rest.index("[systems.coupa.segments]") :]
    settings.write_text(f'{head}connector = "coupa"\n{COUPA}\n{segments}', encoding="utf-8")
    return load_project(folder)


def _draft(folder: Path) -> str:
    source = EXAMPLE / "requisitions" / "refused" / "blocked-supplier.json"
    requisition = json.loads(source.read_bytes()) | {"status": "draft"}
    folder.mkdir()
    (folder / "draft.json").write_text(json.dumps(requisition), encoding="utf-8")
    return str(folder)


async def _until(find: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        found = await asyncio.to_thread(find)
        if found:
            return found
        assert asyncio.get_running_loop().time() < deadline, f"no {what}"
        await asyncio.sleep(0.1)


def _records(coupa: RunningSimulator) -> list[Mapping[str, Any]]:
    return [one for one in coupa.documents() if "reference" in one]


async def _call_out(gateway: Gateway) -> Said:
    """As Coupa does it: a token for id and secret, then the post with it."""
    basic = base64.urlsafe_b64encode(b"coupa:open sesame").decode()
    granted = await gateway.ask(
        "POST",
        "/v1/webhooks/coupa/token",
        raw=b"grant_type=client_credentials",
        headers={
            "Authorization": f"Basic {basic}",
            "Content-Type": "application/x-www-form-urlencoded",
        },
        key=None,
    )
    headers = {"Authorization": f"Bearer {granted.json['access_token']}"}
    return await gateway.ask("POST", "/v1/webhooks/coupa", raw=CALL_OUT, headers=headers, key=None)


@pytest.mark.slow
@pytest.mark.serial
async def test_a_submitted_requisition_is_refused_in_coupa_because_it_called_out(
    database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUPA_CALL_OUT", "open sesame")
    project = _project(tmp_path / "acme")
    owner = await database.connect()
    async with owner.connection() as connection:
        await establish_epoch(connection, accepted_by="tests")

    with running_simulator("coupa", options={"requisitions": [_draft(tmp_path / "r")]}) as coupa:
        simulated = {"coupa": Ready(coupa.url, coupa.control, coupa.credentials)}
        simulated["sap"] = Ready("http://127.0.0.1:9", "", {"user": "u", "password": "p"})
        async with (
            gateway_on(database, project=project) as gateway,
            await Application.open(
                project, database.dsn, audit_key=AUDIT_KEY, simulated=simulated
            ) as app,
        ):
            engine = await app.engine("worker-1")
            puller = app.puller(engine)
            stop = asyncio.Event()
            working = asyncio.create_task(engine.run())
            pulling = asyncio.create_task(puller.run(stop))
            try:
                await _until(lambda: len(coupa.requests()) >= 3, "first pull")
                await asyncio.to_thread(coupa.edit, "20433", {"status": "pending_approval"})
                said = await _call_out(gateway)
                records = await _until(lambda: _records(coupa), "record of the refusal")
            finally:
                engine.stop()
                stop.set()
                await asyncio.gather(working, pulling)
            row = await app.database.fetchrow("select stage, parked_code from quaestor.work")

    assert said.status == 200
    assert "supplier_blocked" in json.dumps(records)
    assert row is not None
    assert "supplier_blocked" in (row["parked_code"] or "", row["stage"])
