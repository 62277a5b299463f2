"""Each system's table as its connector understands it: ours, or the project's own connector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from quaestor.connectors.kit.registry import ConnectorFolderInvalid, connector_kinds
from quaestor.model.employee import Employee
from quaestor.project.files import Folder
from quaestor.project.shape import Reader
from quaestor.project.toml_settings import FILE
from quaestor.settings import Settings, SystemSettings

__all__ = ["NOTHING", "read_configs", "with_auth_kind"]

# A system that is only named: in crosswalks, identities, decisions.
NOTHING = "none"

_OF_EVERY_SIMULATOR = ("latency_ms", "settle_s", "seed")
_GIVEN_BY_US = frozenset({"system", "logins"})
_OF_THE_DEPLOYMENT = frozenset({"environment", "simulate", "simulator", "order_per_address"})
CONNECT_TIMEOUT_S = 5.0
_AUTH_KINDS = {
    "user": "basic",
    "token": "bearer",
    "client_id": "oauth2",
    "secret": "signed",
}


def read_configs(
    folder: Folder, settings: Settings, people: Mapping[str, Employee]
) -> dict[str, Any]:
    """The configuration of every system that has a connector, by the system's name.

    Each is told the logins that `people` have in it.
    """
    source = folder.toml(FILE)
    if source is None:
        return {}
    reader = Reader(source, folder.problems)
    found: dict[str, Any] = {}
    try:
        kinds: Mapping[str, Any] = connector_kinds(folder.path)
        for name, system in settings.systems.items():
            config = None
            if system.connector != NOTHING:
                config = _config(reader, name, settings, kinds)
            if config is not None:
                logins = _logins(people, name)
                found[name] = msgspec.structs.replace(config, logins=logins)
    except ConnectorFolderInvalid as error:
        folder.problems.add("connector_invalid", "connectors", "", str(error))
    return found


def with_auth_kind(auth: Mapping[str, Any]) -> dict[str, Any]:
    """The kind of authentication follows from what is given, unless it is stated."""
    if "kind" in auth:
        return dict(auth)
    kind = next((kind for member, kind in _AUTH_KINDS.items() if member in auth), "none")
    return {"kind": kind, **auth}


def _config(reader: Reader, name: str, settings: Settings, kinds: Mapping[str, Any]) -> Any | None:
    key, system = f"systems.{name}", settings.systems[name]
    if system.connector in kinds:
        try:
            config_type: type[msgspec.Struct] = kinds[system.connector].config_type
        except ConnectorFolderInvalid:
            raise
        except Exception as error:  # noqa: BLE001 - a customer's own file may raise anything
            told = f"connectors/{system.connector} cannot be imported"
            reader.report(
                "connector_invalid", f"{key}.connector", f"{told}: {type(error).__name__}: {error}"
            )
            return None
        _check_simulator(reader, system, kinds[system.connector].simulator_options, key)
        table = _table(reader, name, system) | {"mode": settings.mode_of(name)}
        config = reader.convert(table, config_type, key)
        if getattr(config, "webhook", None) and not kinds[system.connector].manifest.receives:
            told = f"the connector {system.connector} takes no webhooks"
            reader.report("key_unknown", f"{key}.webhook", told, "")
        return config
    known = ", ".join([*kinds, NOTHING])
    reader.report(
        "connector_unknown",
        f"{key}.connector",
        f"there is no connector {system.connector!r}",
        f"one of {known}, or a folder connectors/{system.connector} in this project",
    )
    return None


def _check_simulator(
    reader: Reader,
    system: SystemSettings,
    options: Callable[[], type[msgspec.Struct]] | None,
    key: str,
) -> None:
    own = system.simulator.own
    if not own:
        return
    kind = options() if options is not None else None
    of_vendor = [field.name for field in msgspec.structs.fields(kind)] if kind else []
    reader.refuse_unknown(own, [*_OF_EVERY_SIMULATOR, *of_vendor], f"{key}.simulator")
    if kind is not None:
        known = {member: own[member] for member in own if member in of_vendor}
        reader.convert(known, kind, f"{key}.simulator")


def _logins(people: Mapping[str, Employee], system: str) -> dict[str, str]:
    return {
        person.id: person.identities[system]
        for person in people.values()
        if person.identities.get(system)
    }


def _table(reader: Reader, name: str, system: SystemSettings) -> dict[str, Any]:
    """The system's table without what only the deployment reads."""
    given: Mapping[str, Any] = reader.source.value["systems"][name]
    for member in _GIVEN_BY_US & given.keys():
        reader.report("key_unknown", f"systems.{name}.{member}", "there is no such key", "")
    outside = _OF_THE_DEPLOYMENT | _GIVEN_BY_US
    table = {member: value for member, value in given.items() if member not in outside}
    table["auth"] = with_auth_kind(system.auth)
    if isinstance(table.get("webhook"), Mapping):
        table["webhook"] = with_auth_kind(table["webhook"])
    table["base_url"] = system.base_url or ""
    table["system"] = name
    # The default of a connector may be more than this system's whole request may take.
    longest = min(CONNECT_TIMEOUT_S, system.total_timeout_s)
    table["connect_timeout_s"] = system.connect_timeout_s or longest
    return table
