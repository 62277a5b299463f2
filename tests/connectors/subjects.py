"""Our vendors as subjects of the contract suite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quaestor.connectors.kit.contract import Command
from quaestor.connectors.kit.registry import connector_kinds
from quaestor.connectors.kit.rig import CANARY, Subject
from tests.connectors.orders import a_command, a_line, a_split, an_order

__all__ = ["bogus", "sap"]


def sap(**order_rules: Any) -> Subject:
    return Subject(
        kind=connector_kinds()["sap_s4"],
        system=lambda url, credentials: {
            "connector": "sap_s4",
            "base_url": url,
            "auth": {"kind": "basic", "user": credentials["user"], "password": "env:SAP_PASSWORD"},
            "settle_s": 0.1,
            "order": order_rules,
        },
        order=_create,
        refused=_refused_by_sap,
        creates="POST /sap/opu/odata/sap/API_PURCHASEORDER_PROCESS_SRV/A_PurchaseOrder",
        options={"password": CANARY},
    )


def bogus(guarantee: str, *, kept: str | None = None) -> Subject:
    """Bogus with this guarantee; `kept` is what the system really keeps."""
    return Subject(
        kind=connector_kinds()["bogus"],
        system=lambda url, credentials: _bogus_table(url, guarantee),
        order=_create,
        refused=_refused_by_bogus,
        creates="PUT /orders" if guarantee == "repeatable" else "POST /orders",
        options={"token": CANARY, "guarantee": kept or guarantee, "late_s": 0.1, "slow_s": 0.1},
    )


def _bogus_table(url: str, guarantee: str) -> Mapping[str, Any]:
    return {
        "connector": "bogus",
        "base_url": url,
        "auth": {"kind": "bearer", "token": "env:BOGUS_TOKEN"},
        "guarantee": guarantee,
        "settle_s": 0.1,
    }


def _create(key: str) -> Command:
    splits = [a_split("2000.00"), a_split("1750.00", cost_center="17101902")]
    return a_command(an_order([a_line(splits=splits), a_line(2, quantity="1")]), key=key)


def _refused_by_sap(key: str) -> Command:
    return a_command(an_order(document_type="QQ"), key=key)


def _refused_by_bogus(key: str) -> Command:
    return a_command(an_order([a_line(unit_price="100.01", quantity="1")]), key=key)
