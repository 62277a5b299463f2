"""Workers that die: the product's own engine on connections of its own, ended at any statement.

A death takes the sessions first, as the end of a process does: what was not committed is rolled
back, what was sent goes on over there, and nothing signs off. A sleeping worker stands still
between two transactions, and finds its lease gone when it wakes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context

import asyncpg

from quaestor.app import Application
from quaestor.runtime.engine import Engine, EngineOptions
from tests.simulation.plan import WorkerPlan
from tests.simulation.stepping import StepLoop, stepping_for

__all__ = ["AUDIT_KEY", "OpenApp", "Worker"]

OpenApp = Callable[[str], Awaitable[Application]]

AUDIT_KEY = b"s" * 32
_RESTARTS_AFTER_S = (0.5, 15.0)
# Longer than in production: an idle worker asks the database less often in virtual time.
_OPTIONS = EngineOptions(idle_min_s=0.8, idle_max_s=5.0, shutdown_s=5.0)
_UPKEEP_EVERY_S = 10.0


class Worker:
    """A place for a worker; `name` is that of the one who lives there now."""

    def __init__(
        self,
        loop: StepLoop,
        number: int,
        plan: WorkerPlan,
        seed: int,
        open_app: OpenApp,
        tune: Callable[[Engine], None],
    ) -> None:
        self._loop, self._plan, self._tune = loop, plan, tune
        self._number, self._lives = number, iter(plan.lives)
        self._draw = random.Random(f"worker {seed} {number}")
        self._open_app = open_app
        self._left: int | None = None
        self._engine: Engine | None = None
        self._app: Application | None = None
        self._task: asyncio.Task[None]
        self._ready = asyncio.Event()
        self.deaths = 0
        self.commits_lost = 0
        self.is_dead = True
        self._buried = asyncio.Event()
        self.may_suffer = True

    @property
    def name(self) -> str:
        return f"worker-{self._number}.{self.deaths}"

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """A new process takes this place."""
        self.is_dead = False
        self._buried = asyncio.Event()
        self._ready.clear()
        self._left = next(self._lives, None)
        context = Context()
        context.run(stepping_for.set, self)
        self._task = self._loop.create_task(self._live(), context=context)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A process that ends with an error is started again by its supervisor."""
        if not task.cancelled() and task.exception() is not None and not self.is_dead:
            self._die()

    async def _live(self) -> None:
        async with await self._open_app(self.name) as app:
            self._app = app
            app.replicas.every_s = _UPKEEP_EVERY_S
            self._engine = await app.engine(self.name, options=_OPTIONS)
            self._engine.upkeep.every_s = _UPKEEP_EVERY_S
            self._tune(self._engine)
            self._ready.set()
            await self._engine.run()

    async def stop(self) -> None:
        """A clean end; what went wrong in the engine comes out here."""
        await self._ready.wait()
        assert self._engine is not None
        self._engine.stop()
        await self._task

    async def _bury(self) -> None:
        monitor = self._loop.monitor
        alive = "select pid from pg_stat_activity where application_name = $1"
        monitor.end([row["pid"] for row in monitor.rows(alive, self.name)])
        if self._app is not None:
            await self._app.database.terminate()
        self._buried.set()
        self._task.cancel()
        with suppress(BaseException):
            await asyncio.gather(self._task, return_exceptions=True)
        self._app = self._engine = None
        # A run may come to its rest before the next one lives here: whoever stops it waits for him.
        self._ready.clear()
        await asyncio.sleep(self._draw.uniform(*_RESTARTS_AFTER_S) if self.may_suffer else 0.5)
        self.deaths += 1
        self.start()

    # --- what stands between it and its statements ----------------------------------------------

    async def before(self, sql: str) -> None:
        if self.is_dead:
            await self._gone()
        await self._count()
        if sql == "BEGIN;":
            await self.thawed()

    async def after(self, sql: str) -> None:
        await self._count()

    async def _count(self) -> None:
        """Deaths come before and after statements alike, so also right after a commit."""
        if self._left is None or not self.may_suffer or not self._ready.is_set():
            return
        self._left -= 1
        if self._left <= 0 and not self.is_dead:
            self._die()
        if self.is_dead:
            await self._gone()

    def _die(self) -> None:
        self.is_dead = True
        self._loop.create_task(self._bury(), context=Context())

    async def _gone(self) -> None:
        """Nothing of a dead process goes on; while its tasks are taken away, nothing is there."""
        await self._buried.wait()
        raise asyncpg.ConnectionDoesNotExistError("this process is gone")

    async def thawed(self) -> None:
        """Wait while this process sleeps; for ever when it is dead."""
        if self.is_dead:
            await self._gone()
        for start, length in self._plan.sleeps:
            left_s = start + length - self._loop.elapsed_s
            if self.may_suffer and self._loop.elapsed_s >= start and left_s > 0:
                await asyncio.sleep(left_s)
        if self.is_dead:
            await self._gone()

    def loses_commit(self) -> str:
        rate = self._plan.loses_commits
        if not self.may_suffer or not rate or self._draw.random() >= rate:
            return ""
        self.commits_lost += 1
        return self._draw.choice(("before", "after"))
