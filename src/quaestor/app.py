"""The composition root: the only file that knows every room.

An `Application` is one process's view of a deployment: the project, its database, its systems.
It takes documents in and makes engines; what runs where is decided by the command line.
"""

from __future__ import annotations

import hmac
import random
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from quaestor.audit.subjects import Subjects
from quaestor.connectors.kit.contract import Manifest
from quaestor.connectors.kit.published import Mapped, NotMapped
from quaestor.connectors.kit.registry import connector_kinds
from quaestor.connectors.kit.simulator import Ready
from quaestor.console.services import ActionFacts, ConsoleServices, SystemFacts
from quaestor.console.serving import PREFIX, make_console
from quaestor.flows.budget_reservation import BUDGET_RESERVATION
from quaestor.flows.kit.flow import Flow
from quaestor.flows.requisition_to_order import REQUISITION_TO_ORDER
from quaestor.gateway.balances import BalanceReader
from quaestor.gateway.server import Asgi
from quaestor.gateway.services import Services
from quaestor.governance.releases import publish, released_files
from quaestor.model.employee import Directory
from quaestor.project.load import load_project
from quaestor.project.project import Project
from quaestor.project.reads import ProjectReads, project_reads
from quaestor.project.replicas import Replicas
from quaestor.project.seams import load_flow_seams
from quaestor.project.streams import ProjectStreams
from quaestor.project.systems import OpenSystem, open_receivers, open_systems
from quaestor.runtime.advancing import Advance
from quaestor.runtime.budget_loading import load_budgets
from quaestor.runtime.case import Case
from quaestor.runtime.crash import no_crash
from quaestor.runtime.dispatch import Dispatch
from quaestor.runtime.engine import Engine, EngineOptions
from quaestor.runtime.inquiring import AnswerLink
from quaestor.runtime.intent import Limits
from quaestor.runtime.lanes import Lanes, lane_names
from quaestor.runtime.progress import Target, World
from quaestor.runtime.pulling import Puller
from quaestor.runtime.receiving import Taken, inbound_requisition, take_in
from quaestor.runtime.recording import Recorder
from quaestor.runtime.replica_book import ReplicaBook, open_replicas
from quaestor.runtime.sending import SystemLink
from quaestor.runtime.upkeep import Upkeep
from quaestor.security.identity import TrustedIssuer
from quaestor.store import Connection, Database
from quaestor.store.deployment import Pinned, pin_deployment

__all__ = ["FLOWS", "Application", "console_beside", "open_gateway"]

FLOWS: Mapping[tuple[str, int], Flow] = {
    (flow.name, flow.version): flow for flow in (REQUISITION_TO_ORDER, BUDGET_RESERVATION)
}

# However short the lease of documents is: a page is several requests.
_PAGE_S_MIN = 10.0


@dataclass
class Application:
    """See the module. Made by `open`; use as an async context."""

    project: Project
    database: Database
    systems: Mapping[str, OpenSystem]
    recorder: Recorder
    replicas: ReplicaBook
    _reads: dict[str, ProjectReads] = field(default_factory=dict)
    _closing: AsyncExitStack = field(default_factory=AsyncExitStack)

    @classmethod
    async def open(
        cls,
        project: Project,
        dsn: str,
        *,
        audit_key: bytes,
        simulated: Mapping[str, Ready] | None = None,
        application_name: str = "quaestor",
    ) -> Self:
        """Connect to a migrated database and to the systems; `audit_key` wraps subjects' keys."""
        stack = AsyncExitStack()
        database = await Database.connect(
            dsn, role="quaestor_worker", application_name=application_name, max_size=12
        )
        stack.push_async_callback(database.close)
        try:
            await _require_ours(project, database)
            systems = open_systems(project, simulated or {})
        except BaseException:
            await stack.aclose()
            raise
        for system in systems.values():
            stack.push_async_callback(system.wire.close)
        replicas = await stack.enter_async_context(open_replicas(database))
        app = cls(project, database, systems, Recorder(Subjects(audit_key)), replicas)
        app._closing = stack
        app._reads[project.release().hash] = _reads_of(project, replicas)
        return app

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave database and systems; once more does no harm."""
        await self._closing.aclose()

    # --- releasing ------------------------------------------------------------------------------

    async def release(self, *, by: str) -> str:
        """Publish the project as it stands: its files by content hash, and its budgets."""
        hash_ = self.project.release().hash
        files = {name: (self.project.path / name).read_bytes() for name in self.project.files}

        async def work(connection: Connection) -> None:
            await publish(connection, hash_, files, by=by)
            await load_budgets(connection, self.project.budget_nodes.values(), release=hash_)

        await self.database.run(work)
        return hash_

    async def _know_releases(self, connection: Connection, hashes: set[str]) -> None:
        """Load releases that documents in flight are pinned to."""
        for hash_ in hashes - self._reads.keys():
            files = await released_files(connection, hash_)
            with tempfile.TemporaryDirectory() as folder:
                for name, body in files.items():
                    target = Path(folder) / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(body)
                self._reads[hash_] = _reads_of(load_project(Path(folder)), self.replicas)

    @cached_property
    def streams(self) -> ProjectStreams:
        """What the systems publish, read with everybody as known now."""
        return ProjectStreams(self.project, lambda: self.directory)

    @property
    def directory(self) -> Directory:
        """Everybody as known now: by the file, or by the system that owns people."""
        read = self._reads[self.project.release().hash]
        found: Directory = read("requisition", "", (Directory,))[Directory]
        return found

    # --- taking in ------------------------------------------------------------------------------

    def read_requisition(
        self, raw: bytes, *, on: datetime, version: int = 1, system: str | None = None
    ) -> Mapped | NotMapped:
        """What a system's bytes of a requisition mean here, and what is not carried over; nothing
        is stored. `system` may be left out where only one publishes any (else `LookupError`).
        """
        return self.streams.read_requisition(raw, system=system, on=on, version=version)

    async def take_in_requisition(
        self, raw: bytes, *, on: datetime, version: int = 1, system: str | None = None
    ) -> Taken | NotMapped:
        """A requisition as its system publishes it; refused by name where it cannot be mapped."""
        mapped = self.read_requisition(raw, on=on, version=version, system=system)
        if not isinstance(mapped, Mapped):
            return mapped
        inbound = inbound_requisition(mapped.requisition, source_bytes=raw)
        release = self.project.release().hash

        async def work(connection: Connection) -> Taken:
            return await take_in(connection, self.recorder, REQUISITION_TO_ORDER, release, inbound)

        return await self.database.run(work)

    def puller(self, engine: Engine) -> Puller:
        """Asks the systems that publish what changed, while the engine may send."""
        return Puller(
            self.database,
            self.recorder,
            [
                stream
                for name, system in self.systems.items()
                for stream in self.streams.of(name, system)
            ],
            release=lambda: self.project.release().hash,
            lanes=engine.advance.lanes,
            chance=random.random,
            may_ask=lambda: engine.advance.gate.is_open,
            lease_s=max(self.project.settings.deployment.lease_s, _PAGE_S_MIN),
        )

    # --- working --------------------------------------------------------------------------------

    async def engine(
        self,
        worker_id: str,
        *,
        options: EngineOptions | None = None,
        at: Callable[[str], None] = no_crash,
    ) -> Engine:
        """A worker on this application's database and systems."""
        deployment = self.project.settings.deployment
        dispatch = Dispatch(FLOWS)
        lanes = Lanes(
            {name: system.settings.slots for name, system in self.systems.items()},
            lane_names(self.systems, tuple(self.project.entities)),
        )
        advance = Advance(
            world=self._world(),
            flows={flow.name: flow for flow in FLOWS.values()},
            lanes=lanes,
            links={
                name: SystemLink(name, system.submits, system.settings.total_timeout_s)
                for name, system in self.systems.items()
                if system.submits is not None
            },
            recorder=self.recorder,
            lease_s=deployment.lease_s,
            reconcile_every_s=deployment.reconcile_every_s,
            know_releases=self._know_releases,
            asked=_asked(self.systems),
        )
        return Engine(
            database=self.database,
            dispatch=dispatch,
            advance=advance,
            upkeep=Upkeep(
                self.database,
                dispatch,
                worker_id,
                lane_wait_max_s=deployment.lane_wait_max_s,
            ),
            options=options or EngineOptions(shutdown_s=deployment.shutdown_s),
            at=at,
        )

    def _world(self) -> World:
        limits, deployment = self.project.settings.limits, self.project.settings.deployment
        return World(
            deployment=deployment.name,
            targets={
                name: Target(
                    name,
                    system.submits.render,
                    system.manifest.actions,
                    system.findable,
                    observed=self.project.settings.mode_of(name) == "observe",
                )
                for name, system in self.systems.items()
                if system.submits is not None
            },
            reads=self._fetch_reads,
            asked=frozenset(_asked(self.systems)),
            limits=Limits(
                failures_max=limits.send_attempts_max,
                unresolved_max_s=deployment.lane_wait_max_s,
                # A resend may leave as late as its lease ends.
                key_margin_s=deployment.lease_s,
            ),
            steps_max=limits.steps_max,
        )

    def _fetch_reads(self, case: Case, kinds: tuple[type, ...]) -> Mapping[type, Any]:
        return self._reads[case.release](case.document.type, case.document.entity, kinds)


@asynccontextmanager
async def open_gateway(
    project: Project,
    dsn: str,
    *,
    audit_key: bytes,
    trusted: tuple[TrustedIssuer, ...],
    simulated: Mapping[str, Ready] | None = None,
    application_name: str = "quaestor gateway",
) -> AsyncIterator[Services]:
    """What a gateway works with: its own connections, the project's release, trusted issuers.

    Of the systems it reaches the source of budgets alone.
    """
    deployment, source = project.settings.deployment, project.budget_policy.source
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            await Database.connect(
                dsn, role="quaestor_gateway", application_name=application_name, max_size=12
            )
        )
        await _require_ours(project, database)
        systems = open_systems(project, simulated or {}, source.system if source else "")
        for system in systems.values():
            stack.push_async_callback(system.wire.close)
        replicas = await stack.enter_async_context(
            open_replicas(database, sorted(project.entities))
        )
        yield Services(
            database=database,
            balances=BalanceReader(database),
            recorder=Recorder(Subjects(audit_key)),
            flows={flow.name: flow for flow in FLOWS.values()},
            release=project.release().hash,
            reads=_reads_of(project, replicas),
            environment=deployment.environment,
            trusted=trusted,
            # Derived, so that all gateways of a deployment take each other's cursors.
            cursor_key=hmac.digest(audit_key, b"quaestor/gateway/cursor", "sha256"),
            entities=tuple(sorted(project.entities)),
            receivers=open_receivers(project),
            asked=_asked(systems),
        )


async def _require_ours(project: Project, database: Database) -> None:
    """Raises `EnvironmentMismatch` where the database belongs to another deployment."""
    deployment = project.settings.deployment
    wanted = Pinned(deployment.name, deployment.environment)
    await database.run(lambda connection: pin_deployment(connection, wanted))


def console_beside(project: Project, services: Services, *, audit_key: bytes) -> dict[str, Asgi]:
    """The pages for people, by where they stand beside the gateway of these services."""
    console = make_console(
        ConsoleServices(
            database=services.database,
            deployment=project.settings.deployment.name,
            environment=services.environment,
            trusted=services.trusted,
            # Derived, so that a session holds at all gateways of a deployment.
            session_key=hmac.digest(audit_key, b"quaestor/console/session", "sha256"),
            systems=tuple(_system_facts(project)),
            zones={id_: entity.time_zone for id_, entity in project.entities.items()},
        )
    )
    return {"/": console, PREFIX: console}


def _system_facts(project: Project) -> Iterator[SystemFacts]:
    """What the project says of its systems; no secret is read for it."""
    kinds = connector_kinds(project.path)
    for name, settings in project.settings.systems.items():
        kind = kinds.get(settings.connector)
        manifest = kind.manifest if kind else Manifest("none", "no connector")
        yield SystemFacts(
            name,
            manifest.title,
            simulated=settings.simulate,
            observed=project.settings.mode_of(name) == "observe",
            actions=tuple(
                ActionFacts(
                    action,
                    str(promise.guarantee),
                    promise.settle_s if settings.settle_s is None else settings.settle_s,
                    settings.resend,
                )
                for action, promise in manifest.actions.items()
            ),
            streams=manifest.streams,
            questions=manifest.questions,
        )


def _reads_of(project: Project, replicas: Replicas) -> ProjectReads:
    return project_reads(project, load_flow_seams(project), replicas)


def _asked(systems: Mapping[str, OpenSystem]) -> dict[str, AnswerLink]:
    """The systems that answer questions."""
    return {
        name: AnswerLink(name, system.answers, system.settings.total_timeout_s)
        for name, system in systems.items()
        if system.answers is not None
    }
