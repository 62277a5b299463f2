"""Where a process tells its metrics: nowhere unless a port is named, and to this machine alone
unless an address is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from quaestor.cli.output import Failed

if TYPE_CHECKING:
    from quaestor.observability.exposing import Source

__all__ = ["Metrics", "MetricsHost", "MetricsPort", "exposed"]

MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port",
        envvar="QUAESTOR_METRICS_PORT",
        min=0,
        max=65535,
        help="Tell metrics at /metrics on this port; 0 takes a free one. Off where none is named.",
    ),
]
MetricsHost = Annotated[
    str,
    typer.Option(
        "--metrics-host",
        envvar="QUAESTOR_METRICS_HOST",
        help="Address of the metrics' port. Whoever reaches it may read them.",
    ),
]


class Metrics(msgspec.Struct, frozen=True):
    """Where metrics are told; nowhere without a port."""

    host: str = "127.0.0.1"
    port: int | None = None


@asynccontextmanager
async def exposed(
    metrics: Metrics, sources: Callable[[], Sequence[Source]]
) -> AsyncIterator[dict[str, str]]:
    """Tell what `sources` makes while inside; yields what the ready line says of it.

    What metrics need is loaded only where they are told.
    """
    if metrics.port is None:
        yield {}
        return
    from quaestor.observability.exposing import expose

    async with AsyncExitStack() as stack:
        try:
            url = await stack.enter_async_context(expose(metrics.host, metrics.port, sources()))
        except OSError as error:
            place = f"{metrics.host}:{metrics.port}"
            raise Failed(f"{place} cannot be had: {error.strerror}.", code="port_taken") from error
        yield {"metrics": url}
