"""`quaestor serve`: one gateway process. Many of them, on many machines, share one database."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quaestor.cli.descriptors import allow_connections
from quaestor.cli.metrics import Metrics, MetricsHost, MetricsPort, exposed
from quaestor.cli.output import Failed, Json, Output, command, usage_error
from quaestor.cli.place import AuditKey, Data, Dsn, Opened, ProjectDir, open_place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric

    from quaestor.gateway.services import Services
    from quaestor.observability.exposing import Source
    from quaestor.observability.meters import Meters
    from quaestor.project.project import Project
    from quaestor.security.identity import TrustedIssuer

__all__ = ["serve"]


@command
def serve(
    project: ProjectDir = None,
    data: Data = None,
    dsn: Dsn = None,
    audit_key: AuditKey = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8700,
    issuer: Annotated[
        str, typer.Option(envvar="QUAESTOR_ISSUER", help="`iss` of the tokens to trust.")
    ] = "",
    audience: Annotated[
        str, typer.Option(envvar="QUAESTOR_AUDIENCE", help="`aud` of the tokens to trust.")
    ] = "quaestor",
    jwks: Annotated[
        Path | None, typer.Option(envvar="QUAESTOR_JWKS", help="File with the issuer's keys.")
    ] = None,
    wait_s: Annotated[
        float, typer.Option(min=0, help="How long to wait for an `up` that is still starting.")
    ] = 0.0,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = "127.0.0.1",
    as_json: Json = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log in JSON.")] = False,
) -> None:
    """Answer HTTP until SIGTERM or Ctrl-C; what is under way is finished first.

    Trusted are the tokens of `--issuer`; without one those of `quaestor token`, in a test
    environment alone.
    """
    import uvloop

    from quaestor.cli.logs import begin_logging
    from quaestor.cli.where import tell_where
    from quaestor.project.load import load_project

    begin_logging(as_json=log_json)
    allow_connections()
    if bool(issuer) != (jwks is not None):
        usage_error("--issuer and --jwks belong together")
    with open_place(data, dsn, wait_s=wait_s) as opened:
        loaded = load_project(opened.project_path(project))
        tell_where(loaded.settings.deployment)
        key = opened.audit_key(audit_key)
        trusted = _trusted(opened, loaded, issuer, audience, jwks)
        output = Output(as_json=as_json)
        metrics = Metrics(metrics_host, metrics_port)
        uvloop.run(_serve(opened, loaded, key, trusted, host, port, metrics, output))


def _trusted(
    opened: Opened, project: Project, issuer: str, audience: str, jwks: Path | None
) -> TrustedIssuer:
    import msgspec

    from quaestor.cli.token import laptop_issuer
    from quaestor.security.identity import read_issuer

    if jwks is not None:
        try:
            return read_issuer(issuer, audience, msgspec.json.decode(jwks.read_bytes()))
        except (OSError, ValueError) as error:
            sentence = f"{jwks} holds no keys of an issuer: {error}."
            raise Failed(sentence, code="jwks_unreadable") from error
    if project.settings.deployment.environment == "production" or opened.place is None:
        raise Failed("Whose tokens count? Name --issuer and --jwks.", code="issuer_unnamed")
    return laptop_issuer(opened.place).trusted


async def _serve(
    opened: Opened,
    project: Project,
    audit_key: bytes,
    trusted: TrustedIssuer,
    host: str,
    port: int,
    metrics: Metrics,
    output: Output,
) -> None:
    from quaestor.app import console_beside, open_gateway
    from quaestor.gateway.server import listen
    from quaestor.gateway.server import serve as answer
    from quaestor.observability.meters import Meters

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        listening = listen(host, port)
    except OSError as error:
        raise Failed(
            f"{host}:{port} cannot be had: {error.strerror}.", code="port_taken"
        ) from error
    address = f"[{host}]" if ":" in host else host
    url = f"http://{address}:{listening.getsockname()[1]}"

    meters = Meters() if metrics.port is not None else None
    with listening:
        async with open_gateway(
            project,
            opened.dsn,
            audit_key=audit_key,
            trusted=(trusted,),
            simulated=opened.running.systems if opened.running is not None else None,
        ) as services:
            shutdown_s = project.settings.deployment.shutdown_s
            beside = console_beside(project, services, audit_key=audit_key)
            async with exposed(metrics, lambda: [_source(services, meters)]) as told:

                def ready() -> None:
                    pages = f"{url}/console/"
                    output.say(
                        f"the gateway answers at {url}, process {os.getpid()}; pages: {pages}"
                    )
                    output.result({"url": url, "pid": os.getpid(), **told})

                await answer(
                    services,
                    listening,
                    stop,
                    shutdown_s=shutdown_s,
                    ready=ready,
                    beside=beside,
                    meters=meters,
                )


def _source(services: Services, meters: Meters | None) -> Source:
    """The metrics of a gateway; what the database says is told by the workers."""
    from quaestor.observability.exposing import of_meters, of_pool

    async def source() -> Iterable[Metric]:
        return [*of_meters(meters or Meters()), *of_pool(*services.database.lent)]

    return source
