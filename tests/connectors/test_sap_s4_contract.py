"""SAP S/4HANA passes the contract suite of the kit."""

from __future__ import annotations

import pytest

from quaestor.connectors.kit.suite import CHECKS, Check
from tests.connectors.subjects import sap


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_sap_keeps_the_contract(check: Check) -> None:
    subject = sap()

    await check(subject)
