"""What upkeep sets aside: a document that three workers died with (DESIGN D5)."""

from __future__ import annotations

from datetime import UTC, datetime

from quaestor.connectors.kit.contract import Command, Permanent
from quaestor.model.event import Retry
from quaestor.model.refusal import refuse
from quaestor.runtime.upkeep import DEATHS_MAX
from tests.support.database import TestDatabase
from tests.support.engine import FakeErp, bench_on, running

TIME = datetime(2026, 11, 2, tzinfo=UTC)


async def test_a_parked_document_whose_events_kill_gets_an_owner_who_can_have_it_tried_again(
    database: TestDatabase,
) -> None:
    erp = FakeErp()

    async def refuse_it(command: Command) -> None:
        raise Permanent("closed", refuse("connector_refused", system="erp", why="closed"))

    erp.before = refuse_it
    bench = await bench_on(database, erp)
    (document,) = await bench.take_in(1)
    async with running(bench.engine()):
        await bench.until_parked("connector_refused")
    engine = bench.engine()
    await bench.tell(document, Retry("deadly", TIME, "system:desk"))
    await engine.upkeep.begin(engine.advance.gate)
    for _ in range(DEATHS_MAX):
        await engine.upkeep.suspect([document])
    await engine.upkeep.end()
    erp.before = None

    async with running(engine):
        await bench.until_parked("document_kills_worker")
        (parked,) = await bench.database.fetch("select parked_owner, deaths from quaestor.work")
        await bench.tell(document, Retry("again", TIME, "system:desk"))
        await bench.until({"ordered": 1})

    assert (parked["parked_owner"], parked["deaths"]) == ("operator", 0)
    assert erp.doubles == 0
