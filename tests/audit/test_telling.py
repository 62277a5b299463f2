"""A step of the trail reads as a sentence."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from quaestor.audit.exchange import WireExchange
from quaestor.audit.telling import elapsed, told
from quaestor.audit.trace import Attachment, Step

AT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
TOKEN = WireExchange("GET", "/sap/", 200, 40.0)
CREATE = WireExchange("POST", "/sap/A_PurchaseOrder", 201, 63.2, request="x" * 2360)
LOST = WireExchange("POST", "/sap/A_PurchaseOrder", 0, 61.0, broke="eof", request="x" * 90)


def a_step(effect: str, outcome: str, *exchanges: WireExchange, **members: Any) -> Step:
    wire = tuple(Attachment("wire:0", "read", exchange=exchange) for exchange in exchanges)
    return Step(1, AT, "acme-de", effect=effect, outcome=outcome, wire=wire, **members)


SENTENCES = [
    (a_step("receive", "accepted", system="coupa", version=2), "received from coupa, version 2"),
    (
        a_step("step", "next", stage_before="validating", stage_after="reserving"),
        "validating → reserving",
    ),
    (a_step("step", "done:ordered", stage_before="closed", stage_after="closed"), "done: ordered"),
    (
        a_step(
            "step",
            "parked",
            stage_before="validating",
            stage_after="validating",
            refusal="supplier_blocked",
            details={"owner": "requester"},
        ),
        "validating: parked with requester, supplier_blocked",
    ),
    (
        a_step("inquire", "answered", name="budget/x", details={"as_of": "2026-11-02T09:00:00Z"}),
        "asked for budget/x: true as of 2026-11-02T09:00:00Z",
    ),
    (
        a_step("inquire", "unanswered", name="budget/x", details={"reason": "no connection"}),
        "asked for budget/x: no answer yet, no connection",
    ),
    (
        a_step(
            "inquire",
            "refused",
            name="budget/x",
            refusal="budget_not_found",
            details={"owner": "finance"},
        ),
        "asked for budget/x: budget_not_found (finance)",
    ),
    (a_step("reserve", "reserved"), "budget reserved"),
    (
        a_step("reserve", "refused", refusal="budget_exceeded", details={"owner": "requester"}),
        "budget: reserve refused, budget_exceeded (requester)",
    ),
    (
        a_step("send", "begun", attempt=1, details={"key": "axjdn2dhn2ttngnedixt"}),
        "intent committed before the first byte: attempt 1, key axjdn2dhn2tt…",
    ),
    (
        a_step("send", "applied", TOKEN, CREATE, external_ids={"number": "4500000000"}),
        "POST 2,360 bytes → 201, 4500000000, 63 ms",
    ),
    (
        a_step("send", "ambiguous", TOKEN, LOST, details={"reason": "it ended"}),
        "POST 90 bytes → no answer (it ended): perhaps applied",
    ),
    (
        a_step("send", "transient", TOKEN, details={"reason": "429"}),
        "surely not applied: 429",
    ),
    (
        a_step("send", "lost"),
        "the lease is over and no outcome was recorded: perhaps applied",
    ),
    (
        a_step("look", "applied", external_ids={"number": "4500000000"}),
        "looked by our reference: found 4500000000",
    ),
    (a_step("look", "absent"), "looked by our reference: nothing there"),
    (
        a_step("resolve", "withdrawn", external_ids={"number": "4500000000"}),
        "never to be sent again; left there: 4500000000",
    ),
    (
        a_step("resolve", "withdrawn"),
        "never to be sent again; left there: nothing",
    ),
    (
        a_step("event", "cancel", actor="sub:x", actor_name="ana.berger"),
        "cancel by ana.berger",
    ),
    (
        a_step("tell", "told", details={"to": "sub:x", "text": "It is ordered."}),
        "told ana.berger: It is ordered.",
    ),
    (Step(1, AT, "acme-de", erased=True), "erased"),
]


@pytest.mark.parametrize(("step", "sentence"), SENTENCES, ids=[row[1] for row in SENTENCES])
def test_a_step_reads_as_a_sentence(step: Step, sentence: str) -> None:
    assert told(step, {"sub:x": "ana.berger"}) == sentence


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (0.4, "+0 ms"),
        (9_999, "+9,999 ms"),
        (12_340, "+12.3 s"),
        (300_000, "+5.0 min"),
        (10_800_000, "+3.0 h"),
        (259_200_000, "+3.0 d"),
    ],
)
def test_a_time_is_told_in_the_unit_that_says_it(ms: float, said: str) -> None:
    assert elapsed(ms) == said
