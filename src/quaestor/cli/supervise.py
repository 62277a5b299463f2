"""Supervising: database, simulators and workers of one deployment on this machine.

Started in this order: database and simulators side by side, then the schema, the release, the
workers. Stopped in the order that loses nothing: workers first, so that what is on the wire comes
back and is recorded; then the simulators that answered them; the database last.
"""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

import asyncpg
import msgspec

from quaestor.app import Application
from quaestor.cli.children import Child, start_child, started_at, stop_process
from quaestor.cli.output import Failed
from quaestor.cli.place import Place, Running, StartedProcess
from quaestor.connectors.kit.simulator import Ready
from quaestor.project.project import Project
from quaestor.store.embedded import EmbeddedServer, EmbeddedServerError
from quaestor.store.embedded.cluster import DATABASE
from quaestor.store.migrate import migrate

__all__ = ["Supervisor", "account_name", "stop_what_is_left"]

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
    """What one `up` or `demo` started. `heard` is called with each event worth a line.

    Use as an async context: leaving it stops everything that was started.
    """

    def __init__(
        self,
        place: Place,
        project: Project,
        *,
        kind: str,
        dsn: str | None = None,
        heard: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.place = place
        self.project = project
        self.systems: dict[str, Ready] = {}
        self.dsn = dsn or ""
        self._external = dsn or ""
        self._kind = kind
        self._heard = heard
        self._server: asyncio.Task[EmbeddedServer] | None = None
        self._simulators: dict[str, Child] = {}
        self._workers: dict[str, Child] = {}
        self._watching: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Supervisor:
        self.place.make()
        await stop_what_is_left(self.place)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # --- starting -------------------------------------------------------------------------------

    async def start_database(self, *, anew: bool = False) -> None:
        """Start or attach to the embedded server, unless a DSN was given; bring up the schema.

        `anew` begins with an empty database in the embedded server.
        """
        if not self._external:
            # Shielded: a server that starts while we are interrupted has to be stopped as well.
            starting = asyncio.to_thread(EmbeddedServer.start, self.place.data)
            self._server = asyncio.create_task(starting)
            server = await asyncio.shield(self._server)
            self.dsn = server.dsn
            if anew:
                await _empty(server)
        await migrate(self.dsn)

    async def start_simulators(self) -> None:
        """One process for each system that the project simulates."""
        simulated = {
            name: system
            for name, system in self.project.settings.systems.items()
            if system.simulate
        }
        await asyncio.gather(*(self._simulate(name) for name in simulated))

    async def _simulate(self, name: str) -> None:
        system = self.project.settings.systems[name]
        arguments = [
            "simulator",
            "run",
            system.connector,
            "--project",
            str(self.project.path),
            "--latency-ms",
            f"{system.simulator.latency_ms:g}",
            "--settle-s",
            f"{system.simulator.settle_s:g}",
            "--seed",
            str(system.simulator.seed),
            "--json",
        ]
        log = self.place.logs / f"{name}.simulator.log"
        child = await start_child(f"simulator of {name}", "simulator", arguments, log)
        self._simulators[name] = child
        self.systems[name] = msgspec.convert(child.ready, Ready)
        self._note()
        self._watch(self._watch_simulator(name, child))

    async def release(self) -> str:
        """Publish the project; the hash of the release."""
        async with await self.application() as app:
            return await app.release(by=account_name())

    async def application(self) -> Application:
        """This deployment as the supervisor itself sees it."""
        from quaestor.audit.subjects import deployment_key

        key = deployment_key(self.place.audit_key_file)
        return await Application.open(
            self.project,
            self.dsn,
            audit_key=key,
            simulated=self.systems,
            application_name=f"quaestor {self._kind}",
        )

    async def start_worker(
        self, name: str, *, crash_at: str | None = None, keep_alive: bool = True
    ) -> Child:
        """One worker process; with `crash_at` it kills itself there, once.

        `keep_alive` starts it anew when it dies.
        """
        arguments = ["work", "--project", str(self.project.path), "--data", str(self.place.data)]
        arguments += ["--worker-id", name, "--json", "--log-json"]
        environment: dict[str, str] = {"QUAESTOR_DSN": self.dsn, "QUAESTOR_CRASH_AT": ""}
        if crash_at is not None:
            arguments.append("--allow-crash")
            environment["QUAESTOR_CRASH_AT"] = crash_at
        log = self.place.logs / f"{name}.log"
        child = await start_child(name, "worker", arguments, log, environment=environment)
        self._workers[name] = child
        self._note()
        if keep_alive:
            self._watch(self._watch_worker(name, child))
        return child

    async def stop_worker(self, name: str) -> None:
        """Stop one worker cleanly; it is not started again."""
        child = self._workers.pop(name)
        self._note()
        await child.stop(self._worker_stop_s)

    @property
    def processes(self) -> Mapping[str, int]:
        """The ids of what was started, by name."""
        children = (*self._simulators.values(), *self._workers.values())
        return {child.name: child.pid for child in children}

    @property
    def _worker_stop_s(self) -> float:
        return self.project.settings.deployment.shutdown_s + _WORKER_GRACE_S

    # --- watching -------------------------------------------------------------------------------

    def _watch(self, watching: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(watching)
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def _watch_worker(self, name: str, child: Child) -> None:
        loop = asyncio.get_running_loop()
        pause_s = _RESTART_FIRST_S
        while True:
            born = loop.time()
            code = await child.wait()
            if self._stopping or self._workers.get(name) is not child:
                return
            if loop.time() - born > _LIVED_LONG_S:
                pause_s = _RESTART_FIRST_S
            self._heard(f"{name} ended with {code}; it is started again in {pause_s:g} s")
            await asyncio.sleep(pause_s)
            pause_s = min(_RESTART_MAX_S, pause_s * 2)
            try:
                child = await self.start_worker(name, keep_alive=False)
            except Failed as failure:
                self._heard(str(failure))

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
        for children, limit_s in (
            (self._workers, self._worker_stop_s),
            (self._simulators, _SIMULATOR_STOP_S),
        ):
            await asyncio.gather(*(child.stop(limit_s) for child in children.values()))
            children.clear()
        if self._server is not None:
            starting, self._server = self._server, None
            with suppress(EmbeddedServerError):
                await asyncio.to_thread((await starting).stop)
        self.place.forget()

    def _note(self) -> None:
        children = (*self._workers.values(), *self._simulators.values())
        own = StartedProcess(self._kind, "supervisor", os.getpid(), started_at(os.getpid()) or "")
        self.place.note(
            Running(
                kind="demo" if self._kind == "demo" else "up",
                project=str(self.project.path.resolve()),
                dsn=self._external,
                processes=(own, *(child.identity for child in children)),
                systems=self.systems,
            )
        )


async def _empty(server: EmbeddedServer) -> None:
    connection = await asyncpg.connect(server.dsn_of("postgres"))
    try:
        await connection.execute(f"drop database if exists {DATABASE} with (force)")
        await connection.execute(f"create database {DATABASE}")
    finally:
        await connection.close()


async def stop_what_is_left(place: Place, *, supervisor_too: bool = False) -> list[str]:
    """Stop what an earlier `up` or `demo` of this place left behind; the names of what was ended.

    Raises `Failed` while its supervisor is at work, unless that shall be ended too; it then stops
    its processes itself.
    """
    from quaestor.cli.children import is_running

    running = place.running()
    if running is None:
        return []
    ended = []
    supervisor = next((each for each in running.processes if each.role == "supervisor"), None)
    if supervisor is not None and is_running(supervisor):
        if not supervisor_too:
            raise Failed(
                f"`quaestor {running.kind}` runs here already, as process {supervisor.pid}; "
                f"stop it with: quaestor down --data {place.data}",
                code="already_running",
            )
        await stop_process(supervisor, 60.0)
        ended.append(f"{supervisor.name} ({supervisor.pid})")
    for role in ("worker", "simulator"):
        for process in running.processes:
            if process.role == role and await stop_process(process, 15.0):
                ended.append(f"{process.name} ({process.pid})")
    place.forget()
    return ended
