"""`quaestor demo`: the main job, and the same under trouble, on this machine alone."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from quaestor.cli.output import Failed, Json, Output, command

__all__ = ["demo", "example_project"]

_HERE = Path(__file__).resolve()


@command
def demo(
    once: Annotated[
        bool, typer.Option("--once", envvar="ONCE", help="End by itself, leave no process.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option("--data", help="Data directory; a fresh temporary one if none.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the temporary data directory at the end.")
    ] = False,
    project: Annotated[
        Path | None, typer.Option("--project", help="The example project, if not the shipped one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show requisitions becoming exactly one order each.

    First hop by hop, then with a lost answer, a killed worker and a cancellation in doubt. All of
    it runs on this machine; at a terminal it stays up until Ctrl-C.
    """
    from quaestor.cli.demo.session import Session

    stays = not (once or as_json) and sys.stdin.isatty() and sys.stdout.isatty()
    output = Output(as_json=as_json)
    session = Session(example_project(project), data, output, keeps=keep, stays=stays)
    asyncio.run(session.run())
    output.result(session.result, good=session.result["ok"])


def example_project(given: Path | None = None) -> Path:
    """The project that is shown: the given one, or the shipped example."""
    if given is not None:
        return given
    for above in _HERE.parents:
        if (above / "examples" / "it-hardware" / "quaestor.toml").is_file():
            return above / "examples" / "it-hardware"
    raise Failed("The examples are not here; name the folder examples/it-hardware with --project.")
