"""Workday passes the contract suite of the kit."""

from __future__ import annotations

import pytest

from quaestor.connectors.kit.contract import Command
from quaestor.connectors.kit.registry import connector_kinds
from quaestor.connectors.kit.rig import CANARY, Subject
from quaestor.connectors.kit.suite import CHECKS, Check
from quaestor.connectors.workday.simulator import INITIATOR
from tests.connectors.workday_requisitions import CODES, a_submission


def refused(key: str) -> Command:
    return a_submission(key=key, requester="fay.unknown")


WORKDAY = Subject(
    kind=connector_kinds()["workday"],
    system=lambda url, credentials: {
        "connector": "workday",
        "base_url": url,
        "auth": {"kind": "bearer", "token": "env:WORKDAY_TOKEN"},
        "tenant": "acme",
        "initiator": INITIATOR,
        "settle_s": 0.1,
        "requisition": {"codes": {"worker": {**CODES["worker"], "fay.unknown": "99999"}}},
    },
    order=lambda key: a_submission(key=key),
    refused=refused,
    creates="POST /ccx/service/acme/Resource_Management",
    options={"token": CANARY},
    rejected_as="approval_request_refused",
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_workday_keeps_the_contract(check: Check) -> None:
    await check(WORKDAY)
