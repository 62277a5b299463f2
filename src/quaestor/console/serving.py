"""The console as an ASGI application of its own: pages, sign-in, and errors as pages."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import asyncpg
import structlog
from litestar import HttpMethod, Litestar, Request, Response
from litestar.config.compression import CompressionConfig
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from quaestor.console.asking import Ask, Go, Page, Refused, Reply
from quaestor.console.finding import HOME
from quaestor.console.forms import is_own_form, safe_return
from quaestor.console.health import SYSTEM, SYSTEMS
from quaestor.console.rendering import ASSETS, HEADERS, REFRESH_S, Asset, rendered
from quaestor.console.services import ConsoleServices
from quaestor.console.signing_in import SIGN_IN, Sessions
from quaestor.console.tracing import STEP, TRACE
from quaestor.console.working import WORK
from quaestor.model.refusal import REFUSALS, Refusal, refuse
from quaestor.security.authorization import Forbidden, NotFound, permit
from quaestor.security.identity import Caller
from quaestor.store.errors import is_storage_trouble

__all__ = ["PAGES", "PREFIX", "make_console"]

PREFIX = "/console"
PAGES = (HOME, TRACE, STEP, WORK, SYSTEMS, SYSTEM)

_log = structlog.get_logger(__name__)

_HTML = "text/html"
_YEAR_S = 31_536_000
_OF_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large"}
_READING = [HttpMethod.GET, HttpMethod.HEAD]
_SHORT = 1000

AnyRequest = Request[Any, Any, Any]
Endpoint = Callable[[AnyRequest], Awaitable[Response[bytes]]]


def make_console(services: ConsoleServices) -> Litestar:
    """The application on these services, which stay the caller's to close."""
    console = _Console(services)
    routes: list[tuple[str, Any, Endpoint]] = [
        ("/", _READING, _to_home),
        *((asset.path, _READING, _static(asset)) for asset in ASSETS),
        (SIGN_IN, _READING, console.sign_in_page),
        (SIGN_IN, HttpMethod.POST, console.sign_in),
        (f"{PREFIX}/sign-out", HttpMethod.POST, console.sign_out),
        *((page.path, _READING, console.endpoint(page)) for page in PAGES),
    ]
    return Litestar(
        route_handlers=[
            HTTPRouteHandler(path, http_method=method, name=f"{method} {path}")(endpoint)
            for path, method, endpoint in routes
        ],
        openapi_config=None,
        exception_handlers={Exception: console.refused},
        compression_config=CompressionConfig(backend="gzip", minimum_size=1000),
        request_max_body_size=None,
        logging_config=None,
        debug=False,
    )


class _Console:
    """Takes requests through; one per gateway process."""

    def __init__(self, services: ConsoleServices) -> None:
        self._services = services
        self._sessions = Sessions(services, time.monotonic)
        self._at_once = 0

    def endpoint(self, page: Page) -> Endpoint:
        """How a page is answered: session, scope, one reading transaction, template."""

        async def answer(request: AnyRequest) -> Response[bytes]:
            caller = self._sessions.caller(request.headers, now_s=int(time.time()))
            if caller is None:
                return _redirect(f"{SIGN_IN}?{urlencode({'next': _address(request)})}")
            request.state.caller = caller
            with self._room():
                permit_page(caller, self._services.environment, page)
                return await self._page(page, caller, request)

        return answer

    async def _page(self, page: Page, caller: Caller, request: AnyRequest) -> Response[bytes]:
        services = self._services
        async with services.database.transaction(
            isolation="repeatable_read", readonly=True, entities=self._entities(caller)
        ) as connection:
            ask = Ask(
                services=services,
                caller=caller,
                now=await connection.fetchval("select quaestor.clock()"),
                path={name: str(value)[:_SHORT] for name, value in request.path_params.items()},
                query={
                    name: value[:_SHORT]
                    for name in page.query
                    if (value := request.query_params.get(name)) and "\0" not in value
                },
            )
            reply = await page.make(ask, connection)
        if isinstance(reply, Go):
            return _redirect(reply.to)
        return self._shown(page, ask, reply, request)

    def _entities(self, caller: Caller) -> list[str]:
        """What is of no known entity is shown to whoever sees all of them."""
        sees_all = caller.entities >= self._services.zones.keys()
        return [*sorted(caller.entities), *([""] if sees_all else [])]

    def _shown(self, page: Page, ask: Ask, reply: Reply, request: AnyRequest) -> Response[bytes]:
        every = request.query_params.get("every", "")
        refresh_s = next((s for s in REFRESH_S if reply.refreshable and str(s) == every), None)
        kept = urlencode({name: ask.query[name] for name in page.query if name in ask.query})
        path = request.scope["path"]
        body = rendered(
            reply.template,
            deployment=self._services.deployment,
            environment=self._services.environment,
            ask=ask,
            every=refresh_s,
            refreshable=reply.refreshable,
            refresh_s=REFRESH_S,
            here=f"{path}?{kept}" if kept else path,
            path=path,
            **reply.shows,
        )
        headers = {"Refresh": str(refresh_s)} if refresh_s else {}
        return _answer(body, reply.status, headers)

    # --- sessions -------------------------------------------------------------------------------

    async def sign_in_page(self, request: AnyRequest) -> Response[bytes]:
        """The form, and the way on for who is signed in and came from elsewhere."""
        return self._form(200, safe_return(request.query_params.get("next", "")), None)

    async def sign_in(self, request: AnyRequest) -> Response[bytes]:
        """A token in, a sealed session out."""
        with self._room():
            address = request.client.host if request.client else ""
            signed = await self._sessions.sign_in(request, address, now_s=int(time.time()))
        if signed.refusal is not None:
            return self._form(signed.status, signed.to, signed.refusal)
        return _redirect(signed.to, {"Set-Cookie": signed.cookie})

    async def sign_out(self, request: AnyRequest) -> Response[bytes]:
        """The session ends in this browser."""
        if not is_own_form(request.headers):
            raise Refused(403, "form_foreign")
        return _redirect(SIGN_IN, {"Set-Cookie": self._sessions.sign_out(request.headers)})

    def _form(self, status: int, to: str, refusal: Refusal | None) -> Response[bytes]:
        body = rendered(
            "sign_in.html",
            deployment=self._services.deployment,
            environment=self._services.environment,
            to=to,
            refusal=refusal,
            meaning=REFUSALS[refusal.code].meaning if refusal else "",
        )
        return _answer(body, status, {})

    # --- trouble --------------------------------------------------------------------------------

    @contextmanager
    def _room(self) -> Iterator[None]:
        """A place for one request; nothing queues here."""
        if self._at_once >= self._services.limits.at_once_max:
            raise Refused(503, "overloaded")
        self._at_once += 1
        try:
            yield
        finally:
            self._at_once -= 1

    def refused(self, request: AnyRequest, error: Exception) -> Response[bytes]:
        """Every error as a page; what nobody foresaw is logged and not shown."""
        status, refusal = _named(error)
        if status == 500:
            _log.error("unforeseen", path=request.scope["path"], exc_info=error)
        body = rendered(
            "refused.html",
            deployment=self._services.deployment,
            environment=self._services.environment,
            status=status,
            refusal=refusal,
            kind=REFUSALS[refusal.code],
            signed_in=getattr(request.state, "caller", None),
        )
        return _answer(body, status, {"Retry-After": "1"} if status in (429, 503) else {})


def permit_page(caller: Caller, environment: str, page: Page) -> None:
    """Raise `Forbidden` unless the caller may open the page, here."""
    if page.scopes:
        permit(caller, environment, *page.scopes)
    elif caller.environment != environment:
        raise Forbidden(refuse("environment_differs", environment=environment))


def _named(error: Exception) -> tuple[int, Refusal]:
    match error:
        case Refused():
            return error.status, error.refusal
        case Forbidden():
            return 403, error.refusal
        case NotFound():
            return 404, error.refusal
        case HTTPException() if error.status_code in _OF_STATUS:
            return error.status_code, refuse(_OF_STATUS[error.status_code])
        case HTTPException() if 400 <= error.status_code < 500:
            return 400, refuse("invalid_encoding")
    if is_storage_trouble(error) or isinstance(error, asyncpg.QueryCanceledError):
        return 503, refuse("storage_unavailable")
    return 500, refuse("unforeseen")


async def _to_home(request: AnyRequest) -> Response[bytes]:
    return _redirect(HOME.path)


def _static(asset: Asset) -> Endpoint:
    async def answer(request: AnyRequest) -> Response[bytes]:
        forever = {"Cache-Control": f"public, max-age={_YEAR_S}, immutable"}
        return _answer(asset.content, 200, forever, asset.media_type)

    return answer


def _address(request: AnyRequest) -> str:
    query = request.scope["query_string"].decode("latin-1")
    raw = request.scope.get("raw_path") or request.scope["path"].encode()
    path = raw.decode("latin-1").partition("?")[0]
    return f"{path}?{query}" if query else path


def _redirect(to: str, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    return _answer(b"", 303, {"Location": to, **(headers or {})})


def _answer(
    body: bytes, status: int, headers: Mapping[str, str], media_type: str = _HTML
) -> Response[bytes]:
    return Response(body, status_code=status, media_type=media_type, headers={**HEADERS, **headers})
