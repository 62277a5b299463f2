"""A worker dies where a test wants it to, and only where the command line allowed it."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from quaestor.runtime.crash import CRASH_POINTS, crash_hook

PASSES_ALL = """
import sys
from quaestor.runtime.crash import CRASH_POINTS, crash_hook
hook = crash_hook(sys.argv[1])
for turn in ("first", "second"):
    for point in CRASH_POINTS:
        print(turn, point, flush=True)
        hook(point)
    if "@" in sys.argv[1]:
        hook.arm()
print("alive")
"""


def passed_by(where: str) -> tuple[int, str]:
    """The exit code, and the last point reached, of a process with this hook."""
    program = [sys.executable, "-c", PASSES_ALL, where]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()[-1]


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_the_process_dies_at_the_first_passing_of_its_point(point: str) -> None:
    assert passed_by(point) == (-signal.SIGKILL, f"first {point}")


def test_a_point_may_count_only_once_the_process_was_told_so() -> None:
    assert passed_by("after_send@SIGUSR1") == (-signal.SIGKILL, "second after_send")


@pytest.mark.parametrize("where", ["", "after_lunch", "after_send@SIGUSR2", "after_send:2"])
def test_a_point_that_does_not_exist_is_refused(where: str) -> None:
    with pytest.raises(ValueError, match="is none of"):
        crash_hook(where)
