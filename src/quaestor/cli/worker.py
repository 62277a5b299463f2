"""The life of a worker process: the engine, the keeping of the trail, and a clean end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from quaestor.app import Application
from quaestor.audit.keeper import Keeper
from quaestor.cli.keeping import checkpointer
from quaestor.cli.metrics import Metrics, exposed
from quaestor.cli.output import Output
from quaestor.cli.place import Opened
from quaestor.cli.where import tell_where
from quaestor.connectors.kit.ready import Ready
from quaestor.model.refusal import Refusal
from quaestor.project.load import load_project
from quaestor.runtime.crash import crash_hook, no_crash

if TYPE_CHECKING:
    from quaestor.observability.exposing import Source
    from quaestor.runtime.engine import Engine
    from quaestor.store import Database

__all__ = ["Worker", "run_worker"]

_APPLICATION_CHARS_MAX = 63
# New objects until cycles are looked for. A hundred documents in hand make as many as this within
# a moment, and hardly a cycle among them.
_COLLECT_AFTER = 50_000

_log = structlog.get_logger(__name__)


class Worker(msgspec.Struct, frozen=True):
    """How one worker is to work; see the options of `work`."""

    opened: Opened
    project: Path
    audit_key: bytes
    signing_key: Path
    checkpoints: Sequence[Path]
    systems: Mapping[str, Ready]
    name: str
    crash_at: str
    metrics: Metrics


async def run_worker(worker: Worker, output: Output) -> None:
    """Work until SIGTERM or SIGINT; the ready line is said when the engine may begin."""
    project = load_project(worker.project)
    tell_where(project.settings.deployment)
    deployment = project.settings.deployment.name
    signing = checkpointer(deployment, worker.signing_key, worker.checkpoints)
    if not worker.checkpoints:
        _log.warning("checkpoints_stay_here", instead="name a folder with --checkpoints")
    app = await Application.open(
        project,
        worker.opened.dsn,
        audit_key=worker.audit_key,
        simulated=worker.systems,
        application_name=f"quaestor {worker.name}"[:_APPLICATION_CHARS_MAX],
    )
    async with app:
        crash = crash_hook(worker.crash_at) if worker.crash_at else None
        engine = await app.engine(worker.name, at=crash or no_crash)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        if crash is not None:
            loop.add_signal_handler(signal.SIGUSR1, crash.arm)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, engine.stop)
        beside = [
            asyncio.create_task(Keeper(app.database, signing, on_alarm=_alarm).run(stop)),
            asyncio.create_task(app.puller(engine).run(stop)),
        ]
        try:
            async with exposed(worker.metrics, lambda: [_watch(engine, app.database)]) as told:
                output.say(f"{worker.name} is at work, process {os.getpid()}")
                output.result({"worker": worker.name, "pid": os.getpid(), **told})
                # What is loaded by now stays: it is not looked through again and again.
                gc.freeze()
                gc.set_threshold(_COLLECT_AFTER)
                await engine.run()
        finally:
            stop.set()
            await asyncio.gather(*beside)


def _watch(engine: Engine, database: Database) -> Source:
    from quaestor.runtime.watching import Watch

    return Watch(engine, database)


def _alarm(refusal: Refusal) -> None:
    _log.error(refusal.code, owner=refusal.owner, **refusal.details)
