"""Riverside's ledger: vouchers over HTTP. A reference is unique there, which is all we need.

POST /vouchers {"reference", "order"}   201 {"voucher", "order"} · 409 {"voucher"} · 422 {"code"}
GET  /vouchers?reference=…              200 {"vouchers": [{"voucher", "order"}]}
POST /vouchers/N/cancel                 200 {"voucher"}, also the second time
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from quaestor.connectors.kit.classify import Answer, Voice
from quaestor.connectors.kit.config import SystemConfig
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
    Permanent,
    Probe,
    Rejected,
    Several,
    Submitted,
)
from quaestor.connectors.kit.kind import ConnectorKind
from quaestor.connectors.kit.wires.http import HttpRequest, HttpWire
from quaestor.model.refusal import refuse

from .simulator import HouseLedgerSimulator

__all__ = ["KIND", "HouseLedger"]

MANIFEST = Manifest(
    kind="house_ledger",
    title="Riverside's own ledger",
    actions={
        "create_order": ActionGuarantee(Guarantee.UNIQUE),
        "cancel_order": ActionGuarantee(Guarantee.REPEATABLE),
    },
)
JSON = (("Content-Type", "application/json"),)


class HouseLedger:
    """One house ledger. Keeps nothing."""

    def __init__(self, config: SystemConfig, wire: HttpWire) -> None:
        self._wire = wire
        create = msgspec.structs.replace(
            MANIFEST.actions["create_order"],
            settle_s=config.settle_s or 0.0,
            resend=config.resend,
        )
        self.manifest = msgspec.structs.replace(
            MANIFEST, actions={**MANIFEST.actions, "create_order": create}
        )

    def render(self, command: Command) -> bytes:
        if command.action == "create_order" and command.order is not None:
            return msgspec.json.encode({"reference": command.key, "order": command.order})
        if command.action == "cancel_order" and command.cancels:
            return command.cancels.encode()
        raise _unsupported(command)

    async def submit(self, command: Command, stored: bytes) -> Submitted:
        if command.action == "cancel_order":
            target, body = f"/vouchers/{quote(stored.decode(), safe='')}/cancel", b""
        else:
            target, body = "/vouchers", stored
        request = HttpRequest("POST", target, JSON, body, commits=True)
        answer = await self._wire.exchange(request, hear)
        said = _said(answer) or {}
        if answer.status == 409:
            return AlreadyExists(str(said.get("voucher", "")))
        if answer.status >= 400:
            code, why = (self._wire.safe(str(said.get(name, ""))) for name in ("code", "why"))
            return Rejected(refuse("erp_rejected", code=code, message=why))
        if not said.get("voucher"):
            raise Ambiguous("the ledger answered without a voucher number")
        return _applied(command, said)

    async def find(self, command: Command) -> Found:
        if command.action == "cancel_order":
            query = f"number={quote(command.cancels or '')}"
        else:
            query = f"reference={quote(command.key)}"
        answer = await self._wire.exchange(HttpRequest("GET", f"/vouchers?{query}"), hear)
        if answer.status >= 400:
            why = "the ledger refuses the look-up"
            raise Permanent(why, refuse("connector_refused", system=command.system, why=why))
        rows = (_said(answer) or {}).get("vouchers", [])
        if command.action == "cancel_order":
            rows = [row for row in rows if row["cancelled"]]
        if len(rows) > 1:
            return Several(tuple(sorted(row["voucher"] for row in rows)))
        return _applied(command, rows[0]) if rows else Absent()

    async def check(self) -> tuple[Probe, ...]:
        try:
            await self._wire.exchange(HttpRequest("GET", "/vouchers?number=0"), hear)
        except NotKnown as error:
            return (Probe("vouchers", False, error.reason, "Give the token the right to read."),)
        return (Probe("vouchers", True, "may be read"),)


def hear(answer: Answer) -> Voice:
    """Did the ledger itself speak? Its every answer is a JSON object that says so."""
    if answer.status == 429:
        return Voice.BUSY
    if answer.status in (401, 403):
        return Voice.LOGIN
    if _said(answer) is None or answer.status >= 500:
        return Voice.UNSURE
    return Voice.DONE if answer.status < 400 else Voice.REFUSED


def _said(answer: Answer) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return None
    return value if isinstance(value, dict) and value.get("ledger") == "house" else None


def _applied(command: Command, row: dict[str, Any]) -> Applied:
    if command.order is None:
        return Applied(str(row["voucher"]))
    wanted = msgspec.json.decode(msgspec.json.encode(command.order))
    there = row.get("order") or {}
    fields = sorted(name for name, value in wanted.items() if there.get(name) != value)
    differences = tuple(f"{name}: not as it was sent" for name in fields)
    if row.get("cancelled"):
        differences = ("state: the voucher is cancelled", *differences)
    return Applied(str(row["voucher"]), differences)


def _unsupported(command: Command) -> Permanent:
    why = f"the action {command.action} is not supported as given"
    return Permanent(why, refuse("connector_refused", system=command.system, why=why))


KIND = ConnectorKind(
    manifest=MANIFEST,
    config_type=SystemConfig,
    build=HouseLedger,
    simulator=HouseLedgerSimulator,
)
