"""Seeds over several processes: the same verdicts, and an end that can be asked for."""

from __future__ import annotations

import os
import signal

import pytest

from tests.simulation.jobs import run_seed, run_seeds
from tests.simulation.server import Server

pytestmark = pytest.mark.slow


def test_a_seed_ends_the_same_in_whichever_process(simulations: Server) -> None:
    here = [run_seed(simulations, seed) for seed in (5, 9)]

    there = sorted(run_seeds((5, 9), jobs=2), key=lambda verdict: verdict.seed)

    assert [each.digest for each in there] == [each.digest for each in here]


def test_an_interruption_lets_the_seeds_under_way_come_to_their_end() -> None:
    verdicts = run_seeds(range(1000), jobs=2)
    first = next(verdicts)

    os.kill(os.getpid(), signal.SIGTERM)

    # The other one was under way.
    assert sorted([first.seed, *(each.seed for each in verdicts)]) == [0, 1]
