"""A kind of system: what the registry knows of a vendor before any installation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from quaestor.connectors.kit.config import SystemConfig
from quaestor.connectors.kit.contract import Connector, Manifest, Receives
from quaestor.connectors.kit.published import ReadPublished
from quaestor.connectors.kit.simulated import Simulated
from quaestor.connectors.kit.wires.http import HttpWire
from quaestor.model.refusal import Refusal
from quaestor.model.replica import ReplicaRow
from quaestor.security.secrets import Resolve

__all__ = ["ConnectorKind", "ReplicaStream", "SimulatorOptions", "SimulatorOptionsInvalid"]


class SimulatorOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What every simulator takes. `extra` is the vendor's own, `settle_s` its visibility delay.

    Files that `extra` names are looked for from `folder`.
    """

    settle_s: float = 0.0
    seed: int = 0
    extra: Mapping[str, Any] = {}
    folder: Path = Path()


class SimulatorOptionsInvalid(Exception):
    """The simulator cannot be made as it is asked for; the message says why."""


class ReplicaStream(msgspec.Struct, frozen=True):
    """`kind` is a name of ownership.yaml; `row` is pure, and `None` where an item is of no use."""

    kind: str
    row: Callable[[bytes], ReplicaRow | Refusal | None]


class ConnectorKind(msgspec.Struct, frozen=True):
    """One vendor.

    `manifest` is the vendor's own; an installation's connector may weaken it, never strengthen.
    `config_type` is decoded from `[systems.NAME]`. `simulator` makes the vendor's behaviour, and
    `simulator_options` tells the type of its `extra`, where it takes any.
    `receiver` is made of a configuration that has a table `webhook`; it is given secrets and no
    wire, so that a gateway need not know how the system itself is reached. `published` are the
    streams of `manifest` that bring requisitions or decisions on them: how each item is read.
    `replicas` are those that bring a list the system may own: which kind, and each item's row.
    """

    manifest: Manifest
    config_type: type[SystemConfig]
    build: Callable[[Any, HttpWire], Connector]
    simulator: Callable[[SimulatorOptions], Simulated] | None = None
    simulator_options: Callable[[], type[msgspec.Struct]] | None = None
    receiver: Callable[[Any, Resolve], Receives] | None = None
    published: Mapping[str, ReadPublished] = {}
    replicas: Mapping[str, ReplicaStream] = {}
