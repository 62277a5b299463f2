"""Systems of a project as connectors: each table of quaestor.toml becomes wire and connector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from quaestor.connectors.kit.config import AuthConfig, SystemConfig, http_wire
from quaestor.connectors.kit.contract import (
    Answers,
    Connector,
    Guarantee,
    Manifest,
    Receives,
    Submits,
)
from quaestor.connectors.kit.kind import ConnectorKind
from quaestor.connectors.kit.registry import connector_kinds
from quaestor.connectors.kit.simulator import Ready
from quaestor.connectors.kit.wires.http import HttpWire
from quaestor.project.configs import with_auth_kind
from quaestor.project.project import Project
from quaestor.security.secrets import Resolve, Secret, resolver
from quaestor.settings import SystemSettings

__all__ = [
    "OpenSystem",
    "answering_kinds",
    "open_receivers",
    "open_systems",
    "publishing_kinds",
    "reached_kinds",
    "submitting_kinds",
]


@dataclass(frozen=True)
class OpenSystem:
    """One system, ready to be called. `close` its wire at the end."""

    name: str
    connector: Connector
    manifest: Manifest
    submits: Submits | None
    answers: Answers | None
    wire: HttpWire
    settings: SystemSettings
    kind: ConnectorKind

    @property
    def findable(self) -> bool:
        """Whether the system can be asked by our reference."""
        promises = {action.guarantee for action in self.manifest.actions.values()}
        return promises != {Guarantee.NONE}


def submitting_kinds(project: Project) -> dict[str, ConnectorKind]:
    """The systems that something may be sent to, each with its kind."""
    kinds = connector_kinds(project.path)
    return {
        name: kinds[system.connector]
        for name, system in project.settings.systems.items()
        if system.connector in kinds
        and kinds[system.connector].manifest.actions
        and project.configs[name].sends
    }


def answering_kinds(project: Project) -> dict[str, ConnectorKind]:
    """The systems that can be asked something, each with its kind."""
    kinds = connector_kinds(project.path)
    return {
        name: kinds[system.connector]
        for name, system in project.settings.systems.items()
        if system.connector in kinds and kinds[system.connector].manifest.questions
    }


def publishing_kinds(project: Project) -> dict[str, ConnectorKind]:
    """The systems that requisitions or decisions come from, also by hand, each with its kind."""
    kinds = connector_kinds(project.path)
    return {
        name: kinds[system.connector]
        for name, system in project.settings.systems.items()
        if system.connector in kinds and kinds[system.connector].published
    }


def reached_kinds(project: Project) -> dict[str, ConnectorKind]:
    """The systems that something may be sent to, or that are asked, each with its kind."""
    return submitting_kinds(project) | answering_kinds(project)


def open_systems(
    project: Project, simulated: Mapping[str, Ready], only: str | None = None
) -> dict[str, OpenSystem]:
    """Wire and connector of each system that is reached, or of the `only` one; `simulated` ones
    get address and credentials from their simulator. Raises `SecretUnavailable` for a secret that
    is not there.
    """
    opened: dict[str, OpenSystem] = {}
    for name, kind in reached_kinds(project).items():
        if only not in (None, name):
            continue
        settings = project.settings.systems[name]
        config: SystemConfig = project.configs[name]
        resolve = resolver(project.path)
        if name in simulated:
            config = _of_simulator(config, simulated[name])
            resolve = _simulator_secrets(simulated[name].credentials)
        wire = http_wire(config, resolve)
        connector = kind.build(config, wire)
        submits = connector if isinstance(connector, Submits) else None
        answers = connector if isinstance(connector, Answers) else None
        opened[name] = OpenSystem(
            name, connector, connector.manifest, submits, answers, wire, settings, kind
        )
    return opened


def open_receivers(project: Project) -> dict[str, Receives]:
    """Who takes the webhooks of each system that has a table `webhook`, by system."""
    kinds = connector_kinds(project.path)
    found: dict[str, Receives] = {}
    for name, config in project.configs.items():
        make = kinds[config.connector].receiver
        if config.webhook is not None and make is not None:
            found[name] = make(config, resolver(project.path))
    return found


def _of_simulator(config: SystemConfig, ready: Ready) -> SystemConfig:
    auth = with_auth_kind({member: f"env:{member}" for member in ready.credentials})
    return msgspec.structs.replace(
        config, base_url=ready.url, auth=msgspec.convert(auth, AuthConfig)
    )


def _simulator_secrets(credentials: Mapping[str, str]) -> Resolve:
    return lambda reference: Secret(credentials[reference.removeprefix("env:")])
