"""The chassis of simulators: its control interface, its faults, and its life as a process."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest

from quaestor.connectors.kit.faulting import Fault, FaultPlan
from quaestor.connectors.kit.kind import SimulatorOptions
from quaestor.connectors.kit.registry import connector_kinds
from quaestor.connectors.kit.running import SimulatorUnknown, simulator_of
from quaestor.connectors.kit.simulated import SimAnswer, SimRequest
from quaestor.connectors.kit.simulator import Simulator

TOKEN = "Bearer simulated-only"


class Counting:
    """A vendor that counts what it commits."""

    def __init__(self) -> None:
        self.committed: list[str] = []
        self.expired = 0

    @property
    def credentials(self) -> dict[str, str]:
        return {"token": "t"}

    def handle(self, request: SimRequest) -> SimAnswer:
        if request.method == "POST":
            self.committed.append(request.path)
        return SimAnswer(200, b"done")

    def busy(self, seconds: float) -> SimAnswer:
        return SimAnswer(429)

    def failed(self) -> SimAnswer:
        return SimAnswer(500)

    def expire_tokens(self) -> None:
        self.expired += 1

    def documents(self, reference: str | None) -> list[dict[str, Any]]:
        return [{"number": path} for path in self.committed if reference in (None, path)]

    def handed_out(self) -> tuple[str, ...]:
        return ("t",)

    def edit(self, number: str, changes: Any) -> bool:
        return number in self.committed

    def reset(self) -> None:
        self.committed.clear()


class Bench:
    """A running simulator and a client for both of its ports."""

    def __init__(self, vendor: Counting, simulator: Simulator, http: aiohttp.ClientSession) -> None:
        self.vendor, self.simulator, self.http = vendor, simulator, http
        self.url = self.control = ""

    async def ask(self, method: str, path: str) -> int:
        """The status of an answer of the vendor; 0 where none came."""
        try:
            async with self.http.request(method, self.url + path, data=b"") as reply:
                await reply.read()
                return reply.status
        except aiohttp.ClientError:
            return 0

    async def told(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """What the control port says."""
        async with self.http.request(method, self.control + path, json=body) as reply:
            return reply.status, await reply.json()


@asynccontextmanager
async def a_bench(**given: Any) -> AsyncIterator[Bench]:
    vendor = Counting()
    simulator = Simulator(vendor, **given)
    async with aiohttp.ClientSession() as http, simulator as ready:
        bench = Bench(vendor, simulator, http)
        bench.url, bench.control = ready.url, ready.control
        yield bench


# --- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("do", "status", "committed"),
    [
        ("drop_after_commit", 0, 1),
        ("500_after_commit", 500, 1),
        ("commit_late", 0, 0),
        ("reset", 0, 0),
        ("hang", 0, 0),
        ("429", 429, 0),
        ("expire_token", 200, 1),
    ],
)
async def test_each_fault_does_what_its_name_says(do: str, status: int, committed: int) -> None:
    async with a_bench() as bench:
        await bench.told("PUT", "/faults", [{"on": "POST /orders", "do": do, "seconds": 0.05}])

        met = await bench.ask("POST", "/orders/1")
        at_once = len(bench.vendor.committed)
        after = await bench.ask("POST", "/orders/2")

        assert (met, at_once, after) == (status, committed, 200)


async def committed_in_time(bench: Bench) -> int:
    """How many documents there are, once there is any, or after two seconds."""
    for _ in range(400):
        if count := int((await bench.told("GET", "/documents"))[1]["count"]):
            return count
        await asyncio.sleep(0.005)
    return 0


async def test_a_late_commit_comes_late() -> None:
    async with a_bench() as bench:
        fault = {"on": "POST /", "do": "commit_late", "seconds": 0.02}
        await bench.told("PUT", "/faults", [fault])
        await bench.ask("POST", "/orders/1")

        assert await committed_in_time(bench) == 1


async def test_a_reset_forgets_what_would_have_been_committed_late() -> None:
    async with a_bench() as bench:
        fault = {"on": "POST /", "do": "commit_late", "seconds": 0.05}
        await bench.told("PUT", "/faults", [fault])
        await bench.ask("POST", "/orders/1")
        await bench.told("POST", "/reset")
        # A second late commit, started afterwards, shows that the time of the first is over.
        await bench.told("PUT", "/faults", [fault])
        await bench.ask("POST", "/orders/2")

        await committed_in_time(bench)

        assert bench.vendor.committed == ["/orders/2"]


def test_a_fault_meets_the_nth_matching_request_from_when_it_was_put() -> None:
    plan = FaultPlan()
    plan.put([Fault("POST /orders", "reset", nth=3, times=2)])

    met = [
        plan.next(method, path) is not None
        for method, path in [
            ("POST", "/orders"),
            ("GET", "/orders"),
            ("POST", "/orders/2"),
            ("POST", "/other"),
            ("POST", "/orders"),
            ("POST", "/orders"),
            ("POST", "/orders"),
        ]
    ]

    assert met == [False, False, False, False, True, True, False]


@pytest.mark.parametrize(
    ("on", "path", "meets"),
    [
        ("POST /orders", "/orders", True),
        ("POST /orders", "/orders/1", True),
        ("POST /orders", "/api/orders", False),
        ("POST /…", "/anything/at/all", True),
        ("POST */orders", "/api/orders", True),
        ("POST */orders", "/api/orders/1", False),
        ("* /orders", "/orders", True),
        ("GET /orders", "/orders", False),
    ],
)
def test_a_fault_names_a_method_and_a_path_or_its_pattern(on: str, path: str, meets: bool) -> None:
    assert Fault(on, "reset").meets("POST", path) is meets


@pytest.mark.parametrize(
    "body",
    [
        {"on": "POST /", "do": "reset"},
        [{"on": "POST /", "do": "explode"}],
        [{"on": "POST", "do": "reset"}],
        [{"on": "FETCH /x", "do": "reset"}],
        [{"on": "POST /", "do": "reset", "nth": 0}],
        [{"on": "POST /", "do": "reset", "times": 0}],
        [{"on": "POST /", "do": "hang", "seconds": -1}],
        [{"on": "POST /", "do": "reset", "every": 2}],
        [{"do": "reset"}],
    ],
)
async def test_a_fault_that_cannot_be_meant_is_refused(body: object) -> None:
    async with a_bench() as bench:
        status, said = await bench.told("PUT", "/faults", body)

        assert (status, list(said)) == (400, ["error"])
        assert (await bench.told("GET", "/faults"))[1] == {"faults": []}


# --- the control port -----------------------------------------------------------------------------


async def test_requests_are_recorded_with_their_faults_and_without_credentials() -> None:
    async with a_bench() as bench:
        bench.http.headers["Authorization"] = "Bearer secret"
        await bench.told("PUT", "/faults", [{"on": "POST /", "do": "500_after_commit"}])
        await bench.ask("POST", "/orders?x=1")
        _, said = await bench.told("GET", "/requests")
        request = said["requests"][0]

        assert said["count"] == 1
        assert (request["method"], request["path"], request["query"]) == (
            "POST",
            "/orders",
            {"x": "1"},
        )
        assert (request["status"], request["fault"]) == (500, "500_after_commit")
        assert request["headers"]["authorization"] == "***"
        assert request["elapsed_ms"] > 0


async def test_documents_are_counted_by_reference() -> None:
    async with a_bench() as bench:
        await bench.ask("POST", "/a")
        await bench.ask("POST", "/b")

        assert (await bench.told("GET", "/documents?reference=/a"))[1] == {
            "count": 1,
            "documents": [{"number": "/a"}],
        }
        assert (await bench.told("GET", "/documents"))[1]["count"] == 2


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/elsewhere", 404),
        ("POST", "/faults", 404),
        ("PATCH", "/documents/none", 404),
    ],
)
async def test_the_rest_of_the_control_port(method: str, path: str, status: int) -> None:
    async with a_bench() as bench:
        assert (await bench.told(method, path, {}))[0] == status


async def test_the_control_port_is_not_among_the_vendors_paths() -> None:
    async with a_bench() as bench:
        assert bench.url != bench.control
        assert await bench.ask("PUT", "/faults") == 200
        assert (await bench.told("GET", "/faults"))[1] == {"faults": []}


async def test_latency_passes_before_the_work() -> None:
    async with a_bench(latency_ms=30) as bench:
        await bench.ask("POST", "/orders")
        _, said = await bench.told("GET", "/requests")

        assert said["requests"][0]["elapsed_ms"] >= 30


# --- a process of its own -------------------------------------------------------------------------


def test_an_unknown_simulator_is_named() -> None:
    with pytest.raises(SimulatorUnknown, match="nothing"):
        simulator_of("nothing")


@pytest.mark.parametrize("kind", ["bogus", "sap_s4"])
def test_every_vendor_brings_a_simulator(kind: str) -> None:
    make = connector_kinds()[kind].simulator

    assert make is not None
    assert make(SimulatorOptions(settle_s=1.0, seed=3)).documents(None) == []


SCRIPT = """
import sys, msgspec
from quaestor.connectors.kit.running import run_simulator
run_simulator("sap_s4", lambda ready: print(msgspec.json.encode(ready).decode(), flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_simulator_runs_as_a_process_and_ends_at_a_signal(number: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        ports = [int(ready[name].rpartition(":")[2]) for name in ("url", "control")]
        for port in ports:
            socket.create_connection(("127.0.0.1", port), 5).close()

        process.send_signal(number)

        assert process.wait(10) == 0
        assert set(ready) == {"url", "control", "credentials"}
    finally:
        process.kill()
        process.wait(10)


def test_the_ready_line_is_json() -> None:
    simulator = simulator_of("bogus", settle_s=0.5, seed=1, options={"token": "x"})

    assert msgspec.json.encode(simulator.vendor.credentials) == b'{"token":"x"}'
