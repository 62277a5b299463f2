"""Held budget ends: given back, or at its time, and only once (I13)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from quaestor.budget.effects import BudgetLine
from quaestor.flows.budget_reservation import BUDGET_RESERVATION, HeldBudget
from quaestor.flows.kit.dossier import Document, Dossier
from quaestor.flows.kit.effects import Release
from quaestor.flows.kit.step import Await, Done, Stay
from quaestor.model.event import Cancel

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
UNTIL = NOW + timedelta(days=30)
CANCEL = Cancel("cancel:1", NOW, "portal")


def dossier(stage: str, *events: Cancel) -> Dossier:
    lines = (BudgetLine("acme-de/2026/it-de", Decimal(100)),)
    held = HeldBudget("portal", "B-1", "acme-de", "portal", lines, UNTIL)
    document = Document(
        1, "budget_reservation", "acme-de", "portal", "B-1", "c-1", 1, "0" * 64, held
    )
    return Dossier(document, stage, NOW, events=events)


def test_it_is_held_until_somebody_gives_it_back_or_its_time_comes() -> None:
    step = BUDGET_RESERVATION.stages["holding"].run(dossier("holding"))

    assert step.next == Await(("Cancel",), "releasing", UNTIL, "releasing")


def test_what_is_given_back_is_released_and_the_wish_is_done_with() -> None:
    step = BUDGET_RESERVATION.stages["releasing"].run(dossier("releasing", CANCEL))

    assert step.do == (Release("reservation"),)
    assert (step.next, step.consumes) == ("released", (CANCEL,))


def test_what_is_released_ends() -> None:
    step = BUDGET_RESERVATION.stages["released"].run(dossier("released"))

    assert step.next == Done("released")


@pytest.mark.parametrize("stage", ["holding", "releasing"])
def test_a_wish_that_comes_early_waits_for_its_stage(stage: str) -> None:
    assert BUDGET_RESERVATION.interrupted(dossier(stage, CANCEL), CANCEL) is None


def test_a_second_wish_changes_nothing() -> None:
    step = BUDGET_RESERVATION.interrupted(dossier("released", CANCEL), CANCEL)

    assert step is not None
    assert (step.do, step.next) == ((), Stay())
