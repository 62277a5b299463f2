"""`quaestor init`: a project folder to begin with."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from quaestor.cli.output import Failed, Json, Output, command, usage_error

__all__ = ["init"]


@command
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet.")],
    procurement: Annotated[
        str, typer.Option(help="Where requisitions come from; `none`: they are sent to us.")
    ] = "coupa",
    approvals: Annotated[
        str, typer.Option(help="Who decides; `none`: approvals come with the requisition.")
    ] = "workday",
    planning: Annotated[str, typer.Option(help="Where budgets are planned; or `none`.")] = "none",
    erp: Annotated[str, typer.Option(help="Where orders are made.")] = "sap_s4",
    real: Annotated[
        bool, typer.Option("--real", help="The systems' own addresses instead of simulators.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a project folder: commented, small, and working.

    A simulator stands in for each system, so that `quaestor up` needs no account; the real
    settings stand beside it. With --real the real ones are on, and nothing is sent to any system
    until its mode is changed.
    """
    from quaestor.project.load import load_project
    from quaestor.project.starter.choosing import SystemUnsuited, choose
    from quaestor.project.starter.writing import FolderRefused, starter_files, write_folder

    output = Output(as_json=as_json)
    try:
        chosen = choose(procurement=procurement, approvals=approvals, planning=planning, erp=erp)
        files = starter_files(chosen, folder, datetime.now().astimezone(), real=real)
        write_folder(folder, files)
    except SystemUnsuited as error:
        usage_error(str(error))
    except FolderRefused as error:
        raise Failed(str(error), code=error.code) from None
    loaded = load_project(folder)
    output.say(f"{len(files)} files in {folder}; {folder / 'README.md'} has the next commands:")
    output.say(f"  quaestor up --project {folder} --data {folder}-data", soft_wrap=True)
    output.result(
        {
            "ok": True,
            "folder": str(folder),
            "deployment": loaded.settings.deployment.name,
            "systems": {
                name: {"connector": system.connector, "simulate": system.simulate}
                for name, system in loaded.settings.systems.items()
            },
            "files": sorted(files),
            "release": loaded.release().hash,
        }
    )
