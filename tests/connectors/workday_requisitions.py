"""A Workday tenant for tests: requisitions to submit, and the reconstructed schema's verdict.

The contracts are in ../shared/contracts/workday; a test that needs one says so when it is absent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from lxml import etree

from quaestor.connectors.kit.config import http_wire
from quaestor.connectors.kit.contract import Command
from quaestor.connectors.kit.kind import SimulatorOptions
from quaestor.connectors.kit.simulator import Simulator
from quaestor.connectors.workday.config import WorkdayConfig
from quaestor.connectors.workday.connector import WorkdayConnector
from quaestor.connectors.workday.simulator import INITIATOR, WorkdaySimulator
from quaestor.model.requisition import Requisition
from quaestor.security.secrets import Secret
from tests.support.builders import a_line, a_requisition, a_split

__all__ = [
    "KEY",
    "Tenant",
    "a_submission",
    "a_tenant",
    "a_workday_requisition",
    "contract_file",
    "hr_schema",
    "rm_schema",
]

KEY = "w3mzr5tdy4hbp6vgs2alj3ecu5oi7k4qf6nxw2mzr5tdyk7qfn2x"
CONTRACTS = Path(__file__).resolve().parents[3] / "shared" / "contracts" / "workday"
CODES = {"worker": {"ana.berger": "21001", "dan.moore": "31001"}}


def contract_file(name: str) -> Path:
    """A file of Workday's contract; the test is skipped where it is absent."""
    path = CONTRACTS / name
    if not path.exists():
        pytest.skip(f"Workday's contract is missing: ../shared/contracts/workday/{name}")
    return path


@cache
def rm_schema() -> etree.XMLSchema:
    """The reconstructed schema of Resource_Management: names and nesting, nothing else."""
    path = contract_file("derived/Resource_Management_v29.RECONSTRUCTED.xsd")
    return etree.XMLSchema(etree.parse(path))


@cache
def hr_schema() -> etree.XMLSchema:
    """The schema inside of the vendor's own Human_Resources WSDL, version 30."""
    parser = etree.XMLParser(huge_tree=True)
    wsdl = etree.parse(contract_file("wsdl/Human_Resources.wsdl"), parser)
    schema = wsdl.find(".//{http://www.w3.org/2001/XMLSchema}schema")
    assert schema is not None
    return etree.XMLSchema(etree.ElementTree(schema))


def a_workday_requisition(**given: Any) -> Requisition:
    """Two lines, one of them split, unless told otherwise."""
    lines = [
        a_line(need_by=date(2026, 12, 1)),
        a_line(
            2,
            description="Dock",
            unit_price="199.90",
            splits=[a_split("400.00"), a_split("199.70", cost_center="sales-de")],
        ),
    ]
    return a_requisition(given.pop("lines", lines), title="Laptops for Berlin", **given)


def a_submission(
    requisition: Requisition | None = None, *, key: str = KEY, **given: Any
) -> Command:
    """Submit this requisition."""
    return Command(
        key=key,
        system="workday",
        action="submit_requisition",
        entity="acme-de",
        created_at=datetime.now(UTC),
        requisition=requisition or a_workday_requisition(**given),
    )


class Tenant:
    """A simulated tenant with its connector, and its control port."""

    def __init__(
        self,
        vendor: WorkdaySimulator,
        connect: Callable[..., WorkdayConnector],
        control: str,
        http: aiohttp.ClientSession,
        url: str,
    ) -> None:
        self.vendor = vendor
        self.connect = connect
        self.connector = connect()
        self.url = url
        self.control = control
        self._http = http

    async def submit(self, command: Command) -> Any:
        return await self.connector.submit(command, self.connector.render(command))

    async def told(self, number: str, **changes: Any) -> None:
        """Tell the control port what happens to a document, or to the routing."""
        url = f"{self.control}/documents/{number}"
        async with self._http.patch(url, json=changes) as answer:
            assert answer.status == 200, await answer.text()


@asynccontextmanager
async def a_tenant(
    *, routing: Mapping[str, Any] | None = None, options: Mapping[str, Any] | None = None
) -> AsyncIterator[Tenant]:
    """A running tenant; `routing` is who decides."""
    extra = {**(options or {}), **({"routing": routing} if routing is not None else {})}
    vendor = WorkdaySimulator(SimulatorOptions(extra=extra))
    async with Simulator(vendor) as ready, aiohttp.ClientSession() as http:
        wires = []

        def connect(**given: Any) -> WorkdayConnector:
            table = {
                "connector": "workday",
                "base_url": ready.url,
                "auth": {"kind": "bearer", "token": "env:WORKDAY_TOKEN"},
                "tenant": "acme",
                "initiator": INITIATOR,
                "requisition": {"codes": CODES},
                **given,
            }
            config = msgspec.convert(table, WorkdayConfig)
            wire = http_wire(config, lambda reference: Secret(ready.credentials["token"]))
            wires.append(wire)
            return WorkdayConnector(config, wire)

        yield Tenant(vendor, connect, ready.control, http, ready.url)
        for wire in wires:
            await wire.close()
