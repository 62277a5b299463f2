"""What parked documents cost those that are due, measured in small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

COMMAND = ("bench", "--parked", "3000", "--seconds", "2", "--json")


@pytest.mark.slow
@pytest.mark.serial
def test_parked_documents_are_laid_down_and_a_claim_passes_over_them(session_place: Path) -> None:
    directory = session_place / "growth"
    directory.mkdir(mode=0o711)

    ended = subprocess.run(
        [sys.executable, "-m", "quaestor", *COMMAND, "--directory", str(directory)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    empty, grown = msgspec.json.decode(ended.stdout)["growth"]
    assert (empty["parked"], grown["parked"]) == (0, 3000)
    # Reading 3,000 parked rows at each claim would take several times as long.
    assert 0 < grown["claim_p50_ms"] < 2 * empty["claim_p50_ms"]
    assert 500 < grown["disk_bytes"] < 5000
    assert list(directory.iterdir()) == []
