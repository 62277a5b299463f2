"""The gateway as an ASGI application: routes of the one table, health, and no answer unnamed."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import msgspec
from litestar import HttpMethod, Litestar, Request, Response
from litestar.handlers import ASGIRouteHandler, HTTPRouteHandler
from litestar.types import ASGIApp

from quaestor.gateway.admission import Admission
from quaestor.gateway.arrival import HEADERS, Arrival, Asgi, CallerGone, refused, say
from quaestor.gateway.door import Door
from quaestor.gateway.failing import problem_of
from quaestor.gateway.openapi import openapi_document
from quaestor.gateway.operation import Answer
from quaestor.gateway.pipeline import Pipeline
from quaestor.gateway.problems import Problem
from quaestor.gateway.routes import OPERATIONS
from quaestor.gateway.services import Services
from quaestor.model.refusal import REFUSALS, refuse
from quaestor.security.known_tokens import KnownTokens
from quaestor.store.errors import is_storage_trouble

__all__ = ["make_app"]

Endpoint = Callable[[Arrival], Awaitable[Answer]]
# By path and method.
Endpoints = dict[str, dict[str, Endpoint]]


def make_app(services: Services) -> Asgi:
    """The application on these services, which stay the caller's to close."""
    admission, tokens = Admission(services.limits, time.monotonic), KnownTokens(services.trusted)
    asking = [each.path for each in OPERATIONS if each.method == "POST" and not each.keyed]
    behind = _behind_the_door(services, Pipeline(services, admission, tokens))
    return Door(behind, admission, tokens, asking)


def _behind_the_door(services: Services, pipeline: Pipeline) -> Asgi:
    endpoints: Endpoints = {}
    for each in OPERATIONS:
        of_path = endpoints.setdefault(each.path, {})
        of_path[each.method] = partial(pipeline.carry_out, each)
    endpoints |= _open_endpoints(services) | _webhook_endpoints(pipeline)
    return Litestar(
        route_handlers=[_route(path, of_path) for path, of_path in endpoints.items()],
        openapi_config=None,
        exception_handlers={Exception: _refuse},
        request_max_body_size=None,
        logging_config=None,
        debug=False,
    )


def _route(path: str, endpoints: Mapping[str, Endpoint]) -> ASGIRouteHandler | HTTPRouteHandler:
    async def serve(scope: Any, receive: Any, send: Any) -> None:
        arrival = Arrival(scope, receive)
        try:
            endpoint = endpoints.get(scope["method"])
            if endpoint is None:
                raise Problem("method_not_allowed", headers={"Allow": ", ".join(endpoints)})
            answer = await endpoint(arrival)
        except CallerGone:
            return
        except Exception as error:  # noqa: BLE001 - what was not foreseen is logged there
            request_id = arrival.request_id
            answer = refused(problem_of(error, request_id), request_id)
        await say(send, answer, arrival.request_id)

    async def found() -> ASGIApp:
        return serve

    if "{" not in path:
        return ASGIRouteHandler(path, name=path, copy_scope=False)(serve)
    # The framework's plain ASGI routes have no parameters in their paths.
    template = re.sub(r"\{(\w+)\}", r"{\1:str}", path)
    methods = [HttpMethod(method) for method in endpoints]
    return HTTPRouteHandler(template, name=path, http_method=methods)(found)


def _open_endpoints(services: Services) -> Endpoints:
    """What is answered without a token, and also when the gateway takes no more work."""

    async def healthz(_: Arrival) -> Answer:
        return Answer(200, {"status": "alive"})

    async def readyz(_: Arrival) -> Answer:
        try:
            known = await services.database.fetchval(
                "select exists (select from quaestor.release where hash = $1)", services.release
            )
        except Exception as error:
            if not is_storage_trouble(error):
                raise
            raise Problem("storage_unavailable") from None
        if not known:
            raise Problem(refuse("not_ready", release="unpublished"))
        return Answer(200, {"status": "ready"})

    async def problem(arrival: Arrival) -> Answer:
        kind = REFUSALS.get(arrival.path_params["code"])
        if kind is None:
            raise Problem("not_found")
        return Answer(200, kind)

    document = msgspec.Raw(msgspec.json.encode(openapi_document(OPERATIONS)))

    async def openapi(_: Arrival) -> Answer:
        return Answer(200, document)

    return {
        "/healthz": {"GET": healthz},
        "/readyz": {"GET": readyz},
        "/problems/{code}": {"GET": problem},
        "/openapi.json": {"GET": openapi},
    }


def _webhook_endpoints(pipeline: Pipeline) -> Endpoints:
    return {
        "/v1/webhooks/{system}": {"POST": partial(pipeline.take_delivery, for_token=False)},
        "/v1/webhooks/{system}/token": {"POST": partial(pipeline.take_delivery, for_token=True)},
    }


def _refuse(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """What the framework refuses by itself: a path or a method that is none of ours."""
    request_id = Arrival(request.scope).request_id
    answer = refused(problem_of(error, request_id), request_id)
    return Response(
        answer.encoded,
        status_code=answer.status,
        headers={**HEADERS, "X-Request-Id": request_id, **answer.headers},
    )
