"""A gateway with its pages, a worker beside it, and somebody at a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.console.browsing import Visitor
from tests.support.database import TestDatabase
from tests.support.gateway import Gateway, gateway_on


@pytest.fixture
async def gateway(database: TestDatabase) -> AsyncIterator[Gateway]:
    async with gateway_on(database) as running:
        yield running


@pytest.fixture
async def visitor(gateway: Gateway) -> AsyncIterator[Visitor]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Visitor(gateway, session)
