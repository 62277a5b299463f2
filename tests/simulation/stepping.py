"""One thread, virtual time, and PostgreSQL one statement after the other.

The event loop of a simulation never waits: when nothing is ready, one waiting statement is let
through to the database, drawn by the seed; when none waits, time goes to the next timer. So what
happens next depends on the seed alone, not on how fast the machine, the database or the sockets
are. A statement that waits for another transaction's lock is set aside until that lock is gone.

`quaestor.clock()` in the databases of a simulation reads a file, which follows the virtual time.
"""

from __future__ import annotations

import asyncio
import os
import random
import selectors
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import asyncpg

from quaestor.store import database as store_database

__all__ = [
    "BEGAN_AT",
    "STANDS_STILL",
    "Kept",
    "Monitor",
    "Stalled",
    "StepLoop",
    "Steps",
    "stepped_time",
    "stepping_for",
]

BEGAN_AT = datetime(2026, 11, 16, 8, 0, tzinfo=UTC)
# The time lies in a file beside the data: to set it needs no statement. In parentheses it is read
# once for each statement, when that begins.
CLOCK_FILE = "simulated_us"
STANDS_STILL = f"""
grant execute on function pg_read_file(text) to public;
create or replace function quaestor.clock() returns timestamptz language sql stable parallel safe
    as $$ select timestamptz '{BEGAN_AT.isoformat()}'
               + (select pg_read_file('{CLOCK_FILE}')::bigint) * interval '1 us' $$
"""
_IS_BLOCKED = "select cardinality(pg_blocking_pids($1)) > 0"
_END = "select count(pg_terminate_backend(pid)) from unnest($1::int[]) pid"
_ENDED = "select not exists (select from pg_stat_activity where pid = any($1::int[]))"
# A statement that is answered takes less; one that is not may be waiting for a lock.
_LOOKS_BLOCKED_S = 0.02
_STALLED_LOOKS = 3000
# Which share of the statements takes a noticeable time.
_TAKES_TIME = 0.25
# Where virtual monotonic time begins: like a machine that has been up for a while.
_UPTIME_S = 1000.0
_STEPPED = (
    "query", "prepare", "bind_execute", "bind_execute_many", "bind", "execute", "close_statement",
    "close",
)  # fmt: skip


class Stalled(Exception):
    """Everything waits, and nothing will ever happen."""


class Steps(Protocol):
    """What stands between one worker and its statements: deaths, pauses, lost acknowledgements."""

    async def before(self, sql: str) -> None: ...

    async def after(self, sql: str) -> None: ...

    def loses_commit(self) -> str:
        """`before` or `after` where the acknowledgement of this commit gets lost, else empty."""
        ...


class Kept:
    """What all copies of one template share: the file of the clock, and what their types are."""

    def __init__(self, cluster: Path) -> None:
        self._file = os.open(cluster / CLOCK_FILE, os.O_WRONLY | os.O_CREAT, 0o644)
        self.types: dict[frozenset[int], Any] = {}
        self.show(0)

    def show(self, microseconds: int) -> None:
        """From now on this is how much later than at the beginning it is."""
        os.pwrite(self._file, b"%20d" % microseconds, 0)

    def close(self) -> None:
        os.close(self._file)


stepping_for: ContextVar[Steps | None] = ContextVar("stepping_for", default=None)


class Monitor:
    """A look at the server from outside of the simulation, on a loop of its own.

    It may be used in the middle of the simulation's loop, which stands still meanwhile.
    """

    def __init__(self, dsn: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._connection: asyncpg.Connection = self._wait(asyncpg.connect(dsn))

    def ask(self, sql: str, *values: Any) -> Any:
        """The first value of the answer."""
        return self._wait(self._connection.fetchval(sql, *values))

    def rows(self, sql: str, *values: Any) -> list[Mapping[str, Any]]:
        """All rows of the answer."""
        found: list[Mapping[str, Any]] = self._wait(self._connection.fetch(sql, *values))
        return found

    def do(self, sql: str) -> None:
        """Carry out a script."""
        self._wait(self._connection.execute(sql))

    def call(self, work: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:
        """What `work` does with the connection."""
        return self._wait(work(self._connection))

    def end(self, pids: list[int]) -> None:
        """End these sessions and wait until they are gone, with all that they held."""
        self.ask(_END, pids)
        while not self.ask(_ENDED, pids):
            time.sleep(0.001)

    def close(self) -> None:
        self._wait(self._connection.close())
        self._loop.close()

    def _wait(self, work: Any) -> Any:
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            return self._loop.run_until_complete(work)
        finally:
            asyncio._set_running_loop(outer)


class StepLoop(asyncio.SelectorEventLoop):
    """See the module. `jump` moves the database's clock alone, as an administrator might."""

    def __init__(self, seed: int, monitor: Monitor, kept: Kept) -> None:
        self._now = _UPTIME_S
        self._steps = random.Random(f"steps {seed}")
        self.monitor = monitor
        self.statements = 0
        self.locks_met = 0
        self._jumped_s = 0.0
        self._shown: int | None = None
        self._kept = kept
        self._opening: list[asyncio.BaseTransport] = []
        self._connecting = False
        self._wish_to_open: deque[asyncio.Future[None]] = deque()
        self._queue: list[tuple[SteppedProtocol, asyncio.Future[None]]] = []
        self._running: SteppedProtocol | None = None
        self._blocked: list[SteppedProtocol] = []
        self._look_again = False
        super().__init__(_Selector(self))
        # What is left of a dead process fails where nobody listens any more.
        self.set_exception_handler(lambda loop, context: None)

    # --- time -----------------------------------------------------------------------------------

    def time(self) -> float:
        return self._now

    @property
    def elapsed_s(self) -> float:
        """Virtual seconds since the beginning."""
        return self._now - _UPTIME_S

    def now(self) -> datetime:
        """The database's time."""
        return BEGAN_AT + timedelta(seconds=self.elapsed_s + self._jumped_s)

    def jump(self, seconds: float) -> None:
        """The database's clock jumps; ours goes on."""
        self._jumped_s += seconds

    def _show_time(self) -> None:
        offset_us = round((self.elapsed_s + self._jumped_s) * 1e6)
        if offset_us != self._shown:
            self._kept.show(offset_us)
            self._shown = offset_us

    def describe(self, types: frozenset[int]) -> Any:
        """What the catalogue says of these types: the same in every copy of one template."""
        known = self._kept.types
        if types not in known:
            known[types] = self.monitor.call(lambda own: own._introspect_types(list(types), None))
        return known[types]

    # --- what the selector asks -----------------------------------------------------------------

    def next_events(self, real: selectors.BaseSelector, timeout: float | None) -> list[Any]:
        """Called whenever nothing is ready: see the module."""
        if timeout == 0:
            return []
        while True:
            if self._may_open_next():
                return []
            if self._is_busy():
                found = self._answered(real)
                if found:
                    return found
            elif self._blocked and self._look_again:
                self._look_at_blocked()
            elif self._queue:
                self._let_one_through()
                return []
            elif timeout is None:
                raise Stalled("everything waits for something that will not come")
            else:
                self._now += timeout
                return []

    def _is_busy(self) -> bool:
        return bool(self._running or self._opening or self._connecting)

    def _may_open_next(self) -> bool:
        """Connections are made one after the other: who is made first must not depend on luck."""
        self._opening = [each for each in self._opening if not each.is_closing()]
        if self._is_busy() or not self._wish_to_open:
            return False
        waiter = self._wish_to_open.popleft()
        if waiter.done():
            return False
        self._connecting = True
        waiter.set_result(None)
        return True

    def _answered(self, real: selectors.BaseSelector) -> list[Any]:
        # Counted in looks: a process that was made to stand still for an hour missed none.
        for _ in range(_STALLED_LOOKS):
            waiting = {each.fileno() for each in self._blocked}
            ready = real.select(_LOOKS_BLOCKED_S)
            found = [each for each in ready if each[0].fd not in waiting]
            if found:
                return found
            if ready:
                # Only sessions that wait, and were ended meanwhile: they are ready all the time.
                time.sleep(_LOOKS_BLOCKED_S)
            if self._running and self.monitor.ask(_IS_BLOCKED, self._running.get_server_pid()):
                self._blocked.append(self._running)
                self._running = None
                self.locks_met += 1
                return []
        raise Stalled("the database does not answer")

    def _look_at_blocked(self) -> None:
        for each in self._blocked:
            if each.is_gone or not self.monitor.ask(_IS_BLOCKED, each.get_server_pid()):
                self._blocked.remove(each)
                self._running = None if each.is_gone else each
                return
        self._look_again = False

    def _let_one_through(self) -> None:
        if self._steps.random() < _TAKES_TIME:
            # Statements take time: others wake up in the middle of a transaction.
            self._now += self._steps.uniform(0.002, 0.02)
        chosen = self._queue.pop(self._steps.randrange(len(self._queue)))
        self._show_time()
        self._running = chosen[0]
        self.statements += 1
        chosen[1].set_result(None)

    # --- what statements ask --------------------------------------------------------------------

    async def turn(self, protocol: SteppedProtocol) -> None:
        """Wait until this connection's statement may go."""
        waiter = self.create_future()
        entry = (protocol, waiter)
        self._queue.append(entry)
        try:
            await waiter
        except asyncio.CancelledError:
            if entry in self._queue:
                self._queue.remove(entry)
            else:
                self.answered(protocol)
            raise

    def answered(self, protocol: SteppedProtocol) -> None:
        """This connection's statement has come back; what it held may be free now."""
        if self._running is protocol:
            self._running = None
        if protocol in self._blocked:
            self._blocked.remove(protocol)
        self._look_again = True

    # --- connections ----------------------------------------------------------------------------

    async def create_unix_connection(self, *given: Any, **more: Any) -> Any:
        # While a connection is made, real time is waited for.
        waiter = self.create_future()
        self._wish_to_open.append(waiter)
        await waiter
        try:
            made = await super().create_unix_connection(*given, **more)
        finally:
            self._connecting = False
        self._opening.append(made[0])
        return made

    def opened(self, transport: asyncio.BaseTransport) -> None:
        """The connection is made: from now on it goes step by step."""
        self._opening = [each for each in self._opening if each is not transport]


class _Selector(selectors.DefaultSelector):
    """Asks the loop what comes next, instead of waiting."""

    def __init__(self, loop: StepLoop) -> None:
        super().__init__()
        self._loop = loop
        self._real = super()

    def select(self, timeout: float | None = None) -> list[Any]:
        return self._loop.next_events(self._real, timeout)  # type: ignore[arg-type]


class SteppedProtocol:
    """asyncpg's protocol, with every statement in its turn."""

    def __init__(self, real: Any, connection: SteppedConnection, loop: StepLoop) -> None:
        self._real, self._connection, self._steps = real, connection, loop
        for name in _STEPPED:
            setattr(self, name, self._in_turn(getattr(real, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def fileno(self) -> int:
        """The descriptor of the session's socket."""
        socket = self._connection._transport.get_extra_info("socket")
        return int(socket.fileno()) if socket is not None else -1

    @property
    def is_gone(self) -> bool:
        """The session has ended."""
        return bool(self._connection.is_closed())

    def _in_turn(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def stepped(*given: Any, **more: Any) -> Any:
            sql = _said(given, more)
            self._connection.is_clean &= _leaves_nothing(sql)
            worker = stepping_for.get()
            if worker is not None:
                await worker.before(sql)
                if sql == "COMMIT;" and (lost := worker.loses_commit()):
                    return await self._lose(lost, method, given, more)
            answer = await self._carried(method, given, more)
            if worker is not None:
                await worker.after(sql)
            return answer

        return stepped

    async def _carried(self, method: Callable[..., Awaitable[Any]], given: Any, more: Any) -> Any:
        await self._steps.turn(self)
        try:
            return await method(*given, **more)
        finally:
            self._steps.answered(self)

    async def _lose(self, when: str, method: Any, given: Any, more: Any) -> Any:
        """The connection breaks around the commit; the server knows what became of it."""
        if when == "after":
            await self._carried(method, given, more)
        else:
            await self._steps.turn(self)
            self._steps.answered(self)
        self._steps.monitor.end([self.get_server_pid()])
        self._connection.terminate()
        raise asyncpg.ConnectionDoesNotExistError("connection was closed around the commit")


def _said(given: tuple[Any, ...], more: Mapping[str, Any]) -> str:
    """The text that this call carries out; to prepare it carries out nothing."""
    first = more.get("state") or (given[0] if given else None)
    return first if isinstance(first, str) else getattr(first, "query", "")


def _leaves_nothing(sql: str) -> bool:
    """Whether the session is afterwards as it was before."""
    # The locks of a transaction go with it.
    return "advisory_lock" not in sql and not sql.startswith("set ")


class SteppedConnection(store_database.Connection):
    """A connection of the product's pool whose statements go in turns.

    A session that nothing was set in is not reset at its return: every statement counts here.
    """

    is_clean = True

    def get_reset_query(self) -> str:
        if self.is_clean:
            return ""
        self.is_clean = True
        return str(super().get_reset_query())

    async def _introspect_types(self, typeoids: Any, timeout: Any) -> Any:
        """What the catalogue says of types; no statement of the simulation, but asked beside it."""
        if self._stepped is None:
            return await super()._introspect_types(typeoids, timeout)
        return self._stepped.describe(frozenset(typeoids))

    def __init__(self, protocol: Any, transport: Any, loop: Any, *given: Any, **more: Any) -> None:
        super().__init__(protocol, transport, loop, *given, **more)
        self._stepped = loop if isinstance(loop, StepLoop) else None
        if isinstance(loop, StepLoop):
            self._protocol = SteppedProtocol(protocol, self, loop)
            loop.opened(transport)


async def _no_probe(dsn: str, role: str | None) -> None:
    return


def _no_limit(seconds: float) -> str:
    return "0"


@contextmanager
def stepped_time(seed: int, dsn: str, kept: Kept) -> Iterator[StepLoop]:
    """A loop for one simulation on this database; clocks of the process show its time meanwhile."""
    monitor = Monitor(dsn)
    loop = StepLoop(seed, monitor, kept)
    real_time, real_connection = time.monotonic, store_database.Connection
    real_probe, real_limit = store_database._probe, store_database._milliseconds
    time.monotonic = loop.time
    store_database.Connection = SteppedConnection  # type: ignore[misc]
    # It is one server all along: nobody needs to ask before each start whether it will do.
    store_database._probe = _no_probe
    # The server's limits count real time, which must not matter.
    store_database._milliseconds = _no_limit
    random.seed(seed)
    try:
        yield loop
    finally:
        store_database.Connection = real_connection  # type: ignore[misc]
        store_database._probe, store_database._milliseconds = real_probe, real_limit
        time.monotonic = real_time
        loop.close()
        monitor.close()
