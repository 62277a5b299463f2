"""Laws of the budget, on random histories of many documents over a tree of nodes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from quaestor.budget.balance import Balance, BudgetLoad, DocumentHolding, LedgerEntry, apply, loaded
from quaestor.budget.decide import decide
from quaestor.budget.effects import (
    Adjust,
    BudgetEffect,
    BudgetLine,
    Commit,
    Consume,
    Release,
    Relieve,
    Reserve,
    StatedBudget,
)
from quaestor.model.budget import BudgetNode
from quaestor.model.refusal import Refused

NOW = datetime(2026, 3, 2, tzinfo=UTC)
NODES = (
    BudgetNode("corp", "DE01", Decimal("900.00"), tolerance_pct=Decimal(1)),
    BudgetNode("div", "DE01", Decimal("700.00"), parent="corp"),
    BudgetNode("cc1", "DE01", Decimal("400.00"), parent="div"),
    BudgetNode("cc2", "DE01", Decimal("400.00"), parent="div", tolerance_amount=Decimal("7.77")),
    BudgetNode("cc3", "DE01", Decimal("50.00"), control="advisory", parent="corp"),
)
BELOW = {
    "corp": {"corp", "div", "cc1", "cc2", "cc3"},
    "div": {"div", "cc1", "cc2"},
    "cc1": {"cc1"},
    "cc2": {"cc2"},
    "cc3": {"cc3"},
}

documents = st.sampled_from(["R1", "R2", "R3", "R4"])
amounts = st.decimals(min_value=0, max_value=500, places=2)
some_lines = st.lists(
    st.builds(BudgetLine, st.sampled_from(["cc1", "cc2", "cc3", "div"]), amounts), max_size=4
).map(tuple)
statements = st.lists(
    st.builds(
        StatedBudget,
        st.sampled_from(["cc1", "corp"]),
        st.decimals(min_value=-10, max_value=1000, places=2),
        st.sampled_from([0, 30, 60]).map(lambda age_s: NOW - timedelta(seconds=age_s)),
        st.just("planning"),
    ),
    max_size=2,
    unique_by=lambda stated: stated.node,
).map(tuple)


class BudgetLedger(RuleBasedStateMachine):
    """What the runtime's ledger does: decide in order on running balances, keep every entry."""

    def __init__(self) -> None:
        super().__init__()
        self.balances = {node.key: Balance(node) for node in NODES}
        self.held = {name: DocumentHolding() for name in ("R1", "R2", "R3", "R4")}
        self.entries: list[LedgerEntry] = []
        self.loads: list[BudgetLoad] = []
        self.is_in_debt = False

    def carry_out(self, document: str, effect: BudgetEffect) -> None:
        held = self.held[document]
        decision = decide(self.balances, held, effect, as_of=NOW)
        self.loads.extend(decision.loads)
        before = dict(loaded(self.balances, decision.loads))
        self.balances = apply(before, decision.entries)
        self.held[document] = decision.holding
        self.entries.extend(decision.entries)
        if isinstance(decision.result, Refused):
            assert self.balances == before
            assert decision.holding == held
        elif not isinstance(effect, Consume):
            for key, each in self.balances.items():
                if each.available < before[key].available and each.node.control == "absolute":
                    assert each.available >= 0, f"{effect} overspent {key}"
        if isinstance(effect, Consume):
            self.is_in_debt |= any(
                each.available < 0 and each.node.control == "absolute"
                for each in self.balances.values()
            )

    @rule(document=documents, lines=some_lines)
    def reserves(self, document: str, lines: tuple[BudgetLine, ...]) -> None:
        self.carry_out(document, Reserve("r", lines))

    @rule(document=documents, lines=some_lines)
    def adjusts(self, document: str, lines: tuple[BudgetLine, ...]) -> None:
        self.carry_out(document, Adjust("r", lines))

    @rule(document=documents, lines=some_lines, stated=statements)
    def reserves_against_what_is_stated(
        self, document: str, lines: tuple[BudgetLine, ...], stated: tuple[StatedBudget, ...]
    ) -> None:
        self.carry_out(document, Adjust("r", lines, stated))

    @rule(document=documents, relieves=some_lines, lines=some_lines)
    def commits(
        self,
        document: str,
        relieves: tuple[BudgetLine, ...],
        lines: tuple[BudgetLine, ...],
    ) -> None:
        self.carry_out(document, Commit("c", relieves, lines))

    @rule(document=documents, lines=some_lines)
    def relieves(self, document: str, lines: tuple[BudgetLine, ...]) -> None:
        self.carry_out(document, Relieve("x", lines))

    @rule(document=documents)
    def releases(self, document: str) -> None:
        self.carry_out(document, Release("f"))

    @rule(document=documents, relieves=some_lines, actuals=some_lines)
    def consumes(
        self,
        document: str,
        relieves: tuple[BudgetLine, ...],
        actuals: tuple[BudgetLine, ...],
    ) -> None:
        self.carry_out(document, Consume("i", relieves, actuals))

    @invariant()
    def a_budget_is_what_was_loaded_and_never_by_an_older_statement(self) -> None:
        for node in NODES:
            loads = [load for load in self.loads if load.node == node.key]
            changed = sum((load.change for load in loads), node.amount)
            assert self.balances[node.key].node.amount == changed
            assert [load.as_of for load in loads] == sorted(load.as_of for load in loads)

    @invariant()
    def nothing_but_a_debt_overspends(self) -> None:
        if not self.is_in_debt:
            for each in self.balances.values():
                assert each.available >= 0 or each.node.control == "advisory"

    @invariant()
    def no_reservation_and_no_encumbrance_is_negative(self) -> None:
        for held in self.held.values():
            assert all(amount > 0 for amount in (*held.pre.values(), *held.enc.values()))
        for each in self.balances.values():
            assert each.stands.pre >= 0
            assert each.stands.enc >= 0

    @invariant()
    def a_balance_is_the_sum_of_its_entries(self) -> None:
        for key, each in self.balances.items():
            own = [entry for entry in self.entries if entry.node == key]
            assert each.stands.pre == sum((entry.pre for entry in own), Decimal(0))
            assert each.stands.enc == sum((entry.enc for entry in own), Decimal(0))
            assert each.stands.act == sum((entry.act for entry in own), Decimal(0))

    @invariant()
    def a_balance_is_what_documents_hold_on_the_node_and_below(self) -> None:
        for key, each in self.balances.items():
            for column in ("pre", "enc", "act"):
                held = sum(
                    (
                        amount
                        for document in self.held.values()
                        for node, amount in getattr(document, column).items()
                        if node in BELOW[key]
                    ),
                    Decimal(0),
                )
                assert getattr(each.stands, column) == held


TestBudgetLedger = BudgetLedger.TestCase
TestBudgetLedger.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
