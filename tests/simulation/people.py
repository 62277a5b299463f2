"""The people around a simulation: the source that brings documents, the desk that decides, and
the owners of what is parked.

They act through the product's own doors, on a connection of their own that never breaks.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping

import msgspec

from quaestor.actions.cancel import cancel
from quaestor.actions.finding import DocumentUnknown, find_document
from quaestor.actions.retry import NothingParked, retry
from quaestor.flows.requisition_to_order import REQUISITION_TO_ORDER
from quaestor.model.approval import ApprovalEvidence
from quaestor.model.event import Decided
from quaestor.runtime.receiving import inbound_requisition, take_in, tell_document
from quaestor.runtime.recording import Recorder
from quaestor.store import Connection, Database
from tests.simulation.plan import Happening, Planned, evidence_on
from tests.simulation.stepping import StepLoop

__all__ = ["Approved", "People"]

_OPEN = """
select a.document_id, a.name, a.version, d.source_id
from quaestor.approval_request a join quaestor.document d on d.id = a.document_id
where a.state = 'open' order by a.document_id, a.name
"""
_PARKED = """
select d.id, d.number, w.parked_code, w.fence from quaestor.work w
join quaestor.document d on d.id = w.document_id
where w.parked_code is not null order by d.id
"""
_LOOKS_EVERY_S = 4.0
RETRIES_MAX = 3
# What its owner can do nothing about by asking again.
_FINAL = frozenset({"supplier_blocked", "state_forbids_change", "erp_duplicate"})


class Approved(msgspec.Struct, frozen=True):
    """The desk said this of a version of a requisition."""

    number: str
    version: int
    verdict: str
    by: str


class People:
    """See the module. `approved` is the desk's own record."""

    def __init__(
        self,
        loop: StepLoop,
        database: Database,
        recorder: Recorder,
        release: str,
        planned: Mapping[str, Planned],
        seed: int,
    ) -> None:
        self._loop, self._database, self._recorder = loop, database, recorder
        self._release, self._planned = release, planned
        self._draw = random.Random(f"people {seed}")
        self.approved: list[Approved] = []
        self._asked: set[tuple[int, str]] = set()
        self._votes: list[asyncio.Task[None]] = []
        self.retries: Counter[str] = Counter()

    # --- the source -----------------------------------------------------------------------------

    async def bring(self, planned: Planned) -> None:
        """Everything that the source says of this requisition, at its time."""
        for nth, happening in enumerate(planned.happenings):
            await asyncio.sleep(max(0.0, happening.at_s - self._loop.elapsed_s))
            await self.happens(planned, happening, nth)

    async def happens(self, planned: Planned, happening: Happening, nth: int) -> None:
        """One thing that the source says; to say it again changes nothing."""

        async def work(connection: Connection) -> None:
            if happening.what == "cancel":
                with_id = f"{planned.number}:{nth}"
                await self._cancel(connection, planned.number, with_id)
                return
            inbound = inbound_requisition(
                planned.versions[happening.version - 1], correlation_id=planned.correlation_id
            )
            recorder, release = self._recorder, self._release
            await take_in(connection, recorder, REQUISITION_TO_ORDER, release, inbound)

        await self._database.run(work)
        early = planned.versions[happening.version - 1].approval
        if happening.what in ("submit", "change") and early is not None:
            self.approved.append(
                Approved(planned.number, happening.version, "approved", "carla.lindt")
            )

    async def _cancel(self, connection: Connection, number: str, request_id: str) -> None:
        try:
            document = await find_document(connection, number)
        except DocumentUnknown:
            return
        await cancel(connection, document, by="ana.berger", request_id=request_id)

    # --- the desk -------------------------------------------------------------------------------

    async def decide(self) -> None:
        """Look for open requests, and vote on each after its own while."""
        while True:
            for row in await self._database.fetch(_OPEN):
                request = (row["document_id"], row["name"])
                if request not in self._asked:
                    self._asked.add(request)
                    planned = self._planned[row["source_id"]]
                    self._votes.append(
                        self._loop.create_task(
                            self._vote(planned, *request, version=row["version"])
                        )
                    )
            await asyncio.sleep(_LOOKS_EVERY_S)

    async def _vote(self, planned: Planned, document: int, name: str, *, version: int) -> None:
        await asyncio.sleep(planned.votes_after_s)
        requisition = planned.versions[version - 1]
        if planned.vote == "never":
            return
        verdict = "rejected" if planned.vote == "reject" else "approved"
        by = "ana.berger" if planned.vote == "own" else "carla.lindt"
        evidence = evidence_on(requisition, verdict, by=by)
        if planned.vote == "stale_first":
            stale = msgspec.structs.replace(evidence, content_hash="0" * 64)
            await self._tell(document, f"{document}:{name}:stale", name, stale)
            await asyncio.sleep(1.0)
        self.approved.append(Approved(planned.number, version, verdict, by))
        for _ in range(2 if planned.twice else 1):
            await self._tell(document, f"{document}:{name}:{by}", name, evidence)
            await asyncio.sleep(3.0)

    async def _tell(
        self, document: int, event_id: str, name: str, evidence: ApprovalEvidence
    ) -> None:
        decided = Decided(event_id, self._loop.now(), "system:desk", name, evidence)

        async def work(connection: Connection) -> None:
            await tell_document(connection, document, "desk", decided)

        await self._database.run(work)

    async def has_spoken(self) -> bool:
        """Whether the desk has seen every open request and said of each what it ever will.

        To be asked after the look at the work, not before: a vote that is over was told three
        seconds ago, so the document that it woke was seen by that look.
        """
        opened = {(row["document_id"], row["name"]) for row in await self._database.fetch(_OPEN)}
        return opened <= self._asked and all(vote.done() for vote in self._votes)

    # --- who owns what is parked ----------------------------------------------------------------

    async def look_after(self) -> None:
        """Now and then somebody has a parked document tried again, whatever it is."""
        while True:
            await asyncio.sleep(self._draw.uniform(5.0, 25.0))
            await self.retry_parked(share=0.5)

    async def retry_parked(self, *, share: float = 1.0) -> int:
        """Have parked documents tried again, each a few times at most; returns how many."""
        tried = 0
        for row in await self._database.fetch(_PARKED):
            final = row["parked_code"] in _FINAL or self.retries[row["number"]] >= RETRIES_MAX
            if final or self._draw.random() >= share:
                continue
            self.retries[row["number"]] += 1
            tried += 1

            async def work(connection: Connection, number: str = row["number"]) -> None:
                try:
                    document = await find_document(connection, number)
                    with_id = f"{number}:{self.retries[number]}"
                    await retry(connection, document, by="carla.lindt", request_id=with_id)
                except NothingParked:
                    return

            await self._database.run(work)
        return tried
