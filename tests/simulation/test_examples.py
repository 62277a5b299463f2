"""What the simulation found, by name. Each seed fails again when the mistake is made again."""

from __future__ import annotations

import pytest

from quaestor.runtime import progress
from tests.simulation.invariants import broken
from tests.simulation.plan import plan_of
from tests.simulation.server import Server
from tests.simulation.world import Conduct

pytestmark = pytest.mark.slow

# A later version and the answer to the open send came into one transaction, and the version was
# put to the flow before the answer stood in its results: it was ordered beside what stood there.
CHANGED_AS_THE_ANSWER_CAME = 7


def test_a_change_that_comes_with_the_answer_is_no_second_order(simulations: Server) -> None:
    ended = simulations.run(plan_of(CHANGED_AS_THE_ANSWER_CAME), Conduct(again=False))

    assert broken(ended.books) == []


def test_the_same_seed_fails_where_events_go_before_answers(
    simulations: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_take_answer", lambda case: None)

    ended = simulations.run(plan_of(CHANGED_AS_THE_ANSWER_CAME), Conduct(again=False))

    found = broken(ended.books)
    assert [line for line in found if line.startswith("I13 ")]


# A change is taken in while a worker adopts the one before: each waited for the other's row, and
# nothing of real time, by which the server finds that out, had passed when their patience ended.
A_CHANGE_WHILE_ONE_IS_ADOPTED = 201


def test_a_cycle_of_locks_is_broken_before_anybody_has_waited_long(simulations: Server) -> None:
    ended = simulations.run(plan_of(A_CHANGE_WHILE_ONE_IS_ADOPTED), Conduct(again=False))

    assert broken(ended.books) == []


# A worker died so late that the run had come to its rest before the next one lived in its place.
AT_REST_BEFORE_THE_NEXT_WORKER = 2955


def test_a_run_waits_for_the_worker_that_comes_after_a_late_death(simulations: Server) -> None:
    ended = simulations.run(plan_of(AT_REST_BEFORE_THE_NEXT_WORKER), Conduct(again=False))

    assert ended.books.deaths > 0
    assert broken(ended.books) == []


# A parked document's events found three dying workers, and no claim took it any more: it kept the
# owner it had, whose retry and cancellation nobody read.
AN_EVENT_TO_A_PARKED_DOCUMENT_KILLS = 3963


def test_a_parked_document_that_three_workers_died_with_is_worked_on_again(
    simulations: Server,
) -> None:
    ended = simulations.run(plan_of(AN_EVENT_TO_A_PARKED_DOCUMENT_KILLS), Conduct(again=False))

    assert broken(ended.books) == []
