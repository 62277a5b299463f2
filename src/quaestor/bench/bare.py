"""The bare route: the same framework and server with the same body, and nothing of ours.

What the framework costs by itself is not ours to answer for; the rest is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import uvicorn
from litestar import Litestar, Request, Response, post

from quaestor.gateway.server import listen

__all__ = ["BARE_TARGET", "serve_bare"]

BARE_TARGET = "/bare"


@post(BARE_TARGET)
async def _bare(request: Request[Any, Any, Any]) -> Response[bytes]:
    return Response(await request.body(), status_code=200, media_type="application/json")


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_bare(ready: Callable[[Mapping[str, Any]], None], stop: asyncio.Event) -> None:
    """Answer each body with itself on a free port of the loopback until `stop`."""
    app = Litestar([_bare], openapi_config=None, logging_config=None)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
    )
    server = _Server(config)
    with listen("127.0.0.1", 0) as listening:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        ready({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"})
        await stop.wait()
        server.should_exit = True
        await serving
