"""A simulator in a process of its own, as the product runs it, and its control interface."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

__all__ = ["RunningSimulator", "running_simulator"]

_RUN = """
import json, sys, msgspec
from quaestor.connectors.kit.running import run_simulator
given = json.loads(sys.argv[2])
run_simulator(sys.argv[1], lambda ready: print(msgspec.json.encode(ready).decode(), flush=True),
              **given)
"""


@dataclass(frozen=True)
class RunningSimulator:
    """Where it listens, and what a test asks it."""

    url: str
    control: str
    credentials: dict[str, str]

    def documents(self, reference: str | None = None) -> list[dict[str, Any]]:
        """The documents it holds, counted there and not by us."""
        query = f"?{urlencode({'reference': reference})}" if reference else ""
        documents: list[dict[str, Any]] = self._call("GET", f"/documents{query}")["documents"]
        return documents

    def requests(self) -> list[dict[str, Any]]:
        """Every request that reached it."""
        requests: list[dict[str, Any]] = self._call("GET", "/requests")["requests"]
        return requests

    def faults(self, faults: Sequence[dict[str, Any]]) -> None:
        """What is to go wrong from now on."""
        self._call("PUT", "/faults", list(faults))

    def reset(self) -> None:
        """Let it forget everything."""
        self._call("POST", "/reset")

    def edit(self, number: str, changes: dict[str, Any]) -> None:
        """A person changes a document there."""
        self._call("PATCH", f"/documents/{number}", changes)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = Request(self.control + path, data, headers, method=method)
        with urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None


@contextmanager
def running_simulator(kind: str, **given: Any) -> Iterator[RunningSimulator]:
    """A simulator of this kind; ended by its process id afterwards."""
    command = [sys.executable, "-c", _RUN, kind, json.dumps(given)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield RunningSimulator(ready["url"], ready["control"], ready["credentials"])
    finally:
        process.terminate()
        process.wait(timeout=10)
