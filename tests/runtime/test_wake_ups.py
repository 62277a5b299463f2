"""An event that arrives while its document is in hand is never slept through (DESIGN D1)."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

import pytest

from quaestor.connectors.kit.contract import Command
from quaestor.flows.kit.dossier import Dossier
from quaestor.flows.kit.effects import Send
from quaestor.flows.kit.flow import Flow, Stage
from quaestor.flows.kit.step import Await, Done, Step
from quaestor.model.event import Event, Woken
from quaestor.runtime.posting_key import posting_key
from quaestor.store import StorageUnavailable
from tests.support.database import TestDatabase
from tests.support.engine import FakeErp, Memo, bench_on, running

RACES = 10_000
AT = datetime(2026, 11, 2, tzinfo=UTC)


def _sending(dossier: Dossier) -> Step:
    return Step((Send("order", "erp", "create_order", "group"),), "answered")


def _answered(dossier: Dossier) -> Step:
    return Step((), Await(("Woken",), then="woken"))


def _woken(dossier: Dossier) -> Step:
    return Step((), Done("woken"), consumes=dossier.events)


def _not_interrupted(dossier: Dossier, event: Event) -> Step | None:
    return None


WAITING_FLOW = Flow(
    name="memo_waits",
    version=1,
    document_type="memo",
    body=Memo,
    first="sending",
    stages={"sending": Stage(_sending), "answered": Stage(_answered), "woken": Stage(_woken)},
    interrupted=_not_interrupted,
)


def _key_of(number: int) -> str:
    return posting_key(
        deployment="bench",
        system="erp",
        company_code="",
        source_system="desk",
        source_id=f"M{number:05}",
        order_group="group",
        action="create_order",
        generation=1,
    )


@pytest.mark.slow
@pytest.mark.serial
async def test_no_wake_up_is_lost_in_ten_thousand_races(database: TestDatabase) -> None:
    chance = random.Random(3)
    erp = FakeErp()
    bench = await bench_on(database, erp)
    bench.flow = WAITING_FLOW
    documents = await bench.take_in(RACES)
    by_key = {_key_of(number): document for number, document in enumerate(documents)}
    told: set[asyncio.Task[bool]] = set()

    async def wake(document: int) -> bool:
        # Around the moment at which the outcome of the send is committed.
        await asyncio.sleep(chance.uniform(0.0, 0.03))
        event = Woken(f"w{document}", AT, "system:desk")
        certain = True
        while True:
            try:
                return await bench.tell(document, event) or not certain
            except StorageUnavailable:
                # On a machine that is held up no connection came in time: a desk tells it again.
                # Perhaps it was heard, and only the acknowledgement is missing.
                certain = False
                await asyncio.sleep(0.1)

    async def tell_meanwhile(command: Command) -> None:
        told.add(asyncio.create_task(wake(by_key[command.key])))

    erp.after = tell_meanwhile

    async with running(bench.engine(slots=20)):
        await bench.until({"woken": RACES}, seconds=900)

    assert len(told) == RACES
    assert all(await asyncio.gather(*told))
