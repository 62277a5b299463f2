"""The command line as its users see it: a process, what it prints, what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "EXAMPLE",
    "Said",
    "benchmark",
    "processes_naming",
    "quaestor",
    "running_quaestor",
    "until",
]

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "it-hardware"
_TIMEOUT_S = 300.0
_POLL_S = 0.02


@dataclass(frozen=True)
class Said:
    """How a command ended: its exit code, its lines on stdout, what it told people on stderr."""

    code: int
    lines: tuple[str, ...]
    told: str

    @property
    def result(self) -> Any:
        """The one line of JSON."""
        assert len(self.lines) == 1, self.lines
        return json.loads(self.lines[0])


def quaestor(*arguments: str | Path, **environment: str) -> Said:
    """Run `quaestor ARGUMENTS` to its end, without a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "quaestor", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=_TIMEOUT_S,
        check=False,
    )
    return Said(done.returncode, tuple(done.stdout.splitlines()), done.stderr)


def benchmark(place: Path, *arguments: str) -> Said:
    """`quaestor bench ARGUMENTS --json` in a directory of its own, which is empty again after."""
    place.mkdir(mode=0o711)
    ended = quaestor("bench", *arguments, "--json", "--directory", place)
    assert ended.code == 0, ended.told
    assert list(place.iterdir()) == []
    return ended


@contextmanager
def running_quaestor(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """`quaestor ARGUMENTS` at work, with its ready line; it is killed if it outlives the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "quaestor", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"it ended with {process.wait()}"
        yield process, json.loads(line)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def processes_naming(path: Path) -> list[str]:
    """The command lines of living processes that name this path."""
    # A backend of PostgreSQL names no path; its postmaster does, and does not end before it.
    said = subprocess.run(
        ["ps", "-eww", "-o", "pid=,stat=,command="], capture_output=True, text=True, check=True
    )
    pattern = re.compile(rf"(?<!\S)\S*{re.escape(str(path))}")
    lines = (line.split(None, 2) for line in said.stdout.splitlines())
    return [
        command
        for pid, state, command in (line for line in lines if len(line) == 3)
        if pattern.search(command) and int(pid) != os.getpid() and not state.startswith("Z")
    ]


def until(holds: Any, what: str, *, seconds: float = 30.0) -> Any:
    """Wait until `holds()` is true, and return it; fails with `what`."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, what
        time.sleep(_POLL_S)
    return found
