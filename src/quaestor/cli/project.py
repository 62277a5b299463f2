"""Project folders: `quaestor project check` and `quaestor release`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from quaestor.cli.output import Json, Output, command
from quaestor.cli.place import AuditKey, Data, Dsn, ProjectDir, open_place

__all__ = ["project", "release"]

project = typer.Typer(help="Project folders.", no_args_is_help=True)


@project.callback()
def _project_group() -> None:
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
