"""The measurement: limit and engine take turns in short windows, and their medians are compared.

A machine's speed wanders by a fifth and more from one minute to the next, so neither figure means
much alone. What was counted in the engine, in the database and in the ledger must agree at the
end, document by document: a benchmark that loses or doubles an order has measured nothing.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import asyncpg
import msgspec

from quaestor.app import Application
from quaestor.audit.subjects import deployment_key
from quaestor.bench.erp import Counted, counted_at
from quaestor.bench.folder import write_folder
from quaestor.bench.gateway import Served, Serving, measure_gateway
from quaestor.bench.limit import BATCHED, ONE_BY_ONE, Limit
from quaestor.bench.load import BenchFailed, Load, Window
from quaestor.bench.meters import has_proc, machine, peak_memory_mb
from quaestor.bench.rows import Caught, FlowRows, NoPlainFlow, caught, counts, finished, plant
from quaestor.bench.spending import Meter, Spending
from quaestor.project.load import load_project
from quaestor.store.embedded import EmbeddedServer
from quaestor.store.migrate import migrate

__all__ = ["Bench", "Measured", "Plan", "Process", "Start"]

LIMIT_DATABASE = "quaestor_limit"
WORKER_STOP_S = 30.0
# Statistics of a connection reach the others within a second of its end.
_STATISTICS_S = 10.0
_LOOKS_MAX = 5
_TELL = "select pg_stat_force_next_flush()"
# What was written in preparation is no flow's.
_FORGET = "select pg_stat_reset()"


class Process(Serving, Protocol):
    """A started process of ours; `ready` is what it said when it was."""

    async def stop(self, timeout_s: float) -> None: ...


Start = Callable[[str, Sequence[str], Mapping[str, str]], Awaitable[Process]]
"""Starts `quaestor ARGUMENTS` under a name, with more of an environment, and waits until ready."""


class Plan(msgspec.Struct, frozen=True):
    """How long is measured: `rounds` windows of `window_s` of each kind, each after `warm_s`.

    `in_flight` requisitions at a time; one worker, and beside it `workers` where that is more.
    Workers beyond the first are new in each of their windows: until they are warm, each of their
    sessions makes its plans, and that is no throughput.
    """

    rounds: int = 4
    window_s: float = 5.0
    warm_s: float = 3.0
    in_flight: int = 200
    workers: int = 2


class Measured(msgspec.Struct, kw_only=True):
    """Everything that was measured. Rates in flows per second, one for each window.

    `engine` has the windows by number of workers. `written` and `limit_written` are rows inserted
    and updated per flow, by table. `transactions` per flow, over the whole run.
    """

    machine: str
    plan: Plan
    limit: list[float] = []
    limit_spent: list[Spending] = []
    one_by_one: list[float] = []
    engine: dict[int, list[Window]] = {}
    spent: dict[int, list[Spending]] = {}
    written: dict[str, tuple[float, float]] = {}
    limit_written: dict[str, tuple[float, float]] = {}
    transactions: float = 0.0
    worker_memory_mb: float = 0.0
    taken: int = 0
    done: int = 0
    counted: Counted = Counted(0, 0, 0)
    served: Served | None = None

    def rate(self, workers: int) -> float:
        """Median of the windows with so many workers."""
        return statistics.median(window.flows_per_s for window in self.engine[workers])

    @property
    def is_exact(self) -> bool:
        """Whether every requisition that came in is done, with one order each."""
        counted = self.counted
        ordered = counted.orders == counted.references == counted.reported == self.done
        taken_in = self.served is None or self.served.is_exact
        return ordered and taken_in and self.taken == self.done > 0


@dataclass
class Bench:
    """One run, below `folder`. `say` is told each window as it ends."""

    folder: Path
    server: EmbeddedServer
    start: Start
    plan: Plan
    say: Callable[[str], None]
    _workers: list[Process] = field(default_factory=list)

    async def run(self) -> Measured:
        """Measure. Raises `BenchFailed` where nothing can be said."""
        await migrate(self.server.dsn)
        owner = await asyncpg.connect(self.server.dsn)
        measured = Measured(machine=machine(_version(owner)), plan=self.plan)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(owner.close)
            ledger = await self.start("ledger", ["bench-ledger", "--json"], {})
            stack.push_async_callback(ledger.stop, WORKER_STOP_S)
            app = await self._application(stack, self._project, ledger.ready["url"], whole=True)
            await owner.execute(_FORGET)
            load = Load(app, self.plan.in_flight)
            stack.push_async_callback(self._set_workers, 0)
            await self._set_workers(1)
            limit = await self._prepare_limit(load, owner)
            meter = Meter(
                load, owner, self.server.cluster, ledger.pid, workers=lambda: self.worker_pids
            )
            for number in range(1, self.plan.rounds + 1):
                await self._round(number, measured, load, limit, meter)
            if has_proc():
                measured.worker_memory_mb = peak_memory_mb(self._workers[0].pid)
            await self._set_workers(0)
            # A connection tells what it wrote at its end at the latest.
            await app.close()
            await _conclude(measured, load, limit, ledger, owner)
            measured.served = await self._serve(owner)
        return measured

    async def serve(self) -> tuple[str, Served]:
        """Measure the gateway alone; the machine in words comes with it. Raises `BenchFailed`."""
        await migrate(self.server.dsn)
        owner = await asyncpg.connect(self.server.dsn)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(owner.close)
            return machine(_version(owner)), await self._serve(owner)

    async def _serve(self, owner: asyncpg.Connection) -> Served:
        """The gateway and the bare route beside it; nobody works meanwhile.

        Its project has no planning service: the ledger's own budgets are on the replica path.
        """
        project = self.folder / "gateway"
        async with AsyncExitStack() as stack:
            await self._application(stack, project, "https://sap.invalid", whole=False)
        place = ["--project", str(project), "--data", str(self.folder)]
        dsn = {"QUAESTOR_DSN": self.server.dsn}
        async with AsyncExitStack() as stack:
            gateway = await self.start("gateway", ["serve", *place, "--port", "0", "--json"], dsn)
            stack.push_async_callback(gateway.stop, WORKER_STOP_S)
            bare = await self.start("bare", ["bench-bare", "--json"], {})
            stack.push_async_callback(bare.stop, WORKER_STOP_S)
            served = await measure_gateway(gateway, bare, self.folder, owner, self.plan.window_s)
        self.say(
            f"gateway: {served.validation_rps:.0f} validations/s, "
            f"{served.intake_rps:.0f} requisitions/s taken in"
        )
        return served

    async def _application(
        self, stack: AsyncExitStack, project: Path, ledger_url: str, *, whole: bool
    ) -> Application:
        key = deployment_key(self._key)
        write_folder(
            project,
            base_url=ledger_url,
            slots=self.plan.in_flight,
            on=datetime.now(UTC).date(),
            whole=whole,
        )
        app = await Application.open(
            load_project(project),
            self.server.dsn,
            audit_key=key,
            application_name="quaestor bench",
        )
        await stack.enter_async_context(app)
        await app.release(by="bench")
        await app.database.fetchval(_TELL)
        return app

    @property
    def _project(self) -> Path:
        return self.folder / "project"

    @property
    def _key(self) -> Path:
        return self.folder / "audit.key"

    async def _set_workers(self, count: int) -> None:
        while len(self._workers) > count:
            await self._workers.pop().stop(WORKER_STOP_S)
        while len(self._workers) < count:
            name = f"worker-{len(self._workers) + 1}"
            arguments = ["work", "--project", str(self._project), "--data", str(self.folder)]
            arguments += ["--worker-id", name, "--json", "--log-json"]
            environment = {"QUAESTOR_DSN": self.server.dsn}
            self._workers.append(await self.start(name, arguments, environment))

    @property
    def worker_pids(self) -> list[int]:
        """The workers at work at this moment."""
        return [worker.pid for worker in self._workers]

    # --- the limit ------------------------------------------------------------------------------

    async def _prepare_limit(self, load: Load, owner: asyncpg.Connection) -> Limit:
        """Lay the patterns of what a flow writes down beside an empty schema."""
        rows = await self._look_at_a_flow(load, owner)
        await owner.execute(f"create database {LIMIT_DATABASE}")
        dsn = self.server.dsn_of(LIMIT_DATABASE)
        await migrate(dsn)
        connection = await asyncpg.connect(dsn)
        try:
            await plant(connection, rows)
            await connection.execute(_TELL)
            await connection.execute(_FORGET)
        finally:
            await connection.close()
        return Limit(dsn)

    async def _look_at_a_flow(self, load: Load, owner: asyncpg.Connection) -> FlowRows:
        """Warm the engine up, and see what it writes; a short run may have to look again."""
        for _ in range(_LOOKS_MAX):
            warm = asyncio.Event()
            catching = asyncio.create_task(_catch(owner, self.plan.warm_s, warm))
            try:
                await load.drive(self.plan.warm_s, self.plan.window_s / 2)
            finally:
                warm.set()
                on_the_wire = await catching
            with suppress(NoPlainFlow):
                return await finished(owner, on_the_wire)
        raise BenchFailed("no document went its way in the transactions of a plain flow")

    # --- windows --------------------------------------------------------------------------------

    async def _round(
        self, number: int, measured: Measured, load: Load, limit: Limit, meter: Meter
    ) -> None:
        plan = self.plan
        batched, spent = await meter.limit(limit, BATCHED, plan.warm_s / 2, plan.window_s)
        measured.limit.append(batched)
        measured.limit_spent.extend(spent)
        told = []
        for workers in sorted({1, plan.workers}):
            await self._set_workers(workers)
            window, spent = await meter.engine(plan.warm_s, plan.window_s)
            measured.engine.setdefault(workers, []).append(window)
            measured.spent.setdefault(workers, []).extend(spent)
            told.append(f"{window.flows_per_s:.0f} with {workers}")
        await self._set_workers(1)
        single, _ = await meter.limit(limit, ONE_BY_ONE, plan.warm_s / 2, plan.window_s)
        measured.one_by_one.append(single)
        self.say(
            f"round {number} of {plan.rounds}, flows/s: database alone "
            f"{batched:.0f} in batches, {single:.0f} one by one; "
            f"engine {', '.join(told)} worker(s)"
        )


async def _catch(owner: asyncpg.Connection, after_s: float, warm: asyncio.Event) -> list[Caught]:
    """Documents on the wire, looked for until `warm`, once first requests are over.

    It is told to end and not cancelled: a cancellation could leave its reading transaction open
    on the connection that it shares.
    """
    found: list[Caught] = []
    await _pause(warm, after_s)
    while len(found) < 200 and not warm.is_set():
        found.extend(await caught(owner))
        await _pause(warm, 0.1)
    return found


async def _pause(ended: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), seconds)


async def _conclude(
    measured: Measured, load: Load, limit: Limit, ledger: Process, owner: asyncpg.Connection
) -> None:
    """Count what stands in the database and in the ledger, now that nobody works any more."""
    measured.taken = load.taken
    query = "select count(*) from quaestor.work where outcome = 'ordered'"
    measured.done = await owner.fetchval(query)
    measured.counted = await asyncio.to_thread(counted_at, ledger.ready["url"])
    await owner.execute(_TELL)
    of_engine = await _settled(owner)
    measured.written = _per_flow(of_engine, load.done)
    committed = await owner.fetchval(
        "select xact_commit from pg_stat_database where datname = current_database()"
    )
    measured.transactions = committed / load.done
    connection = await asyncpg.connect(limit.dsn)
    try:
        measured.limit_written = _per_flow(await _settled(connection), limit.flows)
    finally:
        await connection.close()


async def _settled(connection: asyncpg.Connection) -> dict[str, tuple[int, int]]:
    """The row counts once they stand still: a connection's reach the others after its end."""
    found = await counts(connection)
    async with asyncio.timeout(_STATISTICS_S):
        while True:
            await asyncio.sleep(1.1)
            again = await counts(connection)
            if again == found:
                return found
            found = again


def _per_flow(found: Mapping[str, tuple[int, int]], flows: int) -> dict[str, tuple[float, float]]:
    return {
        table: (inserted / flows, updated / flows)
        for table, (inserted, updated) in sorted(found.items())
    }


def _version(connection: asyncpg.Connection) -> str:
    return str(connection.get_settings().server_version).split()[0]
