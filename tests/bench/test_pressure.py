"""Bursts, floods, a system that is slow or down, and too much over HTTP, measured in small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from quaestor.bench.overload import Overload
from quaestor.bench.pressed import Burst, Pair, Pressed, Trouble
from quaestor.bench.report import pressure_object
from tests.support.quaestor_process import benchmark

ARGUMENTS = ("--burst", "200", "--pairs", "1", "--seconds", "4", "--flood-s", "3")
BURST = Burst(10, 1.0, 1.0, 1.0, 1.0, {"a": 0.0}, 1.0, 10, 10, 10, 40)
TROUBLE = Trouble(Pair(100.0, 99.0), Pair(100.0, 98.0), 1.0, 40)
OVERLOAD = Overload(
    1.0, 20, 10.0, 20.0, 20, 5, 6, 9, 0, 0, 5, 0, 5.0, *[1.0] * 5, 10, 0, 1.0, 1.0
)  # fmt: skip


@pytest.fixture(scope="module")
def said(session_place: Path) -> dict[str, Any]:
    """What one run of the command says."""
    found: dict[str, Any] = benchmark(session_place / "pressure", *ARGUMENTS).result
    return found


@pytest.mark.slow
@pytest.mark.serial
def test_everything_of_a_burst_is_ordered_once_and_in_turn(said: dict[str, Any]) -> None:
    burst = said["burst"]

    assert burst["orders"] == burst["references"] == burst["ordered"] == 200
    assert burst["at_once_max"] <= 40
    # Handed in by fifty, which are due at the same moment; of the smaller entity they are all.
    assert burst["out_of_turn"]["acme-de"] < 0.15


@pytest.mark.slow
@pytest.mark.serial
def test_floods_and_troubled_systems_are_told_in_pairs(said: dict[str, Any]) -> None:
    (trouble,) = said["troubles"]

    assert said["flood_p99_ratio"] > 0
    assert said["down_rate_ratio"] > 0
    assert said["slow_rate_ratio"] > 0
    # All that waited came at once when the system was back: in full slots, and not more.
    assert 1 < trouble["at_once_max"] <= 40


@pytest.mark.slow
@pytest.mark.serial
def test_of_too_many_requests_each_is_taken_in_once_or_refused(said: dict[str, Any]) -> None:
    overload = said["overload"]
    refused = overload["refused_429"] + overload["refused_503"]

    assert said["ok"] is True
    assert overload["accepted"] == overload["documents"] > 0
    assert refused > 0
    assert overload["accepted"] + refused == overload["sent"]
    assert (overload["lost"], overload["unexcused"], overload["strays"]) == (0, 0, 0)
    assert 0 < overload["answer_ms_max"] < 20_000


@pytest.mark.parametrize(
    "changes",
    [
        {"burst": msgspec.structs.replace(BURST, orders=11)},
        {"burst": msgspec.structs.replace(BURST, ordered=9)},
        {"burst": msgspec.structs.replace(BURST, at_once_max=41)},
        {"troubles": [msgspec.structs.replace(TROUBLE, at_once_max=41)]},
        {"overload": msgspec.structs.replace(OVERLOAD, lost=1)},
        {"overload": msgspec.structs.replace(OVERLOAD, accepted=4, documents=4)},
        {"overload": msgspec.structs.replace(OVERLOAD, documents=4)},
        {"overload": msgspec.structs.replace(OVERLOAD, strays=1)},
        {"overload": msgspec.structs.replace(OVERLOAD, unexcused=1)},
    ],
)
def test_a_run_that_lost_or_doubled_something_is_not_good(changes: dict[str, Any]) -> None:
    given = Pressed("a machine", BURST, 50.0, [Pair(100.0, 90.0)], [TROUBLE], OVERLOAD)

    assert pressure_object(given)["ok"] is True
    assert pressure_object(msgspec.structs.replace(given, **changes))["ok"] is False
