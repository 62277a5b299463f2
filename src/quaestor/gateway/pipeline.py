"""The way of every request: room, token, parameters, body, execution, answer.

The order is fixed, so that a caller who may not ask learns nothing from how his body is faulty:

    room → token → environment and scope → parameters → key → If-Match → body → act or read
"""

from __future__ import annotations

import hashlib
import time

import msgspec
from msgspec.structs import replace

from quaestor.gateway.admission import Admission
from quaestor.gateway.arrival import Arrival
from quaestor.gateway.bodies import canonical, read_json
from quaestor.gateway.idempotency import Keeper, KeyScope, read_key
from quaestor.gateway.operation import Answer, Call, Operation
from quaestor.gateway.problems import Problem
from quaestor.gateway.services import Services
from quaestor.gateway.shapes import shape
from quaestor.gateway.webhooks import receive
from quaestor.model.refusal import refuse
from quaestor.security.authorization import permit
from quaestor.security.identity import Caller, TokenInvalid, bearer_token
from quaestor.security.known_tokens import KnownTokens

__all__ = ["Pipeline"]

_QUERY_LENGTH_MAX = 200


class Pipeline:
    """Takes requests through; one per gateway process."""

    def __init__(self, services: Services, admission: Admission, tokens: KnownTokens) -> None:
        self._services = services
        self._keeper = Keeper(services.database)
        self._tokens = tokens
        self._admission = admission

    async def carry_out(self, operation: Operation, arrival: Arrival) -> Answer:
        """The answer of one request. Raises what `problem_of` knows, and what nobody foresaw."""
        changes = operation.keyed
        with self._admission.room(changes=changes):
            caller = self._caller(arrival)
            with self._admission.share(caller.client, changes=changes):
                return await self._for(caller, operation, arrival)

    async def take_delivery(self, arrival: Arrival, *, for_token: bool) -> Answer:
        """The receipt of a webhook, or a token for it; either authenticates itself. Raises as
        `carry_out`."""
        system = arrival.path_params["system"]
        admission, services = self._admission, self._services
        with admission.room(changes=True), admission.share(f"/{system}", changes=True):
            # Before the body is read: nobody may send a megabyte to a system that takes nothing.
            if system not in services.receivers:
                raise Problem("webhook_unknown")
            body = await arrival.body()
            headers = arrival.headers()
            try:
                receipt = await receive(
                    services.database,
                    services.receivers,
                    system,
                    headers,
                    body,
                    for_token=for_token,
                )
            except Problem as problem:
                if problem.status == 401:
                    admission.token_failed(arrival.peer)
                raise
        said = {"Content-Type": receipt.media_type}
        return Answer(receipt.status, msgspec.Raw(receipt.body), said)

    async def _for(self, caller: Caller, operation: Operation, arrival: Arrival) -> Answer:
        services = self._services
        permit(caller, services.environment, *operation.scopes)
        query = _query(operation, arrival)
        key = read_key(arrival.values(b"idempotency-key")) if operation.keyed else ""
        if_match = _if_match(operation, arrival)
        value = read_json(await arrival.json_bytes()) if operation.takes is not None else None
        body = shape(value, operation.takes) if operation.takes is not None else None
        call = Call(
            services, caller, arrival.request_id, arrival.path_params, query, body, if_match, key
        )
        if operation.asks is not None and getattr(body, "entity", None) in caller.entities:
            call = replace(call, stated=await operation.asks(call))
        if operation.keyed:
            raw = b"" if value is None else canonical(value)
            return await self._once(operation, call, arrival.scope["path"], raw)
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

    def _caller(self, arrival: Arrival) -> Caller:
        given = arrival.values(b"authorization")
        if not given:
            raise Problem("token_missing")
        try:
            if len(given) > 1:
                raise TokenInvalid("There are two tokens.")
            return self._tokens.verify(bearer_token(given[0]), now_s=int(time.time()))
        except TokenInvalid as error:
            self._admission.token_failed(arrival.peer)
            raise Problem(refuse("token_invalid", reason=str(error))) from error


def _query(operation: Operation, arrival: Arrival) -> dict[str, str]:
    if not arrival.scope["query_string"]:
        return {}
    known = {parameter.name: parameter.schema for parameter in operation.query}
    found: dict[str, str] = {}
    for name, value in arrival.query():
        if name not in known or name in found:
            raise Problem(refuse("unknown_filter", filter=ascii(name)[1:-1][:60]))
        longest = known[name].get("maxLength", _QUERY_LENGTH_MAX)
        if not 0 < len(value) <= longest or not value.isprintable():
            raise Problem(refuse("value_invalid", where=name))
        found[name] = value
    return found


def _if_match(operation: Operation, arrival: Arrival) -> str | None:
    if not operation.conditional:
        return None
    given = arrival.values(b"if-match")
    if not given:
        raise Problem("precondition_required")
    if len(given) > 1:
        raise Problem("precondition_failed")
    return given[0].strip()
