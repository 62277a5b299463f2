"""Requests, an ear and attempts for tests of the wire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from quaestor.connectors.kit.attempt import Attempt
from quaestor.connectors.kit.classify import Answer, Voice
from quaestor.connectors.kit.contract import NotKnown
from quaestor.connectors.kit.wires.http import HttpRequest
from tests.connectors.raw_server import Arrived, answer

__all__ = [
    "CANCEL",
    "CREATE",
    "LOOK",
    "PASSWORD",
    "an_attempt",
    "breaking",
    "good",
    "hear",
    "raised",
]

CREATE = HttpRequest("POST", "/orders", body=b'{"order": 1}', commits=True)
CANCEL = HttpRequest("DELETE", "/orders/1", commits=True)
LOOK = HttpRequest("GET", "/orders")
PASSWORD = "canary-of-the-wire"


def hear(reply: Answer) -> Voice:
    """An application that says yes with 2xx and no with 422."""
    if reply.status in (401, 403):
        return Voice.LOGIN
    if reply.status == 422:
        return Voice.REFUSED
    return Voice.DONE if reply.status < 300 else Voice.UNSURE


def an_attempt(*, send_within_s: float = 10.0, total_timeout_s: float = 5.0) -> Attempt:
    return Attempt(time.monotonic() + send_within_s, total_timeout_s)


async def raised(call: Awaitable[object]) -> NotKnown:
    with pytest.raises(NotKnown) as caught:
        await call
    return caught.value


async def good(request: Arrived) -> bytes:
    return answer()


def breaking(
    reply: bytes | None, *, close: bool = True
) -> Callable[[Arrived], Awaitable[bytes | None]]:
    async def script(request: Arrived) -> bytes | None:
        if not close:
            await asyncio.Event().wait()
        return reply

    return script
