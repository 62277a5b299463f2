"""quaestor.toml of a new project: what is needed stands there, every other option beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_type_hints

import msgspec

from quaestor.connectors.kit.kind import ConnectorKind, SimulatorOptions
from quaestor.connectors.workday.simulator import INITIATOR
from quaestor.project.starter.choosing import Chosen
from quaestor.project.starter.options import about, choices, default_of, option
from quaestor.settings import Audit, Deployment, Limits, SimulatorSettings, SystemSettings

__all__ = ["settings_file"]

# Of the kinds that we know, the address as it looks at the vendor's.
_ADDRESSES: Mapping[str, str] = {
    "coupa": "https://acme.coupahost.com",
    "sap_s4": "https://my300000-api.s4hana.cloud.sap",
    "workday": "https://wd2-impl-services1.workday.com",
}
# Of required options, a value that can be loaded; it is marked as one to be replaced.
_REQUIRED: Mapping[str, str] = {"tenant": "acme"}
# What our simulator of the vendor knows us by.
_SIMULATED: Mapping[str, Mapping[str, str]] = {"workday": {"initiator": INITIATOR}}

_HEAD = """\
# {name}: a Quaestor project. Every option is here. What has a # before it holds by itself, unless
# its comment says that it is not set. Times are in seconds. A secret is never written here, only
# where it is: env:NAME or file:PATH. `quaestor project check` checks the folder, and
# `quaestor connector check` the systems.
"""
_ONLY_NAMED = " # only named: it calls us, over HTTP"
_SIMULATE = """\
simulate = true                         # Quaestor's own simulator stands in: no account is needed
# For the real one delete the line above, and give what follows. Begin by only reading it: mode.
"""


# Its people decide by themselves, so that a requisition without an approval gets one.
_SIMULATOR: Mapping[str, str] = {
    "workday": """\
[systems.{name}.simulator.routing]      # the manager, then finance; each takes a moment
steps = [{{by = "manager", after_ms = 500}}, {{by = "finance", after_ms = 500}}]
"""
}


def settings_file(chosen: Chosen, name: str, *, real: bool) -> str:
    """The whole file. With `real` the systems' own addresses, and nothing is sent to them."""
    parts = [_HEAD.format(name=name), _deployment(name, real)]
    parts += [_system(system, kind, real) for system, kind in chosen.kinds.items()]
    if not chosen.procurement:
        parts.append(_lines("[systems.portal]", 'connector = "none"'.ljust(40) + _ONLY_NAMED))
    routed = f'"*" = "{chosen.erp}"'.ljust(40) + ' # an entity, or "*" for every other one'
    routed = _lines("[routing.purchase_order]", routed)
    parts += [routed, _lines("[limits]", *about(Limits), *choices(Limits, "limits"))]
    parts.append(_lines("[audit]", *about(Audit), *choices(Audit, "audit")))
    return "\n".join(parts)


def _deployment(name: str, real: bool) -> str:
    hints = get_type_hints(Deployment, include_extras=True)
    mode = ['mode = "observe"                        # nothing is sent to any system; later "live"']
    return _lines(
        "[deployment]",
        *about(Deployment),
        option("name", name, hints["name"], is_on=True),
        *(mode if real else ()),
        *choices(Deployment, "deployment", without=("mode",) if real else ()),
    )


def _system(name: str, kind: ConnectorKind, real: bool) -> str:
    manifest, mark = kind.manifest, "" if real else "# "
    address = _ADDRESSES.get(manifest.kind, f"https://{name}.acme.example")
    own = {field.name: field for field in msgspec.structs.fields(kind.config_type)}
    shared = {field.name for field in msgspec.structs.fields(SystemSettings)}
    required = [
        f"{n} = {_quoted(_REQUIRED[n])}".ljust(40) + " # REQUIRED: your own"
        for n, field in own.items()
        if field.required and n not in {"connector", "base_url"}
    ]
    said = {} if real else _SIMULATED.get(manifest.kind, {})
    return _lines(
        f"# --- {manifest.title} ---",
        *about(kind.config_type),
        "",
        f"[systems.{name}]",
        f"connector = {_quoted(manifest.kind)}",
        *(() if real else _SIMULATE.splitlines()),
        f"{mark}base_url = {_quoted(address)}".ljust(40) + " # REQUIRED for the real one",
        *required,
        *(f"{n} = {_quoted(v)}".ljust(40) + " # the simulator's" for n, v in said.items()),
        *choices(
            SystemSettings,
            f"systems.{name}",
            without={"connector", "base_url", "auth", "simulate", "simulator", "own"},
            defaults=_defaults(kind),
        ),
        *choices(
            kind.config_type,
            f"systems.{name}",
            without=shared | {"system", "logins", "webhook", *said},
        ),
        "",
        *(_webhook(name) if manifest.receives else ()),
        *(() if real else _simulator(name, manifest.kind)),
        *_auth(name, kind, mark),
    )


def _defaults(kind: ConnectorKind) -> dict[str, Any]:
    """What holds where nothing is said: the connector's, and the vendor's time to settle."""
    known = {field.name: default_of(field) for field in msgspec.structs.fields(kind.config_type)}
    settles = [action.settle_s for action in kind.manifest.actions.values()]
    known["settle_s"] = max(settles, default=None)
    return known


def _simulator(name: str, kind: str) -> list[str]:
    table = f"systems.{name}.simulator"
    own = _SIMULATOR.get(kind, "").format(name=name).splitlines()
    shared = choices(SimulatorSettings, table, without=("own",))
    return [f"# [{table}]", *shared, "", *own, *([""] if own else [])]


def _webhook(name: str) -> list[str]:
    return [
        f"# [systems.{name}.webhook]",
        "#   How its own posts to us prove themselves: user and password, or token, or the",
        "#   secret of Standard Webhooks; by reference. Without this table none is taken.",
        f'# user = "env:{name.upper()}_WEBHOOK_USER"',
        f'# password = "env:{name.upper()}_WEBHOOK_PASSWORD"',
        "",
    ]


def _auth(name: str, kind: ConnectorKind, mark: str) -> list[str]:
    """What the vendor asks for, as our simulator of it does."""
    if kind.simulator is None:
        return []
    asked = kind.simulator(SimulatorOptions()).credentials
    variables = [f'{mark}{each} = "env:{name.upper()}_{each.upper()}"' for each in asked]
    return [
        f"{mark}[systems.{name}.auth]",
        "#   user and password, or token, or client_id and client_secret; secrets by reference.",
        *variables,
    ]


def _quoted(text: str) -> str:
    return f'"{text}"'


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"
