"""Supervising: database, simulators, workers and gateway of one deployment on this machine.

Started in this order: database and simulators side by side, then the schema, the release, the
workers, the gateway. Stopped in the order that loses nothing: the gateway first, so that nothing
new comes in; then the workers, so that what is on the wire comes back and is recorded; then the
simulators that answered them; the database last.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Literal

import asyncpg
import msgspec

from quaestor.app import Application
from quaestor.audit.subjects import deployment_key
from quaestor.cli.children import READY_TIMEOUT_S, Child, start_child
from quaestor.cli.identity import Role, StartedProcess, started_at
from quaestor.cli.leftovers import stop_what_is_left
from quaestor.cli.output import Failed
from quaestor.cli.place import Place, Running
from quaestor.connectors.kit.ready import Ready
from quaestor.project.project import Project
from quaestor.store.embedded import EmbeddedServer, EmbeddedServerError
from quaestor.store.embedded.cluster import DATABASE
from quaestor.store.migrate import migrate

__all__ = ["Supervisor", "account_name", "all_of"]

_RESTART_FIRST_S = 0.5
_RESTART_MAX_S = 30.0
# A worker that lived so long died of something new: its next restart waits briefly again.
_LIVED_LONG_S = 60.0
_SIMULATOR_STOP_S = 5.0
# Beyond `shutdown_s`: to sign off and to leave.
_WORKER_GRACE_S = 5.0


def account_name() -> str:
    """The account at work, as releases and recoveries state who did them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


class Supervisor:
    """What one `up` or `demo` started. `heard` is called with each event worth a line; `took_s`
    is how long each part took to start, in seconds.

    Use as an async context: leaving it stops everything that was started.
    """

    def __init__(
        self,
        place: Place,
        project: Project,
        *,
        kind: Literal["up", "demo"],
        dsn: str | None = None,
        heard: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.place = place
        self.project = project
        self.systems: dict[str, Ready] = {}
        self.took_s: dict[str, float] = {}
        self.gateway_url = ""
        self.dsn = dsn or ""
        self._external = dsn or ""
        self._kind = kind
        self._heard = heard
        self._server: asyncio.Task[EmbeddedServer] | None = None
        self._children: dict[str, Child] = {}
        self._processes: dict[str, StartedProcess] = {}
        self._is_ready = False
        self._watching: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Supervisor:
        self.place.make()
        await asyncio.to_thread(stop_what_is_left, self.place)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # --- starting -------------------------------------------------------------------------------

    async def start(
        self, workers: Mapping[str, str | None], *, port: int, anew: bool = False
    ) -> str:
        """Start everything; the hash of the release. `workers` are names, with a crash point.

        All processes begin at once; workers, and the gateway at this port, wait until there is
        something to work with. `anew` begins with an empty database in the embedded server.
        """
        base = asyncio.create_task(self._start_base(anew))
        started = (self.start_worker(name, crash_at=at) for name, at in workers.items())
        await all_of(base, self._start_gateway(port), *started)
        return base.result()

    async def _start_base(self, anew: bool) -> str:
        await all_of(self._start_database(anew), self._start_simulators())
        async with await self.application() as app:
            release = await app.release(by=account_name())
        self._is_ready = True
        self._note()
        return release

    async def _start_database(self, anew: bool) -> None:
        began = time.monotonic()
        if not self._external:
            # Shielded: a server that starts while we are interrupted has to be stopped as well.
            starting = asyncio.to_thread(EmbeddedServer.start, self.place.data)
            self._server = asyncio.create_task(starting)
            server = await asyncio.shield(self._server)
            self.dsn = server.dsn
            if anew:
                await _empty(server)
        await migrate(self.dsn)
        self.took_s["database"] = time.monotonic() - began

    async def _start_simulators(self) -> None:
        systems = self.project.settings.systems
        await all_of(*(self._simulate(name) for name in systems if systems[name].simulate))

    async def _simulate(self, name: str) -> None:
        settings = self.project.settings.systems[name]
        arguments = [
            "simulator",
            "run",
            settings.connector,
            f"--project={self.project.path}",
            f"--latency-ms={settings.simulator.latency_ms:g}",
            f"--settle-s={settings.simulator.settle_s:g}",
            f"--seed={settings.simulator.seed}",
            f"--options={msgspec.json.encode(settings.simulator.own).decode()}",
            "--json",
        ]
        child = await self._start_child(f"simulator of {name}", "simulator", arguments, {})
        self.systems[name] = msgspec.convert(child.ready, Ready)
        self._watch(self._watch_simulator(name, child))

    async def start_worker(
        self, name: str, *, crash_at: str | None = None, keep_alive: bool = True
    ) -> Child:
        """One worker process; with `crash_at` it kills itself there, once.

        `keep_alive` starts it anew when it dies.
        """
        arguments = [
            "work",
            f"--project={self.project.path}",
            f"--data={self.place.data}",
            f"--worker-id={name}",
            f"--wait-s={READY_TIMEOUT_S:g}",
            "--json",
            "--log-json",
        ]
        if crash_at is not None:
            arguments.append("--allow-crash")
        # Not what our own caller may have set: the worker reads where things are from the place.
        environment = {"QUAESTOR_DSN": "", "QUAESTOR_CRASH_AT": crash_at or ""}
        child = await self._start_child(name, "worker", arguments, environment)
        if keep_alive:
            again = partial(self.start_worker, name, keep_alive=False)
            self._watch(self._keep_alive(name, child, again))
        return child

    async def _start_child(
        self, name: str, role: Role, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> Child:
        began = time.monotonic()
        log = self.place.logs / f"{name.replace(' ', '-')}.log"
        child = await start_child(
            name, role, arguments, log, environment=environment, born=self._born
        )
        self.took_s[name] = time.monotonic() - began
        self._children[name] = child
        return child

    def _born(self, process: StartedProcess) -> None:
        # Written down before it is ready: what we leave behind, should we be killed now.
        self._processes[process.name] = process
        self._note()

    async def application(self) -> Application:
        """This deployment as the supervisor itself sees it; the caller closes it."""
        return await Application.open(
            self.project,
            self.dsn,
            audit_key=deployment_key(self.place.audit_key_file),
            simulated=self.systems,
            application_name=f"quaestor {self._kind}",
        )

    async def _start_gateway(self, port: int) -> None:
        """One gateway process; one that dies is started again, at the same address."""
        child = await self._serve(port)
        self.gateway_url = url = str(child.ready["url"])
        self._watch(self._keep_alive("gateway", child, lambda: self._serve(_port_of(url))))

    async def _serve(self, port: int) -> Child:
        arguments = [
            "serve",
            f"--project={self.project.path}",
            f"--data={self.place.data}",
            f"--port={port}",
            f"--wait-s={READY_TIMEOUT_S:g}",
            "--json",
            "--log-json",
        ]
        return await self._start_child("gateway", "gateway", arguments, {"QUAESTOR_DSN": ""})

    @property
    def processes(self) -> Mapping[str, int]:
        """The ids of what was started, by name."""
        return {name: child.pid for name, child in self._children.items()}

    def child(self, name: str) -> Child:
        """The process of this name, as it was started last."""
        return self._children[name]

    @property
    def _worker_stop_s(self) -> float:
        return self.project.settings.deployment.shutdown_s + _WORKER_GRACE_S

    # --- watching -------------------------------------------------------------------------------

    def _watch(self, watching: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(watching)
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def _keep_alive(
        self, name: str, child: Child, again: Callable[[], Awaitable[Child]]
    ) -> None:
        """Start it anew whenever it ends: at once after a long life, else ever more slowly."""
        loop = asyncio.get_running_loop()
        pause_s = _RESTART_FIRST_S
        while True:
            born = loop.time()
            code = await child.wait()
            if loop.time() - born > _LIVED_LONG_S:
                pause_s = _RESTART_FIRST_S
            what = f"{name} ended with {code}"
            while True:
                self._heard(f"{what}; it is started again in {pause_s:g} s")
                await asyncio.sleep(pause_s)
                pause_s = min(_RESTART_MAX_S, pause_s * 2)
                try:
                    child = await again()
                    break
                except Failed as failure:
                    what = str(failure)

    async def _watch_simulator(self, name: str, child: Child) -> None:
        code = await child.wait()
        if not self._stopping and not self._failed.done():
            # It kept its documents in memory: a new one would know nothing of the orders.
            self._failed.set_result(f"The simulator of {name} ended with {code}.")

    async def watch_until(self, stop: asyncio.Event) -> str:
        """Wait until `stop` is set, or for what cannot be helped; its sentence, else empty."""
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait(
                (stopping, asyncio.shield(self._failed)), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stopping.cancel()
        return self._failed.result() if self._failed.done() else ""

    # --- stopping -------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Stop everything that was started, in order. Idempotent."""
        self._stopping = True
        for task in tuple(self._watching):
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        limits_s = (
            ("gateway", self._worker_stop_s),
            ("worker", self._worker_stop_s),
            ("simulator", _SIMULATOR_STOP_S),
        )
        for role, limit_s in limits_s:
            ours = [child for child in self._children.values() if child.identity.role == role]
            await asyncio.gather(*(child.stop(limit_s) for child in ours))
        self._children.clear()
        if self._server is not None:
            starting, self._server = self._server, None
            with suppress(EmbeddedServerError):
                await asyncio.to_thread((await starting).stop)
        self.place.forget()

    def _note(self) -> None:
        own = StartedProcess(self._kind, "supervisor", os.getpid(), started_at(os.getpid()) or "")
        self.place.note(
            Running(
                kind=self._kind,
                project=str(self.project.path.resolve()),
                embedded=not self._external,
                dsn=self.dsn if self._is_ready else "",
                processes=(own, *self._processes.values()),
                systems=self.systems,
            )
        )


def _port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


async def all_of(*work: Awaitable[Any]) -> None:
    """Do all of it at once; the first failure ends the others, and is raised once they ended."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _empty(server: EmbeddedServer) -> None:
    connection = await asyncpg.connect(server.dsn_of("postgres"))
    try:
        await connection.execute(f"drop database if exists {DATABASE} with (force)")
        await connection.execute(f"create database {DATABASE}")
    finally:
        await connection.close()
