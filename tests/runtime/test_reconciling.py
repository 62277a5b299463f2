"""Where an installation's settle time is wrong, the second document is found (DESIGN D3)."""

from __future__ import annotations

from quaestor.connectors.kit.contract import Ambiguous, Command
from tests.support.database import TestDatabase
from tests.support.engine import FakeErp, bench_on, running


async def test_a_document_that_commits_after_settling_is_raised_with_both_numbers(
    database: TestDatabase,
) -> None:
    erp = FakeErp()
    tries: list[str] = []

    async def vanish_first(command: Command) -> None:
        tries.append(command.key)
        if len(tries) == 1:
            raise Ambiguous("no answer in time")

    erp.before = vanish_first
    bench = await bench_on(database, erp)
    bench.reconcile_every_s = 1.0
    await bench.take_in(1)

    async with running(bench.engine()):
        await bench.until({"ordered": 1})
        # The first send commits after all, long after it should have settled.
        erp.orders[tries[0]].append("4599999999")
        await bench.until_parked("erp_duplicate")

    (parked,) = await bench.database.fetch("select parked from quaestor.work")
    assert len(tries) == 2
    assert b"4500000000" in parked["parked"]
    assert b"4599999999" in parked["parked"]
