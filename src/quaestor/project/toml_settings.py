"""quaestor.toml: the deployment, its systems, the routing, the limits, the trail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from quaestor.project.files import Folder
from quaestor.project.shape import Reader
from quaestor.security.masking import is_secret_name
from quaestor.security.secrets import is_reference
from quaestor.settings import (
    Audit,
    Deployment,
    Limits,
    Routing,
    Settings,
    SimulatorSettings,
    SystemSettings,
    settings_faults,
)

__all__ = ["FILE", "read_settings"]

FILE = "quaestor.toml"
TABLES = ("deployment", "systems", "routing", "limits", "audit")


def read_settings(folder: Folder) -> Settings | None:
    """The settings; `None` after a problem in them."""
    source = folder.toml(FILE)
    if source is None:
        return None
    reader = Reader(source, folder.problems)
    top = reader.members("deployment", TABLES)
    if "deployment" not in top:
        reader.report("key_missing", "deployment", "is missing", "a table [deployment] with name")
    deployment = reader.convert(top.get("deployment", {}), Deployment, "deployment")
    systems = _systems(reader, top.get("systems", {}))
    routing = reader.convert(top.get("routing", {}), Routing, "routing")
    limits = reader.convert(top.get("limits", {}), Limits, "limits")
    audit = reader.convert(top.get("audit", {}), Audit, "audit")
    if deployment is None or routing is None or limits is None or systems is None or audit is None:
        return None
    settings = Settings(deployment, systems, routing, limits, audit)
    for fault in settings_faults(settings):
        reader.report(fault.code, fault.key, fault.message, fault.instead)
    return settings


def _systems(reader: Reader, value: Any) -> dict[str, SystemSettings] | None:
    if not isinstance(value, Mapping):
        reader.report("value_invalid", "systems", "this is not a table", "[systems.NAME]")
        return None
    found: dict[str, SystemSettings] = {}
    for name, table in value.items():
        key = f"systems.{name}"
        if not isinstance(table, Mapping):
            reader.report("value_invalid", key, "this is not a table", f"[systems.{name}]")
            continue
        given = _apart(table, SystemSettings)
        if isinstance(given.get("simulator"), Mapping):
            given["simulator"] = _apart(given["simulator"], SimulatorSettings)
        system = reader.convert(given, SystemSettings, key)
        if system is not None:
            _check_auth(reader, system, key)
            _check_address(reader, system, key)
            found[name] = system
    return found if len(found) == len(value) else None


def _apart(table: Mapping[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The table with what is the connector's own under `own`."""
    fields = {field.name for field in msgspec.structs.fields(kind)} - {"own"}
    shared = {member: table[member] for member in table if member in fields}
    return {**shared, "own": {member: table[member] for member in table if member not in fields}}


def _check_auth(reader: Reader, system: SystemSettings, key: str) -> None:
    """A secret stands in its place by reference only; what was written is not repeated."""
    for name, text in system.auth.items():
        if is_secret_name(name) and not is_reference(text):
            reader.report(
                "secret_in_the_open",
                f"{key}.auth.{name}",
                "a secret is never written into a project",
                "env:NAME, file:PATH or vault:PATH",
            )
    for name in system.own:
        if is_secret_name(name):
            reader.report(
                "secret_in_the_open", f"{key}.{name}", "credentials have a place", f"[{key}.auth]"
            )


def _check_address(reader: Reader, system: SystemSettings, key: str) -> None:
    if system.connector != "none" and not system.simulate and system.base_url is None:
        reader.report(
            "key_missing",
            f"{key}.base_url",
            "is missing",
            "the address of the system, or simulate = true",
        )
