"""The budget's decision, by values: one row per rule, refusals in their precedence."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from quaestor.budget.balance import Balance, DocumentHolding, apply
from quaestor.budget.decide import BudgetDecision, Shortfall, decide, nodes_of
from quaestor.budget.effects import (
    Adjust,
    BudgetEffect,
    BudgetLine,
    Commit,
    Committed,
    Consume,
    Consumed,
    Release,
    Released,
    Relieve,
    Relieved,
    Reserve,
    Reserved,
)
from quaestor.model.budget import Balances, BudgetNode, Control
from quaestor.model.refusal import Refused

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def lines(*pairs: tuple[str, str]) -> tuple[BudgetLine, ...]:
    return tuple(BudgetLine(node, Decimal(amount)) for node, amount in pairs)


def a_balance(
    key: str = "CC100",
    budget: str = "1000.00",
    *,
    act: str = "0",
    control: Control = "absolute",
    tolerance: tuple[str | None, str | None] = (None, None),
    parent: str | None = None,
) -> Balance:
    pct, amount = (None if each is None else Decimal(each) for each in tolerance)
    node = BudgetNode(key, "DE01", Decimal(budget), control, pct, amount, parent)
    return Balance(node, Balances(act=Decimal(act)))


def book(*given: Balance) -> dict[str, Balance]:
    return {each.node.key: each for each in given or (a_balance(),)}


def run(
    balances: dict[str, Balance], *effects: BudgetEffect
) -> tuple[list[BudgetDecision], dict[str, Balance]]:
    """One document's effects, one after the other."""
    held, decisions = DocumentHolding(), []
    for effect in effects:
        decision = decide(balances, held, effect, as_of=NOW)
        balances, held = apply(balances, decision.entries), decision.holding
        decisions.append(decision)
    return decisions, balances


def codes(decisions: Iterable[BudgetDecision]) -> list[str]:
    return [d.result.refusal.code if isinstance(d.result, Refused) else "ok" for d in decisions]


def stands(balances: dict[str, Balance], key: str = "CC100") -> tuple[str, str, str, str]:
    """pre, enc, act, available."""
    each = balances[key]
    row = (each.stands.pre, each.stands.enc, each.stands.act, each.available)
    return tuple(f"{amount:.2f}" for amount in row)  # type: ignore[return-value]


RESERVE_400 = Reserve("r", lines(("CC100", "400.00")))


def test_reserve_order_and_invoice_at_the_same_amount_b1_b3_b4() -> None:
    decisions, after = run(
        book(),
        RESERVE_400,
        Commit("c", lines(("CC100", "400.00")), lines(("CC100", "400.00"))),
        Consume("i", lines(("CC100", "400.00")), lines(("CC100", "400.00"))),
    )

    assert [type(decision.result) for decision in decisions] == [Reserved, Committed, Consumed]
    assert stands(after) == ("0.00", "0.00", "400.00", "600.00")


def test_reservations_of_others_count_and_the_batch_is_decided_in_order_b1_b20() -> None:
    balances = book(a_balance(budget="999.99"))

    passed = 0
    for document in range(7):
        effect = Reserve(f"r{document}", lines(("CC100", "333.34")))
        decision = decide(balances, DocumentHolding(), effect, as_of=NOW)
        passed += isinstance(decision.result, Reserved)
        balances = apply(balances, decision.entries)

    assert passed == 2
    assert stands(balances) == ("666.68", "0.00", "0.00", "333.31")


def test_exactly_what_is_available_passes() -> None:
    decisions, after = run(book(), Reserve("r", lines(("CC100", "1000.00"))))

    assert codes(decisions) == ["ok"]
    assert stands(after)[3] == "0.00"


def test_an_order_cheaper_than_requested_frees_the_rest_b3() -> None:
    _, after = run(
        book(), RESERVE_400, Commit("c", lines(("CC100", "400.00")), lines(("CC100", "350.00")))
    )

    assert stands(after) == ("0.00", "350.00", "0.00", "650.00")


@pytest.mark.parametrize(("order", "expected"), [("450.00", "ok"), ("450.01", "budget_exceeded")])
def test_of_an_order_dearer_than_requested_only_the_increase_is_checked_b3(
    order: str, expected: str
) -> None:
    decisions, _ = run(
        book(a_balance(act="550.00")),
        RESERVE_400,
        Commit("c", lines(("CC100", "400.00")), lines(("CC100", order))),
    )

    assert codes(decisions) == ["ok", expected]


def test_an_order_never_relieves_more_than_the_document_has_reserved_b18() -> None:
    _, after = run(
        book(), RESERVE_400, Commit("c", lines(("CC100", "900.00")), lines(("CC100", "100.00")))
    )

    assert stands(after) == ("0.00", "100.00", "0.00", "900.00")


def test_partial_invoices_relieve_at_the_order_price_and_the_difference_hits_actuals_b4() -> None:
    _, after = run(
        book(),
        Reserve("r", lines(("CC100", "500.00"))),
        Commit("c", lines(("CC100", "500.00")), lines(("CC100", "500.00"))),
        Consume("i", lines(("CC100", "200.00")), lines(("CC100", "210.00"))),
    )

    assert stands(after) == ("0.00", "300.00", "210.00", "490.00")


def test_a_debt_is_booked_on_an_exhausted_budget_with_a_warning_b4() -> None:
    decisions, after = run(
        book(a_balance(budget="500.00")),
        Reserve("r", lines(("CC100", "500.00"))),
        Commit("c", lines(("CC100", "500.00")), lines(("CC100", "500.00"))),
        Consume("i", lines(("CC100", "500.00")), lines(("CC100", "510.00"))),
    )

    result = decisions[-1].result
    assert isinstance(result, Consumed)
    assert result.warnings == ("over_budget:CC100",)
    assert stands(after) == ("0.00", "0.00", "510.00", "-10.00")


def test_a_second_invoice_relieves_only_what_is_left_b18() -> None:
    _, after = run(
        book(),
        Reserve("r", lines(("CC100", "100.00"))),
        Commit("c", lines(("CC100", "100.00")), lines(("CC100", "100.00"))),
        Consume("i1", lines(("CC100", "80.00")), lines(("CC100", "80.00"))),
        Consume("i2", lines(("CC100", "30.00")), lines(("CC100", "30.00"))),
    )

    assert stands(after) == ("0.00", "0.00", "110.00", "890.00")


def test_a_credit_note_lowers_actuals_and_revives_no_order_b16() -> None:
    _, after = run(
        book(),
        Reserve("r", lines(("CC100", "500.00"))),
        Commit("c", lines(("CC100", "500.00")), lines(("CC100", "500.00"))),
        Consume("i", lines(("CC100", "500.00")), lines(("CC100", "500.00"))),
        Consume("credit", (), lines(("CC100", "-120.00"))),
    )

    assert stands(after) == ("0.00", "0.00", "380.00", "620.00")


def test_two_cost_centers_one_short_reserves_nothing_b5() -> None:
    decisions, after = run(
        book(a_balance(), a_balance("CC200", "100.00")),
        Reserve("r", lines(("CC100", "200.00"), ("CC200", "100.01"))),
    )

    assert codes(decisions) == ["budget_exceeded"]
    assert decisions[0].entries == ()
    assert decisions[0].shortfalls == (Shortfall("CC200", Decimal("100.01"), Decimal("100.00")),)
    assert stands(after) == ("0.00", "0.00", "0.00", "1000.00")


def test_lines_of_one_key_are_summed_before_they_are_checked_b19() -> None:
    three = lines(("CC100", "30.00"), ("CC100", "30.00"), ("CC100", "30.01"))

    decisions, _ = run(book(a_balance(budget="90.00")), Reserve("r", three))

    assert codes(decisions) == ["budget_exceeded"]


TREE = (
    a_balance("CORP", "500.00"),
    a_balance("DIV", "900.00", parent="CORP"),
    a_balance("CC100", "900.00", parent="DIV"),
    a_balance("CC200", "900.00", parent="DIV"),
)


def test_the_grandparent_is_asked_too_b6() -> None:
    decisions, after = run(book(*TREE), Reserve("r", lines(("CC100", "500.01"))))

    assert codes(decisions) == ["budget_exceeded"]
    assert stands(after, "CORP")[3] == "500.00"


def test_what_is_charged_below_stands_on_every_ancestor_b6() -> None:
    _, after = run(book(*TREE), Reserve("r", lines(("CC100", "200.00"), ("CC200", "100.00"))))

    assert [stands(after, key)[3] for key in ("CC100", "CC200", "DIV", "CORP")] == [
        "700.00",
        "800.00",
        "600.00",
        "200.00",
    ]


def test_moving_a_reservation_below_a_full_ancestor_needs_nothing_of_it() -> None:
    decisions, after = run(
        book(*TREE),
        Reserve("r", lines(("CC100", "500.00"))),
        Adjust("r", lines(("CC200", "500.00"))),
    )

    assert codes(decisions) == ["ok", "ok"]
    assert [stands(after, key)[0] for key in ("CC100", "CC200", "CORP")] == [
        "0.00",
        "500.00",
        "500.00",
    ]


def test_advisory_control_reserves_and_warns_b9() -> None:
    decisions, after = run(
        book(a_balance(budget="100.00", control="advisory")),
        Reserve("r", lines(("CC100", "150.00"))),
    )

    result = decisions[0].result
    assert isinstance(result, Reserved)
    assert result.warnings == ("over_budget:CC100",)
    assert stands(after)[3] == "-50.00"


def test_the_strictest_node_decides_b9() -> None:
    balances = book(
        a_balance("CORP", "120.00"),
        a_balance(budget="100.00", control="advisory", parent="CORP"),
    )

    decisions, _ = run(balances, Reserve("r", lines(("CC100", "150.00"))))

    assert codes(decisions) == ["budget_exceeded"]


@pytest.mark.parametrize(
    ("amount", "expected"), [("10200.01", "budget_exceeded"), ("10200.00", "ok")]
)
def test_the_tolerance_is_the_smaller_of_percentage_and_amount_b10(
    amount: str, expected: str
) -> None:
    balances = book(a_balance(budget="10000.00", tolerance=("5", "200.00")))

    decisions, _ = run(balances, Reserve("r", lines(("CC100", amount))))

    assert codes(decisions) == [expected]


@pytest.mark.parametrize("amount", ["1.00", "0.00"])
def test_a_node_without_budget_fails_closed_whatever_the_amount_b15(amount: str) -> None:
    decisions, _ = run(book(), Reserve("r", lines(("CC999", amount))))

    assert codes(decisions) == ["budget_not_found"]


def test_an_ancestor_without_budget_fails_closed_b15() -> None:
    decisions, _ = run(book(a_balance(parent="CORP")), RESERVE_400)

    assert codes(decisions) == ["budget_not_found"]


def test_release_frees_what_is_left_and_again_nothing_b12() -> None:
    decisions, after = run(book(), RESERVE_400, Release("f"), Release("f"))

    assert decisions[1].result == Released(lines(("CC100", "400.00")))
    assert decisions[2].result == Released()
    assert decisions[2].entries == ()
    assert stands(after) == ("0.00", "0.00", "0.00", "1000.00")


def test_a_cancelled_order_relieves_only_what_it_encumbered_b12_b18() -> None:
    decisions, after = run(
        book(),
        RESERVE_400,
        Commit("c", lines(("CC100", "400.00")), lines(("CC100", "400.00"))),
        Relieve("x", lines(("CC100", "900.00"))),
        Relieve("x", lines(("CC100", "900.00"))),
    )

    assert decisions[2].result == Relieved(lines(("CC100", "400.00")))
    assert decisions[3].result == Relieved()
    assert stands(after) == ("0.00", "0.00", "0.00", "1000.00")


def test_the_same_reservation_again_is_the_same_answer_and_moves_nothing_b2() -> None:
    decisions, after = run(book(), RESERVE_400, RESERVE_400)

    assert decisions[1].result == decisions[0].result
    assert decisions[1].entries == ()
    assert stands(after)[0] == "400.00"


def test_another_reservation_under_a_held_one_is_an_error_b2() -> None:
    decisions, after = run(book(), RESERVE_400, Reserve("r", lines(("CC100", "1.00"))))

    assert codes(decisions) == ["ok", "budget_key_reused"]
    assert stands(after)[0] == "400.00"


def test_of_an_adjustment_only_the_increase_is_checked() -> None:
    decisions, after = run(
        book(a_balance(act="550.00")),
        RESERVE_400,
        Adjust("r", lines(("CC100", "450.00"))),
        Adjust("r", lines(("CC100", "450.01"))),
        Adjust("r", lines(("CC100", "10.00"))),
    )

    assert codes(decisions) == ["ok", "ok", "budget_exceeded", "ok"]
    assert stands(after)[0] == "10.00"


def test_what_frees_budget_passes_on_an_overspent_node() -> None:
    decisions, _ = run(
        book(a_balance(budget="500.00")),
        RESERVE_400,
        Consume("i", (), lines(("CC100", "300.00"))),
        Adjust("r", lines(("CC100", "350.00"))),
    )

    assert codes(decisions) == ["ok", "ok", "ok"]


NEGATIVE = lines(("CC999", "-1.00"))


@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        (Reserve("r", NEGATIVE), "budget_key_reused"),
        (Adjust("r", NEGATIVE), "negative_amount"),
        (Commit("r", NEGATIVE, ()), "negative_amount"),
        (Relieve("r", NEGATIVE), "negative_amount"),
        (Consume("r", NEGATIVE, ()), "negative_amount"),
        (Adjust("r", lines(("CC999", "1.00"), ("CC100", "5000.00"))), "budget_not_found"),
        (Adjust("r", lines(("CC100", "5000.00"))), "budget_exceeded"),
    ],
)
def test_refusals_come_in_their_precedence(effect: BudgetEffect, expected: str) -> None:
    decisions, _ = run(book(), RESERVE_400, effect)

    assert codes(decisions)[1] == expected
    assert decisions[1].entries == ()
    assert decisions[1].holding == decisions[0].holding


def test_the_nodes_to_lock_are_those_named_and_those_held() -> None:
    held = DocumentHolding(pre={"CC100": Decimal(1)}, enc={"CC200": Decimal(1)})

    nodes = nodes_of(Adjust("r", lines(("CC300", "1.00"))), held)

    assert nodes == {"CC100", "CC200", "CC300"}
