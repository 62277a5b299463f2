"""SAP S/4HANA as a system that creates and cancels purchase orders.

Nothing in SAP stops a second create, so our reference is looked for (`SEARCH`); a cancellation
sets a state that may be set twice (`REPEATABLE`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from quaestor.connectors.kit.contract import (
    Absent,
    Ambiguous,
    Applied,
    Command,
    Found,
    Manifest,
    Probe,
    Rejected,
    Several,
    Submitted,
    Transient,
    unsupported,
)
from quaestor.connectors.kit.kind import ConnectorKind, SimulatorOptions
from quaestor.connectors.kit.simulated import Simulated
from quaestor.connectors.kit.wires.http import HttpWire
from quaestor.connectors.sap_s4.client import Refused, SapClient, literal
from quaestor.connectors.sap_s4.compare import differences, is_deleted, rows_of, same_code
from quaestor.connectors.sap_s4.config import SapConfig
from quaestor.connectors.sap_s4.manifest import CANCEL_ORDER, CREATE_ORDER, MANIFEST
from quaestor.connectors.sap_s4.mapping import reference_of, render_cancel, render_create

__all__ = ["KIND", "SapConnector"]

_DELETED = "deletion: the order is marked as deleted"


class _Cancellation(msgspec.Struct, frozen=True):
    method: str
    number: str


class SapConnector:
    """One SAP system. Keeps nothing but its CSRF sessions."""

    def __init__(self, config: SapConfig, wire: HttpWire) -> None:
        self._config = config
        self._client = SapClient(config, wire)

    @property
    def manifest(self) -> Manifest:
        config = self._config
        return replace(
            MANIFEST,
            actions={
                action: replace(
                    promise,
                    settle_s=promise.settle_s if config.settle_s is None else config.settle_s,
                    resend=config.resend,
                )
                for action, promise in MANIFEST.actions.items()
            },
        )

    def render(self, command: Command) -> bytes:
        """The bytes to store: the deep insert itself, or the order to delete the items of."""
        match command.action:
            case "create_order":
                return render_create(command, self._config.order)
            case "cancel_order":
                return render_cancel(command)
        raise unsupported(command)

    async def submit(self, command: Command, stored: bytes) -> Submitted:
        """Send the stored bytes once."""
        match command.action:
            case "create_order":
                return await self._create(command, stored)
            case "cancel_order":
                return await self._cancel(stored)
        raise unsupported(command)

    async def find(self, command: Command) -> Found:
        """What an earlier send left behind."""
        match command.action:
            case "create_order":
                return await self._find_created(command)
            case "cancel_order":
                return await self._find_cancelled(command.cancels or "")
        raise unsupported(command)

    async def check(self) -> tuple[Probe, ...]:
        """Network, credentials, rights and fields, each with what to do in SAP."""
        from quaestor.connectors.sap_s4.check import probes

        return await probes(self._client, self._config)

    # --- creating -------------------------------------------------------------------------------

    async def _create(self, command: Command, stored: bytes) -> Submitted:
        created = await self._client.create(stored)
        if isinstance(created, Refused):
            return Rejected(created.refusal())
        number = created.get("PurchaseOrder")
        if not isinstance(number, str) or not number:
            raise Ambiguous("SAP answered without the number of the order")
        if not rows_of(created.get("to_PurchaseOrderItem")):
            # Created, but the items are not in the answer: the look-up compares them (F24).
            raise Ambiguous("SAP answered without the items of the order")
        return self._applied(msgspec.json.decode(stored), created)

    async def _find_created(self, command: Command) -> Found:
        hits = await self._client.orders(self._where(command))
        field = self._config.order.reference_field
        reference = reference_of(command.key)
        # Some databases compare without case, and a filter may be ignored by a middle box.
        ours = {
            str(hit.get("PurchaseOrder", "")): hit for hit in hits if hit.get(field) == reference
        }
        standing = {number: hit for number, hit in ours.items() if not is_deleted(hit)}
        # A deleted order is an earlier send's too; it only matters where nothing else stands.
        counted = standing or ours
        if not counted:
            return Absent()
        if len(counted) > 1:
            return Several(tuple(sorted(counted)))
        wanted = msgspec.json.decode(render_create(command, self._config.order))
        return self._applied(wanted, next(iter(counted.values())))

    def _where(self, command: Command) -> str:
        if command.order is None:
            raise unsupported(command)
        since = command.created_at.astimezone(UTC).date() - timedelta(days=1)
        return " and ".join(
            (
                f"{self._config.order.reference_field} eq {literal(reference_of(command.key))}",
                f"CompanyCode eq {literal(command.order.company_code)}",
                f"Supplier eq {literal(command.order.supplier)}",
                f"CreationDate ge datetime'{since.isoformat()}T00:00:00'",
            )
        )

    def _applied(self, wanted: Mapping[str, Any], document: Mapping[str, Any]) -> Applied:
        number = document.get("PurchaseOrder")
        if not isinstance(number, str) or not number:
            raise Transient("SAP shows an order without its number", system=False)
        found = differences(wanted, self._config.order, document)
        if is_deleted(document):
            found = (_DELETED, *found)
        return Applied(
            number=number,
            differences=found,
            released=document.get("ReleaseIsNotCompleted") is not True,
        )

    # --- cancelling -----------------------------------------------------------------------------

    async def _cancel(self, stored: bytes) -> Submitted:
        number = msgspec.json.decode(stored, type=_Cancellation).number
        refused = await self._client.delete_items(number)
        if refused is None:
            return Applied(number)
        # SAP refuses to delete what is deleted already; the state asked for is there.
        document = await self._client.order(number)
        if document is not None and same_code(str(document.get("PurchaseOrder")), number):
            return Applied(number) if is_deleted(document) else Rejected(refused.refusal())
        return Rejected(refused.refusal())

    async def _find_cancelled(self, number: str) -> Found:
        document = await self._client.order(number)
        if document is None or not is_deleted(document):
            return Absent()
        return Applied(number)


def _simulator(options: SimulatorOptions) -> Simulated:
    from quaestor.connectors.sap_s4.simulator import SapSimulator

    return SapSimulator(options)


def _simulator_options() -> type[msgspec.Struct]:
    from quaestor.connectors.sap_s4.simulator import SapSimulatorOptions

    return SapSimulatorOptions


KIND = ConnectorKind(
    manifest=MANIFEST,
    config_type=SapConfig,
    build=SapConnector,
    simulator=_simulator,
    simulator_options=_simulator_options,
)

assert frozenset((CREATE_ORDER, CANCEL_ORDER)) == MANIFEST.actions.keys()
