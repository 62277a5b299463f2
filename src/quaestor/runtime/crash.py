"""Crash points: the process kills itself where a test wants it to die (DESIGN §5).

Honoured only where the command line allowed it; in production there is nothing to switch on.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

__all__ = ["CRASH_POINTS", "crash_hook", "no_crash"]

CRASH_POINTS = ("before_intent", "after_intent", "after_send", "after_answer", "before_outcome")


def no_crash(_: str) -> None:
    """The hook of every worker that nobody wants to kill."""


def crash_hook(where: str) -> Callable[[str], None]:
    """A hook that kills this process, as `kill -9` would, when it passes a point.

    `where` is the point, at whose first passing it dies, or `POINT:N` for the N-th. Raises
    `ValueError` for a point that does not exist.
    """
    point, _, nth = where.partition(":")
    if point not in CRASH_POINTS:
        raise ValueError(f"{point} is none of {', '.join(CRASH_POINTS)}")
    left = int(nth or 1)

    def at(passed: str) -> None:
        nonlocal left
        if passed == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return at
