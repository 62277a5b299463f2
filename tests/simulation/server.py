"""A PostgreSQL server for simulations: one migrated template, a fresh copy of it per run."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quaestor.project.project import Project
from quaestor.store.embedded import EmbeddedServer
from quaestor.store.migrate import migrate
from tests.simulation.plan import Plan
from tests.simulation.stepping import STANDS_STILL, Kept, Monitor
from tests.simulation.world import Conduct, Ended, settle_in, simulate, the_project
from tests.support.database import roomy_memory, session_directory

__all__ = ["Server", "serving"]

_TEMPLATE = "simulation_template"
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "file_copy_method": "clone",
    # It would come at a moment of its own, and move rows.
    "autovacuum": "off",
    "jit": "off",
    # Time flies: a cycle of locks is broken when it closes, and not after a second of real time.
    "deadlock_timeout": "1ms",
    # A simulation may stand still at any moment, also in the middle of a connection.
    "authentication_timeout": "600s",
    # One plan for all executions: which of them is better now is judged by costs and chances.
    "plan_cache_mode": "force_generic_plan",
}


class Server:
    """Runs plans, each on a database of its own."""

    def __init__(self, server: EmbeddedServer, project: Project) -> None:
        self._server, self._project = server, project
        self._numbers = itertools.count(1)
        self._administers = Monitor(server.dsn)
        self._administers.do(f"create database {_TEMPLATE}")
        template = server.dsn_of(_TEMPLATE)
        self._administers.call(lambda _: migrate(template))
        self._kept = Kept(server.cluster)
        inside = Monitor(template)
        inside.do(STANDS_STILL)
        inside.close()
        asyncio.run(settle_in(project, template))

    def run(self, plan: Plan, conduct: Conduct | None = None) -> Ended:
        """One run of this plan."""
        name = f"simulation_{next(self._numbers)}"
        self._administers.do(f"create database {name} template {_TEMPLATE} strategy file_copy")
        try:
            return simulate(plan, self._project, self._server.dsn_of(name), self._kept, conduct)
        finally:
            self._administers.do(f"drop database {name} with (force)")

    def close(self) -> None:
        self._administers.close()
        self._kept.close()


@contextmanager
def serving() -> Iterator[Server]:
    """A server in memory, if there is room; it goes with the block."""
    base = roomy_memory() or Path(tempfile.gettempdir())
    with session_directory(base) as place:
        data = place / "server"
        with EmbeddedServer.start(data, settings=_SETTINGS, elsewhere=place) as server:
            made = Server(server, the_project())
            try:
                yield made
            finally:
                made.close()
                asyncio.set_event_loop(None)
