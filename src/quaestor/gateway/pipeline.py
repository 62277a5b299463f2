"""The way of every request: room, token, parameters, body, execution, answer.

The order is fixed, so that a caller who may not ask learns nothing from how his body is faulty:

    room → token → environment and scope → parameters → key → If-Match → body → act or read
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import structlog
from litestar import Request
from litestar.exceptions import InternalServerException

from quaestor.actions.refusing import NotAccepted
from quaestor.connectors.kit.contract import Receipt
from quaestor.gateway.admission import Admission
from quaestor.gateway.bodies import BODY_BYTES_MAX, canonical, read_json
from quaestor.gateway.idempotency import Keeper, KeyScope, read_key
from quaestor.gateway.operation import Answer, Call, Operation
from quaestor.gateway.problems import FaultAt, Problem
from quaestor.gateway.services import Services
from quaestor.gateway.shapes import shape
from quaestor.gateway.webhooks import receive
from quaestor.model.refusal import refuse
from quaestor.security.authorization import Forbidden, NotFound, permit
from quaestor.security.identity import Caller, TokenInvalid
from quaestor.security.known_tokens import KnownTokens
from quaestor.store.errors import CommitOutcomeUnknown, is_storage_trouble

__all__ = ["Pipeline", "new_request_id"]

_log = structlog.get_logger(__name__)

_QUERY_LENGTH_MAX = 200
_THROWN_AWAY_BYTES_MAX = 16 * BODY_BYTES_MAX
_TOO_LARGE = refuse("payload_too_large", bytes_max=str(BODY_BYTES_MAX))

AnyRequest = Request[Any, Any, Any]


class Pipeline:
    """Takes requests through; one per gateway process."""

    def __init__(self, services: Services, admission: Admission) -> None:
        self._services = services
        self._keeper = Keeper(services.database)
        self._tokens = KnownTokens(services.trusted)
        self._admission = admission

    async def carry_out(self, operation: Operation, request: AnyRequest, request_id: str) -> Answer:
        """The answer of one request. Raises `Problem`, and whatever nobody foresaw."""
        changes = operation.keyed
        with _as_problems(request_id), self._admission.room(changes=changes):
            caller = self._caller(request)
            with self._admission.share(caller.client, changes=changes):
                return await self._for(caller, operation, request, request_id)

    async def take_delivery(
        self, request: AnyRequest, request_id: str, *, for_token: bool
    ) -> Receipt:
        """The receipt of a webhook, or a token for it; either authenticates itself. Raises as
        `carry_out`."""
        system = request.path_params["system"]
        with (
            _as_problems(request_id),
            self._admission.room(changes=True),
            self._admission.share(f"/{system}", changes=True),
        ):
            services = self._services
            # Before the body is read: nobody may send a megabyte to a system that takes nothing.
            if system not in services.receivers:
                raise Problem("webhook_unknown")
            body = await _limited(request)
            headers = {
                name.decode("latin-1"): value.decode("latin-1")
                for name, value in request.scope["headers"]
            }
            try:
                return await receive(
                    services.database,
                    services.receivers,
                    system,
                    headers,
                    body,
                    for_token=for_token,
                )
            except Problem as problem:
                if problem.status == 401:
                    self._admission.token_failed(request.client.host if request.client else "")
                raise

    async def _for(
        self, caller: Caller, operation: Operation, request: AnyRequest, request_id: str
    ) -> Answer:
        services = self._services
        permit(caller, services.environment, *operation.scopes)
        query = _query(operation, request)
        key = read_key(_values(request, b"idempotency-key")) if operation.keyed else ""
        if_match = _if_match(operation, request)
        value = read_json(await _body(request)) if operation.takes is not None else None
        body = shape(value, operation.takes) if operation.takes is not None else None
        path = {name: str(value) for name, value in request.path_params.items()}
        call = Call(services, caller, request_id, path, query, body, if_match, key)
        if operation.asks is not None and getattr(body, "entity", None) in caller.entities:
            call = replace(call, stated=await operation.asks(call))
        if operation.keyed:
            raw = b"" if value is None else canonical(value)
            return await self._once(operation, call, request.scope["path"], raw)
        answer: Answer
        if operation.mode == "free":
            answer = await operation.handler(call, None)
            return answer
        async with services.database.transaction(
            isolation="repeatable_read", readonly=True, entities=sorted(caller.entities)
        ) as connection:
            answer = await operation.handler(call, connection)
        return answer

    async def _once(self, operation: Operation, call: Call, path: str, raw: bytes) -> Answer:
        caller = call.caller
        stated = "\0".join((caller.subject, path, call.if_match or "")).encode()
        scope = KeyScope(
            client=caller.client,
            route=f"{operation.method} {operation.path}",
            key=call.key,
            entities=tuple(sorted(caller.entities)),
            fingerprint=hashlib.sha256(stated + b"\0" + raw).digest(),
        )
        return await self._keeper.once(scope, operation, call)

    def _caller(self, request: AnyRequest) -> Caller:
        given = _values(request, b"authorization")
        if not given:
            raise Problem("token_missing")
        scheme, _, token = given[0].partition(" ")
        try:
            if len(given) > 1 or scheme.lower() != "bearer" or not token.isascii():
                raise TokenInvalid("There is no bearer token.")
            caller = self._tokens.verify(token.strip(), now_s=int(time.time()))
        except TokenInvalid as error:
            self._admission.token_failed(request.client.host if request.client else "")
            raise Problem(refuse("token_invalid", reason=str(error))) from error
        self._admission.know(given[0], caller.client)
        return caller


@contextmanager
def _as_problems(request_id: str) -> Iterator[None]:
    """What actions and store raise, as the problem it is."""
    try:
        yield
    except (Forbidden, NotFound) as error:
        raise Problem(error.refusal) from error
    except NotAccepted as error:
        faults = [
            FaultAt(_place(each.details), each.code, "See the meaning of the code.")
            for each in error.refusals
        ]
        raise Problem(error.refusal, errors=faults, extra=error.facts) from error
    except CommitOutcomeUnknown as error:
        raise Problem("commit_unknown") from error
    except Exception as error:
        if not (is_storage_trouble(error) or isinstance(error, asyncpg.QueryCanceledError)):
            raise
        _log.warning("storage_unavailable", error=type(error).__name__, request=request_id)
        raise Problem("storage_unavailable") from error


def new_request_id() -> str:
    """A name for one request, for logs and answers."""
    return os.urandom(12).hex()


def _values(request: AnyRequest, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in request.scope["headers"] if key == name]


def _query(operation: Operation, request: AnyRequest) -> dict[str, str]:
    if not request.scope["query_string"]:
        return {}
    known = {parameter.name: parameter.schema for parameter in operation.query}
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known or name in found:
            raise Problem(refuse("unknown_filter", filter=ascii(name)[1:-1][:60]))
        longest = known[name].get("maxLength", _QUERY_LENGTH_MAX)
        if not 0 < len(value) <= longest or not value.isprintable():
            raise Problem(refuse("value_invalid", where=name))
        found[name] = value
    return found


def _if_match(operation: Operation, request: AnyRequest) -> str | None:
    if not operation.conditional:
        return None
    given = _values(request, b"if-match")
    if not given:
        raise Problem("precondition_required")
    if len(given) > 1:
        raise Problem("precondition_failed")
    return given[0].strip()


async def _body(request: AnyRequest) -> bytes:
    """The body of a request that states it is JSON in UTF-8 (N10)."""
    types = _values(request, b"content-type")
    media, _, parameters = (types[0] if len(types) == 1 else "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if media.strip().lower() != "application/json" or charset not in ("", "utf-8"):
        raise Problem("unsupported_media_type")
    return await _limited(request)


async def _limited(request: AnyRequest) -> bytes:
    """The whole body, or a refusal before more than the limit was read (N8)."""
    length = _values(request, b"content-length")
    stated = int(length[0][:20]) if length and length[0].isdecimal() else 0
    if stated > BODY_BYTES_MAX:
        # The server throws the rest away. A connection that is closed on somebody who still
        # speaks takes the answer with it, so only what would speak on for long is cut off.
        cut = {"Connection": "close"} if stated > _THROWN_AWAY_BYTES_MAX else {}
        raise Problem(_TOO_LARGE, headers=cut)
    chunks, size = [], 0
    more = True
    while more:
        event: Any = await request.receive()
        if event["type"] == "http.disconnect":
            raise InternalServerException("the caller went away before the end of the body")
        size += len(event["body"])
        if size > BODY_BYTES_MAX:
            raise Problem(_TOO_LARGE, headers={"Connection": "close"})
        chunks.append(event["body"])
        more = event["more_body"]
    return b"".join(chunks)


def _place(details: Mapping[str, str]) -> str:
    """`lines[1].amount` of a refusal as a pointer; lines are named by their number."""
    where = details.get("where", "")
    return "/" + where.replace("[", "/").replace("]", "").replace(".", "/") if where else ""
