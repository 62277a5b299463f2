"""A worker that dies while planning is asked leaves a question that the next one asks again."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.project.folders import change
from tests.proofs.deployment import deployed, until
from tests.support.database import TestDatabase
from tests.support.file_only import file_only
from tests.support.simulator_process import RunningSimulator, running_simulator

pytestmark = [pytest.mark.slow, pytest.mark.serial]

HANGS = {"on": "GET /budgets", "nth": 1, "do": "hang", "seconds": 30}
BUDGETS = """
select sum(budget) as budget, sum(pre) as pre, sum(enc) as enc from quaestor.budget_entry
where node like 'acme-de/%/it-de' and document_id is not null
"""


@pytest.fixture
def planning() -> Iterator[RunningSimulator]:
    with running_simulator("planning") as running:
        yield running


def _with_planning(place: Path, planning: RunningSimulator) -> None:
    """The example, whose budgets this planning system states; it waits long for an answer."""
    project = file_only(place / "project")
    (place / "token").write_text(planning.credentials["token"], encoding="utf-8")
    (place / "token").chmod(0o600)
    table = (
        f'\n[systems.planning]\nconnector = "planning"\nbase_url = "{planning.url}"\n'
        'total_timeout_s = 3\n\n[systems.planning.auth]\ntoken = "file:../token"\n'
    )
    change(project, "quaestor.toml", "", table)
    sourced = "by_account: false\nsource: planning"
    change(project, "policies/budget.yaml", "by_account: false", sourced)
    change(project, "policies/budget.yaml", "amount: 5000000.00", "amount: 1.00")


def _asked(planning: RunningSimulator) -> int:
    return sum(each["path"].startswith("/budgets") for each in planning.requests())


async def test_what_a_killed_worker_asked_is_asked_again_and_held_once(
    database: TestDatabase, place: Path, sap: RunningSimulator, planning: RunningSimulator
) -> None:
    _with_planning(place, planning)
    planning.faults([HANGS])
    async with deployed(database.dsn, place, sap) as deployment:
        doomed = await deployment.worker("doomed")
        await deployment.take_in(1)

        async def asked() -> bool:
            return _asked(planning) == 1

        await until(asked, "planning was asked")
        doomed.kill()
        await doomed.ended()
        await deployment.worker("next")
        await deployment.until_outcomes({"ordered": 1})

        (sums,) = await deployment.ask(BUDGETS)
        orders = deployment.orders()
    assert _asked(planning) == 2
    assert list(orders.values()) == [1]
    # The folder's 1.00 became what planning states, once; what was held is ordered.
    assert sums["budget"] == Decimal("4999999.00")
    assert sums["pre"] == 0
    assert sums["enc"] > 0
