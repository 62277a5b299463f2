"""The gateway as an ASGI application: routes of the one table, health, and no answer unnamed."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from litestar import HttpMethod, Litestar, Request, Response
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from quaestor.gateway.admission import Admission
from quaestor.gateway.door import HEADERS, Asgi, Door
from quaestor.gateway.openapi import openapi_document
from quaestor.gateway.operation import Operation
from quaestor.gateway.pipeline import Pipeline, new_request_id
from quaestor.gateway.problems import PROBLEM_JSON, Problem, problem_body
from quaestor.gateway.routes import OPERATIONS
from quaestor.gateway.services import Services
from quaestor.model.refusal import REFUSALS, refuse
from quaestor.store.errors import is_storage_trouble

__all__ = ["make_app"]

_log = structlog.get_logger(__name__)

_OF_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large"}

AnyRequest = Request[Any, Any, Any]


def make_app(services: Services) -> Asgi:
    """The application on these services, which stay the caller's to close."""
    admission = Admission(services.limits, time.monotonic)
    asking = [each.path for each in OPERATIONS if each.method == "POST" and not each.keyed]
    return Door(_behind_the_door(services, Pipeline(services, admission)), admission, asking)


def _behind_the_door(services: Services, pipeline: Pipeline) -> Asgi:
    handlers = [_route(operation, pipeline) for operation in OPERATIONS]
    handlers += [*_open_routes(services), *_webhook_routes(pipeline)]
    return Litestar(
        route_handlers=handlers,
        openapi_config=None,
        exception_handlers={Exception: _refuse},
        request_max_body_size=None,
        logging_config=None,
        debug=False,
    )


def _route(operation: Operation, pipeline: Pipeline) -> HTTPRouteHandler:
    async def endpoint(request: AnyRequest) -> ASGIResponse:
        request_id = new_request_id()
        request.state.request_id = request_id
        answer = await pipeline.carry_out(operation, request, request_id)
        headers = {**HEADERS, "X-Request-Id": request_id, **answer.headers}
        return ASGIResponse(body=answer.encoded, status_code=answer.status, headers=headers)

    method = HttpMethod(operation.method)
    path = re.sub(r"\{(\w+)\}", r"{\1:str}", operation.path)
    return HTTPRouteHandler(path, http_method=method, name=operation.id)(endpoint)


def _open_routes(services: Services) -> list[HTTPRouteHandler]:
    """What is answered without a token, and also when the gateway takes no more work."""

    async def healthz() -> Response[bytes]:
        return _response(200, b'{"status":"alive"}', new_request_id(), {})

    async def readyz() -> Response[bytes]:
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
        return _response(200, b'{"status":"ready"}', new_request_id(), {})

    async def problem(request: AnyRequest) -> Response[bytes]:
        kind = REFUSALS.get(request.path_params["code"])
        if kind is None:
            raise Problem("not_found")
        return _response(200, msgspec.json.encode(kind), new_request_id(), {})

    document = msgspec.json.encode(openapi_document(OPERATIONS))

    async def openapi() -> Response[bytes]:
        return _response(200, document, new_request_id(), {})

    return [
        HTTPRouteHandler(path, http_method=HttpMethod.GET, name=path)(handler)
        for path, handler in (
            ("/healthz", healthz),
            ("/readyz", readyz),
            ("/problems/{code:str}", problem),
            ("/openapi.json", openapi),
        )
    ]


def _webhook_routes(pipeline: Pipeline) -> list[HTTPRouteHandler]:
    def taking(path: str, *, for_token: bool) -> HTTPRouteHandler:
        async def webhook(request: AnyRequest) -> Response[bytes]:
            request_id = new_request_id()
            request.state.request_id = request_id
            receipt = await pipeline.take_delivery(request, request_id, for_token=for_token)
            return _response(receipt.status, receipt.body, request_id, {}, receipt.media_type)

        return HTTPRouteHandler(path, http_method=HttpMethod.POST, name=path)(webhook)

    return [
        taking("/v1/webhooks/{system:str}", for_token=False),
        taking("/v1/webhooks/{system:str}/token", for_token=True),
    ]


def _refuse(request: AnyRequest, error: Exception) -> Response[bytes]:
    """Every error as a problem; what nobody foresaw is logged and not shown."""
    request_id = getattr(request.state, "request_id", None) or new_request_id()
    problem = _problem(error)
    if problem is None:
        _log.error("unforeseen", request=request_id, exc_info=error)
        problem = Problem("unforeseen")
    body = msgspec.json.encode(problem_body(problem, request_id))
    return _response(problem.status, body, request_id, problem.headers, PROBLEM_JSON)


def _problem(error: Exception) -> Problem | None:
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        code = _OF_STATUS.get(error.status_code)
        if code is None and 400 <= error.status_code < 500:
            code = "invalid_encoding"
        allowed = {n: v for n, v in (error.headers or {}).items() if n.lower() == "allow"}
        return Problem(code, headers=allowed) if code else None
    return None


def _response(
    status: int,
    body: bytes,
    request_id: str,
    headers: Mapping[str, str],
    media_type: str = "application/json",
) -> Response[bytes]:
    every = {**HEADERS, "X-Request-Id": request_id, **headers}
    media_type = every.pop("Content-Type", media_type)
    return Response(body, status_code=status, media_type=media_type, headers=every)
