"""Bogus as a system that creates and cancels purchase orders, with any of the guarantees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from quaestor.connectors.bogus.client import BogusClient, said
from quaestor.connectors.bogus.config import BogusConfig
from quaestor.connectors.bogus.manifest import MANIFEST
from quaestor.connectors.bogus.mapping import differences, order_payload, render
from quaestor.connectors.bogus.simulator import BogusSimulator, BogusSimulatorOptions
from quaestor.connectors.kit.classify import Answer
from quaestor.connectors.kit.contract import (
    Absent,
    ActionGuarantee,
    AlreadyExists,
    Ambiguous,
    Applied,
    Command,
    Found,
    Guarantee,
    Manifest,
    NotKnown,
    Pending,
    Permanent,
    Probe,
    Rejected,
    Several,
    Submitted,
)
from quaestor.connectors.kit.kind import ConnectorKind
from quaestor.connectors.kit.wires.http import HttpWire
from quaestor.model.refusal import Refusal, refuse

__all__ = ["KIND", "BogusConnector"]


class BogusConnector:
    """One bogus system. Keeps nothing."""

    def __init__(self, config: BogusConfig, wire: HttpWire) -> None:
        self._config = config
        self._client = BogusClient(wire)

    @property
    def manifest(self) -> Manifest:
        config = self._config
        create = ActionGuarantee(
            config.guarantee,
            settle_s=config.settle_s or 0.0,
            remembered_for_s=config.remembered_for_s,
            resend=config.resend,
        )
        return replace(MANIFEST, actions={**MANIFEST.actions, "create_order": create})

    def render(self, command: Command) -> bytes:
        match command.action:
            case "create_order" if command.order is not None:
                return render(command.order, command.key)
            case "cancel_order" if command.cancels:
                return command.cancels.encode()
        raise _unsupported(command)

    async def submit(self, command: Command, stored: bytes) -> Submitted:
        if command.action == "cancel_order":
            number = stored.decode()
            answer = await self._client.cancel(number)
            return Applied(number) if answer.status < 400 else Rejected(self._refusal(answer))
        if self._config.guarantee is Guarantee.REPEATABLE:
            answer = await self._client.put(command.key, stored)
        else:
            keyed = self._config.guarantee is Guarantee.KEY
            answer = await self._client.create(command.key, stored, keyed=keyed)
        return self._submitted(command, answer)

    async def find(self, command: Command) -> Found:
        if command.action == "cancel_order":
            number = command.cancels or ""
            rows = await self._client.orders(f"number={quote(number)}")
            cancelled = [row for row in rows if row.get("state") == "cancelled"]
            return Applied(number) if cancelled else Absent()
        rows = await self._client.orders(f"reference={quote(command.key)}")
        if not rows:
            return Absent()
        if len(rows) > 1:
            return Several(tuple(sorted(str(row.get("number")) for row in rows)))
        if rows[0].get("state") == "working":
            return Pending(str(rows[0].get("job")))
        return self._applied(command, rows[0])

    async def check(self) -> tuple[Probe, ...]:
        try:
            await self._client.orders("number=nothing")
        except NotKnown as error:
            fix = "Start the simulator, and give its token to this system."
            return (Probe("orders", False, error.reason, fix),)
        return (Probe("orders", True, "may be read"),)

    def _submitted(self, command: Command, answer: Answer) -> Submitted:
        spoken = said(answer)
        if answer.status == 409:
            return AlreadyExists(str(spoken.get("number", "")))
        if answer.status >= 400:
            return Rejected(self._refusal(answer))
        if answer.status == 202:
            return Pending(str(spoken.get("job")))
        if not spoken.get("number"):
            raise Ambiguous("bogus answered without a number")
        return self._applied(command, spoken)

    def _applied(self, command: Command, row: Mapping[str, Any]) -> Applied:
        if command.order is None:
            raise _unsupported(command)
        wanted = order_payload(command.order, command.key)
        found = differences(wanted, row.get("order") or {})
        if row.get("state") == "cancelled":
            found = ("state: the order is cancelled", *found)
        return Applied(str(row["number"]), found, released=row.get("state") != "held")

    def _refusal(self, answer: Answer) -> Refusal:
        return self._client.refusal(answer)


def _unsupported(command: Command) -> Permanent:
    why = f"the action {command.action} is not supported as given"
    return Permanent(why, refuse("connector_refused", system=command.system, why=why))


def _simulator_options() -> type[msgspec.Struct]:
    return BogusSimulatorOptions


KIND = ConnectorKind(
    manifest=MANIFEST,
    config_type=BogusConfig,
    build=BogusConnector,
    simulator=BogusSimulator,
    simulator_options=_simulator_options,
)
