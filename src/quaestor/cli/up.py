"""`quaestor up` and `quaestor down`: a whole deployment on one machine, for evaluation."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from quaestor.cli.output import Failed, Json, Output, command
from quaestor.cli.place import Dsn, Place

__all__ = ["down", "up"]

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
    as_json: Json = False,
) -> None:
    """Start a whole deployment on this machine.

    Database, schema, release, simulators and workers run until SIGTERM or Ctrl-C. A worker that
    dies is started again.
    """
    from quaestor.cli.logs import begin_logging

    begin_logging(as_json=as_json)
    asyncio.run(_up(project, Place(data), dsn, workers, Output(as_json=as_json)))


async def _up(path: Path, place: Place, dsn: str | None, workers: int, output: Output) -> None:
    from quaestor.cli.supervise import Supervisor
    from quaestor.project.load import load_project

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    supervisor = Supervisor(place, load_project(path), kind="up", dsn=dsn, heard=output.say)
    async with supervisor:
        release = await supervisor.start(
            {f"worker-{number}": None for number in range(1, workers + 1)}
        )
        output.say(f"released {path} as {release[:12]}")
        for name, pid in supervisor.processes.items():
            output.say(f"{name} is process {pid}")
        for name, ready in supervisor.systems.items():
            output.say(f"{name} at {ready.url}, its control at {ready.control}/documents")
        output.say(f"at work; stop with Ctrl-C or: quaestor down --data {place.data}")
        output.result(
            {
                "url": None,
                "token": None,
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
