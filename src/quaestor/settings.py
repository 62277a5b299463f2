"""Settings: what `quaestor.toml` says, checked. Times are in seconds.

The loader of the project folder reads the file and reports every fault at once; these types say
what may stand in it, and `settings_faults` what must agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

__all__ = [
    "LEASE_MARGIN_S",
    "Audit",
    "Deployment",
    "Environment",
    "Fault",
    "Limits",
    "Routing",
    "SendMode",
    "Settings",
    "SimulatorSettings",
    "SystemSettings",
    "settings_faults",
]

# Between the last moment a send may take and the end of its lease: to write down the answer.
LEASE_MARGIN_S = 1.0

Seconds = Annotated[float, Meta(gt=0, le=30 * 86400)]
SecondsOrNone = Annotated[float, Meta(ge=0, le=30 * 86400)]
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Url = Annotated[str, Meta(pattern=r"^https?://[^\s/@]+(/\S*)?$")]


Environment = Literal["test", "production"]
SendMode = Literal["live", "observe"]


class Routing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where documents go: by entity, `*` for every entity that says nothing itself.

    An entity that changed its ledger names its ledgers by date in entities.yaml instead.
    """

    purchase_order: Mapping[str, str] = {}


class Deployment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """This deployment. `name` is part of every posting key: it never changes, and neither does the
    `environment`: the database remembers both.

    In mode `observe` every system is only read. A worker that is gone for `lease_s` loses its
    documents to another. A document may wait `lane_wait_max_s` for its system before it is parked.
    SIGTERM ends within `shutdown_s`.
    """

    name: Name
    environment: Environment = "test"
    mode: SendMode = "live"
    lease_s: Seconds = 60.0
    reconcile_every_s: Seconds = 900.0
    lane_wait_max_s: Seconds = 86400.0
    shutdown_s: Seconds = 20.0


class SimulatorSettings(msgspec.Struct, frozen=True):
    """How our simulator of the system behaves; its visibility delay is `settle_s`.

    `own` holds the rest of the table, for the vendor's own options.
    """

    latency_ms: Annotated[float, Meta(ge=0, le=600_000)] = 0.0
    settle_s: SecondsOrNone = 0.0
    seed: int = 0
    own: Mapping[str, Any] = {}


class SystemSettings(msgspec.Struct, frozen=True):
    """One system. `connector` is a vendor's folder, the project's own, or `none` for a system
    that is only named: its documents and decisions come as files.

    With `simulate` our simulator stands in, and gives address and credentials. `own` holds the
    rest of the table, for the connector's own configuration type. `order_per_address` makes one
    order per ship-to address (DESIGN D3). `environment` is what the system behind the address is,
    where that is known. In mode `observe` it is read, and nothing is sent to it.
    """

    connector: Name
    base_url: Url | None = None
    auth: Mapping[str, str] = {}
    environment: Environment | None = None
    mode: SendMode = "live"
    simulate: bool = False
    simulator: SimulatorSettings = SimulatorSettings()
    slots: Annotated[int, Meta(ge=1, le=1000)] = 8
    total_timeout_s: Seconds = 30.0
    connect_timeout_s: Seconds | None = None
    settle_s: SecondsOrNone | None = None
    resend: Literal["allowed", "never"] = "allowed"
    order_per_address: bool = False
    own: Mapping[str, Any] = {}


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is parked with an owner when it is passed."""

    steps_max: Annotated[int, Meta(ge=10)] = 200
    send_attempts_max: Annotated[int, Meta(ge=1, le=100)] = 5


class Audit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many whole months of the trail stay in the database. No month is archived before that
    is said.
    """

    keep_months: Annotated[int, Meta(ge=1, le=1200)] | None = None


class Settings(msgspec.Struct, frozen=True):
    """The whole file."""

    deployment: Deployment
    systems: Mapping[str, SystemSettings]
    routing: Routing = Routing()
    limits: Limits = Limits()
    audit: Audit = Audit()

    def mode_of(self, system: str) -> SendMode:
        """Whether anything may be sent to the system; a deployment that observes sends nothing."""
        return "observe" if self.deployment.mode == "observe" else self.systems[system].mode


class Fault(msgspec.Struct, frozen=True):
    """Two settings that do not agree. `key` is the dotted key in quaestor.toml."""

    code: str
    key: str
    message: str
    instead: str


def settings_faults(settings: Settings) -> Iterator[Fault]:
    """What each value alone cannot show."""
    deployment = settings.deployment
    for name, system in settings.systems.items():
        key = f"systems.{name}"
        longest = system.total_timeout_s + LEASE_MARGIN_S
        if system.connector != "none" and deployment.lease_s < longest:
            yield Fault(
                "lease_too_short",
                "deployment.lease_s",
                f"a send to {name} may take {system.total_timeout_s:g} s, and its answer must "
                f"be written before the lease of {deployment.lease_s:g} s ends",
                f"at least {longest:g}, or a smaller {key}.total_timeout_s",
            )
        if (system.connect_timeout_s or 0) > system.total_timeout_s:
            yield Fault(
                "timeout_longer_than_total",
                f"{key}.connect_timeout_s",
                "connecting may take longer than the whole request",
                f"at most {system.total_timeout_s:g}, which is {key}.total_timeout_s",
            )
        yield from _address_faults(name, system, deployment)
    yield from _routing_faults(settings)


def _address_faults(name: str, system: SystemSettings, deployment: Deployment) -> Iterator[Fault]:
    key = f"systems.{name}"
    if system.simulate and deployment.environment == "production":
        yield Fault(
            "simulator_in_production",
            f"{key}.simulate",
            "a simulator forgets what it was sent",
            "simulate = false, with base_url and auth of the real system",
        )
    if not system.simulate and system.environment not in (None, deployment.environment):
        # What is tried out would be ordered for good; or what is meant for good gets lost.
        yield Fault(
            f"{system.environment}_system_in_{deployment.environment}",
            f"{key}.environment",
            f"{system.base_url or name} is a {system.environment} system, and this deployment is "
            f"a {deployment.environment} one",
            f"the {deployment.environment} system's base_url, or a deployment of its own",
        )
    if system.simulate and system.connector == "none":
        yield Fault(
            "nothing_to_simulate",
            f"{key}.simulate",
            "a system without a connector has no simulator",
            "simulate = false",
        )


def _routing_faults(settings: Settings) -> Iterator[Fault]:
    for entity, system in settings.routing.purchase_order.items():
        if system not in settings.systems:
            yield Fault(
                "system_unknown",
                f"routing.purchase_order.{entity}",
                f"there is no system {system!r}",
                f"one of {', '.join(sorted(settings.systems))}",
            )
