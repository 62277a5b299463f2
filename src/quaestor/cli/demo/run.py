"""The demo's main job: what is started, sent on in Coupa, broken on purpose, and counted.

One worker is enough. When the headline is done and the next requisition waits for its deciders,
the worker is told to die at its next send, which is that requisition's order. Its successor takes
the others, while the lease of the dead one's document runs out. So a fault meets only the document
it is meant for, and all of them take place side by side.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import msgspec

from quaestor.app import Application
from quaestor.audit.subjects import Subjects, deployment_key
from quaestor.audit.trace import Step
from quaestor.cli.demo.door import Door
from quaestor.cli.demo.facts import Facts, System, read_facts, read_names, read_source, read_steps
from quaestor.cli.demo.people import People
from quaestor.cli.output import Failed
from quaestor.cli.supervise import Supervisor
from quaestor.connectors.kit.published import Mapped
from quaestor.runtime.crash import WHEN_TOLD

__all__ = ["CASES", "ERP", "PROCUREMENT", "Counted", "Demo", "Found", "Received"]

ERP = "sap"
PROCUREMENT = "coupa"
APPROVALS = "workday"
SIMULATED = {
    PROCUREMENT: "Coupa",
    APPROVALS: "Workday",
    "planning": "planning",
    ERP: "SAP",
}
WORKER = "worker-1"
CREATES = "POST /sap/opu/odata/sap/API_PURCHASEORDER_PROCESS_SRV/A_PurchaseOrder"
# How long anything may take before the demo says that it failed.
PATIENCE_S = 60.0
_POLL_S = 0.03
_KILLED = -9

_OUTCOMES = """
select document_id, outcome, parked_code from quaestor.work where document_id = any($1::bigint[])
"""

_RECEIVED = """
select id, correlation_id from quaestor.document where source_system = $1 and source_id = $2
"""
# Taken by the deciders' system, which gave it this number.
_HANDED = """
select number from quaestor.intent
where document_id = $1 and action = 'submit_requisition' and number is not null
"""
# Sent, and the worker is back without an answer.
_DOUBT = """
select true from quaestor.intent i join quaestor.work w using (document_id)
where i.document_id = $1 and i.action = 'create_order' and i.resolved_at is null
  and i.first_sent_at is not null and w.lease_until < quaestor.clock()
"""

HEADLINE = "headline"
# In the order in which they are told.
CASES = {
    "two-suppliers": "two suppliers",
    "split-line": "split line",
    "lost-answer": "lost answer",
    "killed-worker": "killed worker",
    "cancel-while-unknown": "cancelled in doubt",
}


class Received(msgspec.Struct, frozen=True):
    """A requisition that was pulled: what the mapping makes of it, which document it became."""

    case: str
    number: str
    mapped: Mapped
    document_id: int
    correlation_id: str
    at: datetime


class Counted(msgspec.Struct, frozen=True):
    """What was counted in the ERP under the keys of one requisition."""

    order_groups: int
    documents: tuple[Mapping[str, Any], ...]
    duplicates: int

    @property
    def standing(self) -> int:
        """Documents that are not deleted there."""
        return sum(not document["deleted"] for document in self.documents)


class Found(msgspec.Struct, frozen=True):
    """One requisition at the end: what was received, what it became, what the ERP holds, and
    which custom fields Coupa shows on it."""

    received: Received
    facts: Facts
    counted: Counted
    shown: Mapping[str, str]


class Listener(Protocol):
    """Who is told what happens while it happens."""

    def heard(self, seconds: float, case: str, step: Step) -> None:
        """An entry appeared in the trail of a case, so long after the trouble began."""
        ...

    def happened(self, seconds: float, case: str, what: str) -> None:
        """The demo itself did something to a case."""
        ...


class Demo:
    """The run. Use as an async context; `start` comes first."""

    app: Application
    subjects: Subjects
    erp: System
    coupa: System
    people: People
    door: Door

    def __init__(self, supervisor: Supervisor, examples: Path, listener: Listener) -> None:
        self.supervisor = supervisor
        self.examples = examples
        self.received: dict[str, Received] = {}
        self._listener = listener
        self._seen: set[int] = set()
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Demo:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._closing.aclose()

    # --- starting -------------------------------------------------------------------------------

    async def start(self, *, anew: bool) -> list[tuple[str, str, float]]:
        """Database, systems, worker, gateway: the name, the place and the seconds of each.

        `anew` drops what an earlier demo left in the database.
        """
        supervisor = self.supervisor
        await supervisor.start({WORKER: f"after_send{WHEN_TOLD}"}, port=0, anew=anew)
        missing = [name for name in SIMULATED if name not in supervisor.systems]
        if missing:
            raise Failed(f"The project has no simulated system {missing[0]!r}; the demo needs it.")
        self.app = await self._closing.enter_async_context(await supervisor.application())
        self.subjects = Subjects(deployment_key(supervisor.place.audit_key_file))
        session = await self._closing.enter_async_context(aiohttp.ClientSession())
        self.erp = System(supervisor.systems[ERP], session)
        self.coupa = System(supervisor.systems[PROCUREMENT], session)
        workday = System(supervisor.systems[APPROVALS], session)
        settings = supervisor.project.settings.systems[APPROVALS]
        self.people = People(self.coupa, workday, settings)
        self.door = Door(supervisor, session)
        return self._started()

    def _started(self) -> list[tuple[str, str, float]]:
        processes, took_s = self.supervisor.processes, self.supervisor.took_s
        at = f"PostgreSQL, embedded, in {self.supervisor.place.data}"
        started = [("database", at, took_s["database"])]
        for name, title in SIMULATED.items():
            simulator = f"simulator of {name}"
            url = self.supervisor.systems[name].url
            at = f"our simulator, process {processes[simulator]}, {url}"
            started.append((title, at, took_s[simulator]))
        started.append(("worker", f"process {processes[WORKER]}", took_s[WORKER]))
        at = f"process {processes['gateway']}, {self.supervisor.gateway_url}"
        return [*started, ("gateway", at, took_s["gateway"])]

    # --- the main job ---------------------------------------------------------------------------

    async def headline(self) -> Found:
        """One requisition becomes one order."""
        await self._send_on(HEADLINE)
        await self._until_done(HEADLINE)
        return await self._found(HEADLINE)

    async def trouble(self) -> None:
        """The same with a killed worker, a lost answer and a cancellation in doubt at once."""
        began = time.monotonic()
        following = asyncio.create_task(self._follow(began))
        try:
            await self._kill("killed-worker", began)
            await self.erp.plan_faults([{"on": CREATES, "do": "drop_after_commit", "times": 2}])
            for case in ("lost-answer", "cancel-while-unknown"):
                planned = "SAP is told to take the order and to drop its answer"
                self._listener.happened(time.monotonic() - began, case, planned)
            await self._send_on("lost-answer", "cancel-while-unknown")
            await self._until(self._is_in_doubt, "the answers of SAP to be lost")
            await self._cancel("cancel-while-unknown", began)
            await self._send_on("two-suppliers", "split-line")
            await self._until_done(*CASES)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        await self._tell_new(began)

    async def others(self) -> list[Found]:
        """What became of the others."""
        return [await self._found(case) for case in CASES]

    async def _kill(self, case: str, began: float) -> None:
        worker = self.supervisor.child(WORKER)
        async with self.people.held():
            await self._send_on(case)
            reference = await self._until(lambda: self._handed(case), f"{case} to be handed over")
        worker.send_signal(signal.SIGUSR1)
        await self.people.decide(reference)
        code = await asyncio.wait_for(worker.wait(), PATIENCE_S)
        if code != _KILLED:
            raise Failed(f"The worker was to be killed, and ended with {code}.")
        what = f"kill -9 of worker process {worker.pid}, right after its last byte was sent"
        self._listener.happened(time.monotonic() - began, case, what)

    async def _handed(self, case: str) -> Any:
        """The number that the requisition has in Workday, once it is there."""
        return await self.app.database.fetchval(_HANDED, self.received[case].document_id)

    async def _is_in_doubt(self) -> bool:
        """Whether both answers were lost, and it is written down that nobody knows."""
        if await self.erp.faults_left():
            return False
        document_id = self.received["cancel-while-unknown"].document_id
        state = await self.app.database.fetchval(_DOUBT, document_id)
        return bool(state)

    async def _cancel(self, case: str, began: float) -> None:
        received = self.received[case]
        requester = received.mapped.requisition.requester
        await self.door.cancel(received.document_id, by=requester, reason="no longer needed")
        what = f"{requester} cancels over the gateway, while nobody knows"
        self._listener.happened(time.monotonic() - began, case, what)

    # --- sending on, waiting, reading -----------------------------------------------------------

    async def _send_on(self, *cases: str) -> None:
        """The requester sends them on in Coupa; afterwards they are documents of ours."""
        numbers = {case: self._number(case) for case in cases}
        for number in numbers.values():
            await self.people.send_on(number)
        for case, number in numbers.items():
            row = await self._until(partial(self._row, number), f"the pull of {number}")
            self.received[case] = await self._read(case, number, row)

    async def _row(self, number: str) -> Any:
        return await self.app.database.fetchrow(_RECEIVED, PROCUREMENT, number)

    async def _read(self, case: str, number: str, row: Mapping[str, Any]) -> Received:
        """What the mapping makes of the bytes that were received."""
        database, now = self.app.database, datetime.now(UTC)
        steps = await read_steps(database, self.subjects, row["correlation_id"])
        mapped = self.app.read_requisition(await read_source(database, steps[0]), on=now)
        if not isinstance(mapped, Mapped):
            raise Failed(f"The requisition {number} was refused by the mapping.")
        return Received(case, number, mapped, row["id"], row["correlation_id"], now)

    def _number(self, case: str) -> str:
        """The number of the requisition, from its file."""
        file = self.examples / f"{case}.json"
        try:
            written = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError) as error:
            raise Failed(f"{file} cannot be read: {error}.") from error
        return str(written["id"])

    async def _until_done(self, *cases: str) -> None:
        ids = [self.received[case].document_id for case in cases]

        async def done() -> bool:
            rows = await self.app.database.fetch(_OUTCOMES, ids)
            parked = [row for row in rows if row["parked_code"]]
            if parked:
                case = cases[ids.index(parked[0]["document_id"])]
                raise Failed(f"The requisition {case} was parked: {parked[0]['parked_code']}.")
            return all(row["outcome"] for row in rows)

        await self._until(done, f"the end of {', '.join(cases)}")

    async def _until(self, holds: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while not (found := await holds()):
            if time.monotonic() > deadline:
                logs = self.supervisor.place.logs
                raise Failed(f"Waited {PATIENCE_S:g} s for {what}; the logs are in {logs}.")
            await asyncio.sleep(_POLL_S)
        return found

    async def _follow(self, began: float) -> None:
        while True:
            await self._tell_new(began)
            await asyncio.sleep(0.1)

    async def _tell_new(self, began: float) -> None:
        for case in CASES:
            if case not in self.received:
                continue
            correlation_id = self.received[case].correlation_id
            for step in await read_steps(self.app.database, self.subjects, correlation_id):
                if step.entry not in self._seen:
                    self._seen.add(step.entry)
                    self._listener.heard(time.monotonic() - began, case, step)

    async def _found(self, case: str) -> Found:
        received = self.received[case]
        facts = await read_facts(self.app.database, self.subjects, received.document_id)
        return Found(received, facts, await self._counted(facts), await self._shown(received))

    async def names(self, facts: Facts) -> Mapping[str, str]:
        """The people that were told something, by pseudonym."""
        return await read_names(self.app.database, self.subjects, facts.steps)

    async def _counted(self, facts: Facts) -> Counted:
        """Count in the ERP, by the posting key of each order group of the requisition."""
        documents: list[Mapping[str, Any]] = []
        duplicates = 0
        for order in facts.created:
            found = await self.erp.documents(order.key)
            documents.extend(found)
            duplicates += max(0, len(found) - 1)
        return Counted(len(facts.created), tuple(documents), duplicates)

    async def _shown(self, received: Received) -> Mapping[str, str]:
        """What Coupa shows on the requisition that an integration wrote there."""
        for one in await self.coupa.documents():
            if one["number"] == received.number:
                fields: Mapping[str, str] = one["custom_fields"]
                return fields
        return {}
