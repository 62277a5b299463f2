"""The demo's main job: what is started, taken in, broken on purpose, and counted.

One worker is enough. When the headline is done, it is told to die at its next send, which is that
of the requisition it is killed with. Its successor takes the others, while the lease of the dead
one's document runs out. So a fault meets only the document it is meant for, and all of them take
place side by side.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import msgspec

from quaestor.app import Application
from quaestor.audit.subjects import Subjects, deployment_key
from quaestor.audit.trace import Step
from quaestor.cli.demo.facts import Erp, Facts, read_facts, read_names, read_steps
from quaestor.cli.output import Failed
from quaestor.cli.supervise import Supervisor
from quaestor.connectors.coupa.mapping import Mapped
from quaestor.model.event import Cancel
from quaestor.runtime.crash import WHEN_TOLD
from quaestor.runtime.receiving import Taken, tell_document
from quaestor.store import Connection

__all__ = ["CASES", "Counted", "Demo", "Found", "Submitted"]

ERP = "sap"
WORKER = "worker-1"
CREATES = "POST /sap/opu/odata/sap/API_PURCHASEORDER_PROCESS_SRV/A_PurchaseOrder"
# How long anything may take before the demo says that it failed.
PATIENCE_S = 30.0
_POLL_S = 0.03
_KILLED = -9

_OUTCOMES = """
select document_id, outcome, parked_code from quaestor.work where document_id = any($1::bigint[])
"""

# Sent, and the worker is back without an answer.
_DOUBT = """
select true from quaestor.intent i join quaestor.work w using (document_id)
where i.document_id = $1 and i.resolved_at is null and i.first_sent_at is not null
  and w.lease_until < quaestor.clock()
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


class Submitted(msgspec.Struct, frozen=True):
    """A requisition that was taken in: its file, what the mapping made of it, what it became."""

    case: str
    raw: bytes
    mapped: Mapped
    taken: Taken
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
    """One requisition at the end: what was submitted, what it became, what the ERP holds."""

    submitted: Submitted
    facts: Facts
    counted: Counted


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
    erp: Erp

    def __init__(self, supervisor: Supervisor, examples: Path, listener: Listener) -> None:
        self.supervisor = supervisor
        self.examples = examples
        self.taken: dict[str, Submitted] = {}
        self._listener = listener
        self._seen: set[int] = set()
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Demo:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._closing.aclose()

    # --- starting -------------------------------------------------------------------------------

    async def start(self, *, anew: bool) -> list[tuple[str, str, float]]:
        """Database, ERP, release, worker: the name, the place and the seconds of each.

        `anew` drops what an earlier demo left in the database.
        """
        supervisor = self.supervisor
        await supervisor.start({WORKER: f"after_send{WHEN_TOLD}"}, anew=anew)
        if ERP not in supervisor.systems:
            raise Failed(f"The project has no simulated system {ERP!r}; the demo counts in it.")
        self.app = await self._closing.enter_async_context(await supervisor.application())
        self.subjects = Subjects(deployment_key(supervisor.place.audit_key_file))
        session = await self._closing.enter_async_context(aiohttp.ClientSession())
        self.erp = Erp(supervisor.systems[ERP], session)
        processes, took_s = supervisor.processes, supervisor.took_s
        simulator = f"simulator of {ERP}"
        at = f"our simulator, process {processes[simulator]}, {self.erp.ready.url}"
        return [
            ("database", f"PostgreSQL, embedded, in {supervisor.place.data}", took_s["database"]),
            ("SAP", at, took_s[simulator]),
            ("worker", f"process {processes[WORKER]}", took_s[WORKER]),
        ]

    # --- the main job ---------------------------------------------------------------------------

    async def headline(self) -> Found:
        """One requisition becomes one order."""
        submitted = await self._submit(HEADLINE)
        await self._until_done(HEADLINE)
        return Found(submitted, await self._facts(HEADLINE), await self.count(HEADLINE))

    async def trouble(self) -> None:
        """The same with a killed worker, a lost answer and a cancellation in doubt at once."""
        began = time.monotonic()
        await self._kill("killed-worker", began)
        await self.erp.plan_faults([{"on": CREATES, "do": "drop_after_commit", "times": 2}])
        for case in ("lost-answer", "cancel-while-unknown"):
            await self._submit(case)
            planned = "SAP is told to take the order and to drop its answer"
            self._listener.happened(time.monotonic() - began, case, planned)
        following = asyncio.create_task(self._follow(began))
        try:
            await self._until(self._is_in_doubt, "the answers of SAP to be lost")
            await self._cancel("cancel-while-unknown", began)
            await self._submit("two-suppliers")
            await self._submit("split-line")
            await self._until_done(*CASES)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        await self._tell_new(began)

    async def others(self) -> list[Found]:
        """What became of the others."""
        return [
            Found(self.taken[case], await self._facts(case), await self.count(case))
            for case in CASES
        ]

    async def _kill(self, case: str, began: float) -> None:
        worker = self.supervisor.child(WORKER)
        worker.send_signal(signal.SIGUSR1)
        await self._submit(case)
        code = await asyncio.wait_for(worker.wait(), PATIENCE_S)
        if code != _KILLED:
            raise Failed(f"The worker was to be killed, and ended with {code}.")
        what = f"kill -9 of worker process {worker.pid}, right after its last byte was sent"
        self._listener.happened(time.monotonic() - began, case, what)

    async def _is_in_doubt(self) -> bool:
        """Whether both answers were lost, and it is written down that nobody knows."""
        if await self.erp.faults_left():
            return False
        document_id = self.taken["cancel-while-unknown"].taken.document_id
        state = await self.app.database.fetchval(_DOUBT, document_id)
        return bool(state)

    async def _cancel(self, case: str, began: float) -> None:
        taken = self.taken[case].taken
        event = Cancel(
            event_id=f"demo:{taken.correlation_id}",
            at=datetime.now(UTC),
            by=self.taken[case].mapped.requisition.requester,
            reason="no longer needed",
        )

        async def tell(connection: Connection) -> None:
            await tell_document(connection, taken.document_id, "demo", event)

        await self.app.database.run(tell)
        self._listener.happened(
            time.monotonic() - began, case, "the requester cancels, while nobody knows"
        )

    # --- taking in, waiting, reading ------------------------------------------------------------

    async def _submit(self, case: str) -> Submitted:
        file = self.examples / f"{case}.json"
        try:
            raw = file.read_bytes()
        except OSError as error:
            raise Failed(f"{file} cannot be read: {error.strerror}.") from error
        now = datetime.now(UTC)
        mapped = self.app.read_coupa(raw, on=now)
        taken = await self.app.take_in_coupa(raw, on=now)
        if not isinstance(mapped, Mapped) or not isinstance(taken, Taken):
            raise Failed(f"{file} was refused by the mapping.")
        if taken.status != "accepted":
            raise Failed(f"{file} was here before; the demo begins with an empty database.")
        self.taken[case] = Submitted(case, raw, mapped, taken, now)
        return self.taken[case]

    async def _until_done(self, *cases: str) -> None:
        ids = [self.taken[case].taken.document_id for case in cases]

        async def done() -> bool:
            rows = await self.app.database.fetch(_OUTCOMES, ids)
            parked = [row for row in rows if row["parked_code"]]
            if parked:
                case = cases[ids.index(parked[0]["document_id"])]
                raise Failed(f"The requisition {case} was parked: {parked[0]['parked_code']}.")
            return all(row["outcome"] for row in rows)

        await self._until(done, f"the end of {', '.join(cases)}")

    async def _until(self, holds: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not await holds():
            if time.monotonic() > deadline:
                logs = self.supervisor.place.logs
                raise Failed(f"Waited {PATIENCE_S:g} s for {what}; the logs are in {logs}.")
            await asyncio.sleep(_POLL_S)

    async def _follow(self, began: float) -> None:
        while True:
            await self._tell_new(began)
            await asyncio.sleep(0.1)

    async def _tell_new(self, began: float) -> None:
        for case in CASES:
            if case not in self.taken:
                continue
            correlation_id = self.taken[case].taken.correlation_id
            for step in await read_steps(self.app.database, self.subjects, correlation_id):
                if step.entry not in self._seen:
                    self._seen.add(step.entry)
                    self._listener.heard(time.monotonic() - began, case, step)

    async def _facts(self, case: str) -> Facts:
        return await read_facts(
            self.app.database, self.subjects, self.taken[case].taken.document_id
        )

    async def names(self, facts: Facts) -> Mapping[str, str]:
        """The people that were told something, by pseudonym."""
        return await read_names(self.app.database, self.subjects, facts.steps)

    async def count(self, case: str) -> Counted:
        """Count in the ERP, by the posting key of each order group of the requisition."""
        facts = await self._facts(case)
        documents: list[Mapping[str, Any]] = []
        duplicates = 0
        for order in facts.created:
            found = await self.erp.documents(order.key)
            documents.extend(found)
            duplicates += max(0, len(found) - 1)
        return Counted(len(facts.created), tuple(documents), duplicates)
