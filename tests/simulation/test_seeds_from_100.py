"""The second hundred of the seeds, in a file of its own so that it may run beside the first."""

from __future__ import annotations

import pytest

from tests.simulation.jobs import run_seed
from tests.simulation.server import Server

pytestmark = pytest.mark.slow

TENS = range(100, 200, 10)


@pytest.mark.parametrize("first", TENS)
def test_every_approved_line_is_ordered_once_or_stands_with_somebody(
    simulations: Server, first: int
) -> None:
    verdicts = [run_seed(simulations, seed) for seed in range(first, first + 10)]

    assert {verdict.seed: verdict.found for verdict in verdicts if verdict.found} == {}
    assert any(verdict.deaths for verdict in verdicts)
