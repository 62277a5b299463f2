"""Crash points: the process kills itself where a test wants it to die (DESIGN §5).

Honoured only where the command line allowed it; in production there is nothing to switch on.
"""

from __future__ import annotations

import os
import signal

__all__ = ["CRASH_POINTS", "WHEN_TOLD", "CrashHook", "crash_hook", "no_crash"]

CRASH_POINTS = ("before_intent", "after_intent", "after_send", "after_answer", "before_outcome")
# Behind the point: it counts only once the process was told so, by SIGUSR1.
WHEN_TOLD = "@SIGUSR1"


def no_crash(_: str) -> None:
    """The hook of every worker that nobody wants to kill."""


class CrashHook:
    """Kills this process, as `kill -9` would, at the first passing of `point` while armed."""

    def __init__(self, point: str, *, armed: bool) -> None:
        self.point = point
        self.armed = armed

    def arm(self) -> None:
        """From now on it counts."""
        self.armed = True

    def __call__(self, passed: str) -> None:
        if self.armed and passed == self.point:
            os.kill(os.getpid(), signal.SIGKILL)


def crash_hook(where: str) -> CrashHook:
    """The hook of `POINT`, armed at once, or of `POINT@SIGUSR1`, which the caller has to arm.

    Raises `ValueError` for a point that does not exist.
    """
    point = where.removesuffix(WHEN_TOLD)
    if point not in CRASH_POINTS:
        raise ValueError(f"{point} is none of {', '.join(CRASH_POINTS)}")
    return CrashHook(point, armed=point == where)
