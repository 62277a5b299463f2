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
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from quaestor.gateway.admission import Admission
from quaestor.gateway.arrival import Arrival, Asgi, refused, say, values_of
from quaestor.gateway.problems import RETRY_AFTER_S, Problem
from quaestor.security.identity import TokenInvalid, bearer_token
from quaestor.security.known_tokens import KnownTokens

__all__ = ["Door"]

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
        tokens: KnownTokens,
        asking: Collection[str],
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._app = app
        self._admission = admission
        self._tokens = tokens
        self._asking = frozenset(asking)
        self._monotonic = monotonic
        self._sleep = sleep
        # Until when a connection was told to stay away; who was to come by now goes at a sweep.
        self._told: dict[object, float] = {}
        self._sweep_at = 0.0
        self._held = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith(_GUARDED):
            problem = self._no_room(scope)
            if problem is not None:
                problem = await self._heeded(scope, problem)
            if problem is not None:
                request_id = Arrival(scope).request_id
                await say(send, refused(problem, request_id), request_id)
                return
        await self._app(scope, receive, send)

    def _no_room(self, scope: Any) -> Problem | None:
        changes = scope["method"] == "POST" and scope["path"] not in self._asking
        return self._admission.no_room(lambda: self._client(scope), changes=changes)

    def _client(self, scope: Any) -> str | None:
        """Whom the request counts against, if its token was seen before."""
        try:
            return self._tokens.client_of(bearer_token("".join(values_of(scope, b"authorization"))))
        except TokenInvalid:
            return None

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
        if now >= self._sweep_at:
            self._told = {each: until for each, until in self._told.items() if until > now}
            self._sweep_at = now + RETRY_AFTER_S
        retry_after_s = min(_RETRY_AFTER_S_MAX, RETRY_AFTER_S + len(self._told) // _CALLERS_PER_S)
        problem.headers["Retry-After"] = str(retry_after_s)
        if len(self._told) < _CALLERS_MAX or caller in self._told:
            self._told[caller] = now + retry_after_s
