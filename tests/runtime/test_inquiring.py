"""Questions of a flow on a real database: asked outside of it, waited for, never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from quaestor.connectors.kit.contract import (
    Answer,
    NotKnown,
    Permanent,
    Question,
    Transient,
)
from quaestor.flows.kit.dossier import Answered, Dossier, Refused
from quaestor.flows.kit.effects import Inquire
from quaestor.flows.kit.flow import Flow, Stage
from quaestor.flows.kit.step import Done, Park, Step
from quaestor.model.event import Cancel, Event
from quaestor.model.refusal import refuse
from quaestor.runtime.inquiring import (
    AnswerLink,
    ask_at_once,
    asked_again,
    next_question,
    outcome_of,
)
from quaestor.runtime.intent import Limits, ParkSend, WaitUntil
from quaestor.runtime.state import Asking
from quaestor.store.guard import in_transaction
from tests.support.database import TestDatabase
from tests.support.engine import Bench, Memo, bench_on, running

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
LIMITS = Limits(failures_max=3, send_backoff_s=2.0, send_backoff_max_s=300.0)
ASKING = Asking("planning", "budget_balance", {"cost_center": "it-de"}, NOW)


class FakePlanning:
    """Answers every question with a budget; `before` may wait or raise."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.before: Callable[[], Awaitable[None]] | None = None

    async def answer(self, question: Question) -> Answer:
        self.asked.append(question)
        if self.before is not None:
            await self.before()
        return Answer({"budget": "1000.00"}, NOW)


def _beginning(dossier: Dossier) -> Step:
    questions = tuple(
        Inquire(name, "planning", "budget_balance", {"cost_center": name})
        for name in ("it-de", "sales-de")
    )
    return Step(questions, "reading")


def _reading(dossier: Dossier) -> Step:
    for name in ("it-de", "sales-de"):
        match dossier.results.get(name):
            case Answered(value) if value["budget"] == "1000.00":
                continue
            case Refused(refusal):
                return Step((), Park(refusal.owner, refusal, resume="beginning"))
            case _:
                return Step((), Done("unanswered"))
    return Step((), Done("answered"))


def _interrupted(dossier: Dossier, event: Event) -> Step | None:
    return Step((), Done("cancelled")) if isinstance(event, Cancel) else None


ASKING_FLOW = Flow(
    name="memo_to_answer",
    version=1,
    document_type="memo",
    body=Memo,
    first="beginning",
    stages={"beginning": Stage(_beginning), "reading": Stage(_reading)},
    interrupted=_interrupted,
)


async def _bench(database: TestDatabase, planning: FakePlanning) -> Bench:
    bench = await bench_on(database)
    bench.flow, bench.answers = ASKING_FLOW, planning
    return bench


async def test_every_question_of_a_step_is_answered_before_the_next_stage(
    database: TestDatabase,
) -> None:
    planning = FakePlanning()
    bench = await _bench(database, planning)
    await bench.take_in(20)

    async with running(bench.engine()):
        await bench.until({"answered": 20})

    assert len(planning.asked) == 40
    assert {question.entity for question in planning.asked} == {"acme-de"}
    noted = await bench.database.fetchval(
        "select count(*) from quaestor.audit where convert_from(canonical, 'UTF8') like "
        '\'%"effect":"inquire"%"outcome":"answered"%\''
    )
    assert noted == 40


async def test_no_transaction_is_open_while_a_system_is_asked(database: TestDatabase) -> None:
    planning = FakePlanning()
    bench = await _bench(database, planning)
    seen: list[bool] = []

    async def look() -> None:
        seen.append(in_transaction())

    planning.before = look
    await bench.take_in(1)

    async with running(bench.engine()):
        await bench.until({"answered": 1})

    assert seen == [False, False]


async def test_documents_wait_uncounted_while_planning_is_down(database: TestDatabase) -> None:
    planning = FakePlanning()
    bench = await _bench(database, planning)

    async def down() -> None:
        raise Transient("no connection")

    planning.before = down
    await bench.take_in(10)
    limits = Limits(failures_max=2, send_backoff_s=0.02)

    async with running(bench.engine(limits=limits)) as engine:
        circuit = engine.advance.lanes.circuit("planning")
        while circuit.failures < 4:
            assert await bench.outcomes() == {"open": 10}
            await asyncio.sleep(0.02)
        planning.before = None
        await bench.until({"answered": 10})


async def test_answers_that_say_nothing_are_counted_and_end_by_name(
    database: TestDatabase,
) -> None:
    planning = FakePlanning()
    bench = await _bench(database, planning)

    async def mumble() -> None:
        raise Transient("as_of lies in the future", code="check_unknown", system=False)

    planning.before = mumble
    await bench.take_in(1)

    async with running(bench.engine(limits=Limits(failures_max=3, send_backoff_s=0.02))):
        await bench.until({"check_unknown": 1})

    # The second question is asked as well: a person sees all that is wrong at once.
    assert len(planning.asked) == 6


async def test_what_the_system_refuses_is_refused_by_name(database: TestDatabase) -> None:
    planning = FakePlanning()
    bench = await _bench(database, planning)

    async def refused() -> None:
        raise Permanent("planning has no such budget", refuse("budget_not_found"))

    planning.before = refused
    await bench.take_in(1)

    async with running(bench.engine()):
        await bench.until({"budget_not_found": 1})

    assert len(planning.asked) == 2


async def test_a_question_is_asked_again_after_its_worker_died(database: TestDatabase) -> None:
    planning = FakePlanning()
    bench = await _bench(database, planning)
    asked = asyncio.Event()

    async def hang() -> None:
        asked.set()
        await asyncio.Event().wait()

    planning.before = hang
    await bench.take_in(1)
    dying = asyncio.create_task(bench.engine("dying", lease_s=1.0, total_timeout_s=0.3).run())
    await asyncio.wait_for(asked.wait(), 10)
    dying.cancel()
    with suppress(asyncio.CancelledError):
        await dying
    planning.before = None

    async with running(bench.engine("other", lease_s=1.0, total_timeout_s=0.3)):
        await bench.until({"answered": 1})

    names = [question.facts["cost_center"] for question in planning.asked]
    assert names == ["it-de", "it-de", "sales-de"]


async def test_a_cancellation_while_a_system_is_asked_takes_effect(database: TestDatabase) -> None:
    planning = FakePlanning()
    bench = await _bench(database, planning)
    asked, goes_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        asked.set()
        await goes_on.wait()

    planning.before = wait
    (document_id,) = await bench.take_in(1)

    async with running(bench.engine()):
        await asyncio.wait_for(asked.wait(), 10)
        await bench.tell(document_id, Cancel("c1", NOW, "system:desk"))
        goes_on.set()
        await bench.until({"cancelled": 1})

    assert len(planning.asked) == 1


async def test_a_system_that_nobody_can_ask_stands_with_the_operator(
    database: TestDatabase,
) -> None:
    bench = await bench_on(database)
    bench.flow = ASKING_FLOW
    await bench.take_in(1)

    async with running(bench.engine()):
        await bench.until({"question_unanswerable": 1})

    assert await bench.database.fetchval("select parked_owner from quaestor.work") == "operator"


async def test_who_waits_is_told_at_once_that_a_system_is_in_trouble() -> None:
    planning = FakePlanning()

    async def hang() -> None:
        await asyncio.Event().wait()

    planning.before = hang
    link = AnswerLink("planning", planning, 1.0)
    question = Question("budget_balance", "acme-de")

    first = await ask_at_once(link, question, 0.05)
    second = await ask_at_once(link, question, 0.05)
    link.circuit.probe_at = 0.0
    planning.before = None
    third = await ask_at_once(link, question, 0.05)

    assert isinstance(first, Transient)
    assert isinstance(second, Transient)
    assert isinstance(third, Answer)
    assert len(planning.asked) == 2
    assert not link.circuit.open


# what was heard; failures afterwards and seconds until it is asked again, or the code it ends with.
HEARD = [
    ("no connection", Transient("no connection"), (0, 2.0)),
    ("asked to wait", Transient("busy", retry_after_s=7.0), (0, 7.0)),
    ("our own lateness", Transient("late", code="deadline_passed", system=False), (0, 0.0)),
    ("an answer without a fact", Transient("no age", system=False), (1, 2.0)),
]


@pytest.mark.parametrize(
    ("heard", "goes_on"), [row[1:] for row in HEARD], ids=[r[0] for r in HEARD]
)
def test_what_is_not_known_is_asked_again(heard: NotKnown, goes_on: tuple[int, float]) -> None:
    found = outcome_of(ASKING, heard, NOW, LIMITS)

    assert isinstance(found, Asking)
    assert found.not_before is not None
    assert (found.failures, (found.not_before - NOW).total_seconds()) == goes_on


def test_the_last_answer_without_a_fact_ends_the_question_by_name() -> None:
    tried = msgspec.structs.replace(ASKING, failures=2)

    found = outcome_of(tried, Transient("no age", system=False), NOW, LIMITS)

    assert isinstance(found, Refused)
    assert found.refusal.code == "check_unknown"


def test_a_question_is_not_waited_for_longer_than_a_lane_allows() -> None:
    later = NOW + timedelta(seconds=LIMITS.unresolved_max_s + 1)
    asking = {"a": msgspec.structs.replace(ASKING, not_before=later + timedelta(hours=1))}

    waited = next_question(asking, "acme-de", later, LIMITS, {"planning"})
    again = next_question(asked_again(asking, later), "acme-de", later, LIMITS, {"planning"})

    assert isinstance(waited, ParkSend)
    assert waited.refusal.code == "lane_wait_exceeded"
    assert not isinstance(again, ParkSend | WaitUntil)
