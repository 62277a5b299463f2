"""Systems of a project as connectors: each table of quaestor.toml becomes wire and connector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from quaestor.connectors.kit.config import SystemConfig, http_wire
from quaestor.connectors.kit.contract import Connector, Guarantee, Manifest, Submits
from quaestor.connectors.kit.registry import connector_kinds
from quaestor.connectors.kit.simulator import Ready
from quaestor.connectors.kit.wires.http import HttpWire
from quaestor.project.problems import Problem, ProjectError
from quaestor.project.project import Project
from quaestor.security.secrets import Resolve, Secret, resolver
from quaestor.settings import SystemSettings

__all__ = ["OpenSystem", "open_systems", "submitting_systems"]


@dataclass(frozen=True)
class OpenSystem:
    """One system, ready to be called. `close` its wire at the end."""

    name: str
    connector: Connector
    manifest: Manifest
    submits: Submits | None
    wire: HttpWire
    settings: SystemSettings

    @property
    def findable(self) -> bool:
        """Whether the system can be asked by our reference."""
        promises = {action.guarantee for action in self.manifest.actions.values()}
        return promises != {Guarantee.NONE}


def submitting_systems(project: Project) -> dict[str, SystemSettings]:
    """The systems that orders may be posted to."""
    kinds = connector_kinds(project.path)
    return {
        name: system
        for name, system in project.settings.systems.items()
        if system.connector in kinds and kinds[system.connector].manifest.actions
    }


def open_systems(project: Project, simulated: Mapping[str, Ready]) -> dict[str, OpenSystem]:
    """Wire and connector of each system that posts; `simulated` ones get address and credentials
    from their simulator. Raises `ProjectError` for settings that the connector refuses.
    """
    kinds = connector_kinds(project.path)
    opened: dict[str, OpenSystem] = {}
    problems: list[Problem] = []
    for name, settings in submitting_systems(project).items():
        kind = kinds[settings.connector]
        resolve = resolver(project.path)
        given = _table(settings)
        if name in simulated:
            given["base_url"] = simulated[name].url
            credentials = simulated[name].credentials
            given["auth"] = {member: f"env:{member}" for member in credentials}
            resolve = _simulator_secrets(credentials)
        given["auth"] = _with_kind(given["auth"])
        try:
            config: SystemConfig = msgspec.convert(given, kind.config_type)
        except msgspec.ValidationError as error:
            key = f"systems.{name}"
            problems.append(Problem("value_invalid", "quaestor.toml", key, str(error)))
            continue
        wire = http_wire(config, resolve)
        connector = kind.build(config, wire)
        submits = connector if isinstance(connector, Submits) else None
        opened[name] = OpenSystem(name, connector, connector.manifest, submits, wire, settings)
    if problems:
        raise ProjectError(problems)
    return opened


def _table(settings: SystemSettings) -> dict[str, object]:
    table: dict[str, object] = {
        "connector": settings.connector,
        "base_url": settings.base_url,
        "auth": dict(settings.auth),
        "slots": settings.slots,
        "total_timeout_s": settings.total_timeout_s,
        "settle_s": settings.settle_s,
        "resend": settings.resend,
        **settings.own,
    }
    if settings.connect_timeout_s is not None:
        table["connect_timeout_s"] = settings.connect_timeout_s
    return table


def _with_kind(auth: object) -> dict[str, str]:
    """The kind of authentication follows from what was given, unless it is stated."""
    given = dict(auth) if isinstance(auth, Mapping) else {}
    if "kind" not in given:
        given["kind"] = "basic" if "user" in given else "bearer" if "token" in given else "none"
    return given


def _simulator_secrets(credentials: Mapping[str, str]) -> Resolve:
    return lambda reference: Secret(credentials[reference.removeprefix("env:")])
