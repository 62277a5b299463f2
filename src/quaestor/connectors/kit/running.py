"""A simulator as a process of its own: `quaestor simulator run SYSTEM` calls this."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from quaestor.connectors.kit.kind import SimulatorOptions, SimulatorOptionsInvalid
from quaestor.connectors.kit.registry import connector_kinds
from quaestor.connectors.kit.simulator import Ready, Simulator

__all__ = ["SimulatorUnknown", "run_simulator", "serve_simulator", "simulator_of"]


class SimulatorUnknown(Exception):
    """There is no simulator of this kind of system."""


def simulator_of(
    kind: str,
    *,
    port: int = 0,
    control_port: int = 0,
    latency_ms: float = 0.0,
    settle_s: float = 0.0,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    project: Path | None = None,
) -> Simulator:
    """A simulator that is not started yet. Raises `SimulatorUnknown`, `SimulatorOptionsInvalid`.

    `options` are the vendor's own; `project` is the folder with the customer's connectors, from
    which files named in `options` are looked for.
    """
    kinds = connector_kinds(project)
    make = kinds[kind].simulator if kind in kinds else None
    if make is None:
        raise SimulatorUnknown(kind)
    given = SimulatorOptions(
        settle_s=settle_s, seed=seed, extra=dict(options or {}), folder=project or Path()
    )
    if given.extra and kinds[kind].simulator_options is None:
        raise SimulatorOptionsInvalid(f"the simulator of {kind} has no options of its own")
    try:
        vendor = make(given)
    except msgspec.ValidationError as error:
        raise SimulatorOptionsInvalid(str(error)) from error
    return Simulator(vendor, latency_ms=latency_ms, port=port, control_port=control_port)


async def serve_simulator(
    simulator: Simulator, ready: Callable[[Ready], None], stop: asyncio.Event
) -> None:
    """Serve until `stop`; `ready` is called once, when both ports listen."""
    async with simulator as listening:
        ready(listening)
        await stop.wait()


def run_simulator(kind: str, ready: Callable[[Ready], None], **given: Any) -> None:
    """Run until SIGTERM or SIGINT; `given` and what is raised as for `simulator_of`."""
    simulator = simulator_of(kind, **given)

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await serve_simulator(simulator, ready, stop)

    asyncio.run(run())
