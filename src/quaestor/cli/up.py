"""`quaestor up` and `quaestor down`: a whole deployment on one machine, for evaluation."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quaestor.cli.output import Failed, Json, Output, command
from quaestor.cli.place import Dsn, Place

if TYPE_CHECKING:
    from quaestor.project.project import Project

__all__ = ["down", "up"]

_PORT = 8700
_TOKEN_TTL_S = 12 * 3600

DataDir = Annotated[
    Path,
    typer.Option("--data", envvar="QUAESTOR_DATA", help="Where database, keys and logs live."),
]


@command
def up(
    project: Annotated[
        Path, typer.Option("--project", envvar="QUAESTOR_PROJECT", help="Project folder.")
    ],
    data: DataDir,
    dsn: Dsn = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Of the gateway; 8700, or a free one if it is taken."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Start a whole deployment on this machine.

    Database, schema, release, simulators, workers and gateway run until SIGTERM or Ctrl-C. A
    worker or gateway that dies is started again.
    """
    from quaestor.cli.logs import begin_logging

    begin_logging(as_json=as_json)
    asyncio.run(_up(project, Place(data), dsn, workers, port, Output(as_json=as_json)))


async def _up(
    path: Path, place: Place, dsn: str | None, workers: int, port: int | None, output: Output
) -> None:
    from quaestor.cli.supervise import Supervisor
    from quaestor.cli.where import tell_where
    from quaestor.project.load import load_project

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    project = load_project(path)
    tell_where(project.settings.deployment)
    supervisor = Supervisor(place, project, kind="up", dsn=dsn, heard=output.say)
    async with supervisor:
        release = await supervisor.start(
            {f"worker-{number}": None for number in range(1, workers + 1)},
            port=_usual_or_free() if port is None else port,
        )
        url = supervisor.gateway_url
        output.say(f"released {path} as {release[:12]}")
        for name, pid in supervisor.processes.items():
            output.say(f"{name} is process {pid}")
        for name, ready in supervisor.systems.items():
            output.say(f"{name} at {ready.url}, its control at {ready.control}/documents")
        output.say(f"the gateway answers at {url}; tokens: quaestor token --data {place.data}")
        output.say(f"at work; stop with Ctrl-C or: quaestor down --data {place.data}")
        output.result(
            {
                "url": url,
                "token": _token(place, project),
                "pid": os.getpid(),
                "systems": {
                    name: {"url": ready.url, "control": ready.control}
                    for name, ready in supervisor.systems.items()
                },
            }
        )
        trouble = await supervisor.watch_until(stop)
    if trouble:
        raise Failed(f"{trouble} Everything was stopped.")


def _usual_or_free() -> int:
    """The usual port, where nobody else has it."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", _PORT))
        except OSError:
            return 0
    return _PORT


def _token(place: Place, project: Project) -> str | None:
    """A token for all of it, for whoever started it; none where real issuers are asked for."""
    from quaestor.cli.supervise import account_name
    from quaestor.cli.token import laptop_issuer
    from quaestor.security.authorization import Scope

    if project.settings.deployment.environment == "production":
        return None
    return laptop_issuer(place).token(
        subject=account_name(),
        scopes=[str(scope) for scope in Scope],
        entities=project.entities,
        now_s=int(time.time()),
        ttl_s=_TOKEN_TTL_S,
    )


@command
def down(data: DataDir, as_json: Json = False) -> None:
    """Stop what `up` or `demo` started, or left behind."""
    from quaestor.cli.leftovers import stop_what_is_left
    from quaestor.store.embedded import stop_left_behind

    output = Output(as_json=as_json)
    place = Place(data)
    ended = stop_what_is_left(place, supervisor_too=True)
    if stop_left_behind(place.data):
        ended.append("database")
    output.say(f"stopped: {', '.join(ended)}" if ended else "nothing was running")
    output.result({"stopped": ended})
