"""The whole scenario: Coupa, planning, Workday and SAP, each a simulator in a process of its own.

First requisitions are validated over HTTP while planning is asked live, then many of them go all
the way: pulled from Coupa, budget asked, decided in Workday, ordered in SAP, told to Coupa. Every
simulator answers after `LATENCY_MS`, and keeps to its vendor's limits: a rate here is theirs.
"""

from __future__ import annotations

import re
import shutil
import statistics
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec

from quaestor.bench.asking import Asker, request_bytes
from quaestor.bench.load import BenchFailed, percentile

__all__ = [
    "LATENCY_MS",
    "NODES",
    "VALIDATIONS_PER_S",
    "Carried",
    "Live",
    "a_validation",
    "measure_live",
    "write_scenario",
]

LATENCY_MS = 150
VALIDATIONS_PER_S = 25.0
NODES = ("it-de", "sales-de")
"""Cost centers whose budgets each validation asks planning about."""

_CONNECTIONS = 32
_WARM_S = 1.0
_EXAMPLE = "headline"
_FIRST = 310_001
_LATENCY = re.compile(r"^latency_ms = .*$", re.MULTILINE)
_PLANNING = '[systems.planning]\nconnector = "planning"\nsimulate = true\n'


class Live(msgspec.Struct, frozen=True):
    """Validations that ask planning live, in ms; each asks about as many budgets as `NODES`."""

    validation_live_rps: float
    validation_live_p50_ms: float
    validation_live_p99_ms: float
    validation_live_count: int


class Carried(msgspec.Struct, frozen=True):
    """Requisitions that went all the way, from the pull to the end; times in seconds."""

    scenario_requisitions: int
    scenario_ordered: int
    scenario_orders: int
    scenario_references: int
    scenario_flows_per_s: float
    scenario_p50_s: float
    scenario_p99_s: float

    @property
    def is_exact(self) -> bool:
        """Whether each is one order."""
        counted = {self.scenario_ordered, self.scenario_orders, self.scenario_references}
        return counted == {self.scenario_requisitions}

    @classmethod
    def of(
        cls,
        count: int,
        ordered: int,
        references: Sequence[str],
        took_s: Sequence[float],
        all_s: float,
    ) -> Carried:
        """What was counted at the end; `took_s` of each requisition, `all_s` of all."""
        return cls(
            scenario_requisitions=count,
            scenario_ordered=ordered,
            scenario_orders=len(references),
            scenario_references=len(set(references)),
            scenario_flows_per_s=round(count / all_s, 2),
            scenario_p50_s=round(statistics.median(took_s), 2),
            scenario_p99_s=round(percentile(took_s, 99), 2),
        )


def write_scenario(example: Path, folder: Path, count: int) -> list[str]:
    """Copy the example project with so many requisitions of its kind; their numbers in Coupa."""
    shutil.copytree(example, folder)
    settings = folder / "quaestor.toml"
    text = _LATENCY.sub(f"latency_ms = {LATENCY_MS}", settings.read_text(encoding="utf-8"))
    if _PLANNING not in text:
        raise BenchFailed(f"{settings} has no planning service that is simulated")
    planning = f"{_PLANNING}slots = {_CONNECTIONS}\nsimulator = {{latency_ms = {LATENCY_MS}}}\n"
    settings.write_text(text.replace(_PLANNING, planning), encoding="utf-8")
    requisitions = folder / "requisitions"
    sample = (requisitions / f"{_EXAMPLE}.json").read_text(encoding="utf-8")
    identity = str(msgspec.json.decode(sample, type=dict[str, Any])["id"])
    numbers = [str(_FIRST + place) for place in range(count)]
    for number in numbers:
        # Its lines' ids begin with its own.
        (requisitions / f"{number}.json").write_text(
            sample.replace(identity, number), encoding="utf-8"
        )
    return numbers


def a_validation(number: int) -> bytes:
    """A requisition as a portal asks about it: a line for each of `NODES`."""
    return msgspec.json.encode(
        {
            "source_system": "portal",
            "source_id": f"P-{number}",
            "entity": "acme-de",
            "requester": "ana.berger",
            "title": "Equipment for new colleagues",
            "currency": "EUR",
            "total": "3698.00",
            "lines": [
                {
                    "number": place,
                    "description": "Laptop Helio Book 14, 32 GB, 1 TB",
                    "supplier": "helio-systems",
                    "quantity": "1",
                    "uom": "EA",
                    "unit_price": "1849.00",
                    "amount": "1849.00",
                    "splits": [
                        {
                            "coding": {"cost_center": node, "gl_account": "it-hardware"},
                            "amount": "1849.00",
                        }
                    ],
                }
                for place, node in enumerate(NODES, start=1)
            ],
        }
    )


async def measure_live(url: str, token: str, seconds: float) -> Live:
    """Ask the gateway at this address on schedule. Raises `BenchFailed`."""
    asked = cycle(
        [request_bytes("/v1/validations", token, a_validation(number)) for number in range(100)]
    )
    next_request: Callable[[], bytes] = asked.__next__
    asker = Asker(url, _CONNECTIONS, next_request)
    (await asker.at_rate(VALIDATIONS_PER_S, _WARM_S)).only(200)
    heard = (await asker.at_rate(VALIDATIONS_PER_S, seconds)).only(200)
    return Live(
        validation_live_rps=round(heard.per_s, 1),
        validation_live_p50_ms=round(percentile(heard.latencies_ms, 50), 1),
        validation_live_p99_ms=round(percentile(heard.latencies_ms, 99), 1),
        validation_live_count=len(heard.latencies_ms),
    )
