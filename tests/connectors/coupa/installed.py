"""Our Coupa with the connector at it, for one test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import aiohttp
import msgspec

from quaestor.connectors.coupa.connector import KIND, CoupaConnector
from quaestor.connectors.coupa.simulator import CoupaSimulator
from quaestor.connectors.kit.config import http_wire
from quaestor.connectors.kit.faulting import Fault
from quaestor.connectors.kit.kind import SimulatorOptions
from quaestor.connectors.kit.simulator import Simulator
from quaestor.security.secrets import Secret
from tests.connectors.coupa.subjects import EXAMPLES, FAST, GAP_S, coupa_table

__all__ = ["Installed", "installed"]


class Clock:
    """The time of day at Coupa, which a test may move on."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def pass_s(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@dataclass
class Installed:
    """One installation: what is connected to it, and what stands in it."""

    connector: CoupaConnector
    simulator: Simulator
    vendor: CoupaSimulator
    clock: Clock
    control: str

    async def writes(self) -> list[str]:
        """The requests that were not for reading, those for tokens aside."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.control}/requests") as said,
        ):
            requests = (await said.json())["requests"]
        return [
            f"{one['method']} {one['path']}"
            for one in requests
            if one["method"] != "GET" and "oauth2" not in one["path"]
        ]

    def fault(self, on: str, do: str, **more: Any) -> None:
        self.simulator.plan.put([msgspec.convert({"on": on, "do": do, **more}, Fault)])

    def requisition(self, number: str) -> dict[str, Any]:
        return next(one for one in self.vendor.documents(None) if one["number"] == number)

    def records(self) -> list[dict[str, Any]]:
        return [one["document"] for one in self.vendor.documents(None) if "document" in one]


@asynccontextmanager
async def installed(
    *, settle_s: float = 0.0, report: Any = None, table: Any = None, **options: Any
) -> AsyncIterator[Installed]:
    """`options` are the simulator's, `report` and `table` stand in the system's table."""
    given = {"token_gap_s": GAP_S, "requisitions": [str(EXAMPLES)], **FAST, **options}
    clock = Clock()
    vendor = CoupaSimulator(SimulatorOptions(settle_s=settle_s, extra=given), today=clock)
    simulator = Simulator(vendor)
    async with simulator as ready:
        own = {**coupa_table(ready.url, ready.credentials, report=report or {}), **(table or {})}
        config = msgspec.convert(own, KIND.config_type)
        wire = http_wire(config, lambda reference: Secret(ready.credentials["client_secret"]))
        try:
            connector = cast(CoupaConnector, KIND.build(config, wire))
            yield Installed(connector, simulator, vendor, clock, ready.control)
        finally:
            await wire.close()
