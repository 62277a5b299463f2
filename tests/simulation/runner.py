"""`make simulate SEEDS=200 FROM=0`: run seeds, and say of each failure how to see it again."""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.simulation.invariants import broken, broken_again
from tests.simulation.plan import plan_of
from tests.simulation.server import Server, serving
from tests.simulation.world import Conduct

__all__ = ["Verdict", "commit", "main", "run_seed"]

_ROOT = Path(__file__).resolve().parents[2]


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


def commit() -> str:
    """The commit that runs, as Git names it; with a plus where files were changed since."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip() or "unknown"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every seed held, else 1. The last line is one JSON object."""
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first one")
    options = parser.parse_args(arguments)
    ends: Counter[str] = Counter()
    failed: list[int] = []
    deaths = statements = 0
    began = time.perf_counter()
    with serving() as server:
        for seed in range(options.first, options.first + options.seeds):
            verdict = run_seed(server, seed)
            ends.update(verdict.outcomes)
            deaths, statements = deaths + verdict.deaths, statements + verdict.statements
            if verdict.found:
                failed.append(seed)
                _tell(verdict)
            elif seed % 20 == 0:
                print(f"seed {seed} holds ({verdict.seconds:.1f} s)", flush=True)
    told = {
        "ok": not failed,
        "commit": commit(),
        "seeds": options.seeds,
        "from": options.first,
        "failed": failed,
        "documents": sum(ends.values()),
        "ends": dict(ends.most_common()),
        "deaths": deaths,
        "statements": statements,
        "seconds": round(time.perf_counter() - began, 1),
    }
    print(json.dumps(told))
    return 1 if failed else 0


def _tell(verdict: Verdict) -> None:
    print(f"seed {verdict.seed} of commit {commit()} fails (digest {verdict.digest}):")
    for line in verdict.found:
        print(f"    {line}")
    print(f"    again: make simulate SEEDS=1 FROM={verdict.seed}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
