"""A gateway for tests: the real one on a real socket and a real database, in this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp

from quaestor.app import FLOWS, console_beside, open_gateway
from quaestor.connectors.kit.contract import ActionGuarantee, Guarantee
from quaestor.gateway.server import listen, serve
from quaestor.gateway.services import GatewayLimits, Services
from quaestor.governance.releases import publish
from quaestor.observability.meters import Meters
from quaestor.project.load import load_project
from quaestor.project.project import Project
from quaestor.runtime.advancing import Advance
from quaestor.runtime.budget_loading import load_budgets
from quaestor.runtime.crash import no_crash
from quaestor.runtime.dispatch import Dispatch
from quaestor.runtime.engine import Engine, EngineOptions
from quaestor.runtime.intent import Limits
from quaestor.runtime.lanes import Lanes, lane_names
from quaestor.runtime.progress import Target, World
from quaestor.runtime.sending import SystemLink
from quaestor.runtime.upkeep import Upkeep
from quaestor.security.identity import LaptopIssuer, new_signing_key
from quaestor.store import Connection, Database
from quaestor.store.epoch import establish_epoch
from tests.support.database import TestDatabase
from tests.support.engine import FakeErp, running
from tests.support.file_only import file_only_example

__all__ = [
    "ALL_SCOPES",
    "AUDIT_KEY",
    "Gateway",
    "a_body",
    "a_line_body",
    "gateway_on",
    "until",
    "worker_on",
]

AUDIT_KEY = bytes(range(32))
ALL_SCOPES = (
    "requisitions:write",
    "requisitions:read",
    "budget:reserve",
    "approvals:decide",
    "approvals:read",
    "reference:read",
    "traces:read",
    "worklist:read",
    "worklist:act",
)
_ISSUER = LaptopIssuer(new_signing_key())


class Said:
    """What the gateway answered."""

    def __init__(self, status: int, headers: Mapping[str, str], raw: bytes) -> None:
        self.status = status
        self.headers = headers
        self.raw = raw

    @property
    def json(self) -> Any:
        import json

        return json.loads(self.raw)

    @property
    def code(self) -> tuple[int, str]:
        """Status and code of a problem."""
        return self.status, self.json.get("code", "")


class Gateway:
    """The gateway's address, and how to talk to it."""

    def __init__(self, url: str, services: Services, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.services = services
        self.issuer = _ISSUER
        self._session = session
        self._keys = 0

    def token(
        self,
        *,
        scopes: tuple[str, ...] = ALL_SCOPES,
        entities: tuple[str, ...] = ("acme-de",),
        subject: str = "portal",
        **more: Any,
    ) -> str:
        """A good token; `more` as `LaptopIssuer.token` has it."""
        given = {"now_s": int(time.time()), "ttl_s": 600, **more}
        return _ISSUER.token(subject=subject, scopes=scopes, entities=entities, **given)

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        key: str | None = "",
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Said:
        """One request. `key` `""` makes a new one, `None` sends none."""
        import json

        sent = {"Authorization": f"Bearer {self.token() if token is None else token}"}
        if method == "POST":
            sent["Content-Type"] = "application/json"
            self._keys += 1
            if key is not None:
                sent["Idempotency-Key"] = key or f"test-{self._keys}"
        sent |= dict(headers or {})
        data = raw if raw is not None else json.dumps(body).encode() if body is not None else None
        sent = {name: value for name, value in sent.items() if value != ""}
        async with self._session.request(
            method, self.url + path, data=data, headers=sent, skip_auto_headers={"Content-Type"}
        ) as answer:
            return Said(answer.status, answer.headers, await answer.read())


@asynccontextmanager
async def gateway_on(
    database: TestDatabase,
    *,
    limits: GatewayLimits | None = None,
    project: Project | None = None,
    change: Callable[[Services], Services] = lambda services: services,
    meters: Meters | None = None,
) -> AsyncIterator[Gateway]:
    """A gateway on this database, with the example project published in it."""
    loaded = project or load_project(file_only_example())
    await _publish(database, loaded)
    stop, ready = asyncio.Event(), asyncio.Event()
    async with open_gateway(
        loaded, database.dsn, audit_key=AUDIT_KEY, trusted=(_ISSUER.trusted,)
    ) as opened:
        services = change(replace(opened, limits=limits or opened.limits))
        beside = console_beside(loaded, services, audit_key=AUDIT_KEY)
        with listen("127.0.0.1", 0) as listening:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            serving = asyncio.create_task(
                serve(
                    services,
                    listening,
                    stop,
                    shutdown_s=2,
                    ready=ready.set,
                    beside=beside,
                    meters=meters,
                )
            )
            await asyncio.wait_for(ready.wait(), 10)
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(connector=connector) as session:
                yield Gateway(url, services, session)
            stop.set()
            await asyncio.wait_for(serving, 10)


async def _publish(database: TestDatabase, project: Project) -> None:
    worker = await database.connect(role="quaestor_worker")
    release = project.release().hash
    files = {name: (project.path / name).read_bytes() for name in project.files}

    async def work(connection: Connection) -> None:
        await publish(connection, release, files, by="tests")
        await load_budgets(connection, project.budget_nodes.values(), release=release)

    await worker.run(work)


def a_body(source_id: str = "R-1", **changes: Any) -> dict[str, Any]:
    """A requisition as a caller states it, in order, for acme-de."""
    body: dict[str, Any] = {
        "source_system": "portal",
        "source_id": source_id,
        "entity": "acme-de",
        "requester": "ana.berger",
        "currency": "EUR",
        "total": "3600.00",
        "lines": [a_line_body()],
    }
    return {name: value for name, value in {**body, **changes}.items() if value is not ...}


def a_line_body(**changes: Any) -> dict[str, Any]:
    """Its one line; `...` leaves a member out."""
    line: dict[str, Any] = {
        "number": 1,
        "description": "Laptop",
        "supplier": "helio-systems",
        "quantity": "3",
        "uom": "EA",
        "unit_price": "1200.00",
        "amount": "3600.00",
        "splits": [
            {
                "coding": {"cost_center": "it-de", "gl_account": "it-hardware"},
                "amount": "3600.00",
            }
        ],
    }
    return {name: value for name, value in {**line, **changes}.items() if value is not ...}


def a_reservation(source_id: str = "B-1", amount: str = "100.00", **changes: Any) -> dict[str, Any]:
    """A reservation as a caller states it, for acme-de."""
    line = {"cost_center": "it-de", "gl_account": "it-hardware", "amount": amount}
    return {
        "source_system": "portal",
        "source_id": source_id,
        "entity": "acme-de",
        "currency": "EUR",
        "lines": [line],
        **changes,
    }


@asynccontextmanager
async def worker_on(
    database: TestDatabase, gateway: Gateway, *, erp: FakeErp | None = None
) -> AsyncIterator[Database]:
    """A worker beside the gateway, whose ERP lives in this process; gives its database."""
    owner = await database.connect()
    async with owner.connection() as connection:
        await establish_epoch(connection, accepted_by="tests")
    pool = await database.connect(role="quaestor_worker", max_size=8)
    erp, services = erp or FakeErp(), gateway.services
    promise = ActionGuarantee(Guarantee.SEARCH, 0.05)
    world = World(
        deployment="gateway-tests",
        targets={"sap": Target("sap", erp.render, {"create_order": promise}, findable=True)},
        reads=lambda case, kinds: services.reads(case.document.type, case.document.entity, kinds),
        asked=frozenset(services.asked),
        limits=Limits(look_backoff_s=0.02, send_backoff_s=0.02),
    )
    dispatch = Dispatch(FLOWS)
    advance = Advance(
        world=world,
        flows=services.flows,
        lanes=Lanes({"sap": 8}, lane_names(["sap", *services.asked], services.entities)),
        links={"sap": SystemLink("sap", erp, 2.0)},
        recorder=services.recorder,
        lease_s=5.0,
        reconcile_every_s=60.0,
        know_releases=_no_releases,
        asked=services.asked,
    )
    upkeep = Upkeep(pool, dispatch, "worker-1", every_s=0.2)
    async with running(Engine(pool, dispatch, advance, upkeep, EngineOptions(), no_crash)):
        yield pool


async def _no_releases(connection: object, hashes: object) -> None:
    return None


async def until(pool: Database, query: str, *values: Any, seconds: float = 20.0) -> Any:
    """Wait until the query answers something true; what it answered."""
    async with asyncio.timeout(seconds):
        # The database tells of a change to nobody who does not ask.
        while not (found := await pool.fetchval(query, *values)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return found
