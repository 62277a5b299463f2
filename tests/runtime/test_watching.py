"""What operators watch: a worker's own hands, and the database in bounded looks."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client.core import Metric

from quaestor.bench.folder import ENTITY
from quaestor.bench.laying import lay_down
from quaestor.connectors.kit.contract import Transient
from quaestor.runtime import watching
from quaestor.runtime.watching import Watch
from tests.audit.builders import append_entries
from tests.support.database import TestDatabase
from tests.support.engine import FakeErp, bench_on, running

SECRET = "M00000"
# Roles of the database, which the manual names as well.
NO_METRICS = {"quaestor_worker", "quaestor_gateway", "quaestor_reader", "quaestor_eraser"}


def numbers(metrics: list[Metric], name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for metric in metrics
        for sample in metric.samples
        if sample.name == f"quaestor_{name}"
    }


async def test_the_way_of_documents_shows_in_the_metrics(database: TestDatabase) -> None:
    bench = await bench_on(database)
    engine = bench.engine()
    watch = Watch(engine, bench.database)
    async with running(engine):
        await bench.take_in(5)
        await bench.until({"ordered": 5})
        found = await watch()

    assert numbers(found, "call_seconds_count")["erp", "send", "applied"] == 5
    assert numbers(found, "ended_total") == {("ordered",): 5}
    assert numbers(found, "claim_documents_total")[()] >= 5
    assert numbers(found, "commit_documents_total") == {(): 5}
    assert numbers(found, "outcomes_committed_total") == {(): 5}
    assert numbers(found, "slots") == {("erp",): 50}
    assert numbers(found, "slots_taken") == {("erp",): 0}
    assert numbers(found, "circuit_open") == {("erp",): 0}
    assert numbers(found, "gate_open") == {(): 1}
    assert numbers(found, "workers") == {("seen",): 1, ("silent",): 0}
    assert numbers(found, "database_up") == {(): 1}
    assert numbers(found, "pool_connections_max") == {(): 12}


async def test_what_waits_shows_by_lane_and_by_refusal(database: TestDatabase) -> None:
    owner = await database.connect()
    async with owner.connection() as connection:
        await lay_down(connection, "a release", "due-", 3)
        await lay_down(connection, "a release", "parked-", 4, parked=True)
        await connection.execute(
            "update quaestor.work set parked_code = 'of_a_step', entity = 'acme-us'"
            " where document_id = (select max(document_id) from quaestor.work)"
        )
    bench = await bench_on(database)
    engine = bench.engine()
    engine.advance.lanes.names = (f"/{ENTITY}",)
    async with bench.database.transaction() as trail:
        await append_entries(trail, at=datetime(2031, 3, 1, tzinfo=UTC))

    found = await Watch(engine, bench.database)()

    assert numbers(found, "due") == {("", ENTITY): 3, ("", ""): 0}
    assert numbers(found, "due_oldest_seconds")["", ENTITY] > 0
    assert numbers(found, "parked") == {
        ("requester", "approval_expired"): 3,
        ("requester", "other"): 1,
    }
    assert numbers(found, "parked_oldest_seconds")[()] > 0
    assert numbers(found, "audit_unplaced") == {(): 1}
    assert numbers(found, "audit_outside_months") == {(): 1}
    assert numbers(found, "audit_leaves") == {(): 0}


async def test_a_system_in_trouble_shows(database: TestDatabase) -> None:
    class Down(FakeErp):
        async def submit(self, command: object, stored: bytes) -> object:  # type: ignore[override]
            raise Transient("refused")

    bench = await bench_on(database, Down())
    engine = bench.engine()
    watch = Watch(engine, bench.database)
    async with running(engine):
        await bench.take_in(1)
        async with asyncio.timeout(10):
            # What is waited for shows in the metrics alone.
            while not numbers(await watch(), "circuit_open")["erp",]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        found = await watch()

    assert numbers(found, "call_seconds_count")["erp", "send", "transient"] >= 1


async def test_the_database_is_asked_once_in_a_while(database: TestDatabase) -> None:
    bench = await bench_on(database)
    watch = Watch(bench.engine(), bench.database)
    first = await watch()
    owner = await database.connect()
    async with owner.connection() as connection:
        await lay_down(connection, "a release", "parked-", 4, parked=True)

    second, third = await asyncio.gather(watch(), watch())

    assert numbers(first, "parked") == numbers(second, "parked") == {}
    assert numbers(third, "parked") == {}


async def test_a_database_that_is_gone_is_told_and_the_rest_still_is(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database)
    watch = Watch(bench.engine(), bench.database)
    await bench.database.terminate()

    found = await watch()

    assert numbers(found, "database_up") == {(): 0}
    assert numbers(found, "slots") == {("erp",): 50}
    assert numbers(found, "parked") == {}


async def test_counts_end_at_their_limit(
    database: TestDatabase,
) -> None:
    owner = await database.connect()
    async with owner.connection() as connection:
        await lay_down(connection, "r", "parked-", watching.COUNTED_MAX + 20, parked=True)
    bench = await bench_on(database)

    found = await Watch(bench.engine(), bench.database)()

    assert numbers(found, "parked") == {("requester", "approval_expired"): watching.COUNTED_MAX + 1}


async def test_no_metric_holds_anything_of_a_document(database: TestDatabase) -> None:
    bench = await bench_on(database)
    engine = bench.engine()
    async with running(engine):
        await bench.take_in(1)
        await bench.until({"ordered": 1})
        found = await Watch(engine, bench.database)()

    labels = {
        value for metric in found for each in metric.samples for value in each.labels.values()
    }
    assert "erp" in labels
    assert not any(SECRET in label for label in labels)


async def test_the_manual_names_every_metric_and_no_other(database: TestDatabase) -> None:
    bench = await bench_on(database)
    engine = bench.engine()
    engine.meters.called("sap", "send", Transient("refused"), 0.1)
    engine.meters.answered("/v1/requisitions", "POST", 201, 0.1)
    engine.meters.saved(["ordered"])
    for timings in (engine.meters.claims, engine.meters.commits):
        timings.add(0.1)
    manual = (Path(__file__).parents[2] / "docs" / "production.md").read_text(encoding="utf-8")

    found = await Watch(engine, bench.database)()

    told = {metric.name + ("_total" if metric.type == "counter" else "") for metric in found}
    assert set(re.findall(r"`(quaestor_[a-z_]+)", manual)) - NO_METRICS == told
