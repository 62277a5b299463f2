"""`quaestor connector check`: can each system be used as configured, and what to do if not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from quaestor.cli.output import Json, Output, command, usage_error

if TYPE_CHECKING:
    from rich.text import Text

    from quaestor.connectors.kit.contract import Probe
    from quaestor.connectors.kit.simulator import Ready
    from quaestor.project.project import Project

__all__ = ["connector"]

connector = typer.Typer(help="Systems as configured.", no_args_is_help=True)


class Checked(msgspec.Struct, frozen=True):
    """One line: `topic` is one of network, credentials, permissions, fields, guarantee."""

    name: str
    topic: str
    good: bool
    detail: str = ""
    fix: str = ""


class System(msgspec.Struct, frozen=True):
    """A system as it is configured, and what was found there."""

    title: str
    address: str
    simulated: bool
    mode: str
    checked: tuple[Checked, ...]


@connector.callback()
def _connector_group() -> None:
    """Keeps `check` a sub-command, although it is the only one."""


@connector.command("check")
@command
def check(
    project: Annotated[
        Path, typer.Option("--project", envvar="QUAESTOR_PROJECT", help="Project folder.")
    ],
    only: Annotated[str, typer.Option("--system", help="This system alone.")] = "",
    as_json: Json = False,
) -> None:
    """Network, credentials, permissions, fields and guarantee of each system.

    Each failure comes with what to switch on at the vendor's. Everything is only read. For a
    system that the project simulates, a simulator is started for the moment. Exit code 1 where
    something is not good.
    """
    from quaestor.cli.where import tell_where
    from quaestor.project.load import load_project
    from quaestor.project.systems import reached_kinds

    output = Output(as_json=as_json)
    loaded = load_project(project)
    tell_where(loaded.settings.deployment)
    if only and only not in loaded.settings.systems:
        usage_error(f"--system {only}: one of {', '.join(loaded.settings.systems)}")
    names = [name for name in reached_kinds(loaded) if only in ("", name)]
    found = asyncio.run(_check(loaded, names))
    for name, system in found.items():
        _tell(name, system, output)
    for name in [name for name in loaded.settings.systems if only in ("", name)]:
        if name not in found:
            output.say(f"{name}: not reached, since it is only named or has sends = false")
    bad = [one for system in found.values() for one in system.checked if not one.good]
    if not found:
        output.say("There is no system that could be asked.")
    else:
        output.say(f"{len(bad)} to be put right" if bad else "Everything is good.")
    systems = {name: system.checked for name, system in found.items()}
    output.result({"ok": not bad, "systems": systems}, good=not bad)


async def _check(loaded: Project, names: list[str]) -> dict[str, System]:
    from quaestor.connectors.kit.checking import topic_of
    from quaestor.connectors.kit.registry import connector_kinds
    from quaestor.connectors.kit.running import simulator_of

    found: dict[str, System] = {}
    async with AsyncExitStack() as stack:
        for name in names:
            settings = loaded.settings.systems[name]
            simulated: dict[str, Ready] = {}
            if settings.simulate:
                own = settings.simulator.own
                simulator = simulator_of(settings.connector, options=own, project=loaded.path)
                simulated[name] = await stack.enter_async_context(simulator)
            probes = await _probe(loaded, name, simulated)
            checked = tuple(
                Checked(one.name, topic_of(one), one.good, one.detail, "" if one.good else one.fix)
                for one in probes
            )
            found[name] = System(
                title=connector_kinds(loaded.path)[settings.connector].manifest.title,
                address="our simulator" if simulated else settings.base_url or "",
                simulated=bool(simulated),
                mode=loaded.settings.mode_of(name),
                checked=checked,
            )
    return found


async def _probe(loaded: Project, name: str, simulated: Mapping[str, Ready]) -> tuple[Probe, ...]:
    """A secret that is not there is a finding like any other: the other systems are asked too."""
    from quaestor.connectors.kit.checking import guarantees
    from quaestor.connectors.kit.contract import Probe
    from quaestor.project.systems import open_systems
    from quaestor.security.secrets import SecretUnavailable

    try:
        system = open_systems(loaded, simulated, only=name)[name]
    except SecretUnavailable as error:
        fix = f"Put it where [systems.{name}.auth] says, or say there where it is."
        return (Probe("secret", False, str(error), fix),)
    try:
        return (*await system.connector.check(), *guarantees(system.manifest))
    except SecretUnavailable as error:
        fix = f"Put it where [systems.{name}.auth] says, or say there where it is."
        return (Probe("secret", False, str(error), fix), *guarantees(system.manifest))
    finally:
        await system.wire.close()


def _tell(name: str, system: System, output: Output) -> None:
    """The system in bold, a line for each probe, its cure below."""
    from rich.table import Table
    from rich.text import Text

    mode = ", only read" if system.mode == "observe" else ""
    output.say(Text(f"{name}  {system.title}, {system.address}{mode}", style="bold"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=1)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1, overflow="fold")
    for one in system.checked:
        shown = one.name if one.name != one.topic else ""
        grid.add_row(_mark(one.good), one.topic, _bare(shown), Text(one.detail))
        if not one.good and one.fix:
            grid.add_row("", "", "", Text(f"→ {one.fix}", style="yellow"))
    output.say(grid)
    output.say("")


def _bare(name: str) -> str:
    return name.removeprefix("guarantee ").removeprefix("scope ")


def _mark(good: bool) -> Text:
    from rich.text import Text

    return Text("✓", style="green") if good else Text("✗", style="bold red")
