"""`quaestor bench --scenario N`: the example with all its simulators, as the demo runs it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import msgspec

from quaestor.app import Application
from quaestor.bench.load import BenchFailed
from quaestor.bench.scenario import (
    NODES,
    Carried,
    Live,
    a_validation,
    measure_live,
    write_scenario,
)
from quaestor.cli.demo.facts import System
from quaestor.cli.demo.people import People
from quaestor.cli.demo.run import APPROVALS, ERP, PROCUREMENT
from quaestor.cli.place import Place
from quaestor.cli.supervise import Supervisor
from quaestor.cli.token import token_for_everything
from quaestor.project.load import load_project

__all__ = ["run_scenario"]

_PLANNING = "planning"
_PLENTY = "1000000000.00"
_LOOK_EVERY_S = 0.25
_PATIENCE_S = 900.0
_ENDS = """
select w.outcome, w.parked_code, extract(epoch from w.done_at - d.created_at)::float8 as took_s
from quaestor.work w join quaestor.document d on d.id = w.document_id
where d.source_system = $1 and d.source_id = any($2::text[])
"""


async def run_scenario(
    folder: Path, example: Path, count: int, live_s: float
) -> tuple[Live, Carried]:
    """Validate live for `live_s`, then carry `count` requisitions all the way.

    Raises `BenchFailed` where nothing can be said.
    """
    numbers = write_scenario(example, folder / "project", count)
    supervisor = Supervisor(Place(folder / "place"), load_project(folder / "project"), kind="demo")
    async with supervisor, aiohttp.ClientSession() as session:
        await supervisor.start({"worker-1": None}, port=0)
        systems = {name: System(ready, session) for name, ready in supervisor.systems.items()}
        for budget in await systems[_PLANNING].documents():
            await systems[_PLANNING].edit(budget["number"], {"amount": _PLENTY})
        token = str(token_for_everything(supervisor.place, supervisor.project))
        await _check(session, supervisor.gateway_url, token)
        live = await measure_live(supervisor.gateway_url, token, live_s)
        routing = supervisor.project.settings.systems[APPROVALS]
        people = People(systems[PROCUREMENT], systems[APPROVALS], routing)
        async with await supervisor.application() as app:
            return live, await _carry(app, people, systems[ERP], numbers)


async def _check(session: aiohttp.ClientSession, url: str, token: str) -> None:
    """What is measured passes, and its budgets are planning's, as of now."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with session.post(
        f"{url}/v1/validations", data=a_validation(0), headers=headers
    ) as answer:
        said = msgspec.json.decode(await answer.read())
    if answer.status != 200 or said["verdict"] != "pass":
        raise BenchFailed(f"a validation of {len(NODES)} budgets was answered {said}")


async def _carry(app: Application, people: People, erp: System, numbers: Sequence[str]) -> Carried:
    began = time.monotonic()
    for number in numbers:
        await people.send_on(number)
    while True:
        rows = await app.database.fetch(_ENDS, PROCUREMENT, numbers)
        parked = [row["parked_code"] for row in rows if row["parked_code"]]
        took_s = [row["took_s"] for row in rows if row["outcome"]]
        if parked:
            raise BenchFailed(f"a requisition of the scenario was parked: {parked[0]}")
        if len(took_s) == len(numbers):
            break
        if time.monotonic() - began > _PATIENCE_S:
            raise BenchFailed(f"{len(took_s)} of {len(numbers)} are done in {_PATIENCE_S:g} s")
        await asyncio.sleep(_LOOK_EVERY_S)
    all_s = time.monotonic() - began
    ordered = sum(row["outcome"] == "ordered" for row in rows)
    references = [each["reference"] for each in await erp.documents()]
    return Carried.of(len(numbers), ordered, references, took_s, all_s)
