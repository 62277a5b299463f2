"""A customer's own connector, in his project folder, passes the suite that ours pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from quaestor.connectors.kit.registry import connector_kinds
from quaestor.connectors.kit.rig import CANARY, Subject
from quaestor.connectors.kit.suite import CHECKS, Check
from tests.connectors.orders import a_command, a_line, an_order

PORTAL = Path(__file__).resolve().parents[2] / "examples" / "custom-portal"


def house_ledger() -> Subject:
    return Subject(
        kind=connector_kinds(PORTAL)["house_ledger"],
        system=lambda url, credentials: {
            "connector": "house_ledger",
            "base_url": url,
            "auth": {"kind": "bearer", "token": "env:LEDGER_TOKEN"},
            "settle_s": 0.1,
        },
        order=lambda key: a_command(an_order(), key=key),
        refused=lambda key: a_command(
            an_order([a_line(quantity="1000", unit_price="101.00")]), key=key
        ),
        creates="POST /vouchers",
        options={"token": CANARY},
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_customers_own_connector_keeps_the_contract(check: Check) -> None:
    subject = house_ledger()

    await check(subject)
