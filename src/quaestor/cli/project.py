"""Project folders: `quaestor project check`, `quaestor release`, `quaestor connector check`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quaestor.cli.output import Json, Output, command
from quaestor.cli.place import AuditKey, Data, Dsn, ProjectDir, open_place

if TYPE_CHECKING:
    from quaestor.connectors.kit.contract import Probe
    from quaestor.project.project import Project

__all__ = ["connector", "project", "release"]

project = typer.Typer(help="Project folders.", no_args_is_help=True)
connector = typer.Typer(help="Systems as configured.", no_args_is_help=True)


@project.callback()
def _project_group() -> None:
    """Keeps `check` a sub-command, although it is the only one."""


@connector.callback()
def _connector_group() -> None:
    """Keeps `check` a sub-command, although it is the only one."""


@project.command("check")
@command
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The project folder.")],
    as_json: Json = False,
) -> None:
    """Every problem of a project folder at once. Exit code 1 where there is one."""
    from quaestor.project.load import load_project
    from quaestor.project.problems import ProjectError

    output = Output(as_json=as_json)
    try:
        loaded = load_project(folder)
    except ProjectError as error:
        for problem in error.problems:
            output.say(str(problem), soft_wrap=True)
        output.say(f"{len(error.problems)} to be put right")
        output.result({"ok": False, "problems": error.problems}, good=False)
        return
    names = ", ".join(loaded.settings.systems)
    output.say(f"good: {len(loaded.entities)} entities, systems {names}")
    output.say(f"release {loaded.release().hash}")
    output.result({"ok": True, "problems": [], "release": loaded.release().hash})


@command
def release(
    project: ProjectDir = None,
    data: Data = None,
    dsn: Dsn = None,
    audit_key: AuditKey = None,
    as_json: Json = False,
) -> None:
    """Publish the project for documents that come in from now on."""
    from quaestor.cli.supervise import account_name

    output = Output(as_json=as_json)
    with open_place(data, dsn) as opened:

        async def publish() -> str:
            from quaestor.app import Application
            from quaestor.project.load import load_project

            app = await Application.open(
                load_project(opened.project_path(project)),
                opened.dsn,
                audit_key=opened.audit_key(audit_key),
                simulated=opened.running.systems if opened.running is not None else {},
                application_name="quaestor release",
            )
            async with app:
                return await app.release(by=account_name())

        published = asyncio.run(publish())
    output.say(f"released {published}")
    output.result({"release": published})


@connector.command("check")
@command
def connector_check(
    project: Annotated[
        Path, typer.Option("--project", envvar="QUAESTOR_PROJECT", help="Project folder.")
    ],
    only: Annotated[str, typer.Option("--system", help="This system alone.")] = "",
    as_json: Json = False,
) -> None:
    """Network, credentials, rights and fields of each system, each with the cure on its side.

    For a system that the project simulates, a simulator is started for the moment.
    """
    from rich.table import Table

    from quaestor.project.load import load_project

    output = Output(as_json=as_json)
    found = asyncio.run(_probe(load_project(project), only))
    table = Table(box=None, pad_edge=False)
    for title in ("system", "", "checked", "detail", "cure"):
        table.add_column(title, no_wrap=title in ("system", ""), overflow="fold")
    for name, probes in found.items():
        for probe in probes:
            verdict = "good" if probe.good else "NOT GOOD"
            table.add_row(name, verdict, probe.name, probe.detail, "" if probe.good else probe.fix)
    output.say(table if found else "There is no system that could be asked.")
    is_good = all(probe.good for probes in found.values() for probe in probes)
    output.result({"ok": is_good, "systems": found}, good=is_good)


async def _probe(loaded: Project, only: str) -> dict[str, tuple[Probe, ...]]:
    from contextlib import AsyncExitStack

    from quaestor.connectors.kit.running import simulator_of
    from quaestor.project.systems import open_systems, reached_kinds

    async with AsyncExitStack() as stack:
        simulated = {}
        for name in reached_kinds(loaded):
            settings = loaded.settings.systems[name]
            if settings.simulate:
                own = settings.simulator.own
                simulator = simulator_of(settings.connector, options=own, project=loaded.path)
                simulated[name] = await stack.enter_async_context(simulator)
        found = {}
        for name, system in open_systems(loaded, simulated).items():
            stack.push_async_callback(system.wire.close)
            if only in ("", name):
                found[name] = await system.connector.check()
        return found
