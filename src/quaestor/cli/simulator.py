"""`quaestor simulator run`: a vendor's system on this machine, as a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from quaestor.cli.output import Failed, Json, Output, command, usage_error
from quaestor.cli.place import ProjectDir

__all__ = ["simulator"]

simulator = typer.Typer(help="Simulators of vendors' systems.", no_args_is_help=True)

Port = typer.Option(min=0, max=65535, help="0 takes a free one.")


@simulator.callback()
def _group() -> None:
    """Keeps `run` a sub-command, although it is the only one."""


@simulator.command("run")
@command
def run(
    system: Annotated[str, typer.Argument(help="Which connector's: sap_s4, bogus, …")],
    port: Annotated[int, Port] = 0,
    control_port: Annotated[int, Port] = 0,
    latency_ms: Annotated[float, typer.Option(min=0, help="Before each answer.")] = 150.0,
    settle_s: Annotated[float, typer.Option(min=0, help="Until a document is visible.")] = 2.0,
    seed: Annotated[int, typer.Option(help="Of its chances, such as the visibility delay.")] = 0,
    options: Annotated[
        str, typer.Option(help="The vendor's own, as JSON: see the connector's README.")
    ] = "{}",
    project: ProjectDir = None,
    as_json: Json = False,
) -> None:
    """Serve until SIGTERM or Ctrl-C. Nothing it was told outlives it.

    Files that `--options` names are looked for in the project folder, or here without one.
    """
    from quaestor.connectors.kit.kind import SimulatorOptionsInvalid
    from quaestor.connectors.kit.ready import Ready
    from quaestor.connectors.kit.running import SimulatorUnknown, run_simulator

    output = Output(as_json=as_json)

    def ready(listening: Ready) -> None:
        output.say(f"{system} at {listening.url}, its control at {listening.control}/documents")
        if not as_json:
            for name, value in listening.credentials.items():
                output.say(f"  {name}: {value}")
        output.result(listening)

    try:
        run_simulator(
            system,
            ready,
            port=port,
            control_port=control_port,
            latency_ms=latency_ms,
            settle_s=settle_s,
            seed=seed,
            options=_own(options),
            project=project,
        )
    except SimulatorOptionsInvalid as error:
        raise Failed(f"{system}: {error}", code="simulator_options_invalid") from error
    except SimulatorUnknown:
        usage_error(f"there is no simulator of {system!r}; there is one of: {_known(project)}")


def _own(text: str) -> dict[str, Any]:
    import msgspec

    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        usage_error(f"--options: {error}")


def _known(project: Path | None) -> str:
    from quaestor.connectors.kit.registry import connector_kinds

    kinds = connector_kinds(project)
    return ", ".join(name for name, kind in kinds.items() if kind.simulator is not None)
