"""Budgets that another system states: who is asked, what is believed, what is loaded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from quaestor.budget.balance import Balance, DocumentHolding, loaded
from quaestor.budget.decide import BudgetDecision, decide
from quaestor.budget.effects import Adjust, BudgetEffect, BudgetLine, Reserve, StatedBudget
from quaestor.budget.stating import BudgetSource, stated_by
from quaestor.model.budget import Balances, BudgetNode, Control, node_facts, node_key
from quaestor.model.refusal import Refusal, Refused

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NODE = "DE01/2026/CC100"
SOURCE = BudgetSource("planning", 600, {NODE: "DE01/2026/ALL", "DE01/2026/ALL": None})


def a_balance(
    budget: str, *, enc: str = "0", control: Control = "absolute", as_of: datetime | None = None
) -> Balance:
    node = BudgetNode(NODE, "DE01", Decimal(budget), control)
    return Balance(node, Balances(enc=Decimal(enc)), as_of)


def hold(amount: str, stated: str, as_of: datetime = NOW) -> Reserve:
    said = StatedBudget(NODE, Decimal(stated), as_of, "planning")
    return Reserve("r", (BudgetLine(NODE, Decimal(amount)),), (said,))


def decided(balance: Balance, effect: BudgetEffect, held: str = "0") -> BudgetDecision:
    holding = DocumentHolding(pre={NODE: Decimal(held)} if Decimal(held) else {})
    return decide({NODE: balance}, holding, effect, as_of=NOW)


def told(decision: BudgetDecision) -> str:
    return decision.result.refusal.code if isinstance(decision.result, Refused) else "ok"


# what is in force (budget, ordered), what is asked, what is stated; the answer, the budget after.
STATED = [
    ("more than before", ("0.00", "0"), "400.00", "1000.00", "ok", "1000.00"),
    ("as before", ("1000.00", "0"), "400.00", "1000.00", "ok", "1000.00"),
    ("exactly what is asked", ("1000.00", "0"), "400.00", "400.00", "ok", "400.00"),
    ("too little for it", ("1000.00", "0"), "400.00", "399.99", "budget_exceeded", "399.99"),
    (
        "a cut to what is ordered",
        ("1000.00", "500.00"),
        "0.01",
        "500.00",
        "budget_exceeded",
        "500.00",
    ),
    (
        "a cut below what is ordered",
        ("1000.00", "501.00"),
        "0.01",
        "500.00",
        "budget_below_commitments",
        "1000.00",
    ),
    (
        "no cut, though overspent",
        ("500.00", "501.00"),
        "0.01",
        "500.00",
        "budget_exceeded",
        "500.00",
    ),
]


@pytest.mark.parametrize(
    ("before", "asked", "stated", "code", "after"),
    [row[1:] for row in STATED],
    ids=[row[0] for row in STATED],
)
def test_what_is_stated_is_loaded_before_the_lines_are_decided(
    before: tuple[str, str], asked: str, stated: str, code: str, after: str
) -> None:
    balance = a_balance(before[0], enc=before[1])

    decision = decided(balance, hold(asked, stated))

    assert told(decision) == code
    assert loaded({NODE: balance}, decision.loads)[NODE].node.amount == Decimal(after)


def test_an_older_statement_does_not_undo_a_newer_one() -> None:
    balance = a_balance("1000.00", as_of=NOW)

    decision = decided(balance, hold("400.00", "10.00", NOW - timedelta(seconds=1)))

    assert (told(decision), decision.loads) == ("ok", ())


def test_what_frees_budget_passes_under_a_cut_that_is_not_made() -> None:
    balance = a_balance("1000.00", enc="600.00")
    less = Adjust("r", (BudgetLine(NODE, Decimal("100.00")),), hold("0", "500.00").stated)

    decision = decided(balance, less, held="300.00")

    assert (told(decision), decision.loads) == ("ok", ())
    assert decision.entries[0].pre == Decimal("-200.00")


def test_an_advisory_budget_warns_of_a_cut_below_what_is_committed() -> None:
    balance = a_balance("1000.00", enc="900.00", control="advisory")

    decision = decided(balance, hold("10.00", "500.00"))

    assert told(decision) == "ok"
    assert f"budget_below_commitments:{NODE}" in getattr(decision.result, "warnings", ())


def test_what_is_stated_about_a_budget_that_is_not_loaded_is_not_found() -> None:
    decision = decide({}, DocumentHolding(), hold("1.00", "5.00"), as_of=NOW)

    assert told(decision) == "budget_not_found"


def test_the_budgets_above_are_asked_about_as_well() -> None:
    asked = SOURCE.asked_about([NODE, "DE01/2026/OWN"])

    assert asked == ("DE01/2026/ALL", NODE)


def test_a_node_is_asked_about_by_the_parts_of_its_key() -> None:
    by_account, whole = node_key("DE01", 2026, "CC100", "6150"), node_key("DE01", 2026, "CC100")

    assert dict(node_facts(whole)) == {"fiscal_year": "2026", "cost_center": "CC100"}
    assert node_facts(by_account)["account"] == "6150"


GOOD = {"mode": "gross", "currency": "EUR", "budget": "1000.00", "consumed_elsewhere": "250.00"}
# what differs from a good answer, its age in seconds; why it is not believed.
UNBELIEVED = [
    ({}, 601, "too old"),
    ({"mode": "net"}, 0, "another mode or currency"),
    ({"currency": "USD"}, 0, "another mode or currency"),
    ({"budget": "much"}, 0, "no amount"),
    ({"budget": "NaN"}, 0, "no amount"),
]


@pytest.mark.parametrize(("differs", "age_s", "why"), UNBELIEVED)
def test_an_answer_that_cannot_be_relied_on_states_nothing(
    differs: dict[str, str], age_s: int, why: str
) -> None:
    as_of = NOW - timedelta(seconds=age_s)

    said = stated_by(SOURCE, NODE, "EUR", {**GOOD, **differs}, as_of, NOW)

    assert isinstance(said, Refusal)
    assert (said.code, said.details["why"]) == ("budget_unknown", why)


def test_what_others_spend_of_a_budget_is_not_ours_to_spend() -> None:
    said = stated_by(SOURCE, NODE, "EUR", GOOD, NOW - timedelta(seconds=600), NOW)

    assert isinstance(said, StatedBudget)
    assert said.amount == Decimal("750.00")
