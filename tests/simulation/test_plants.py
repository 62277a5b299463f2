"""A check that cannot fail is no check: each mistake is planted once, and seen caught."""

from __future__ import annotations

import msgspec
import pytest

from tests.simulation.books import Books
from tests.simulation.invariants import INVARIANTS, broken, broken_again
from tests.simulation.plan import plan_of
from tests.simulation.plants import IN_BOOKS, IN_THE_WORLD
from tests.simulation.server import Server
from tests.simulation.world import Conduct

pytestmark = pytest.mark.slow

SEED = 12
# Some mistakes do harm only when something else comes at the same moment, as it does in most seeds.
SEEDS = range(SEED, SEED + 3)


@pytest.fixture(scope="module")
def good(simulations: Server) -> Books:
    """The books of a seed that holds."""
    books = simulations.run(plan_of(SEED), Conduct(again=False)).books
    assert broken(books) == []
    return books


@pytest.mark.parametrize("mistake", IN_THE_WORLD)
def test_a_mistake_in_the_world_is_caught(simulations: Server, mistake: str) -> None:
    planted = IN_THE_WORLD[mistake]

    def is_caught(seed: int) -> bool:
        found = broken(simulations.run(planted.plan(plan_of(seed)), planted.conduct).books)
        return any(line.startswith(f"{planted.caught_by} ") for line in found)

    assert any(is_caught(seed) for seed in SEEDS)


@pytest.mark.parametrize("mistake", IN_BOOKS)
def test_a_mistake_in_the_books_is_caught(good: Books, mistake: str) -> None:
    name, falsified = IN_BOOKS[mistake]

    found = broken(falsified(good))

    assert [line for line in found if line.startswith(f"{name} ")]


def test_a_second_delivery_that_changes_something_is_caught(good: Books) -> None:
    moved = msgspec.structs.replace(good.documents[0], stage="elsewhere")
    after = msgspec.structs.replace(good, documents=(moved, *good.documents[1:]))

    found = broken_again(good, after)

    assert [line for line in found if line.startswith("I30 ")]


def test_every_invariant_has_a_mistake_that_it_catches() -> None:
    caught = {planted.caught_by for planted in IN_THE_WORLD.values()}
    caught |= {name for name, _ in IN_BOOKS.values()}

    assert {invariant.name for invariant in INVARIANTS} == caught
