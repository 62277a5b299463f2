"""Serving the gateway with uvicorn in this process, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import structlog
import uvicorn

from quaestor.gateway.arrival import Asgi
from quaestor.gateway.idempotency import forget_expired
from quaestor.gateway.services import Services
from quaestor.gateway.serving import make_app
from quaestor.gateway.webhooks import forget_deliveries
from quaestor.observability.meters import Meters
from quaestor.store.errors import StoreError

__all__ = ["Asgi", "listen", "metered", "serve"]

_log = structlog.get_logger(__name__)

_BACKLOG = 2048
_KEEP_ALIVE_S = 10
_TIDY_EVERY_S = 3600.0
# Those that a route of ours knows; what else callers send is one to the metrics.
_METHODS = frozenset({"GET", "HEAD", "POST"})


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it, and says when it listens."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made


async def serve(
    services: Services,
    listening: socket.socket,
    stop: asyncio.Event,
    *,
    shutdown_s: float,
    ready: Callable[[], None] = lambda: None,
    beside: Mapping[str, Asgi] | None = None,
    meters: Meters | None = None,
) -> None:
    """Answer requests until `stop` is set; what is under way then has `shutdown_s` to finish.

    `beside` has other applications of this address, by the first segment of their paths (`/x`).
    With `meters` every request is timed.
    """
    app = _with_others(make_app(services), beside or {})
    config = uvicorn.Config(
        app if meters is None else metered(app, meters),
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, int(shutdown_s)),
    )
    server = _Server(config, ready)
    tidying = asyncio.create_task(_tidy(services))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        for task in (stopping, tidying):
            task.cancel()
        await asyncio.gather(stopping, tidying, return_exceptions=True)


def _with_others(app: Asgi, others: Mapping[str, Asgi]) -> Asgi:
    """Each request to the application whose path it is, else to `app`."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        first = "/" + scope["path"].split("/", 2)[1] if scope["type"] == "http" else ""
        await others.get(first, app)(scope, receive, send)

    return answer


def metered(app: Asgi, meters: Meters) -> Asgi:
    """Time each request by its route. What was refused at the door, or is no path of ours, has
    none: so nobody makes up routes.
    """

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        began, status = time.monotonic(), 500

        async def sending(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        meters.requests_open += 1
        try:
            await app(scope, receive, sending)
        finally:
            meters.requests_open -= 1
            route = scope.get("path_template", "")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            meters.answered(route, method, status, time.monotonic() - began)

    return answer


async def _tidy(services: Services) -> None:
    """Forget answers that are past their time, now and then."""
    while True:
        await asyncio.sleep(_TIDY_EVERY_S)
        try:
            await forget_expired(services.database, services.entities)
            await forget_deliveries(services.database)
        except (StoreError, TimeoutError) as error:
            _log.warning("answers_not_tidied", error=type(error).__name__)
