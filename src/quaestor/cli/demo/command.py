"""`quaestor demo`."""

from __future__ import annotations

from quaestor.cli.output import Json, Output, command

__all__ = ["demo"]


@command
def demo(as_json: Json = False) -> None:
    """The main job."""
    Output(as_json=as_json).say("…")
