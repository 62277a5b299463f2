"""Seeds over several processes, each with a server of its own.

A seed is dealt out when a process has become free. An interruption lets the seeds under way come
to their end, and deals out no more.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from types import FrameType

import msgspec

from tests.simulation.invariants import broken, broken_again
from tests.simulation.plan import plan_of
from tests.simulation.server import Server, serving
from tests.simulation.world import Conduct, silence

__all__ = ["Verdict", "run_seed", "run_seeds"]

_INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM)


class Verdict(msgspec.Struct, frozen=True):
    """How a seed ended: what was broken, and the digest that a replay comes to again."""

    seed: int
    digest: str
    found: tuple[str, ...]
    outcomes: dict[str, int]
    deaths: int
    statements: int
    seconds: float


def run_seed(server: Server, seed: int) -> Verdict:
    """Run a seed and check every invariant. What a run raises is a finding, too.

    In every fourth seed everything comes in once more at the end (I30).
    """
    began, raised = time.perf_counter(), ""
    try:
        ended = server.run(plan_of(seed), Conduct(again=seed % 4 == 0))
    except Exception as error:  # noqa: BLE001 - one seed that breaks must not end the night
        raised = f"{type(error).__name__}: {error}"
    if raised:
        _sweep()
        return Verdict(seed, "", (raised,), {}, 0, 0, time.perf_counter() - began)
    books = ended.books
    found = broken(books)
    if ended.again is not None:
        found += broken_again(books, ended.again)
    ends = Counter(each.outcome or each.parked_code or each.stage for each in books.documents)
    return Verdict(
        seed,
        books.digest,
        tuple(found),
        dict(ends),
        books.deaths,
        books.statements,
        time.perf_counter() - began,
    )


def _sweep() -> None:
    """What a broken run leaves half done is no finding of the next one."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        gc.collect()
    finally:
        sys.unraisablehook = hook


def run_seeds(seeds: Iterable[int], *, jobs: int) -> Iterator[Verdict]:
    """The verdict on each of these seeds, as it comes; fewer of them after an interruption."""
    left = iter(seeds)
    # A new interpreter each: nothing of this process may stand in a simulation.
    processes = multiprocessing.get_context("spawn")
    with _interruptible() as interrupted:
        lines: list[Connection] = []
        children = []
        for number in range(jobs):
            ours, theirs = processes.Pipe()
            child = processes.Process(target=_serve, args=(theirs, _place(number, jobs)))
            child.start()
            theirs.close()
            children.append(child)
            if _deal(ours, left, interrupted):
                lines.append(ours)
        while lines:
            for ready in wait(lines):
                assert isinstance(ready, Connection)
                yield msgspec.json.decode(ready.recv_bytes(), type=Verdict)
                if not _deal(ready, left, interrupted):
                    lines.remove(ready)
        for child in children:
            child.join()


def _deal(line: Connection, left: Iterator[int], interrupted: list[int]) -> bool:
    """Give this process its next seed, or let it go."""
    seed = None if interrupted else next(left, None)
    line.send(seed)
    return seed is not None


def _place(number: int, jobs: int) -> frozenset[int]:
    """The processors of this process: one of its own, where there are as many jobs as those.

    A simulation and its server take turns, so one processor is enough for both, and to change
    from one to another with each statement would cost a fifth more.
    """
    ours = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return frozenset({ours[number]} if jobs == len(ours) else ours)


def _serve(line: Connection, place: frozenset[int]) -> None:
    for interruption in _INTERRUPTIONS:
        signal.signal(interruption, signal.SIG_IGN)
    if place:
        os.sched_setaffinity(0, place)
    with silence(), serving() as server:
        while (seed := line.recv()) is not None:
            line.send_bytes(msgspec.json.encode(run_seed(server, seed)))


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """The interruptions that came meanwhile."""
    came: list[int] = []

    def comes(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before = {each: signal.signal(each, comes) for each in _INTERRUPTIONS}
    try:
        yield came
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
