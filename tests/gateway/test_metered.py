"""Requests are timed by route and status, and nobody makes up routes."""

from __future__ import annotations

import aiohttp
import pytest

from quaestor.gateway.server import metered
from quaestor.gateway.services import GatewayLimits
from quaestor.observability.meters import Meters
from tests.support.database import TestDatabase
from tests.support.gateway import a_body, gateway_on


async def test_requests_are_counted_by_route_and_status(database: TestDatabase) -> None:
    meters = Meters()
    async with gateway_on(database, meters=meters) as gateway:
        made = await gateway.ask("POST", "/v1/requisitions", a_body())
        await gateway.ask("POST", "/v1/requisitions", a_body(total="1.00"))
        await gateway.ask("GET", f"/v1/traces/{made.json['id']}")
        await gateway.ask("GET", "/v1/made-up/1")
        await gateway.ask("PURGE", "/v1/requisitions")
        async with aiohttp.ClientSession() as session:
            await session.get(f"{gateway.url}/console/trace/R-1", allow_redirects=False)

    counts = {key: timings.items for key, timings in meters.requests.items()}
    assert counts == {
        ("/v1/requisitions", "POST", 201): 1,
        ("/v1/requisitions", "POST", 422): 1,
        ("/v1/traces/{id}", "GET", 200): 1,
        ("/console/trace/{id}", "GET", 303): 1,
        ("", "GET", 404): 1,
        ("/v1/requisitions", "other", 405): 1,
    }
    assert meters.requests_open == 0


async def test_what_is_refused_at_the_door_is_counted(database: TestDatabase) -> None:
    meters = Meters()
    limits = GatewayLimits(at_once_max=0)
    async with gateway_on(database, meters=meters, limits=limits) as gateway:
        await gateway.ask("GET", "/v1/traces/1")

    assert {key: timings.items for key, timings in meters.requests.items()} == {("", "GET", 503): 1}


async def test_what_breaks_before_it_answers_is_counted_as_failed() -> None:
    meters = Meters()

    async def broken(scope: object, receive: object, send: object) -> None:
        raise ConnectionResetError

    scope = {"type": "http", "method": "GET", "path": "/healthz", "path_template": "/healthz"}
    with pytest.raises(ConnectionResetError):
        await metered(broken, meters)(scope, None, None)

    assert list(meters.requests) == [("/healthz", "GET", 500)]
    assert meters.requests_open == 0
