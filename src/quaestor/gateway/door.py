"""The door: who finds no room is told so before anything of the request is read.

A refusal must cost next to nothing. Refused behind the door, ten times too many requests kept the
gateway so busy with saying no that a tenth of what it can take got through.

Who was told to come again in a while, and asks again at once on the same connection, is answered
when that while is over: so callers who heed no answer set the pace for themselves alone. The more
of them there are, the longer it is.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import msgspec

from quaestor.gateway.admission import Admission
from quaestor.gateway.pipeline import new_request_id
from quaestor.gateway.problems import PROBLEM_JSON, RETRY_AFTER_S, Problem, problem_body

__all__ = ["HEADERS", "Asgi", "Door"]

Asgi = Callable[[Any, Any, Any], Awaitable[None]]

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

_GUARDED = "/v1/"
_CALLERS_MAX = 10_000
_HELD_MAX = 4_000
_RETRY_AFTER_S_MAX = 5
# One second more for each so many that were told to stay away.
_CALLERS_PER_S = 500


class Door:
    """Stands in front of `app`. `asking` are the paths of POSTs that change nothing."""

    def __init__(
        self,
        app: Asgi,
        admission: Admission,
        asking: Collection[str],
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._app = app
        self._admission = admission
        self._asking = frozenset(asking)
        self._monotonic = monotonic
        self._sleep = sleep
        # Until when a connection was told to stay away.
        self._told: OrderedDict[object, float] = OrderedDict()
        self._held = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith(_GUARDED):
            problem = self._no_room(scope)
            if problem is not None:
                problem = await self._heeded(scope, problem)
            if problem is not None:
                await _refuse(send, problem)
                return
        await self._app(scope, receive, send)

    def _no_room(self, scope: Any) -> Problem | None:
        changes = scope["method"] == "POST" and scope["path"] not in self._asking
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return self._admission.no_room(given.decode("latin-1"), changes=changes)

    async def _heeded(self, scope: Any, problem: Problem) -> Problem | None:
        """The same, or `None` if there is room once the connection has stayed away long enough."""
        caller, now = scope["client"], self._monotonic()
        wait_s = self._told.get(caller, now) - now
        if wait_s > 0 and self._held < _HELD_MAX:
            self._held += 1
            try:
                await self._sleep(wait_s)
            finally:
                self._held -= 1
            again = self._no_room(scope)
            if again is None:
                return None
            problem = again
        self._send_away(caller, problem)
        return problem

    def _send_away(self, caller: object, problem: Problem) -> None:
        """Tell the connection when to come again, and keep that in mind."""
        now = self._monotonic()
        while self._told and next(iter(self._told.values())) <= now:
            self._told.popitem(last=False)
        retry_after_s = min(_RETRY_AFTER_S_MAX, RETRY_AFTER_S + len(self._told) // _CALLERS_PER_S)
        problem.headers["Retry-After"] = str(retry_after_s)
        self._told[caller] = now + retry_after_s
        self._told.move_to_end(caller)
        if len(self._told) > _CALLERS_MAX:
            self._told.popitem(last=False)


async def _refuse(send: Any, problem: Problem) -> None:
    request_id = new_request_id()
    body = msgspec.json.encode(problem_body(problem, request_id))
    headers = {
        "Content-Type": PROBLEM_JSON,
        "Content-Length": str(len(body)),
        "X-Request-Id": request_id,
        **HEADERS,
        **problem.headers,
    }
    lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
