"""What a person can do to a document, and how he finds it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from quaestor.actions.cancel import cancel
from quaestor.actions.finding import (
    DocumentAmbiguous,
    DocumentRef,
    DocumentUnknown,
    find_document,
)
from quaestor.actions.retry import NothingParked, retry
from quaestor.audit.subjects import Subjects
from quaestor.connectors.kit.contract import Command, Permanent
from quaestor.model.refusal import refuse
from quaestor.runtime.recording import Recorder
from quaestor.runtime.worklist import read_worklist
from quaestor.store import Connection
from tests.support.database import TestDatabase
from tests.support.engine import Bench, FakeErp, bench_on, running

T = TypeVar("T")


async def inside(bench: Bench, work: Callable[[Connection], Awaitable[T]]) -> T:
    return await bench.database.run(work)


async def found(bench: Bench, asked: str) -> DocumentRef:
    return await inside(bench, lambda connection: find_document(connection, asked))


class ErpInNeed(FakeErp):
    """Refuses to post until somebody has put something right."""

    def __init__(self) -> None:
        super().__init__()
        self.is_right = False
        self.before = self._refuse

    async def _refuse(self, _: Command) -> None:
        if not self.is_right:
            why = refuse("crosswalk_missing", system="erp", kind="supplier", code="helio-systems")
            raise Permanent("no code", why)


async def parked_bench(database: TestDatabase) -> tuple[Bench, ErpInNeed]:
    erp = ErpInNeed()
    bench = await bench_on(database, erp)
    bench.recorder = Recorder(Subjects(bytes(range(32))))
    await bench.take_in(1)
    async with running(bench.engine()):
        await bench.until({"crosswalk_missing": 1})
    return bench, erp


async def test_a_document_is_found_by_every_number_that_leads_to_it(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database)
    (document_id,) = await bench.take_in(1)
    async with running(bench.engine()):
        await bench.until({"ordered": 1})
    order = next(iter(bench.erp.orders.values()))[0]
    correlation_id = (await found(bench, str(document_id))).correlation_id

    by_number = [await found(bench, asked) for asked in ("M00000", order, correlation_id)]

    assert {each.id for each in by_number} == {document_id}
    assert by_number[0].outcome == "ordered"


async def test_a_number_that_leads_nowhere_is_refused(database: TestDatabase) -> None:
    bench = await bench_on(database)

    with pytest.raises(DocumentUnknown):
        await found(bench, "no-such-number")


async def test_a_number_of_several_documents_is_not_guessed_at(database: TestDatabase) -> None:
    bench = await bench_on(database)
    first, second = await bench.take_in(2)
    async with bench.database.transaction() as connection:
        await connection.execute("update quaestor.document set number = 'shared'")

    with pytest.raises(DocumentAmbiguous) as refused:
        await found(bench, "shared")

    assert [each.id for each in refused.value.found] == [first, second]
    assert (await found(bench, str(second))).id == second


async def test_a_cancellation_is_asked_once_and_carried_out(database: TestDatabase) -> None:
    bench, erp = await parked_bench(database)
    document = await found(bench, "M00000")

    async def ask(connection: Connection) -> bool:
        done = await cancel(connection, document, by="ana.berger", reason="no", request_id="r1")
        return done.is_new

    told = [await inside(bench, ask), await inside(bench, ask)]
    async with running(bench.engine()):
        await bench.until({"cancelled": 1})

    assert told == [True, False]
    assert erp.orders == {}


async def test_a_retry_takes_up_what_is_parked(database: TestDatabase) -> None:
    bench, erp = await parked_bench(database)
    document = await found(bench, "M00000")
    erp.is_right = True

    await inside(
        bench, lambda connection: retry(connection, document, by="carla.lindt", request_id="r1")
    )
    async with running(bench.engine()):
        await bench.until({"ordered": 1})

    assert erp.doubles == 0


async def test_what_is_not_parked_is_not_retried(database: TestDatabase) -> None:
    bench = await bench_on(database)
    await bench.take_in(1)
    document = await found(bench, "M00000")

    with pytest.raises(NothingParked):
        await inside(bench, lambda connection: retry(connection, document, by="x", request_id="r1"))


async def test_the_worklist_says_who_has_to_act_on_what_and_why(database: TestDatabase) -> None:
    bench, _ = await parked_bench(database)

    async def read(connection: Connection) -> list[object]:
        return [
            *await read_worklist(connection),
            *await read_worklist(connection, owner="operator"),
            *await read_worklist(connection, entity="acme-us"),
        ]

    (item,) = await inside(bench, read)

    assert (item.owner, item.refusal, item.number) == ("finance", "crosswalk_missing", "M00000")
    assert item.details == {"system": "erp", "kind": "supplier", "code": "helio-systems"}
    assert item.ways_out == ("retry", "cancel")
    assert item.meaning
    assert item.age_s >= 0


async def test_what_is_ordered_waits_for_nobody(database: TestDatabase) -> None:
    bench = await bench_on(database)
    await bench.take_in(1)
    async with running(bench.engine()):
        await bench.until({"ordered": 1})

    items = await inside(bench, read_worklist)

    assert items == []
