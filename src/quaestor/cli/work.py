"""`quaestor work`: one worker process. Many of them, on many machines, share one database."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from quaestor.cli.output import Failed, Json, Output, command, usage_error
from quaestor.cli.place import AuditKey, Data, Dsn, Opened, ProjectDir, open_place
from quaestor.connectors.kit.simulator import Ready

__all__ = ["read_simulated", "work"]

CRASH_VARIABLE = "QUAESTOR_CRASH_AT"


@command
def work(
    project: ProjectDir = None,
    data: Data = None,
    dsn: Dsn = None,
    audit_key: AuditKey = None,
    simulated: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE with the ready line of `simulator run`; may be repeated."),
    ] = None,
    worker_id: Annotated[
        str, typer.Option(help="Begins its name; the host's name where nothing is said.")
    ] = "",
    allow_crash: Annotated[
        bool, typer.Option("--allow-crash", help=f"Honour {CRASH_VARIABLE}. Never in production.")
    ] = False,
    as_json: Json = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log in JSON.")] = False,
) -> None:
    """Work until SIGTERM or Ctrl-C, then let what is on the wire come back."""
    import uvloop

    from quaestor.cli.logs import begin_logging

    begin_logging(as_json=log_json)
    # Never the name of an earlier process: what died under it is still to be looked after.
    name = f"{worker_id or socket.gethostname()}-{os.getpid()}-{os.urandom(2).hex()}"
    point = os.environ.get(CRASH_VARIABLE, "") if allow_crash else ""
    output = Output(as_json=as_json)
    with open_place(data, dsn) as opened:
        uvloop.run(
            _work(
                opened,
                opened.project_path(project),
                opened.audit_key(audit_key),
                read_simulated(simulated or (), opened),
                name,
                point,
                output,
            )
        )


def read_simulated(given: list[str] | tuple[str, ...], opened: Opened) -> dict[str, Ready]:
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


async def _work(
    opened: Opened,
    project_path: Path,
    audit_key: bytes,
    systems: Mapping[str, Ready],
    worker_id: str,
    crash_at: str,
    output: Output,
) -> None:
    from quaestor.app import Application
    from quaestor.audit.sequencer import Sequencer
    from quaestor.project.load import load_project
    from quaestor.runtime.crash import crash_hook, no_crash

    app = await Application.open(
        load_project(project_path),
        opened.dsn,
        audit_key=audit_key,
        simulated=systems,
        application_name=f"quaestor {worker_id}"[:63],
    )
    async with app:
        engine = await app.engine(worker_id, at=crash_hook(crash_at) if crash_at else no_crash)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, engine.stop)
        sequencing = asyncio.create_task(Sequencer(app.database).run(stop))
        output.say(f"{worker_id} is at work, process {os.getpid()}")
        output.result({"worker": worker_id, "pid": os.getpid()})
        try:
            await engine.run()
        finally:
            stop.set()
            await sequencing
