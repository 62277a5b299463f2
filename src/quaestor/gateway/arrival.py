"""A request as the server hands it over, and the answer as the server takes it.

The framework finds the route. Its own requests and responses would be made and converted for
every request anew, and cost as much as what is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from quaestor.gateway.bodies import BODY_BYTES_MAX
from quaestor.gateway.operation import Answer
from quaestor.gateway.problems import PROBLEM_JSON, Problem, problem_body
from quaestor.model.refusal import refuse

__all__ = ["HEADERS", "Arrival", "Asgi", "CallerGone", "refused", "say", "values_of"]

Asgi = Callable[[Any, Any, Any], Awaitable[None]]

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""What every answer says."""

_THROWN_AWAY_BYTES_MAX = 16 * BODY_BYTES_MAX
_TOO_LARGE = refuse("payload_too_large", bytes_max=str(BODY_BYTES_MAX))
_JSON = "application/json"
_ALWAYS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class CallerGone(Exception):
    """The caller went away before the end of the body."""


class Arrival:
    """One request. `request_id` names it in logs and in its answer."""

    __slots__ = ("_receive", "request_id", "scope")

    def __init__(self, scope: Any, receive: Any = None) -> None:
        self.scope = scope
        self._receive = receive
        self.request_id = os.urandom(12).hex()

    @property
    def peer(self) -> str:
        """The address that it comes from."""
        client = self.scope["client"]
        return client[0] if client else ""

    @property
    def path_params(self) -> Mapping[str, str]:
        """What stands in the path, by the names of its template."""
        params: Mapping[str, str] = self.scope["path_params"]
        return params

    def values(self, name: bytes) -> list[str]:
        """The values of a header, which is named in lower case."""
        return values_of(self.scope, name)

    def headers(self) -> Mapping[str, str]:
        """All of the head, by lower case names; of a header that comes twice the last."""
        return {
            name.decode("latin-1"): value.decode("latin-1") for name, value in self.scope["headers"]
        }

    def query(self) -> list[tuple[str, str]]:
        """The parameters of the query, in their order."""
        return parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)

    async def json_bytes(self) -> bytes:
        """The body of a request that states it is JSON in UTF-8 (N10). Raises as `body`."""
        types = self.values(b"content-type")
        if types != [_JSON]:
            media, _, parameters = (types[0] if len(types) == 1 else "").partition(";")
            charset = parameters.strip().lower().removeprefix("charset=").strip('"')
            if media.strip().lower() != _JSON or charset not in ("", "utf-8"):
                raise Problem("unsupported_media_type")
        return await self.body()

    async def body(self) -> bytes:
        """The whole body, or a refusal before more than the limit was read (N8).

        Raises `Problem` and `CallerGone`.
        """
        length = self.values(b"content-length")
        stated = int(length[0][:20]) if length and length[0].isdecimal() else 0
        if stated > BODY_BYTES_MAX:
            # The server throws the rest away. A connection that is closed on somebody who still
            # speaks takes the answer with it, so only what would speak on for long is cut off.
            cut = {"Connection": "close"} if stated > _THROWN_AWAY_BYTES_MAX else {}
            raise Problem(_TOO_LARGE, headers=cut)
        chunks, size = [], 0
        more = True
        while more:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                raise CallerGone
            size += len(event["body"])
            if size > BODY_BYTES_MAX:
                raise Problem(_TOO_LARGE, headers={"Connection": "close"})
            chunks.append(event["body"])
            more = event["more_body"]
        return b"".join(chunks)


def values_of(scope: Any, name: bytes) -> list[str]:
    """The values of a header of this request, which is named in lower case."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def refused(problem: Problem, request_id: str) -> Answer:
    """The answer that tells a problem."""
    headers = {"Content-Type": PROBLEM_JSON, **problem.headers}
    return Answer(problem.status, problem_body(problem, request_id), headers)


async def say(send: Any, answer: Answer, request_id: str) -> None:
    """Give the answer to the server."""
    body = answer.encoded
    headers = {"content-type": _JSON} | {n.lower(): v for n, v in answer.headers.items()}
    lines = [
        *((name.encode(), value.encode("latin-1")) for name, value in headers.items()),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode()),
        *_ALWAYS,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
