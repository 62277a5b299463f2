"""A deployment on real processes: a project folder, a database, SAP, and workers to start and kill.

The project is the shipped example; SAP is its simulator in a process of its own; a worker is
`quaestor work`. Only requisitions are taken in by the test itself, as the command line does it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from quaestor.app import Application
from quaestor.audit.subjects import deployment_key
from quaestor.connectors.kit.simulator import Ready
from quaestor.project.load import load_project
from quaestor.runtime.receiving import Taken
from quaestor.store import StoreError
from tests.support.file_only import file_only, file_only_settings
from tests.support.simulator_process import RunningSimulator
from tests.support.worker_process import WorkerProcess

__all__ = ["ORDERS_PATH", "QUICK", "Deployment", "deployed", "until"]

EXAMPLE = Path(__file__).parents[2] / "examples" / "it-hardware"
ORDERS_PATH = "/sap/opu/odata/sap/API_PURCHASEORDER_PROCESS_SRV/A_PurchaseOrder"
_POLL_S = 0.02

# Seconds. A worker that is gone is followed by another after `lease_s`; what it perhaps sent is
# believed to be absent `settle_s` after that.
QUICK = {
    "deployment": {"lease_s": 3, "reconcile_every_s": 60},
    "systems.coupa": {"total_timeout_s": 1},
    "systems.sap": {"total_timeout_s": 1, "settle_s": 0.5},
}

Table = Mapping[str, Mapping[str, float]]


async def until(
    condition: Callable[[], Awaitable[bool]], what: str, *, seconds: float = 30.0
) -> float:
    """Wait for a condition; how many seconds that took. Fails when it does not come about."""
    began = time.monotonic()
    while not await condition():
        assert time.monotonic() - began < seconds, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(_POLL_S)
    return time.monotonic() - began


@dataclass
class Deployment:
    """See the module. Made by `deployed`."""

    place: Path
    project: Path
    dsn: str
    sap: RunningSimulator
    app: Application
    _workers: list[WorkerProcess]

    # --- requisitions ---------------------------------------------------------------------------

    async def take_in(self, *numbers: int, submitted_at: datetime | None = None) -> list[Taken]:
        """The example's headline requisition under these numbers, at one moment each."""
        taken = []
        for number in numbers:
            raw = a_requisition(number, submitted_at)
            one = await self.app.take_in_requisition(raw, on=datetime.now(UTC))
            assert isinstance(one, Taken), one
            taken.append(one)
        return taken

    async def take_in_patiently(
        self, *numbers: int, submitted_at: datetime | None = None
    ) -> list[Taken]:
        """As `take_in`, tried again while the store says that it is in trouble."""
        found: list[Taken] = []

        async def taken() -> bool:
            try:
                found[:] = await self.take_in(*numbers, submitted_at=submitted_at)
            except StoreError:
                return False
            return True

        await until(taken, "the store takes documents in")
        return found

    async def outcomes(self) -> Mapping[str, int]:
        """How many requisitions ended how; a parked one by its refusal, else `open`."""
        rows = await self.ask(
            "select coalesce(parked_code, outcome, 'open') as how, count(*) as many "
            "from quaestor.work group by 1"
        )
        return {row["how"]: row["many"] for row in rows}

    async def until_outcomes(self, wanted: Mapping[str, int], *, seconds: float = 30.0) -> float:
        """Wait until the requisitions have ended so; how many seconds that took."""
        began = time.monotonic()
        while (found := await self.outcomes()) != wanted:
            assert time.monotonic() - began < seconds, f"{found}, not {wanted}"
            await asyncio.sleep(_POLL_S)
        return time.monotonic() - began

    async def ask(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """Rows from this deployment's database, as its owner sees them."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()

    # --- SAP ------------------------------------------------------------------------------------

    def orders(self) -> Counter[str]:
        """How many orders SAP holds under each reference."""
        return Counter(order["reference"] for order in self.sap.documents())

    def sent(self, method: str) -> list[dict[str, Any]]:
        """Requests for orders that reached SAP, by method: POST creates, GET looks."""
        return [
            request
            for request in self.sap.requests()
            if request["method"] == method and request["path"].startswith(ORDERS_PATH)
        ]

    # --- people ---------------------------------------------------------------------------------

    async def recover(self, recovery_point: datetime) -> None:
        """Accept the database as it is now, as an operator does."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "quaestor", "recover", "--dsn", self.dsn, "--by", "operator"),
            *("--audit-key", str(self.place / "audit.key"), "--yes", "--json"),
            *("--recovery-point", recovery_point.isoformat()),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await asyncio.wait_for(process.communicate(), 30.0)
        assert json.loads(said)["accepted"] is True, said

    # --- workers --------------------------------------------------------------------------------

    async def worker(
        self,
        name: str,
        *,
        crash_at: str = "",
        allow_crash: bool = True,
        sap_url: str | None = None,
        dsn: str | None = None,
    ) -> WorkerProcess:
        """A worker process at work. It reaches SAP at `sap_url`, where one is given."""
        ready = Ready(sap_url or self.sap.url, self.sap.control, self.sap.credentials)
        file = self.place / f"{name}.sap.json"
        file.write_bytes(msgspec.json.encode(ready))
        arguments = ["--project", str(self.project), "--dsn", dsn or self.dsn]
        arguments += ["--audit-key", str(self.place / "audit.key"), "--simulated", f"sap={file}"]
        arguments += ["--worker-id", name]
        if crash_at and allow_crash:
            arguments.append("--allow-crash")
        log = self.place / f"{name}.log"
        environment = {"QUAESTOR_CRASH_AT": crash_at}
        worker = await WorkerProcess.start(arguments, log, environment)
        self._workers.append(worker)
        return worker

    async def passed(self, seconds: float) -> None:
        """Wait until so much time has passed in the database, where all clocks are read."""
        (row,) = await self.ask("select quaestor.clock() as now")

        async def later() -> bool:
            query = "select quaestor.clock() - $1 >= make_interval(secs => $2) as is_over"
            (now,) = await self.ask(query, row["now"], seconds)
            return bool(now["is_over"])

        await until(later, "time passes", seconds=seconds + 10)

    async def upkeep_rounds(self, rounds: int) -> None:
        """Wait until a worker has looked after things so many times."""
        seen = set()

        async def seen_often() -> bool:
            found = await self.ask("select seen_at from quaestor.worker")
            seen.update(row["seen_at"] for row in found)
            return len(seen) > rounds

        await until(seen_often, "a worker shows that it lives")

    async def stop_workers(self) -> None:
        """Stop every worker that still runs, cleanly."""
        await asyncio.gather(*(worker.stop() for worker in self._workers))


def a_requisition(number: int, submitted_at: datetime | None = None) -> bytes:
    """The headline requisition as Coupa delivers it, under another number."""
    source = json.loads((EXAMPLE / "requisitions" / "headline.json").read_bytes())
    source["id"] = number
    if submitted_at is not None:
        source["submitted-at"] = submitted_at.isoformat()
    return json.dumps(source).encode()


@asynccontextmanager
async def deployed(
    dsn: str, place: Path, sap: RunningSimulator, *, settings: Table = QUICK, seam: str = ""
) -> AsyncIterator[Deployment]:
    """The example deployed on a migrated database; none of its workers runs afterwards.

    A project that is in `place` already is taken as it is. `seam` is the source of a customer's
    own steps in the flow.
    """
    project = place / "project"
    if not project.exists():
        configured = _configured(file_only_settings(), settings)
        file_only(project)
        (project / "quaestor.toml").write_text(configured)
        if seam:
            (project / "flows").mkdir()
            (project / "flows" / "requisition_to_order.py").write_text(seam)
    app = await Application.open(
        load_project(project),
        dsn,
        audit_key=deployment_key(place / "audit.key"),
        simulated={"sap": Ready(sap.url, sap.control, sap.credentials)},
        application_name="tests",
    )
    async with app:
        deployment = Deployment(place, project, dsn, sap, app, [])
        try:
            await app.release(by="tests")
            yield deployment
        except AssertionError:
            for worker in deployment._workers:
                print(worker.last_words())
            raise
        finally:
            await deployment.stop_workers()


def _configured(text: str, settings: Table) -> str:
    """The file with other values; each of them has to be in it already."""
    left = {(table, key) for table, values in settings.items() for key in values}
    table, lines = "", []
    for line in text.splitlines():
        if line.startswith("["):
            table = line.partition("]")[0].strip("[")
        key = line.partition(" = ")[0]
        if (table, key) in left:
            left.remove((table, key))
            line = f"{key} = {settings[table][key]}"
        lines.append(line)
    assert not left, f"not in the file: {left}"
    return "\n".join(lines)
