"""`make simulate SEEDS=200 FROM=0 JOBS=2`: run seeds, and say how to see each failure again."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.simulation.jobs import Verdict, run_seeds

__all__ = ["commit", "main"]

_ROOT = Path(__file__).resolve().parents[2]


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
    """0 when every seed that was asked for held, else 1. The last line is one JSON object.

    Whoever interrupts it is told what was done until then.
    """
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first one")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args(arguments)
    seeds = range(options.first, options.first + options.seeds)
    done: list[Verdict] = []
    began, known_as = time.perf_counter(), commit()
    for verdict in run_seeds(seeds, jobs=options.jobs):
        done.append(verdict)
        if verdict.found:
            _tell(verdict, known_as)
        elif verdict.seed % 20 == 0:
            print(f"seed {verdict.seed} holds ({verdict.seconds:.1f} s)", flush=True)
    failed = sorted(verdict.seed for verdict in done if verdict.found)
    ends: Counter[str] = Counter()
    for verdict in done:
        ends.update(verdict.outcomes)
    ok = not failed and len(done) == len(seeds)
    told = {
        "ok": ok,
        "commit": known_as,
        "from": options.first,
        "seeds": options.seeds,
        "done": len(done),
        "failed": failed,
        "documents": sum(ends.values()),
        "ends": dict(ends.most_common()),
        "deaths": sum(verdict.deaths for verdict in done),
        "statements": sum(verdict.statements for verdict in done),
        "seconds": round(time.perf_counter() - began, 1),
    }
    print(json.dumps(told), flush=True)
    return 0 if ok else 1


def _tell(verdict: Verdict, known_as: str) -> None:
    print(f"seed {verdict.seed} of commit {known_as} fails (digest {verdict.digest}):")
    for line in verdict.found:
        print(f"    {line}")
    print(f"    again: make simulate SEEDS=1 FROM={verdict.seed}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
