"""Bad input on what stands: specs 3.4, and of 3.1 and 3.2 what asks for a document or a key.

The exact status and code, and nothing stored by it. A row each. N5 needs two at once and stands in
test_idempotency. Not there yet: steps of our own (N50 before one's turn), copies (N52), receipts
(N53 to N55), and decisions in bulk (N60).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.gateway.test_documents import APPROVED
from tests.support.database import TestDatabase
from tests.support.gateway import (
    Gateway,
    Said,
    a_body,
    a_line_body,
    a_reservation,
    gateway_on,
    until,
    worker_on,
)

OPEN = "select 1 from quaestor.approval_request where document_id = $1 and state = 'open'"
ENDED = "select 1 from quaestor.work where document_id = $1 and outcome = $2"
VOTE = {"verdict": "approved", "version": 1}
BEN, PLATFORM = {"subject": "ben.koch"}, {"subject": "workday"}
OWN = {**APPROVED, "decisions": [{**APPROVED["decisions"][0], "approver": "ana.berger"}]}
WAITS = a_body("waits", preparer="carla.lindt", beneficiary="gus.adler")

VERSION_CHANGED, NOT_PENDING = (409, "version_changed"), (409, "step_not_pending")
NO_CHANGE, NO_SELF = (409, "state_forbids_change"), (403, "self_approval_forbidden")
NOT_FOUND = (404, "not_found")
Row = tuple[str, dict[str, Any], tuple[int, str]]


HELD = a_reservation()["lines"][0]
US = {"entities": ("acme-us",)}


def charged(cost_center: str, **changes: Any) -> dict[str, Any]:
    coding = {"cost_center": cost_center, "gl_account": "it-hardware"}
    return a_line_body(splits=[{"coding": coding, "amount": "3600.00"}], **changes)


FOR_US = a_body(
    "us",
    entity="acme-us",
    requester="dan.moore",
    currency="USD",
    lines=[charged("it-us", supplier="kontor-direkt")],
)


def vote(on: str = "waits", who: Mapping[str, str] = BEN, **changes: Any) -> Any:
    return {"path": f"/v1/approvals/{on}/decisions", "who": who, "body": {**VOTE, **changes}}


def change(on: str = "waits", seen: str = '"1"', **changes: Any) -> Any:
    headers = {"If-Match": seen} if seen else {}
    body = {**(WAITS if on == "waits" else a_body(on)), **changes}
    return {"path": f"/v1/requisitions/{on}/changes", "headers": headers, "body": body}


def submit(body: Any, **more: Any) -> Any:
    return {"path": "/v1/requisitions", "body": body, **more}


def hold(source_id: str = "B-9", **changes: Any) -> Any:
    return {"path": "/v1/budget/reservations", "body": a_reservation(source_id, **changes)}


def held_line(**changes: Any) -> Any:
    return hold(lines=[{**HELD, **changes}])


# Name of the row, what is asked, the answer. `waits` and the others are documents of `furnish`.
KEYS: list[Row] = [
    ("N3", submit(a_body("other"), key="used"), (422, "idempotency_key_reused")),
    ("N4", submit(dict(reversed(WAITS.items())), key="used"), (201, "")),
    ("N7", submit(WAITS), (409, "duplicate_document")),
    ("N7 other content", submit(a_body("waits", title="x")), (409, "duplicate_document")),
    ("N7 reserved", hold(source_id="held"), (409, "duplicate_document")),
    ("N16 missing", change(seen=""), (428, "precondition_required")),
    ("N16 stale", change(seen='"9"'), (412, "precondition_failed")),
    ("N16 weak", change(seen='W/"1"'), (412, "precondition_failed")),
    ("N18 no number", vote(on="waits.."), NOT_FOUND),
]
MONEY: list[Row] = [
    ("N14 in a vote", vote(approved=True), (422, "unknown_field")),
    ("N14 in a hold", hold(approved=True), (422, "unknown_field")),
    ("N21 in a hold", held_line(amount=100), (422, "money_must_be_string")),
    ("N22 in a hold", held_line(amount="+5"), (422, "money_format")),
    ("N24 in a hold", held_line(amount="-5.00"), (422, "negative_amount")),
    ("N25 in a hold", held_line(amount="1.005"), (422, "too_many_decimals")),
    ("N26 in a hold", held_line(amount="9" * 16), (422, "amount_out_of_range")),
    ("N27 in a hold", hold(currency="DEM"), (422, "unknown_currency")),
    ("N34 in a hold", hold(on="2026-02-30"), (422, "date_invalid")),
    ("N34 no zone", hold(expires_at="2099-01-01T00:00:00"), (422, "timezone_required")),
    ("N36 in a hold", hold(expires_at="2020-01-01T00:00:00Z"), (422, "date_in_past")),
    ("N59 in a hold", held_line(cost_center=""), (422, "budget_not_found")),
    ("N28 in a change", change(lines=[a_line_body(amount="1.00")]), (422, "amount_mismatch")),
    ("N29 in a change", change(total="1.00"), (422, "total_mismatch")),
    ("N35 twice", submit(a_body(submitted_at="2026-10-25T02:30:00")), (422, "timezone_required")),
]
DECIDING: list[Row] = [
    ("N45 of another entity", vote(who={"subject": "erin.wells"}), NOT_FOUND),
    ("N45 relayed", vote(who=PLATFORM, approver="erin.wells"), NOT_FOUND),
    ("N46", vote("open", on_behalf_of="carla.lindt"), (403, "delegation_missing")),
    ("N46 in his name", vote("open", approver="carla.lindt"), (403, "not_an_approver")),
    ("at another door", vote(), (409, "decider_differs")),
    ("N47 requester", vote(who={"subject": "ana.berger"}), NO_SELF),
    ("N47 preparer", vote(who={"subject": "carla.lindt"}), NO_SELF),
    ("N47 beneficiary", vote(who={"subject": "gus.adler"}), NO_SELF),
    ("N47 delegate", vote(on_behalf_of="ana.berger"), NO_SELF),
    ("N47 relayed", vote(who=PLATFORM, approver="ana.berger"), NO_SELF),
    (
        "N47 brought along",
        submit(a_body("own", approval=OWN), who={"subject": "ana.berger"}),
        NO_SELF,
    ),
    (
        "N47 in a change",
        change(approval=OWN) | {"who": {"subject": "ana.berger"}},
        NO_SELF,
    ),
    ("N48 same", vote("voted", PLATFORM, approver="ben.koch"), (200, "")),
    (
        "N48 opposite",
        vote("voted", PLATFORM, approver="ben.koch", verdict="rejected"),
        (409, "already_decided"),
    ),
    ("N49", vote(version=2), VERSION_CHANGED),
    ("N49 of the platform", vote(who=PLATFORM, approver="ben.koch", version=2), VERSION_CHANGED),
    ("N50 taken back", vote("cancelled", PLATFORM, approver="ben.koch"), NOT_PENDING),
    ("no verdict", vote(verdict="perhaps"), (422, "value_invalid")),
    ("no such request", vote("waits-9"), NOT_FOUND),
]
POSTED: list[Row] = [
    ("N51", change("ordered"), NO_CHANGE),
    ("N51 cancelled", change("cancelled"), NO_CHANGE),
    ("cancelled twice", {"path": "/v1/requisitions/cancelled/cancel", "body": {}}, NO_CHANGE),
    ("N56 unknown", change(lines=[a_line_body(supplier="nobody")]), (422, "supplier_unknown")),
    ("N56 blocked", change(lines=[a_line_body(supplier="old-iron")]), (422, "supplier_blocked")),
    ("N56 not approved", submit(FOR_US, who=US), (422, "supplier_not_approved")),
    ("N57", change(lines=[charged("it-us")]), (422, "invalid_account_combination")),
    ("N58", hold(lines=[{**HELD, "amount": "9000000.00"}]), (422, "budget_exceeded")),
    ("N59", change(lines=[charged("")]), (422, "budget_not_found")),
]


async def furnish(gateway: Gateway, database: TestDatabase) -> dict[str, str]:
    """A requisition in each state, by name."""
    ids: dict[str, str] = {}
    bodies = {
        "waits": WAITS,
        "open": a_body("open"),
        "voted": a_body("voted"),
        "cancelled": a_body("cancelled"),
        "ordered": a_body(
            "ordered", approval=APPROVED, lines=[a_line_body(category="it_hardware")]
        ),
    }
    async with worker_on(database, gateway) as worker:
        for name, body in bodies.items():
            key = "used" if name == "waits" else ""
            said = await gateway.ask("POST", "/v1/requisitions", body, key=key)
            ids[name] = str(said.json["id"])
        await gateway.ask("POST", "/v1/budget/reservations", a_reservation("held"))
        for name in ("waits", "open", "voted", "cancelled"):
            await until(worker, OPEN, int(ids[name]))
        await gateway.ask("POST", f"/v1/requisitions/{ids['cancelled']}/cancel", {})
        for name in ("cancelled", "ordered"):
            await until(worker, ENDED, int(ids[name]), name)
    sent = {**vote("voted", PLATFORM, approver="ben.koch"), "key": "voted"}
    assert (await ask(gateway, sent, ids)).status == 200
    return ids


async def ask(gateway: Gateway, sent: Mapping[str, Any], ids: Mapping[str, str]) -> Said:
    given = {"who": {}, "body": None, **sent}
    parts = given.pop("path").split("/")
    request = ".approval.1.1" if "approvals" in parts else ""
    path = "/".join(ids[part] + request if part in ids else part for part in parts)
    token = gateway.token(**given.pop("who"))
    return await gateway.ask("POST", path, given.pop("body"), token=token, **given)


async def count_of_all(database: TestDatabase) -> list[int]:
    owner = await database.connect()
    tables = ("document", "document_body", "inbox", "audit", "budget_entry", "subject", "intent")
    return [await owner.fetchval(f"select count(*) from quaestor.{table}") for table in tables]


async def test_bad_input_on_what_stands_is_refused_by_its_name_and_leaves_nothing(
    database: TestDatabase,
) -> None:
    rows = [*KEYS, *MONEY, *DECIDING, *POSTED]
    async with gateway_on(database) as gateway:
        ids = await furnish(gateway, database)
        before = await count_of_all(database)

        said = [(name, (await ask(gateway, sent, ids)).code) for name, sent, _ in rows]

    assert said == [(name, answer) for name, _, answer in rows]
    assert await count_of_all(database) == before
