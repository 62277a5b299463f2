"""A whole company in this process: Coupa, Workday and SAP behind real sockets, and one worker.

Nothing is pulled by itself: a test says when which system is asked, and so who is first.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quaestor.app import Application
from quaestor.connectors.coupa.simulator import CoupaSimulator
from quaestor.connectors.kit.faulting import Fault
from quaestor.connectors.kit.kind import SimulatorOptions
from quaestor.connectors.kit.simulator import Simulator
from quaestor.connectors.sap_s4.simulator import SapSimulator
from quaestor.connectors.workday.simulator import INITIATOR, WorkdaySimulator
from quaestor.model.event import Cancel
from quaestor.project.load import load_project
from quaestor.runtime.pulling import Puller
from quaestor.runtime.receiving import tell_document
from quaestor.store.epoch import establish_epoch
from tests.support.database import TestDatabase
from tests.support.file_only import with_own_budgets

__all__ = ["BEN", "CARLA", "Company", "a_company", "headline"]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "it-hardware"
# Their employee ids: he may approve 25,000.00, and she 250,000.00.
BEN, CARLA = "21002", "21003"
_WORKERS = {"ana.berger": "21001", "ben.koch": BEN, "carla.lindt": CARLA, "gus.adler": "10001"}
_SETTINGS = f"""
[deployment]
name = "deciders"
environment = "test"
lease_s = 5
reconcile_every_s = 60
lane_wait_max_s = 86400
shutdown_s = 10

[systems.coupa]
connector = "coupa"
simulate = true
settle_s = 1
total_timeout_s = 3

[systems.coupa.segments]
company = 1
cost_center = 2
gl_account = 3

[systems.coupa.oauth]
gap_s = 0

[systems.workday]
connector = "workday"
simulate = true
tenant = "acme"
initiator = "{INITIATOR}"
settle_s = 0.2
total_timeout_s = 3

[systems.workday.requisition.codes.worker]
{"".join(f'"{ours}" = "{theirs}"' + chr(10) for ours, theirs in _WORKERS.items())}
[systems.sap]
connector = "sap_s4"
simulate = true
settle_s = 0.3
total_timeout_s = 3

[routing.purchase_order]
"*" = "sap"
"""


def headline(**changes: Any) -> dict[str, Any]:
    """The example's requisition as Coupa publishes it, of 34,959.00 EUR, undecided anywhere."""
    text = (EXAMPLE / "requisitions" / "headline.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    found.pop("approval", None)
    return {**found, **changes}


@dataclass
class Company:
    """The systems as their people see them, and what Quaestor makes of it."""

    app: Application
    puller: Puller
    coupa: CoupaSimulator
    workday: WorkdaySimulator
    sap: SapSimulator
    wires: Mapping[str, Simulator]

    # --- what people do -------------------------------------------------------------------------

    async def hears(self, system: str) -> None:
        """Quaestor asks that system what changed, until nothing is left."""
        for stream in self.puller.streams:
            if stream.system == system and stream.name in ("requisitions", "decisions"):
                asked = replace(stream, every_s=0.0)
                while await self.puller.once(asked):
                    pass

    async def is_brought(self, document: Mapping[str, Any]) -> None:
        """A requisition of Coupa's comes as a file, with what was said about it elsewhere."""
        await self.app.take_in_requisition(json.dumps(document).encode(), on=datetime.now(UTC))

    def decides(self, number: str, *by: str, do: str = "approve") -> None:
        """These people act in Workday, one after the other."""
        for person in by:
            act = {"by": person, "do": do, "comment": "as agreed"}
            assert self.workday.edit(number, {"act": act}), f"{person} is not asked"

    async def cancels(self) -> None:
        """Ana does not want it any more."""
        document = await self.app.database.fetchval("select id from quaestor.document")
        event = Cancel("ana-cancels", datetime.now(UTC), "ana.berger")
        await self.app.database.run(
            lambda connection: tell_document(connection, document, "tests", event)
        )

    def sap_loses_its_answer(self) -> None:
        """The next order is created, and nobody hears of it."""
        on = "POST /sap/opu/odata/sap/API_PURCHASEORDER_PROCESS_SRV/A_PurchaseOrder"
        self.wires["sap"].plan.put([Fault(on=on, nth=1, do="drop_after_commit")])

    def workday_loses_its_answer(self) -> None:
        """The next message about a requisition is worked on, and nobody hears of it."""
        on = "POST /ccx/service/acme/Resource_Management"
        self.wires["workday"].plan.put([Fault(on=on, nth=1, do="drop_after_commit")])

    # --- what a test waits for, and looks at ----------------------------------------------------

    async def waits_in_workday(self, version: int = 1) -> str:
        """The number in Workday of the open request on that version, once it stands there."""
        number = await self._until(
            "select i.number from quaestor.approval_request a join quaestor.intent i "
            "on i.document_id = a.document_id and i.name = 'handed/' || a.name "
            "where a.state = 'open' and i.number is not null and a.version = $1",
            version,
        )
        return str(number)

    async def ends(self, *as_: str) -> None:
        """Until the document has this outcome, or is parked with this code."""
        await self._until(
            "select 1 from quaestor.work where coalesce(outcome, parked_code) = any($1::text[])",
            list(as_),
        )

    async def is_unknown_in_sap(self) -> None:
        """Until the order was sent and its outcome is not known."""
        await self._until(
            "select 1 from quaestor.intent where action = 'create_order' and state = 'unresolved'"
        )

    async def _until(self, query: str, *values: Any, seconds: float = 30.0) -> Any:
        deadline = asyncio.get_running_loop().time() + seconds
        while (found := await self.app.database.fetchval(query, *values)) is None:
            if asyncio.get_running_loop().time() > deadline:
                stands = await self.app.database.fetch(
                    "select stage, outcome, parked_code, convert_from(parked, 'UTF8') as parked "
                    "from quaestor.work"
                )
                raise AssertionError(f"not within {seconds} s: {[dict(row) for row in stands]}")
            await asyncio.sleep(0.02)
        return found

    async def parked(self) -> tuple[str, str, str]:
        """Code, owner, and what failed."""
        row = await self.app.database.fetchrow(
            "select parked_code, parked_owner, convert_from(parked, 'UTF8')::jsonb "
            "#>> '{refusal,details,failed}' as failed from quaestor.work"
        )
        assert row is not None
        return row["parked_code"], row["parked_owner"], row["failed"] or ""

    async def recorded(self) -> list[dict[str, str]]:
        """The facts that were recorded in the trail, in order."""
        rows = await self.app.database.fetch("select canonical from quaestor.audit order by id")
        entries = [json.loads(bytes(row["canonical"])) for row in rows]
        said = [entry["details"] for entry in entries if entry.get("effect") == "record"]
        # Which stages were passed on the way is the runtime's, not part of what was recorded.
        return [{name: text for name, text in one.items() if name != "by_way_of"} for one in said]

    def orders(self) -> list[bool]:
        """For each order in SAP, whether it stands."""
        return [not one["deleted"] for one in self.sap.documents(None)]

    async def asked(self) -> list[str]:
        """How each approval request stands with us, in order."""
        rows = await self.app.database.fetch(
            "select state from quaestor.approval_request order by requested_at"
        )
        return [row["state"] for row in rows]

    def requests(self) -> list[str]:
        """The status of each requisition in Workday."""
        return [str(one["status"]) for one in self.workday.documents(None)]

    def told(self) -> Sequence[str]:
        """What the requester read in Coupa: the code of each integration history record."""
        records = [one["document"] for one in self.coupa.documents(None) if "document" in one]
        return [one["responses"][0]["response-code"] for one in records]


@asynccontextmanager
async def a_company(
    database: TestDatabase,
    folder: Path,
    *,
    requisitions: Sequence[Mapping[str, Any]] = (),
    routing: Mapping[str, Any] | None = None,
    people: tuple[str, str] = ("", ""),
) -> AsyncIterator[Company]:
    """Everything at work. `people` replaces a text of the directory by another."""
    shutil.copytree(EXAMPLE, folder)
    (folder / "quaestor.toml").write_text(_SETTINGS, encoding="utf-8")
    with_own_budgets(folder)
    directory = folder / "directory" / "people.yaml"
    directory.write_text(directory.read_text(encoding="utf-8").replace(*people, 1), "utf-8")
    owner = await database.connect()
    async with owner.connection() as connection:
        await establish_epoch(connection, accepted_by="tests")
    coupa = CoupaSimulator(SimulatorOptions(extra={"token_gap_s": 0.0}))
    for one in requisitions:
        coupa.arrives("requisitions", one)
    workday = WorkdaySimulator(SimulatorOptions(extra={"routing": routing} if routing else {}))
    sap = SapSimulator(SimulatorOptions())
    wires = {"coupa": Simulator(coupa), "workday": Simulator(workday), "sap": Simulator(sap)}
    async with AsyncExitStack() as stack:
        ready = {name: await stack.enter_async_context(one) for name, one in wires.items()}
        app = await stack.enter_async_context(
            await Application.open(
                load_project(folder), database.dsn, audit_key=bytes(32), simulated=ready
            )
        )
        await app.release(by="system:tests")
        engine = await app.engine("worker-1")
        working = asyncio.create_task(engine.run())
        try:
            yield Company(app, app.puller(engine), coupa, workday, sap, wires)
        finally:
            engine.stop()
            await working
