"""Bursts, floods and a system that is down, measured in small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

COMMAND = ("bench", "--burst", "200", "--pairs", "1", "--seconds", "4", "--json")


@pytest.mark.slow
@pytest.mark.serial
def test_everything_of_a_burst_is_ordered_once_and_in_turn(session_place: Path) -> None:
    directory = session_place / "pressure"
    directory.mkdir(mode=0o711)

    ended = subprocess.run(
        [sys.executable, "-m", "quaestor", *COMMAND, "--directory", str(directory)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    said = msgspec.json.decode(ended.stdout)
    assert said["burst"]["orders"] == said["burst"]["ordered"] == 200
    assert said["burst"]["at_once_max"] <= 40
    # Handed in by fifty, which are due at the same moment.
    assert said["burst"]["out_of_turn"] < 0.15
    assert said["flood_p99_ratio"] > 0
    assert said["down_rate_ratio"] > 0
    assert list(directory.iterdir()) == []
