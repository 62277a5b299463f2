"""Budgets that planning states: while typing, at the door, in the flow, and in the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quaestor.connectors.kit.contract import Answer, Permanent, Question, Transient
from quaestor.gateway.services import GatewayLimits, Services
from quaestor.model.refusal import refuse
from quaestor.project.load import load_project
from quaestor.runtime.inquiring import AnswerLink
from tests.project.folders import a_copy, change
from tests.support.database import TestDatabase
from tests.support.gateway import Gateway, a_body, a_reservation, gateway_on, until, worker_on

PLANNING = """
[systems.planning]
connector = "planning"
base_url = "http://127.0.0.1:9"
total_timeout_s = 2

[systems.planning.auth]
token = "file:planning-token"
"""
BALANCE = "select * from quaestor.budget_balance where node = $1"
PARKED = "select parked_code from quaestor.work where document_id = $1"
HELD = "select exists (select from quaestor.budget_balance where node = $1 and pre = $2)"


class FakePlanning:
    """States one budget for everything; `age_s` old; `trouble` is raised instead."""

    def __init__(self, budget: str = "1000000.00") -> None:
        self.budget = budget
        self.age_s = 0.0
        self.trouble: Exception | None = None
        self.hangs = False
        self.asked: list[Question] = []

    async def answer(self, question: Question) -> Answer:
        self.asked.append(question)
        if self.hangs:
            await asyncio.Event().wait()
        if self.trouble is not None:
            raise self.trouble
        value = {"mode": "gross", "currency": "EUR", "budget": self.budget}
        return Answer(value, datetime.now(UTC) - timedelta(seconds=self.age_s))


@asynccontextmanager
async def planned(
    database: TestDatabase, folder: Path, planning: FakePlanning, *, deadline_s: float = 2.0
) -> AsyncIterator[Gateway]:
    """A gateway of the example whose budgets this planning system states; files give none."""
    project = a_copy(folder)
    change(project, "quaestor.toml", "", PLANNING)
    (project / "planning-token").write_text("test-only", encoding="utf-8")
    (project / "planning-token").chmod(0o600)
    change(
        project, "policies/budget.yaml", "by_account: false", "by_account: false\nsource: planning"
    )
    change(project, "policies/budget.yaml", "    amount: 5000000.00\n", "")

    def ask_fake(services: Services) -> Services:
        return replace(services, asked={"planning": AnswerLink("planning", planning, 2.0)})

    limits = GatewayLimits(validation_deadline_s=deadline_s)
    loaded = load_project(project)
    async with gateway_on(database, project=loaded, limits=limits, change=ask_fake) as gateway:
        yield gateway


def next_may_ask(gateway: Gateway) -> None:
    """The pause after a question that found planning in trouble is over."""
    gateway.services.asked["planning"].circuit.probe_at = 0.0


def node() -> str:
    return f"acme-de/{datetime.now(UTC).year}/it-de"


async def _checked(gateway: Gateway) -> dict[str, Any]:
    said = await gateway.ask("POST", "/v1/validations", a_body(), key=None)
    (budget,) = [each for each in said.json["checks"] if each["check"] == "budget"]
    return {"verdict": said.json["verdict"], **{k: budget[k] for k in ("code", "age_s")}}


async def test_while_typing_planning_itself_says_what_may_be_spent(
    database: TestDatabase, tmp_path: Path
) -> None:
    planning = FakePlanning()
    async with planned(database, tmp_path, planning) as gateway:
        enough = await _checked(gateway)
        planning.budget, planning.age_s = "3599.99", 60.9
        short = await _checked(gateway)

    assert enough == {"verdict": "pass", "code": None, "age_s": 0}
    assert short == {"verdict": "refuse", "code": "budget_exceeded", "age_s": 60}
    assert planning.asked[0].facts["cost_center"] == "it-de"


async def test_what_planning_does_not_state_never_passes(
    database: TestDatabase, tmp_path: Path
) -> None:
    planning = FakePlanning()
    async with planned(database, tmp_path, planning, deadline_s=0.5) as gateway:
        planning.age_s = 901
        old = await _checked(gateway)
        planning.age_s, planning.trouble = 0, Transient("no connection")
        down = await _checked(gateway)
        next_may_ask(gateway)
        planning.trouble = Permanent("no such budget", refuse("budget_not_found"))
        nowhere = await _checked(gateway)
        planning.hangs = True
        began = asyncio.get_running_loop().time()
        silent = await _checked(gateway)
        took_s = asyncio.get_running_loop().time() - began

    unknown = {"verdict": "unknown", "code": "budget_unknown", "age_s": None}
    assert (old, down, silent) == (unknown, unknown, unknown)
    assert (nowhere["verdict"], nowhere["code"]) == ("refuse", "budget_not_found")
    assert took_s < 2.0


async def test_what_is_unknown_is_not_taken_in_and_its_key_is_free(
    database: TestDatabase, tmp_path: Path
) -> None:
    planning = FakePlanning()
    planning.trouble = Transient("no connection")
    async with planned(database, tmp_path, planning) as gateway:
        refused = await gateway.ask("POST", "/v1/requisitions", a_body(), key="one")
        unheld = await gateway.ask("POST", "/v1/budget/reservations", a_reservation(), key="two")
        planning.trouble = None
        next_may_ask(gateway)
        taken = await gateway.ask("POST", "/v1/requisitions", a_body(), key="one")
        held = await gateway.ask("POST", "/v1/budget/reservations", a_reservation(), key="two")

    assert (refused.code, unheld.code) == ((503, "budget_unknown"), (503, "budget_unknown"))
    assert (taken.status, held.status) == (201, 201)


async def test_a_caller_of_another_entity_has_nobody_asked(
    database: TestDatabase, tmp_path: Path
) -> None:
    planning = FakePlanning()
    async with planned(database, tmp_path, planning) as gateway:
        foreign = gateway.token(entities=("acme-us",))

        said = await gateway.ask("POST", "/v1/requisitions", a_body(), token=foreign)

    assert (said.status, planning.asked) == (404, [])


async def test_the_flow_loads_what_planning_states_and_holds_the_lines_against_it(
    database: TestDatabase, tmp_path: Path
) -> None:
    planning = FakePlanning("1000000.00")
    async with (
        planned(database, tmp_path, planning) as gateway,
        worker_on(database, gateway) as worker,
    ):
        await gateway.ask("POST", "/v1/requisitions", a_body())
        await until(worker, HELD, node(), Decimal("3600.00"))
        planning.budget = "900000.00"
        await gateway.ask("POST", "/v1/requisitions", a_body("R-2"))
        await until(worker, HELD, node(), Decimal("7200.00"))
        balance = await worker.fetchrow(BALANCE, node())
        entries = await worker.fetch(
            "select kind, effect, budget, as_of from quaestor.budget_entry "
            "where node = $1 and kind = 'load' order by id",
            node(),
        )
        total = await worker.fetchval(
            "select sum(budget) from quaestor.budget_entry where node = $1", node()
        )

    assert balance is not None
    assert (balance["budget"], total) == (Decimal("900000.00"), Decimal("900000.00"))
    assert balance["budget_as_of"] == entries[-1]["as_of"]
    assert [(each["effect"], each["budget"]) for each in entries] == [
        ("source:planning", Decimal("1000000.00")),
        ("source:planning", Decimal("-100000.00")),
    ]


async def test_a_budget_cut_under_what_is_held_is_a_named_exception(
    database: TestDatabase, tmp_path: Path
) -> None:
    planning = FakePlanning()
    async with (
        planned(database, tmp_path, planning) as gateway,
        worker_on(database, gateway) as worker,
    ):
        await gateway.ask("POST", "/v1/requisitions", a_body())
        await until(worker, HELD, node(), Decimal("3600.00"))
        typed = await gateway.ask("POST", "/v1/requisitions", a_body("R-2"))
        planning.budget = "3599.99"
        cut = await gateway.ask("POST", "/v1/requisitions", a_body("R-3"))
        budget = await worker.fetchval(
            "select budget from quaestor.budget_balance where node = $1", node()
        )

    assert typed.status == 201
    assert cut.code == (422, "budget_below_commitments")
    assert budget == Decimal("1000000.00")


async def test_documents_wait_for_planning_and_are_not_parked(
    database: TestDatabase, tmp_path: Path
) -> None:
    planning = FakePlanning()
    async with planned(database, tmp_path, planning) as gateway:
        taken = await gateway.ask("POST", "/v1/requisitions", a_body())
        asked = len(planning.asked)
        planning.trouble = Transient("no connection")
        async with worker_on(database, gateway) as worker:
            async with asyncio.timeout(20):
                while len(planning.asked) < asked + 2:  # noqa: ASYNC110 - others ask it
                    await asyncio.sleep(0.02)
            parked = await worker.fetchval(PARKED, taken.json["id"])
            planning.trouble = None
            await until(worker, HELD, node(), Decimal("3600.00"))

    assert parked is None


@pytest.mark.parametrize("amount", ["100.00", "1000000.00"])
async def test_a_reservation_is_held_against_what_planning_states(
    database: TestDatabase, tmp_path: Path, amount: str
) -> None:
    async with planned(database, tmp_path, FakePlanning()) as gateway:
        held = await gateway.ask("POST", "/v1/budget/reservations", a_reservation(amount=amount))
        more = await gateway.ask(
            "POST", "/v1/budget/reservations", a_reservation("B-2", "999999.99")
        )

    assert held.status == 201
    assert more.code == (422, "budget_exceeded")


async def test_of_many_at_once_exactly_as_many_are_held_as_planning_states(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with planned(database, tmp_path, FakePlanning("1050.00")) as gateway:
        asked = (
            gateway.ask("POST", "/v1/budget/reservations", a_reservation(f"B-{number}", "100.00"))
            for number in range(24)
        )

        answers = await asyncio.gather(*asked)

    assert sorted(answer.status for answer in answers) == [201] * 10 + [422] * 14
