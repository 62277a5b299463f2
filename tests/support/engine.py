"""A worker's engine for tests: real PostgreSQL, a small flow, an ERP that lives in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec

from quaestor.connectors.kit.contract import (
    Absent,
    ActionGuarantee,
    Answers,
    Applied,
    Command,
    Found,
    Guarantee,
    Several,
    Submits,
    Submitted,
)
from quaestor.flows.kit.dossier import Dossier, Withdrawn
from quaestor.flows.kit.effects import Send, Withdraw
from quaestor.flows.kit.flow import Flow, Stage
from quaestor.flows.kit.step import Done, Park, Step
from quaestor.model.event import Cancel, Event
from quaestor.model.order import PurchaseOrder
from quaestor.runtime.advancing import Advance
from quaestor.runtime.dispatch import Dispatch
from quaestor.runtime.engine import Engine, EngineOptions
from quaestor.runtime.inquiring import AnswerLink
from quaestor.runtime.intent import Limits
from quaestor.runtime.lanes import Lanes, lane_names
from quaestor.runtime.progress import Target, World
from quaestor.runtime.receiving import Inbound, take_in, tell_document
from quaestor.runtime.recording import Recorder
from quaestor.runtime.sending import SystemLink
from quaestor.runtime.upkeep import Upkeep
from quaestor.store import Connection, Database
from quaestor.store.epoch import establish_epoch
from tests.support.database import TestDatabase

__all__ = [
    "MEMO_FLOW",
    "OTHER_ENTITY",
    "Bench",
    "FakeErp",
    "Memo",
    "NoPersons",
    "bench_on",
    "running",
]

ENTITY = "acme-de"
OTHER_ENTITY = "acme-us"


class Memo(msgspec.Struct, frozen=True):
    """The smallest document that becomes one order."""

    text: str = ""
    order: PurchaseOrder | None = None


class NoPersons:
    """A subject book for tests without persons."""

    async def pseudonyms(self, connection: object, persons: object) -> dict[tuple[str, str], str]:
        return {}


def _sending(dossier: Dossier) -> Step:
    send = Send("order", "erp", "create_order", "group", order=dossier.document.body.order)
    return Step((send,), "answered")


def _answered(dossier: Dossier) -> Step:
    match dossier.results["order"]:
        case Applied():
            return Step((), Done("ordered"))
        case Withdrawn(left):
            return Step((), Done("cancelled" if left is None else "ordered_though_cancelled"))
        case other:
            return Step((), Park(other.refusal.owner, other.refusal, resume="sending"))


def _interrupted(dossier: Dossier, event: Event) -> Step | None:
    if isinstance(event, Cancel) and dossier.unresolved is not None:
        return Step((Withdraw("order"),), "answered")
    return Step((), Done("cancelled")) if isinstance(event, Cancel) else None


MEMO_FLOW = Flow(
    name="memo_to_order",
    version=1,
    document_type="memo",
    body=Memo,
    first="sending",
    stages={"sending": Stage(_sending), "answered": Stage(_answered)},
    interrupted=_interrupted,
)

Behaviour = Callable[[Command], Awaitable[None]]


class FakeErp:
    """Creates an order per command that reaches it; `before` and `after` may wait or raise."""

    def __init__(self) -> None:
        self.orders: dict[str, list[str]] = {}
        self.before: Behaviour | None = None
        self.after: Behaviour | None = None
        self.finds = 0
        self.sends = 0
        self.at_once = 0
        self.at_once_max = 0

    def render(self, command: Command) -> bytes:
        return command.key.encode()

    async def submit(self, command: Command, stored: bytes) -> Submitted:
        self.sends += 1
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            if self.before is not None:
                await self.before(command)
            number = str(4500000000 + sum(len(each) for each in self.orders.values()))
            self.orders.setdefault(command.key, []).append(number)
            if self.after is not None:
                await self.after(command)
            return Applied(number)
        finally:
            self.at_once -= 1

    async def find(self, command: Command) -> Found:
        self.finds += 1
        numbers = self.orders.get(command.key, [])
        if not numbers:
            return Absent()
        return Applied(numbers[0]) if len(numbers) == 1 else Several(tuple(numbers))

    @property
    def doubles(self) -> int:
        """Keys with more than one order."""
        return sum(len(numbers) > 1 for numbers in self.orders.values())


async def _no_releases(connection: object, hashes: object) -> None:
    return None


class Bench:
    """A database with documents in it, and engines made to order."""

    def __init__(self, database: Database, erp: FakeErp, connector: Submits | None = None) -> None:
        self.database = database
        self.erp = erp
        self.connector = connector or erp
        self.recorder = Recorder(NoPersons())
        self.flow = MEMO_FLOW
        self.reconcile_every_s = 60.0
        self.answers: Answers | None = None

    async def take_in(
        self,
        count: int,
        *,
        prefix: str = "M",
        order: PurchaseOrder | None = None,
        entity: str = ENTITY,
    ) -> list[int]:
        """So many memos, due at once; each asks for this order."""

        async def work(connection: Connection) -> list[int]:
            taken = []
            for number in range(count):
                source_id = f"{prefix}{number:05}"
                inbound = Inbound(
                    "memo",
                    entity,
                    "desk",
                    source_id,
                    source_id,
                    1,
                    "0" * 64,
                    datetime(2026, 11, 1, tzinfo=UTC),
                    Memo(source_id, order),
                    "desk",
                )
                made = await take_in(connection, self.recorder, self.flow, "r1", inbound)
                taken.append(made.document_id)
            return taken

        return await self.database.run(work)

    async def tell(self, document_id: int, event: Event) -> bool:
        """An event for a document, as from a desk."""

        async def work(connection: Connection) -> bool:
            return await tell_document(connection, document_id, "desk", event)

        return await self.database.run(work)

    def engine(
        self,
        name: str = "worker-1",
        *,
        guarantee: Guarantee = Guarantee.SEARCH,
        settle_s: float = 0.05,
        slots: int = 50,
        lease_s: float = 5.0,
        total_timeout_s: float = 2.0,
        at: Callable[[str], None] = lambda _: None,
        limits: Limits | None = None,
        **options: Any,
    ) -> Engine:
        """An engine on this bench; times in seconds."""
        promise = ActionGuarantee(guarantee, settle_s)
        asked = {}
        if self.answers is not None:
            asked["planning"] = AnswerLink("planning", self.answers, total_timeout_s)
        world = World(
            deployment="bench",
            targets={
                "erp": Target(
                    "erp", self.connector.render, {"create_order": promise}, findable=True
                )
            },
            reads=lambda case, kinds: {},
            asked=frozenset(asked),
            limits=limits or Limits(look_backoff_s=0.02, send_backoff_s=0.02),
        )
        dispatch = Dispatch({(self.flow.name, self.flow.version): self.flow})
        advance = Advance(
            world=world,
            flows={self.flow.name: self.flow},
            lanes=Lanes({"erp": slots}, lane_names(["erp", *asked], [ENTITY, OTHER_ENTITY])),
            links={"erp": SystemLink("erp", self.connector, total_timeout_s)},
            recorder=self.recorder,
            lease_s=lease_s,
            reconcile_every_s=self.reconcile_every_s,
            know_releases=_no_releases,
            asked=asked,
        )
        upkeep = Upkeep(self.database, dispatch, name, every_s=0.2)
        return Engine(
            self.database,
            dispatch,
            advance,
            upkeep,
            EngineOptions(**options),
            at,
        )

    async def outcomes(self) -> Mapping[str, int]:
        """How many documents ended how; `None` has not ended."""
        rows = await self.database.fetch(
            "select coalesce(outcome, parked_code, 'open') as how, count(*) as many "
            "from quaestor.work group by 1"
        )
        return {row["how"]: row["many"] for row in rows}

    async def until_parked(self, code: str, *, seconds: float = 20.0) -> None:
        """Wait until some document is parked with this refusal, ended or not."""
        query = "select count(*) from quaestor.work where parked_code = $1"
        deadline = asyncio.get_running_loop().time() + seconds
        while not await self.database.fetchval(query, code):
            assert asyncio.get_running_loop().time() < deadline, f"nothing is parked as {code}"
            await asyncio.sleep(0.02)

    async def until(self, wanted: Mapping[str, int], *, seconds: float = 20.0) -> None:
        """Wait until the outcomes are these; fails with what they are."""
        deadline = asyncio.get_running_loop().time() + seconds
        while (found := await self.outcomes()) != wanted:
            assert asyncio.get_running_loop().time() < deadline, f"{found}, not {wanted}"
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(engine: Engine) -> Any:
    """The engine at work; stopped cleanly afterwards."""
    task = asyncio.create_task(engine.run())
    try:
        yield engine
    finally:
        engine.stop()
        await task


async def bench_on(
    database: TestDatabase, erp: FakeErp | None = None, connector: Submits | None = None
) -> Bench:
    """A bench on this test's database; with a `connector` that is asked instead of the fake."""
    owner = await database.connect()
    async with owner.connection() as connection:
        await establish_epoch(connection, accepted_by="tests")
    worker = await database.connect(role="quaestor_worker", max_size=12)
    return Bench(worker, erp or FakeErp(), connector)
