"""Coupa as the procurement system: requisitions and replicas out, their status in.

Coupa leads here: what is pulled is Coupa's own document, and what is written back is only said
about it. Every write may be done twice (`REPEATABLE`).
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from quaestor.connectors.coupa.callout import receiver
from quaestor.connectors.coupa.client import CoupaClient
from quaestor.connectors.coupa.config import CoupaConfig
from quaestor.connectors.coupa.manifest import (
    MANIFEST,
    REPORT_STATUS,
    REQUISITIONS,
    SUPPLIERS,
    USERS,
)
from quaestor.connectors.coupa.mapping import read_published
from quaestor.connectors.coupa.pulling import Pulling
from quaestor.connectors.coupa.replicas import supplier_row, user_row
from quaestor.connectors.coupa.reporting import Reporting, render_report
from quaestor.connectors.kit.contract import (
    Command,
    Found,
    Manifest,
    Page,
    Probe,
    Submitted,
    unsupported,
)
from quaestor.connectors.kit.kind import ConnectorKind, ReplicaStream, SimulatorOptions
from quaestor.connectors.kit.simulated import Simulated
from quaestor.connectors.kit.wires.http import HttpWire

__all__ = ["KIND", "CoupaConnector"]


class CoupaConnector:
    """One Coupa installation. Keeps nothing."""

    def __init__(self, config: CoupaConfig, wire: HttpWire) -> None:
        self._config = config
        self._client = CoupaClient(config, wire)
        self._pulling = Pulling(config, self._client)
        self._reporting = Reporting(config, self._client)

    @property
    def manifest(self) -> Manifest:
        config = self._config
        promise = MANIFEST.actions[REPORT_STATUS]
        settle_s = promise.settle_s if config.settle_s is None else config.settle_s
        return replace(
            MANIFEST,
            actions={REPORT_STATUS: replace(promise, settle_s=settle_s, resend=config.resend)},
        )

    def render(self, command: Command) -> bytes:
        """The bytes to store: which fields are set, and the record that is created."""
        _only_reports(command)
        return render_report(command, self._config.report)

    async def submit(self, command: Command, stored: bytes) -> Submitted:
        """Say it once more: whoever sends this twice has said one thing."""
        _only_reports(command)
        return await self._reporting.submit(command, stored)

    async def find(self, command: Command) -> Found:
        """The record that an earlier send left behind."""
        _only_reports(command)
        return await self._reporting.find(command)

    async def pull(self, stream: str, after: str | None) -> Page:
        """The next page of a stream. Asking with a cursor marks what it delivered as exported."""
        return await self._pulling.pull(stream, after)

    async def check(self) -> tuple[Probe, ...]:
        """Network, token, scopes and fields, each with what to do in Coupa."""
        from quaestor.connectors.coupa.check import probes

        return await probes(self._client, self._config)


def _only_reports(command: Command) -> None:
    if command.action != REPORT_STATUS:
        raise unsupported(command)


def _simulator(options: SimulatorOptions) -> Simulated:
    from quaestor.connectors.coupa.simulator import CoupaSimulator

    return CoupaSimulator(options)


def _simulator_options() -> type[msgspec.Struct]:
    from quaestor.connectors.coupa.simulator import CoupaSimulatorOptions

    return CoupaSimulatorOptions


KIND = ConnectorKind(
    manifest=MANIFEST,
    config_type=CoupaConfig,
    build=CoupaConnector,
    simulator=_simulator,
    simulator_options=_simulator_options,
    receiver=receiver,
    published={REQUISITIONS: read_published},
    replicas={
        SUPPLIERS: ReplicaStream("supplier", supplier_row),
        USERS: ReplicaStream("employee", user_row),
    },
)
