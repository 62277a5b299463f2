"""What parked documents cost those that are due, measured in small."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.quaestor_process import benchmark


@pytest.mark.slow
@pytest.mark.serial
def test_parked_documents_are_laid_down_and_a_claim_passes_over_them(session_place: Path) -> None:
    said = benchmark(session_place / "growth", "--parked", "3000", "--seconds", "2").result

    empty, grown = said["growth"]
    assert (empty["parked"], grown["parked"]) == (0, 3000)
    # Reading 3,000 parked rows at each claim would take several times as long.
    assert 0 < grown["claims"]["of_empty"] < 2
    assert 500 < grown["disk_bytes"] < 5000


@pytest.mark.slow
@pytest.mark.serial
def test_a_soak_counts_its_flows_and_those_laid_down(session_place: Path) -> None:
    said = benchmark(session_place / "soak", "--soak", "6", "--past", "2000").result

    first, *_, last = said["soak"]
    assert len(said["soak"]) == 6
    assert last["flows"] > first["flows"] + 2000
    assert 0 < said["drift"] < 2
