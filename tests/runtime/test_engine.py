"""The engine on real PostgreSQL: claims, calls, outcomes, wake-ups."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from quaestor.connectors.kit.contract import Ambiguous, Command, Transient
from quaestor.flows.kit.dossier import Dossier
from quaestor.flows.kit.effects import Send
from quaestor.flows.kit.flow import Stage
from quaestor.flows.kit.step import Await, Done, Step
from quaestor.model.event import Cancel, Decided
from quaestor.runtime.dispatch import Claimed, Dispatch
from tests.support.database import TestDatabase
from tests.support.engine import MEMO_FLOW, OTHER_ENTITY, FakeErp, bench_on, running

LOOKS = 5


@dataclass(frozen=True)
class Watched(Dispatch):
    """Counts what is asked of it; `looked` is set after so many looks."""

    asked: Counter[str] = field(default_factory=Counter)
    looked: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def looks(self) -> int:
        return self.asked["is_any_due"]

    @property
    def claims(self) -> int:
        return self.asked["claim"]

    async def is_any_due(self, *given: Any, **more: Any) -> bool:
        self.asked["is_any_due"] += 1
        if self.looks >= LOOKS:
            self.looked.set()
        return await super().is_any_due(*given, **more)

    async def claim(self, *given: Any, **more: Any) -> list[Claimed]:
        self.asked["claim"] += 1
        return await super().claim(*given, **more)


async def test_every_document_becomes_exactly_one_order(database: TestDatabase) -> None:
    bench = await bench_on(database)
    await bench.take_in(300)

    async with running(bench.engine()):
        await bench.until({"ordered": 300})

    assert len(bench.erp.orders) == 300
    assert bench.erp.doubles == 0


async def test_a_lost_answer_is_found_and_never_sent_again(database: TestDatabase) -> None:
    async def lose(_: Command) -> None:
        raise Ambiguous("the connection was reset")

    erp = FakeErp()
    erp.after = lose
    bench = await bench_on(database, erp)
    await bench.take_in(20)

    async with running(bench.engine()):
        await bench.until({"ordered": 20})

    assert (erp.sends, erp.doubles) == (20, 0)


async def test_a_system_in_trouble_makes_documents_wait_uncounted(database: TestDatabase) -> None:
    tries = []

    async def refuse_first(command: Command) -> None:
        tries.append(command.key)
        if len(tries) <= 3:
            raise Transient("no connection")

    erp = FakeErp()
    erp.before = refuse_first
    bench = await bench_on(database, erp)
    await bench.take_in(5)

    async with running(bench.engine(slots=1)):
        await bench.until({"ordered": 5})

    assert erp.doubles == 0


async def test_a_worker_with_nothing_to_do_looks_and_claims_nothing(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database)
    engine = bench.engine(idle_max_s=0.01)
    engine.dispatch = watched = Watched(engine.dispatch.flows)

    async with running(engine):
        await asyncio.wait_for(watched.looked.wait(), 10)

    assert (watched.looks >= LOOKS, watched.claims) == (True, 0)


async def test_an_entity_does_not_wait_behind_the_flood_of_another(database: TestDatabase) -> None:
    sent: list[str] = []

    async def note(command: Command) -> None:
        sent.append(command.entity)

    erp = FakeErp()
    erp.before = note
    bench = await bench_on(database, erp)
    await bench.take_in(600)
    await bench.take_in(5, prefix="B", entity=OTHER_ENTITY)

    async with running(bench.engine(slots=10)):
        await bench.until({"ordered": 605})

    last = max(place for place, entity in enumerate(sent) if entity == OTHER_ENTITY)
    assert last < 200


async def test_calls_that_a_system_is_slow_to_answer_do_not_stop_the_claims(
    database: TestDatabase,
) -> None:
    erp, all_there = FakeErp(), asyncio.Event()

    async def slow(_: Command) -> None:
        if erp.at_once == 6:
            all_there.set()
        await all_there.wait()

    erp.before = slow
    bench = await bench_on(database, erp)
    await bench.take_in(20)

    async with running(bench.engine(slots=6, unrecorded_max=2)):
        await bench.until({"ordered": 20})

    assert (erp.at_once_max, erp.sends, erp.doubles) == (6, 20, 0)


async def test_what_waits_for_a_slot_is_not_overtaken(database: TestDatabase) -> None:
    sent: list[str] = []

    async def note(command: Command) -> None:
        sent.append(command.key)
        # As long as a system takes to answer.
        await bench.database.fetchval("select pg_sleep(0.005)")

    erp = FakeErp()
    erp.before = note
    bench = await bench_on(database, erp)
    await bench.take_in(300)

    async with running(bench.engine(slots=4, batch_max=20)):
        await bench.until({"ordered": 300})

    rows = await bench.database.fetch("select key from quaestor.intent order by document_id")
    turn = {row["key"]: place for place, row in enumerate(rows)}
    assert max(abs(place - turn[key]) for place, key in enumerate(sent)) <= 8


async def test_a_document_of_an_unknown_entity_is_taken_all_the_same(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database)
    await bench.take_in(3, entity="sold-long-ago")

    async with running(bench.engine()):
        await bench.until({"ordered": 3})

    assert len(bench.erp.orders) == 3


async def test_a_cancellation_in_doubt_leaves_what_was_applied(database: TestDatabase) -> None:
    async def lose(_: Command) -> None:
        raise Ambiguous("the connection was reset")

    erp = FakeErp()
    erp.after = lose
    bench = await bench_on(database, erp)
    (document_id,) = await bench.take_in(1)
    at = datetime(2026, 11, 2, tzinfo=UTC)

    async with running(bench.engine(settle_s=1.0)):
        while not erp.orders:
            await bench.database.fetchval("select pg_sleep(0.01)")
        await bench.tell(document_id, Cancel("c1", at, "system:desk"))
        await bench.until({"ordered_though_cancelled": 1})

    assert (erp.sends, erp.doubles) == (1, 0)


def _until_decided(dossier: Dossier) -> Step:
    far = dossier.now + timedelta(days=30)
    return Step((), Await(("Decided",), then="sending", until=far, on_timeout="expired"))


def _then_send(dossier: Dossier) -> Step:
    send = Send("order", "erp", "create_order", "group")
    return Step((send,), "answered", consumes=dossier.events)


PATIENT_FLOW = replace(
    MEMO_FLOW,
    first="asking",
    stages={
        **MEMO_FLOW.stages,
        "asking": Stage(_until_decided),
        "sending": Stage(_then_send),
        "expired": Stage(lambda dossier: Step((), Done("expired"))),
    },
)


async def test_a_decision_that_meets_a_full_lane_is_not_slept_through(
    database: TestDatabase,
) -> None:
    """The simulation found it: the approved stayed due when the approval would have expired."""
    erp = FakeErp()
    bench = await bench_on(database, erp)
    bench.flow = PATIENT_FLOW

    async def until_both(condition: str) -> None:
        many = f"select count(*) from quaestor.work where {condition}"
        while await bench.database.fetchval(many) < 2:
            await bench.database.fetchval("select pg_sleep(0.01)")

    async def hold(_: Command) -> None:
        await until_both("woken = 1 and woken_seen = 1")

    erp.before = hold
    documents = await bench.take_in(2)
    at = datetime(2026, 11, 2, tzinfo=UTC)

    async with running(bench.engine(slots=1, lease_s=20.0, total_timeout_s=15.0)):
        await until_both("due_at > quaestor.clock() + interval '1 day'")
        for document in documents:
            await bench.tell(document, Decided(f"d{document}", at, "system:desk"))
        await bench.until({"ordered": 2})

    assert erp.sends == 2
