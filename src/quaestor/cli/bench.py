"""`quaestor bench`: how many flows a second, beside what the database alone could do."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quaestor.cli.children import Child, start_child
from quaestor.cli.descriptors import allow_connections
from quaestor.cli.identity import Role
from quaestor.cli.output import Failed, Json, Output, command

if TYPE_CHECKING:
    from quaestor.bench.run import Plan, Start
    from quaestor.store.embedded import EmbeddedServer

__all__ = ["bench", "bench_bare", "bench_ledger"]

_WINDOWS = 4
_SOAK_ROUNDS = 6
_ROLES: Mapping[str, Role] = {"work": "worker", "serve": "gateway"}


@command
def bench(
    seconds: Annotated[
        float, typer.Option(min=1, help="Measured of each kind, in windows that take turns.")
    ] = 30.0,
    workers: Annotated[int, typer.Option(min=1, max=16, help="Measured beside one.")] = 2,
    in_flight: Annotated[int, typer.Option(min=1, max=400, help="Requisitions at a time.")] = 200,
    quick: Annotated[
        bool, typer.Option("--quick", help="One short window of each kind: a try, no figure.")
    ] = False,
    gateway: Annotated[
        bool, typer.Option("--gateway", help="Instead: the gateway alone, beside a bare route.")
    ] = False,
    parked: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Instead: what so many parked documents cost the others."),
    ] = None,
    burst: Annotated[
        int | None,
        typer.Option(min=1, help="Instead: so many at once, floods, a system slow and down."),
    ] = None,
    pairs: Annotated[int, typer.Option(min=1, help="With --burst: pairs of windows.")] = 5,
    flood_s: Annotated[
        float, typer.Option(min=1, help="With --burst: seconds of too many requests over HTTP.")
    ] = 120.0,
    soak: Annotated[
        float | None,
        typer.Option(min=1, help="Instead: so many seconds of load; is a claim slower after it?"),
    ] = None,
    past: Annotated[
        int,
        typer.Option(min=0, help="With --soak: documents done before the second round."),
    ] = 0,
    scenario: Annotated[
        int | None,
        typer.Option(min=1, help="Instead: so many through Coupa, planning, Workday and SAP."),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(help="Where the databases of the run lie; a temporary directory else."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the throughput on this machine, and the database's own limit beside it."""
    import uvloop

    output = Output(as_json=as_json)
    plan = _plan(seconds, workers, in_flight, quick=quick)
    with _folder(directory) as folder:
        if gateway:
            uvloop.run(_gateway(folder, plan, output))
        elif parked:
            uvloop.run(_growth(folder, [0, *sorted(set(parked))], seconds / 2, output))
        elif burst:
            uvloop.run(_pressure(folder, burst, pairs, seconds / 4, flood_s, output))
        elif soak:
            uvloop.run(_soak(folder, soak, past, output))
        elif scenario:
            uvloop.run(_scenario(folder, scenario, seconds, output))
        else:
            uvloop.run(_bench(folder, plan, output))


def _plan(seconds: float, workers: int, in_flight: int, *, quick: bool) -> Plan:
    from quaestor.bench.run import Plan

    rounds = 1 if quick else _WINDOWS
    return Plan(
        rounds=rounds,
        window_s=min(seconds, 2.0) if quick else seconds / rounds,
        warm_s=0.5 if quick else 3.0,
        in_flight=in_flight,
        workers=workers,
    )


@contextmanager
def _folder(base: Path | None) -> Iterator[Path]:
    """A directory for one run, which the account of root's servers can pass through."""
    folder = Path(tempfile.mkdtemp(prefix="quaestor-bench-", dir=base))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _bench(folder: Path, plan: Plan, output: Output) -> None:
    from quaestor.bench.report import as_object, as_tables
    from quaestor.bench.run import Bench

    async with _server(folder) as (server, start):
        measured = await Bench(folder, server, start, plan, output.say).run()
    output.say(measured.machine)
    for table in as_tables(measured):
        output.say("")
        output.say(table)
    found = as_object(measured)
    if not measured.is_exact:
        output.say(
            f"NOT GOOD: {found['requisitions']} requisitions, {found['documents_done']} done, "
            f"{found['orders']} orders under {found['order_references']} references"
        )
    output.result(found, good=measured.is_exact)


async def _gateway(folder: Path, plan: Plan, output: Output) -> None:
    from quaestor.bench.report import gateway_object, gateway_table
    from quaestor.bench.run import Bench

    async with _server(folder) as (server, start):
        machine, served = await Bench(folder, server, start, plan, output.say).serve()
    output.say(machine)
    output.say(gateway_table(served))
    found = {"ok": served.is_exact, "machine": machine, **gateway_object(served)}
    output.result(found, good=served.is_exact)


async def _growth(folder: Path, numbers: Sequence[int], idle_s: float, output: Output) -> None:
    from quaestor.bench.growth import Growth
    from quaestor.bench.report import growth_table

    async with _server(folder) as (server, start):
        machine, found = await Growth(folder, server, start, idle_s).run(numbers)
    output.say(machine)
    output.say(growth_table(found))
    output.result({"ok": True, "machine": machine, "growth": found})


async def _pressure(
    folder: Path, count: int, pairs: int, window_s: float, flood_s: float, output: Output
) -> None:
    from quaestor.bench.pressure import Pressure
    from quaestor.bench.report import pressure_object, pressure_tables

    allow_connections()
    async with (
        _server(folder) as (server, start),
        Pressure(folder, server, start, window_s).open() as pressure,
    ):
        pressed = await pressure.run(count, pairs, flood_s, output.say)
    output.say(pressed.machine)
    for table in pressure_tables(pressed):
        output.say("")
        output.say(table)
    output.result(pressure_object(pressed), good=pressed.is_exact)


async def _soak(folder: Path, seconds: float, past: int, output: Output) -> None:
    from quaestor.bench.pressure import Pressure
    from quaestor.bench.report import soak_drift, soak_table
    from quaestor.bench.soak import Soak

    async with (
        _server(folder) as (server, start),
        Pressure(folder, server, start, seconds).open() as pressure,
    ):
        found = await Soak(pressure, server, past).run(_SOAK_ROUNDS, seconds / _SOAK_ROUNDS)
    output.say(soak_table(found))
    output.result({"ok": True, "soak": found, "drift": soak_drift(found)})


async def _scenario(folder: Path, count: int, live_s: float, output: Output) -> None:
    from quaestor.bench.load import BenchFailed
    from quaestor.bench.report import scenario_object, scenario_table
    from quaestor.cli.bench_scenario import run_scenario
    from quaestor.cli.demo.command import example_project
    from quaestor.cli.logs import log_warnings

    log_warnings()
    _end_at_signals()
    try:
        live, carried = await run_scenario(folder, example_project(), count, live_s)
    except BenchFailed as error:
        raise Failed(f"Nothing can be said: {error}.", code="bench_failed") from error
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    output.say(scenario_table(live, carried))
    output.result(scenario_object(live, carried), good=carried.is_exact)


def _end_at_signals() -> None:
    """Signals end what runs inside."""
    loop, running = asyncio.get_running_loop(), asyncio.current_task()
    assert running is not None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, running.cancel)


@asynccontextmanager
async def _server(folder: Path) -> AsyncIterator[tuple[EmbeddedServer, Start]]:
    """A server below the folder, and how processes are started beside it.

    Signals end what runs inside; a benchmark that can say nothing fails by name.
    """
    from quaestor.bench.load import BenchFailed
    from quaestor.cli.logs import log_warnings
    from quaestor.store.embedded import EmbeddedServer

    log_warnings()
    _end_at_signals()

    async def start(name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Child:
        role = _ROLES.get(arguments[0], "simulator")
        log = folder / f"{name}.log"
        return await start_child(
            name, role, arguments, log, environment=environment, born=lambda _: None
        )

    server = await asyncio.to_thread(EmbeddedServer.start, folder / "data", elsewhere=folder)
    try:
        yield server, start
    except BenchFailed as error:
        raise Failed(f"Nothing can be said: {error}.", code="bench_failed") from error
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        await asyncio.to_thread(server.stop)


@command
def bench_ledger(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    as_json: Json = False,
) -> None:
    """The ledger of the benchmark, as a process of its own."""
    from quaestor.bench.erp import serve_ledger

    output = Output(as_json=as_json)
    _until_told(lambda stop: serve_ledger(output.result, stop, port))


@command
def bench_bare(as_json: Json = False) -> None:
    """The bare route of the benchmark, as a process of its own."""
    from quaestor.bench.bare import serve_bare

    output = Output(as_json=as_json)
    _until_told(lambda stop: serve_bare(output.result, stop))


def _until_told(serve: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    import uvloop

    async def run() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await serve(stop)

    uvloop.run(run())
