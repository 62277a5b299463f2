"""Approval evidence that comes with a requisition: who may bring it, and that it is weighed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.test_documents import APPROVED, approved
from tests.support.database import TestDatabase
from tests.support.gateway import a_body, a_line_body, gateway_on, until, worker_on

WRITES = ("requisitions:write",)
DECIDES = (*WRITES, "approvals:decide")
VOTE = APPROVED["decisions"][0]


@pytest.mark.parametrize(
    ("subject", "scopes", "answer"),
    [
        ("portal", WRITES, (403, "insufficient_scope")),
        ("ben.koch", WRITES, (403, "insufficient_scope")),
        ("ana.berger", DECIDES, (403, "self_approval_forbidden")),
        ("portal", DECIDES, (201, "")),
        ("ben.koch", DECIDES, (201, "")),
    ],
)
async def test_evidence_is_brought_by_who_may_decide_and_has_no_interest(
    database: TestDatabase, subject: str, scopes: tuple[str, ...], answer: tuple[int, str]
) -> None:
    async with gateway_on(database) as gateway:
        token = gateway.token(subject=subject, scopes=scopes)

        said = await gateway.ask("POST", "/v1/requisitions", approved(), token=token)

    assert said.code == answer


# How a document stands: its outcome, what its evidence failed, or that the decider is asked.
STANDS = """
select coalesce(w.outcome, convert_from(w.parked, 'UTF8')::jsonb #>> '{refusal,details,failed}',
                (select 'asked' from quaestor.approval_request a
                 where a.document_id = w.document_id and a.state = 'open'))
from quaestor.work w where w.document_id = $1
"""
WEIGHED: list[tuple[str, dict[str, Any], str]] = [
    ("good", {}, "ordered"),
    ("by nobody", {"decisions": []}, "asked"),
    ("another decider", {"decided_by": "slack"}, "asked"),
    ("another content", {"content_hash": "0" * 64}, "other_content"),
    ("another version", {"version": 2}, "other_content"),
    ("on nothing", {"version": None}, "content_unknown"),
    ("requester", {"decisions": [{**VOTE, "approver": "ana.berger"}]}, "nobody_independent"),
    ("stranger", {"decisions": [{**VOTE, "approver": "nobody"}]}, "approver_unknown"),
    (
        "of another entity",
        {"decisions": [{**VOTE, "approver": "erin.wells"}]},
        "authority_below_amount",
    ),
    ("rejected", {"decisions": [{**VOTE, "verdict": "rejected"}]}, "rejected"),
]


async def test_evidence_is_weighed_and_not_believed(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway, worker_on(database, gateway) as worker:
        stood = []
        for name, changes, _ in WEIGHED:
            lines = [a_line_body(category="it_hardware")]
            body = a_body(name, lines=lines, approval={**APPROVED, **changes})
            taken = await gateway.ask("POST", "/v1/requisitions", body)
            stood.append((name, await until(worker, STANDS, taken.json["id"])))

    assert stood == [(name, ends) for name, _, ends in WEIGHED]
