"""An operation of the API: what it takes, what it answers, who may ask. One table, `OPERATIONS`,
makes the routes, the OpenAPI document and the tests that walk it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from quaestor.actions.stating import Stated
from quaestor.gateway.services import Services
from quaestor.security.authorization import Scope
from quaestor.security.identity import Caller

__all__ = ["Answer", "Call", "Handler", "Operation", "Query"]

_encoder = msgspec.json.Encoder(decimal_format="string")


class Answer(msgspec.Struct, frozen=True):
    """A status, what is said, and headers beyond the usual."""

    status: int
    body: Any
    headers: Mapping[str, str] = {}

    @property
    def encoded(self) -> bytes:
        """The body as JSON; decimals as strings."""
        return _encoder.encode(self.body)


class Call(msgspec.Struct, frozen=True):
    """What a handler is given. `body` is of the operation's type, `path` and `query` are text,
    `stated` is what the operation `asks`.
    """

    services: Services
    caller: Caller
    request_id: str
    path: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    body: Any = None
    if_match: str | None = None
    key: str = ""
    stated: Stated = ()


Handler = Callable[[Any, Any], Awaitable[Any]]
"""What answers a `Call`, with a connection where its mode gives one: an `Answer`. Of an operation
that is carried out `together` it takes several calls, and answers each in its place with an
`Answer` or with the error that is that call's; the calls are of one set of entities.
"""


class Query(msgspec.Struct, frozen=True):
    """A parameter of the query, and its JSON Schema."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Operation:
    """One method on one path.

    `takes` is the type of the body. `keyed` asks for an Idempotency-Key and gives the handler a
    transaction that changes something, once; several calls share it where it is `together`.
    Otherwise a `read` sees one moment, and `free` brings its own connections. What another system
    has to state for a keyed operation it `asks` before the transaction begins. `conditional` asks
    for If-Match. `scopes` are those of which one is enough. `refuses` are the codes it may refuse
    with beyond those that every operation has.
    """

    id: str
    method: Literal["GET", "POST"]
    path: str
    summary: str
    handler: Handler
    answers: Any
    status: int = 200
    scopes: tuple[Scope, ...] = ()
    takes: Any = None
    query: tuple[Query, ...] = ()
    mode: Literal["read", "free"] = "read"
    keyed: bool = False
    together: bool = False
    conditional: bool = False
    asks: Callable[[Call], Awaitable[Stated]] | None = None
    refuses: tuple[str, ...] = ()
