"""A cancellation and a change at every stage: what is asked for holds wherever the document is.

Each row is a stage that is about to run, or a send that may have arrived. Afterwards all that is
sent is answered well, and what stands elsewhere is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from quaestor.flows.dismissing import DISMISSED
from quaestor.flows.kit.step import Await
from quaestor.flows.requisition_to_order import REQUISITION_TO_ORDER
from quaestor.model.event import Decided
from tests.flows.elsewhere import Elsewhere, decided_there, driver_with_planning
from tests.flows.world import NOW, a_line, a_requisition, as_document, cancel, changed, retry
from tests.support.flow_driver import FlowDriver

FIRST = a_requisition(a_line(amount="400.00"))
SECOND = a_requisition(a_line(amount="450.00"), version=2)
THIRD = a_requisition(a_line(amount="90.00"), version=3)

Way = Callable[[FlowDriver, Elsewhere], None]


def is_rejected(driver: FlowDriver, elsewhere: Elsewhere) -> None:
    driver.events.append(
        decided_there(elsewhere.requests["approval/1/1"], FIRST, "ben", "rejected")
    )


def is_approved(driver: FlowDriver, elsewhere: Elsewhere) -> None:
    driver.events.append(decided_there(elsewhere.requests["approval/1/1"], FIRST))


def is_forgotten(driver: FlowDriver, elsewhere: Elsewhere) -> None:
    driver.now += timedelta(days=31)


def is_ended_there(driver: FlowDriver, elsewhere: Elsewhere) -> None:
    number = elsewhere.requests["approval/1/1"]
    driver.events.append(Decided("ended", NOW, "workday", reference=number))


def is_changed(driver: FlowDriver, elsewhere: Elsewhere) -> None:
    driver.later = as_document(SECOND)
    driver.events.append(changed(SECOND))


def is_cancelled(driver: FlowDriver, elsewhere: Elsewhere) -> None:
    driver.events.append(cancel("cancel-0"))


def is_ordered_and_cancelled(driver: FlowDriver, elsewhere: Elsewhere) -> None:
    is_approved(driver, elsewhere)
    elsewhere.finish(driver)
    is_cancelled(driver, elsewhere)


def is_changed_too_late(driver: FlowDriver, elsewhere: Elsewhere) -> None:
    is_approved(driver, elsewhere)
    elsewhere.finish(driver)
    is_changed(driver, elsewhere)


# The stage, what happens while the document waits for its decision so that it comes there, and how
# a change at that moment ends: with the outcome or refusal, at this version.
ORDERED, KEPT, CANCELLED = ("ordered", 3), ("state_forbids_change", 1), ("cancelled", 1)
ROWS: list[tuple[str, Way, tuple[str, int]]] = [
    ("validating", is_approved, ORDERED),
    ("budgeting", is_approved, ORDERED),
    ("reserving", is_approved, ORDERED),
    ("approving", is_approved, ORDERED),
    ("asking", is_approved, ORDERED),
    ("handed", is_approved, ORDERED),
    ("deciding", is_approved, ORDERED),
    ("ordering", is_approved, ORDERED),
    ("posting", is_approved, ORDERED),
    ("answering", is_approved, KEPT),
    ("committing", is_approved, KEPT),
    ("ordered", is_approved, KEPT),
    ("reporting_ordered", is_approved, KEPT),
    ("reported", is_approved, KEPT),
    ("closed", is_approved, KEPT),
    ("unchangeable", is_changed_too_late, KEPT),
    ("reporting_rejected", is_rejected, ORDERED),
    ("expiring", is_forgotten, ORDERED),
    ("expired", is_forgotten, ORDERED),
    ("undecided", is_ended_there, ORDERED),
    ("changed", is_changed, ORDERED),
    ("cancelling", is_cancelled, CANCELLED),
    ("withdrawing", is_cancelled, CANCELLED),
    ("withdrawn", is_cancelled, CANCELLED),
    ("reporting_cancelled", is_cancelled, CANCELLED),
    ("cancel_answered", is_ordered_and_cancelled, CANCELLED),
]
IDS = [stage for stage, _, _ in ROWS]


def at(stage: str, way: Way) -> tuple[FlowDriver, Elsewhere]:
    """The document where this stage runs next, and nothing is being sent."""
    driver, elsewhere, gone = driver_with_planning(FIRST), Elsewhere(), False
    while driver.stage != stage or driver.sending is not None:
        if not elsewhere.settle(driver) and not driver.moves():
            assert isinstance(driver.waiting, Await), f"{driver.waiting}, and never at {stage}"
            assert not gone, f"this way leads past {stage}"
            way(driver, elsewhere)
            gone = True
    return driver, elsewhere


def stands_nowhere(driver: FlowDriver, elsewhere: Elsewhere) -> None:
    assert driver.outcome == "cancelled"
    assert (elsewhere.orders, elsewhere.requests, driver.open_requests) == ({}, {}, [])
    assert (driver.holding.pre, driver.holding.enc) == ({}, {})
    assert elsewhere.reports[-1] == "cancelled"
    assert driver.told[-1].message == "Requisition REQ-4711 is cancelled."


def times_sent(driver: FlowDriver, action: str) -> int:
    return sum(send.action == action for send in driver.sent)


def test_the_table_has_every_stage() -> None:
    # What was let go of is nobody's any more: `test_dismissing.py` has what comes there.
    assert {*IDS, DISMISSED} == set(REQUISITION_TO_ORDER.stages)


@pytest.mark.parametrize(("stage", "way", "_"), ROWS, ids=IDS)
def test_a_cancellation_before_any_stage_leaves_nothing_anywhere(
    stage: str, way: Way, _: object
) -> None:
    driver, elsewhere = at(stage, way)

    driver.deliver(cancel())
    elsewhere.finish(driver)

    stands_nowhere(driver, elsewhere)
    assert times_sent(driver, "create_order") == times_sent(driver, "cancel_order") <= 1
    assert times_sent(driver, "submit_requisition") == times_sent(driver, "cancel_requisition")


@pytest.mark.parametrize(("stage", "way", "end"), ROWS, ids=IDS)
def test_a_change_before_any_stage_is_adopted_refused_or_comes_too_late(
    stage: str, way: Way, end: tuple[str, int]
) -> None:
    driver, elsewhere = at(stage, way)

    driver.arrives(as_document(THIRD), changed(THIRD))
    elsewhere.finish(driver)

    ended = driver.outcome or driver.parked
    encumbered = {"ordered": "90.00", "state_forbids_change": "400.00", "cancelled": "0"}[end[0]]
    assert (ended, driver.document.version) == end
    assert sum(driver.holding.enc.values(), Decimal(0)) == Decimal(encumbered)
    assert len(elsewhere.orders) == (0 if end == CANCELLED else 1)
    assert times_sent(driver, "create_order") <= 1


@pytest.mark.parametrize("stage", ["reporting_ordered", "reported", "closed"])
def test_a_change_of_what_is_ordered_is_refused_where_it_was_made(stage: str) -> None:
    driver, elsewhere = at(stage, is_approved)

    driver.arrives(as_document(THIRD), changed(THIRD))
    elsewhere.finish(driver)
    driver.deliver(retry())
    elsewhere.finish(driver)

    assert driver.outcome == "ordered"
    assert elsewhere.reports == ["ordered", "refused"]
    assert driver.sends["change_refused/3"].state == "resolved"


# What is on the wire when the cancellation comes: its answer was lost, and it did arrive.
SENDS: list[tuple[str, Way]] = [
    ("handed/approval/1/1", is_approved),
    ("order/acme/DE01/EUR/central/", is_approved),
    ("report/ordered/1", is_approved),
    ("report/refused/approval_rejected/1", is_rejected),
    ("taken_back/approval/1/1", is_changed),
    ("taken_back/approval/1/1", is_forgotten),
    ("taken_back/approval/1/1", is_cancelled),
    ("report/cancelled/1", is_cancelled),
    ("cancel/acme/DE01/EUR/central/", is_ordered_and_cancelled),
]


@pytest.mark.parametrize("arrived", [True, False], ids=["arrived", "lost"])
@pytest.mark.parametrize(("name", "way"), SENDS)
def test_a_cancellation_while_an_outcome_is_unknown_finds_out_and_leaves_nothing(
    name: str, way: Way, arrived: bool
) -> None:
    driver, elsewhere = sending(name, way)
    there = elsewhere.take(driver.sent[-1]) if arrived else None
    driver.left_the_wire()

    driver.deliver(cancel())
    is_withdrawn = not driver.may_be_sent()
    driver.answer(there if arrived or is_withdrawn else elsewhere.take(driver.sent[-1]))
    elsewhere.finish(driver)

    stands_nowhere(driver, elsewhere)
    assert times_sent(driver, "create_order") <= 1


def sending(name: str, way: Way) -> tuple[FlowDriver, Elsewhere]:
    """The document while this send has no answer."""
    driver, elsewhere, gone = driver_with_planning(FIRST), Elsewhere(), False
    while driver.sending != name:
        if not elsewhere.settle(driver) and not driver.moves():
            assert not gone, f"{name} was never sent this way"
            way(driver, elsewhere)
            gone = True
    return driver, elsewhere
