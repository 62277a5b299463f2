"""A seed is worth something because it comes to the same end again."""

from __future__ import annotations

import pytest

from tests.simulation.plan import plan_of
from tests.simulation.server import Server
from tests.simulation.world import Conduct

SEEDS = (3, 8)


def test_a_plan_is_its_seed_alone() -> None:
    first, second = plan_of(7), plan_of(7)

    assert first == second


def test_a_document_more_moves_no_other() -> None:
    few, many = plan_of(7, documents=4), plan_of(7, documents=8)

    assert many.documents[:4] == few.documents


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_replays_to_every_statement_and_every_byte_on_the_wire(
    simulations: Server, seed: int
) -> None:
    once, twice = (simulations.run(plan_of(seed), Conduct(again=False)).books for _ in range(2))

    assert once.deaths > 0
    assert (once.digest, once.statements) == (twice.digest, twice.statements)
