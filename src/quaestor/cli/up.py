"""`quaestor up` and `quaestor down`: a whole deployment on one machine, for evaluation."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import Annotated

import typer

from quaestor.cli.output import Failed, Json, Output, command
from quaestor.cli.place import Dsn, Place

__all__ = ["down", "up"]

_PORT = 8700

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
    from quaestor.cli.token import token_for_everything
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
        token = token_for_everything(place, project)
        output.say(f"the gateway answers at {url}; tokens: quaestor token --data {place.data}")
        output.say(f"pages for people at {url}/console/; sign in with such a token")
        if token is not None:
            output.say(f"pages at {url}/console/; sign in with this token:")
            output.say(token, soft_wrap=True)
        output.say(f"at work; stop with Ctrl-C or: quaestor down --data {place.data}")
        output.result(
            {
                "url": url,
                "token": token,
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
