"""Runs the tests in two parts and closes with one line that tells the truth about both.

Tests marked `serial` measure time or need the machine to themselves. They run alone, after all
others have run on two processes. Each part prints its own closing line, so the last one speaks
for half of the tests only; the line printed here counts both, and the exit code is the worse.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

__all__ = ["Part", "closing_line", "exit_code", "main", "read_report", "satisfiable"]

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = ROOT.parent / "shared" / "contracts"
NO_TESTS = 5
PARALLEL = ("-m", "not serial", "-n", "2", "--dist", "loadfile")
PARALLEL_FAST = ("-m", "not serial and not slow and not browser", *PARALLEL[2:])
SERIAL = ("-m", "serial")
SERIAL_FAST = ("-m", "serial and not slow and not browser")


@dataclass(frozen=True)
class Part:
    """What one run of pytest reported: counts of tests, seconds, and why tests were skipped."""

    code: int
    tests: int = 0
    failed: int = 0
    errors: int = 0
    skips: tuple[str, ...] = ()
    elapsed_s: float = 0.0

    @property
    def passed(self) -> int:
        """Tests that ran and held."""
        return self.tests - self.failed - self.errors - len(self.skips)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both parts; 0 when everything that ran held, else the worse code of the two."""
    options = _parser().parse_args(arguments)
    choices = (PARALLEL_FAST, SERIAL_FAST) if options.fast else (PARALLEL, SERIAL)
    parts = [_run([*choice, *options.rest]) for choice in choices]
    unmet = satisfiable(parts, CONTRACTS.is_dir()) if options.strict else []
    for reason in unmet:
        print(f"skipped, but it could have run: {reason}")
    print(closing_line(parts, unmet))
    return exit_code(parts, unmet)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="runner", description=__doc__)
    parser.add_argument("--fast", action="store_true", help="leave slow proofs and browser out")
    parser.add_argument("--strict", action="store_true", help="fail on a skip that could have run")
    parser.add_argument("rest", nargs="*", help="handed to pytest, after --")
    return parser


def _run(arguments: list[str]) -> Part:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *arguments]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        return read_report(code, report.read_text() if report.exists() else "")


def read_report(code: int, report: str) -> Part:
    """Read pytest's JUnit report; without one, the exit code is all that is known."""
    if not report:
        return Part(code)
    suites = ElementTree.fromstring(report).findall("testsuite")
    skips = [skip for suite in suites for skip in suite.iter("skipped")]
    return Part(
        code=code,
        tests=sum(int(suite.get("tests", 0)) for suite in suites),
        failed=sum(int(suite.get("failures", 0)) for suite in suites),
        errors=sum(int(suite.get("errors", 0)) for suite in suites),
        skips=tuple(skip.get("message", "without a reason") for skip in skips),
        elapsed_s=sum(float(suite.get("time", 0)) for suite in suites),
    )


def satisfiable(parts: Sequence[Part], contracts_are_here: bool) -> list[str]:
    """The reasons of skips that need not have been: all but vendors' contracts that are absent."""
    return [
        reason
        for part in parts
        for reason in part.skips
        if contracts_are_here or "shared/contracts" not in reason
    ]


def exit_code(parts: Sequence[Part], unmet: Sequence[str]) -> int:
    """The worse code of the parts; an empty part is well unless every part was empty.

    A part ended by a signal has a negative code, which counts by its size.
    """
    worst = max((abs(part.code) for part in parts if part.code != NO_TESTS), default=NO_TESTS)
    return worst or (1 if unmet else 0)


def closing_line(parts: Sequence[Part], unmet: Sequence[str]) -> str:
    """One line over all parts; it says `passed` alone only when nothing failed."""
    counts = {
        "failed": sum(part.failed for part in parts),
        "errors": sum(part.errors for part in parts),
        "passed": sum(part.passed for part in parts),
        "skipped": sum(len(part.skips) for part in parts),
        "skipped without need": len(unmet),
    }
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    verdict = "" if exit_code(parts, unmet) == 0 else f", NOT GOOD: codes {_codes(parts)}"
    elapsed_s = sum(part.elapsed_s for part in parts)
    return f"{told or 'no tests ran'} in {elapsed_s:.1f}s{verdict}"


def _codes(parts: Sequence[Part]) -> str:
    return " and ".join(str(part.code) for part in parts)


if __name__ == "__main__":
    sys.exit(main())
