"""The whole scenario through all simulators, measured in small."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.quaestor_process import benchmark


@pytest.mark.slow
@pytest.mark.serial
def test_what_goes_through_all_simulators_is_ordered_once_and_validated_live(
    session_place: Path,
) -> None:
    said = benchmark(session_place / "scenario", "--scenario", "3", "--seconds", "2").result

    assert said["scenario_requisitions"] == said["scenario_ordered"] == said["scenario_orders"] == 3
    assert said["scenario_references"] == 3
    assert said["validation_live_count"] == 50
    # Both budgets are asked about at the same time, and neither is passed over.
    assert 150 < said["validation_live_p50_ms"] < 300
