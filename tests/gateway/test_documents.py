"""What the gateway takes becomes what the deployment does: orders, decisions, held budget."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from quaestor.gateway.services import GatewayLimits
from quaestor.store import Database
from tests.support.database import TestDatabase
from tests.support.gateway import (
    Gateway,
    a_body,
    a_line_body,
    a_reservation,
    gateway_on,
    until,
    worker_on,
)

APPROVED = {
    "decided_by": "workday",
    "version": 1,
    "decisions": [
        {"approver": "ben.koch", "verdict": "approved", "decided_at": "2026-11-20T09:00:00+01:00"}
    ],
}
OUTCOME = "select outcome = $2 from quaestor.work where document_id = $1"
OPEN = "select count(*) from quaestor.approval_request where document_id = $1 and state = 'open'"
RESERVED = "select pre from quaestor.budget_balance where node like 'acme-de/%/it-de' and pre > 0"


def approved(source_id: str = "R-1") -> dict[str, Any]:
    return a_body(source_id, approval=APPROVED, lines=[a_line_body(category="it_hardware")])


async def asked_for(gateway: Gateway, worker: Database) -> int:
    """A requisition that waits for its decision."""
    taken = await gateway.ask("POST", "/v1/requisitions", a_body())
    document: int = taken.json["id"]
    await until(worker, OPEN, document)
    return document


async def test_what_was_approved_elsewhere_becomes_an_order(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway, worker_on(database, gateway) as worker:
        taken = await gateway.ask("POST", "/v1/requisitions", approved())
        await until(worker, OUTCOME, taken.json["id"], "ordered")

        seen = await gateway.ask("GET", taken.headers["Location"])
        trace = await gateway.ask("GET", f"/v1/traces/{taken.json['correlation_id']}")

    assert (seen.status, seen.json["outcome"], seen.headers["ETag"]) == (200, "ordered", '"1"')
    assert [other["system"] for other in seen.json["elsewhere"]] == ["sap"]
    assert seen.json["requisition"]["total"] == "3600.00"
    assert trace.json["steps"][0]["details"] == {"client": "portal"}


async def test_a_cancelled_requisition_gives_its_budget_back(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway, worker_on(database, gateway) as worker:
        document = await asked_for(gateway, worker)
        reserved = await worker.fetchval(RESERVED)

        asked = await gateway.ask(
            "POST", f"/v1/requisitions/{document}/cancel", {"reason": "not needed"}
        )
        await until(worker, OUTCOME, document, "cancelled")
        again = await gateway.ask("POST", f"/v1/requisitions/{document}/cancel", {})

    assert (reserved, asked.status) == (Decimal("3600.00"), 202)
    assert again.code == (409, "state_forbids_change")
    assert await worker_sees(database, RESERVED) is None


async def worker_sees(database: TestDatabase, query: str) -> Any:
    pool = await database.connect(role="quaestor_worker")
    return await pool.fetchval(query)


async def test_a_change_needs_the_version_that_was_seen(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        taken = await gateway.ask("POST", "/v1/requisitions", a_body())
        path = taken.headers["Location"] + "/changes"
        later = a_body(title="another title")

        missing = await gateway.ask("POST", path, later)
        stale = await gateway.ask("POST", path, later, headers={"If-Match": '"7"'})
        vague = await gateway.ask("POST", path, later, headers={"If-Match": "W/1"})
        changed = await gateway.ask("POST", path, later, headers={"If-Match": '"1"'})
        moved = await gateway.ask(
            "POST", path, a_body("R-7"), headers={"If-Match": changed.headers["ETag"]}
        )

    assert missing.code == (428, "precondition_required")
    assert stale.code == (412, "precondition_failed")
    assert vague.code == (412, "precondition_failed")
    assert (changed.status, changed.json["version"]) == (202, 2)
    assert moved.code == (422, "value_invalid")


async def test_of_changes_at_once_on_one_version_the_first_counts(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        taken = await gateway.ask("POST", "/v1/requisitions", a_body())
        path = taken.headers["Location"] + "/changes"
        changes = [a_body(title=f"title {number}") for number in range(6)]

        said = await asyncio.gather(
            *(gateway.ask("POST", path, each, headers={"If-Match": '"1"'}) for each in changes)
        )

    assert sorted(each.status for each in said) == [202] + [412] * 5


async def test_a_change_is_adopted_and_decided_anew(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway, worker_on(database, gateway) as worker:
        document = await asked_for(gateway, worker)
        path = f"/v1/requisitions/{document}/changes"

        await gateway.ask("POST", path, a_body(title="new"), headers={"If-Match": '"1"'})
        await until(worker, OPEN + " and version = 2", document)
        listed = await gateway.ask("GET", "/v1/approvals?pending_for=ben.koch")

    assert [item["version"] for item in listed.json["items"]] == [2]


async def test_what_is_ordered_cannot_be_changed(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway, worker_on(database, gateway) as worker:
        taken = await gateway.ask("POST", "/v1/requisitions", approved())
        await until(worker, OUTCOME, taken.json["id"], "ordered")

        said = await gateway.ask(
            "POST",
            taken.headers["Location"] + "/changes",
            a_body(title="new"),
            headers={"If-Match": '"1"'},
        )

    assert said.code == (409, "state_forbids_change")


DECISIONS = [
    ("N47 his own", {"subject": "ana.berger"}, {}, (403, "self_approval_forbidden")),
    ("N49 another version", {"subject": "ben.koch"}, {"version": 2}, (409, "version_changed")),
    ("N45 of another entity", {"subject": "erin.wells"}, {}, (404, "not_found")),
    ("nobody", {"subject": "nobody"}, {}, (404, "not_found")),
    (
        "N46 for somebody",
        {"subject": "ben.koch"},
        {"on_behalf_of": "carla.lindt"},
        (403, "delegation_missing"),
    ),
    (
        "in somebody's name",
        {"subject": "ben.koch"},
        {"approver": "carla.lindt"},
        (403, "not_an_approver"),
    ),
    ("at the wrong door", {"subject": "ben.koch"}, {}, (409, "decider_differs")),
    ("by the platform", {"subject": "workday"}, {"approver": "ben.koch"}, (200, "")),
    (
        "N48 the same again",
        {"subject": "workday"},
        {"approver": "ben.koch", "comment": "twice"},
        (200, ""),
    ),
    (
        "N48 the opposite",
        {"subject": "workday"},
        {"approver": "ben.koch", "verdict": "rejected"},
        (409, "already_decided"),
    ),
]


async def test_a_decision_counts_once_from_whom_it_may_come(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        async with worker_on(database, gateway) as worker:
            document = await asked_for(gateway, worker)
        path = f"/v1/approvals/{document}.approval.1.1/decisions"

        said = []
        for name, who, changes, _ in DECISIONS:
            body = {"verdict": "approved", "version": 1, **changes}
            answer = await gateway.ask("POST", path, body, token=gateway.token(**who))
            said.append((name, answer.code))

    assert said == [(name, code) for name, _, _, code in DECISIONS]


async def test_the_platforms_decision_leads_to_the_order(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway, worker_on(database, gateway) as worker:
        taken = await gateway.ask(
            "POST", "/v1/requisitions", a_body(lines=[a_line_body(category="it_hardware")])
        )
        document = taken.json["id"]
        await until(worker, OPEN, document)
        path = f"/v1/approvals/{document}.approval.1.1/decisions"
        platform = gateway.token(subject="workday")

        await gateway.ask(
            "POST",
            path,
            {"verdict": "approved", "version": 1, "approver": "ben.koch"},
            token=platform,
        )
        await until(worker, OUTCOME, document, "ordered")
        late = await gateway.ask(
            "POST",
            path,
            {"verdict": "approved", "version": 1, "approver": "carla.lindt"},
            token=platform,
        )

    assert late.code == (409, "step_not_pending")


@pytest.mark.parametrize(
    ("person", "count"), [("ben.koch", 1), ("ana.berger", 0), ("erin.wells", 0), ("nobody", 0)]
)
async def test_an_open_request_is_pending_for_whoever_could_grant_it(
    database: TestDatabase, person: str, count: int
) -> None:
    async with gateway_on(database) as gateway:
        async with worker_on(database, gateway) as worker:
            await asked_for(gateway, worker)

        listed = await gateway.ask("GET", f"/v1/approvals?pending_for={person}")

    assert len(listed.json["items"]) == count


async def test_budget_is_held_while_its_caller_waits_and_given_back(
    database: TestDatabase,
) -> None:
    async with gateway_on(database) as gateway, worker_on(database, gateway) as worker:
        held = await gateway.ask("POST", "/v1/budget/reservations", a_reservation())
        reserved = await worker.fetchval(RESERVED)
        await gateway.ask("POST", held.headers["Location"] + "/release")
        await until(worker, OUTCOME, held.json["id"], "released")

        seen = await gateway.ask("GET", held.headers["Location"])

    assert (held.status, reserved) == (201, Decimal("100.00"))
    assert seen.json["outcome"] == "released"
    assert await worker_sees(database, RESERVED) is None


async def test_held_budget_comes_back_at_its_time(database: TestDatabase) -> None:
    owner = await database.connect()
    async with gateway_on(database) as gateway, worker_on(database, gateway) as worker:
        held = await gateway.ask("POST", "/v1/budget/reservations", a_reservation())
        async with owner.transaction() as connection:
            await connection.execute("update quaestor.clock_offset set offset_by = '31 days'")

        await until(worker, OUTCOME, held.json["id"], "released")

    assert await worker_sees(database, RESERVED) is None


async def test_what_the_budget_refused_once_it_refuses_again_under_the_same_key(
    database: TestDatabase,
) -> None:
    owner = await database.connect()
    async with gateway_on(database) as gateway:
        wanted = a_reservation(amount="9000000.00")
        first = await gateway.ask("POST", "/v1/budget/reservations", wanted, key="k")
        async with owner.transaction() as connection:
            await connection.execute("update quaestor.budget_balance set budget = 1e9")

        second = await gateway.ask("POST", "/v1/budget/reservations", wanted, key="k")
        fresh = await gateway.ask("POST", "/v1/budget/reservations", wanted, key="other")

    assert first.code == second.code == (422, "budget_exceeded")
    assert second.raw == first.raw
    assert second.headers["Content-Type"] == "application/problem+json"
    assert fresh.status == 201


async def test_every_check_gives_its_verdict_while_somebody_types(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        good = await gateway.ask("POST", "/v1/validations", a_body(), key=None)
        dear = a_line_body(
            quantity="9000",
            amount="10800000.00",
            splits=[
                {
                    "coding": {"cost_center": "it-de", "gl_account": "it-hardware"},
                    "amount": "10800000.00",
                }
            ],
            supplier="nobody",
        )
        bad = await gateway.ask(
            "POST", "/v1/validations", a_body(lines=[dear], total="10800000.00"), key=None
        )

    assert (good.status, good.json["verdict"]) == (200, "pass")
    assert [each["check"] for each in good.json["checks"]] == [
        "structure",
        "entity",
        "supplier",
        "coding",
        "budget",
    ]
    refused = {each["check"]: each["code"] for each in bad.json["checks"] if each["code"]}
    assert bad.json["verdict"] == "refuse"
    assert refused == {"supplier": "supplier_unknown", "budget": "budget_exceeded"}


async def test_a_budget_that_does_not_answer_in_time_is_unknown_and_nothing_more(
    database: TestDatabase,
) -> None:
    limits = GatewayLimits(validation_deadline_s=0.2)
    owner = await database.connect()
    async with gateway_on(database, limits=limits) as gateway, owner.transaction() as holder:
        await holder.execute("lock table quaestor.budget_balance in access exclusive mode")
        said = await gateway.ask("POST", "/v1/validations", a_body(), key=None)

    assert (said.status, said.json["verdict"]) == (200, "unknown")
    assert said.json["checks"][-1]["code"] == "check_unknown"


async def test_a_list_comes_in_pages_that_meet(database: TestDatabase) -> None:
    async with gateway_on(database) as gateway:
        whole = await gateway.ask("GET", "/v1/reference/currencies?limit=200")
        seen, path = [], "/v1/reference/currencies?limit=50"
        following: str | None = ""
        while following is not None:
            page = await gateway.ask("GET", path + (f"&cursor={following}" if following else ""))
            seen += [item["code"] for item in page.json["items"]]
            following = page.json["next"]

        other = await gateway.ask("GET", "/v1/reference/units?limit=1")
        foreign = await gateway.ask("GET", f"/v1/reference/currencies?cursor={other.json['next']}")

    assert seen == [item["code"] for item in whole.json["items"]]
    assert len(seen) == len(set(seen)) > 150
    assert whole.json["as_of"]
    assert foreign.code == (400, "cursor_invalid")
