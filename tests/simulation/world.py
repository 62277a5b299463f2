"""The world of one seed: vendors and lines in memory, workers on PostgreSQL, people, and its end.

busy    documents come, lines are faulty, workers die, clocks jump
quiet   all of that has ended; the last votes come, owners have what is parked tried again
rest    nothing is due any more: the books are closed, and read
again   everything that came in comes in once more; the books are read a second time
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from quaestor.app import Application
from quaestor.audit.subjects import Subjects
from quaestor.connectors.bogus.simulator import BogusSimulator
from quaestor.connectors.kit.kind import SimulatorOptions
from quaestor.connectors.kit.ready import Ready
from quaestor.connectors.sap_s4.simulator import SapSimulator
from quaestor.project.load import load_project
from quaestor.project.project import Project
from quaestor.runtime.engine import Engine
from quaestor.runtime.recording import Recorder
from quaestor.store import Database
from quaestor.store.epoch import establish_epoch
from tests.simulation.books import Books, read_books
from tests.simulation.folder import LEDGERS, Ledger, write_folder
from tests.simulation.people import People
from tests.simulation.plan import BUSY_S, Plan
from tests.simulation.stepping import Kept, StepLoop, stepped_time, stepping_for
from tests.simulation.wires import Line, host_of, plugged_in
from tests.simulation.workers import AUDIT_KEY, Worker

__all__ = ["Conduct", "Ended", "QUIET_MAX_S", "settle_in", "silence", "simulate", "the_project"]

# So long the quiet phase may last in virtual time: longer than any back-off.
QUIET_MAX_S = 4000.0
# Not a multiple of what a look waits: the second look must not depend on a hair.
_QUIET_MIN_S = 15.0
_VENDORS = {"sap_s4": SapSimulator, "bogus": BogusSimulator}
_OPEN = """
select count(*) from quaestor.work
where outcome is null and parked_code is null
  and (due_at < quaestor.clock() + interval '1 day' or woken <> woken_seen)
"""
_UNSEEN = "select count(*) from quaestor.work where woken <> woken_seen"


@dataclass(frozen=True)
class Conduct:
    """How the product is used, so that a test can plant a mistake into it.

    `tune` sees each new engine; `before_books` may falsify what is there at the end.
    """

    tune: Callable[[Engine], None] = lambda engine: None
    vendor: Callable[[str, Any], Any] = lambda system, vendor: vendor
    before_books: Callable[[World], None] = lambda world: None
    again: bool = True


@dataclass(frozen=True)
class Ended:
    """How a seed ended: the books at rest, and those after everything came in once more."""

    books: Books
    again: Books | None


@dataclass
class World:
    """Everything of one run."""

    plan: Plan
    project: Project
    loop: StepLoop
    dsn: str
    conduct: Conduct
    lines: dict[str, Line] = field(default_factory=dict)
    workers: list[Worker] = field(default_factory=list)

    def build(self) -> None:
        """The vendors, each at the end of its line."""
        for ledger in LEDGERS.values():
            vendor = _vendor(ledger, self.plan.visible_s, self.plan.seed, self.loop.time)
            self.lines[ledger.system] = Line(
                ledger.system,
                self.conduct.vendor(ledger.system, vendor),
                self.plan.seed,
                self.plan.weather,
                self.loop,
                lambda: self.loop.elapsed_s,
                stepping_for.get,  # type: ignore[arg-type]
            )

    async def open_app(self, name: str) -> Application:
        vendors = {system: line.vendor for system, line in self.lines.items()}
        return await _open_app(self.project, self.dsn, vendors, name)

    # --- one run --------------------------------------------------------------------------------

    async def run(self) -> Ended:
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(
                await Database.connect(
                    self.dsn, role="quaestor_worker", application_name="people", max_size=8
                )
            )
            release = self.project.release().hash
            planned = {each.number: each for each in self.plan.documents}
            recorder = Recorder(Subjects(AUDIT_KEY))
            people = People(self.loop, database, recorder, release, planned, self.plan.seed)
            for number, plan in enumerate(self.plan.workers):
                worker = Worker(
                    self.loop, number, plan, self.plan.seed, self.open_app, self.conduct.tune
                )
                self.workers.append(worker)
                worker.start()
            at_rest = await self._lived(people, database)
            self.conduct.before_books(self)
            books = await self._closed(people, at_rest)
            if not self.conduct.again:
                return Ended(books, None)
            return Ended(books, await self._again(people, database))

    async def _lived(self, people: People, database: Database) -> bool:
        bringing = [self.loop.create_task(people.bring(each)) for each in self.plan.documents]
        desk = self.loop.create_task(people.decide())
        owners = self.loop.create_task(people.look_after())
        jumping = self.loop.create_task(self._jump())
        await asyncio.gather(*bringing, jumping)
        await asyncio.sleep(max(0.0, BUSY_S - self.loop.elapsed_s))
        await _cancelled(owners)
        for worker in self.workers:
            worker.may_suffer = False
        at_rest = await self._rests(people, database)
        await _cancelled(desk)
        return at_rest

    async def _jump(self) -> None:
        for at_s, by_s in self.plan.jumps:
            await asyncio.sleep(max(0.0, at_s - self.loop.elapsed_s))
            self.loop.jump(by_s)

    async def _rests(self, people: People, database: Database) -> bool:
        """The quiet phase: until nothing is due, and whoever decides or owns has done his part.

        A vote still on its way would fall between the books, and look like a change (I30).
        """
        until_s = self.loop.elapsed_s + QUIET_MAX_S
        while self.loop.elapsed_s < until_s:
            await asyncio.sleep(10.0)
            resting = not await database.fetchval(_OPEN) and not await database.fetchval(_UNSEEN)
            settled = resting and self.loop.elapsed_s > BUSY_S + _QUIET_MIN_S
            if settled and await people.has_spoken() and not await people.retry_parked():
                return True
        return False

    async def _closed(self, people: People, at_rest: bool) -> Books:
        for worker in self.workers:
            await worker.stop()
        return await read_books(
            self.plan,
            self.dsn,
            self.lines,
            audit_key=AUDIT_KEY,
            approved=tuple(people.approved),
            at_rest=at_rest,
            deaths=sum(worker.deaths for worker in self.workers),
            statements=self.loop.statements,
            elapsed_s=self.loop.elapsed_s,
            locks_met=self.loop.locks_met,
        )

    async def _again(self, people: People, database: Database) -> Books:
        """Everything that came in comes in once more (I30), to a worker that is well."""
        self.workers[0].start()
        for planned in self.plan.documents:
            for nth, happening in enumerate(planned.happenings):
                await people.happens(planned, happening, nth)
        await asyncio.sleep(6.0)
        at_rest = await self._rests(people, database)
        return await self._closed(people, at_rest)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@contextmanager
def silence() -> Iterator[None]:
    """Workers that die say so; nobody reads it here."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


def the_project() -> Project:
    """The project folder of the simulation, read once."""
    folder = Path(tempfile.mkdtemp(prefix="quaestor-simulation-"))
    write_folder(folder)
    return load_project(folder)


def _vendor(ledger: Ledger, visible_s: float, seed: int, now: Callable[[], float]) -> Any:
    extra = {"guarantee": ledger.guarantee} if ledger.connector == "bogus" else {}
    options = SimulatorOptions(settle_s=visible_s, seed=seed, extra=extra)
    return _VENDORS[ledger.connector](options, now=now)


async def _open_app(
    project: Project, dsn: str, vendors: Mapping[str, Any], name: str
) -> Application:
    ready = {
        system: Ready(f"http://{host_of(system)}", "", dict(vendor.credentials))
        for system, vendor in vendors.items()
    }
    return await Application.open(
        project, dsn, audit_key=AUDIT_KEY, simulated=ready, application_name=name
    )


async def settle_in(project: Project, dsn: str) -> None:
    """What every run finds done: the database is accepted, and the project is released."""
    async with (
        await Database.connect(dsn, role=None, application_name="owner") as owner,
        owner.connection() as connection,
    ):
        await establish_epoch(connection, accepted_by="simulation")
    vendors = {each.system: _vendor(each, 0.0, 0, time.monotonic) for each in LEDGERS.values()}
    async with await _open_app(project, dsn, vendors, "release") as app:
        await app.release(by="simulation")


def simulate(
    plan: Plan, project: Project, dsn: str, kept: Kept, conduct: Conduct | None = None
) -> Ended:
    """Run a plan on a copy of the template. Raises `Stalled` where everything waits."""
    with silence(), stepped_time(plan.seed, dsn, kept) as loop:
        world = World(plan, project, loop, dsn, conduct or Conduct())
        world.build()
        with plugged_in(world.lines):
            asyncio.set_event_loop(loop)
            try:
                return loop.run_until_complete(world.run())
            finally:
                asyncio.set_event_loop(None)
