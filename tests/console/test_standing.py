"""Where a document stands, in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from quaestor.console.standing import Work, order_of, standing
from quaestor.flows.kit.step import Await, Park
from quaestor.model.refusal import refuse
from quaestor.runtime.state import SentIntent, WorkState, encode_state

AT = datetime(2026, 11, 22, tzinfo=UTC)
SENDING = WorkState(sends={"order": SentIntent("k", "sap", "create_order", 1)}, sending="order")
PARK = Park("finance", refuse("erp_rejected", code="06/055"))


def a_work(state: WorkState | None = None, **more: Any) -> Work:
    given = {
        "stage": "posting",
        "state": encode_state(state or WorkState()),
        "due_at": AT,
        "lane": "",
        "parked": None,
        "parked_at": None,
        "done_at": None,
        "outcome": None,
    }
    return Work(**{**given, **more})


def intent(state: str) -> dict[str, bytes]:
    return {"k": msgspec.json.encode({"state": state} if state else {})}


WORDS = [
    (a_work(), "at work: posting", ""),
    (a_work(outcome="ordered", done_at=AT), "ordered", "good"),
    (a_work(outcome="cancelled", done_at=AT), "cancelled", ""),
    (a_work(parked=msgspec.json.encode(PARK), parked_at=AT), "waits for finance", "bad"),
    (a_work(WorkState(awaiting=Await(("Decided",), "deciding"))), "waits for a decision", ""),
    (a_work(SENDING, intents=intent("")), "to be sent to sap", ""),
    (a_work(SENDING, intents=intent("in_flight")), "sent to sap", ""),
    (a_work(SENDING, intents=intent("unknown")), "perhaps applied in sap", "doubt"),
    (a_work(SENDING, intents=intent("pending")), "taken in by sap", ""),
    (a_work(SENDING, intents=intent(""), troubles={"sap": AT}), "waits for sap", ""),
    (a_work(SENDING, intents=intent("unknown"), troubles={"sap": AT}), "waits for sap", "doubt"),
    (a_work(SENDING), "to be sent to sap", ""),
]


@pytest.mark.parametrize(("work", "word", "tone"), WORDS)
def test_a_document_stands_in_one_place(work: Work, word: str, tone: str) -> None:
    found = standing(work)

    assert (found.word, found.tone) == (word, tone)
    assert found.next.endswith(".")


def test_what_is_parked_says_whose_it_is_why_and_the_ways_out() -> None:
    found = standing(a_work(parked=msgspec.json.encode(PARK), parked_at=AT))

    assert (found.owner, found.refusal, found.since) == ("finance", "erp_rejected", AT)
    assert found.meaning == "The ERP refused the document."
    assert found.ways_out == ("retry", "cancel")


def test_a_refusal_that_left_the_table_is_still_shown() -> None:
    park = msgspec.json.encode(PARK).replace(b"erp_rejected", b"of_long_ago")

    found = standing(a_work(parked=park, parked_at=AT))

    assert (found.refusal, found.meaning) == ("of_long_ago", "")


ORDERS = [
    ({"number": "45", "resolved_at": AT}, b"{}", "stands there", "good"),
    ({"number": None, "resolved_at": AT}, b"{}", "not there", "bad"),
    ({"number": None, "resolved_at": None}, b'{"state":"unknown"}', "perhaps there", "doubt"),
    ({"number": None, "resolved_at": None}, b"{}", "on its way", ""),
]


@pytest.mark.parametrize(("members", "core", "word", "tone"), ORDERS)
def test_an_order_stands_is_on_its_way_or_not_there(
    members: dict[str, Any], core: bytes, word: str, tone: str
) -> None:
    command = b'{"order":{"total":"12.50","currency":"EUR","supplier":"helio","lines":[]}}'

    order = order_of({"system": "sap", "key": "k", "core": core, "command": command, **members})

    assert (order.word, order.tone) == (word, tone)
    assert (order.total, order.currency) == ("12.50", "EUR")
