"""`quaestor work`: one worker process. Many of them, on many machines, share one database."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from quaestor.cli.metrics import Metrics, MetricsHost, MetricsPort
from quaestor.cli.output import Failed, Json, Output, command, usage_error
from quaestor.cli.place import (
    AuditKey,
    Checkpoints,
    Data,
    Dsn,
    Opened,
    ProjectDir,
    SigningKeyFile,
    open_place,
)
from quaestor.connectors.kit.ready import Ready

__all__ = ["read_simulated", "work"]

CRASH_VARIABLE = "QUAESTOR_CRASH_AT"


@command
def work(
    project: ProjectDir = None,
    data: Data = None,
    dsn: Dsn = None,
    audit_key: AuditKey = None,
    signing_key: SigningKeyFile = None,
    checkpoints: Checkpoints = None,
    simulated: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE with the ready line of `simulator run`; may be repeated."),
    ] = None,
    worker_id: Annotated[
        str, typer.Option(help="Begins its name; the host's name where nothing is said.")
    ] = "",
    wait_s: Annotated[
        float, typer.Option(min=0, help="How long to wait for an `up` that is still starting.")
    ] = 0.0,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = "127.0.0.1",
    allow_crash: Annotated[
        bool, typer.Option("--allow-crash", help=f"Honour {CRASH_VARIABLE}. Never in production.")
    ] = False,
    as_json: Json = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log in JSON.")] = False,
) -> None:
    """Run one worker.

    It works until SIGTERM or Ctrl-C, and then lets what is on the wire come back.
    """
    import uvloop

    # Before the deployment is waited for: reading all this code takes longer than anything else.
    from quaestor.cli.logs import begin_logging
    from quaestor.cli.worker import Worker, run_worker

    begin_logging(as_json=log_json)
    crash_at = _crash_point(os.environ.get(CRASH_VARIABLE, "")) if allow_crash else ""
    # Never the name of an earlier process: what died under it is still to be looked after.
    name = f"{worker_id or socket.gethostname()}-{os.getpid()}-{os.urandom(2).hex()}"
    output = Output(as_json=as_json)
    with open_place(data, dsn, wait_s=wait_s) as opened:
        worker = Worker(
            opened,
            opened.project_path(project),
            opened.audit_key(audit_key),
            opened.signing_key_file(signing_key, audit_key),
            opened.checkpoint_places(checkpoints),
            read_simulated(simulated or (), opened),
            name,
            crash_at,
            Metrics(metrics_host, metrics_port),
        )
        uvloop.run(run_worker(worker, output))


def _crash_point(where: str) -> str:
    from quaestor.runtime.crash import crash_hook

    if where:
        try:
            crash_hook(where)
        except ValueError as error:
            usage_error(f"{CRASH_VARIABLE}: {error}")
    return where


def read_simulated(given: Sequence[str], opened: Opened) -> dict[str, Ready]:
    """Where simulated systems are: as told on the command line, else as `up` wrote it down."""
    found: dict[str, Ready] = dict(opened.running.systems) if opened.running is not None else {}
    for each in given:
        name, equals, file = each.partition("=")
        if not equals:
            usage_error(f"--simulated {each}: write NAME=FILE")
        try:
            found[name] = msgspec.json.decode(Path(file).read_bytes(), type=Ready)
        except (OSError, msgspec.DecodeError) as error:
            raise Failed(f"{file} holds no ready line of a simulator: {error}.") from error
    return found
