"""Which budget a split charges, and with how much."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec
import pytest

from quaestor.budget.effects import BudgetLine
from quaestor.budget.keys import BudgetPolicy, charge
from quaestor.model.calendar import Calendar, Period
from quaestor.model.coding import Coding, Split
from quaestor.model.entity import Entity
from quaestor.model.rates import Rate, Rates
from quaestor.model.refusal import Refusal

ENTITY = Entity("UK01", "UK Ltd", "USD", "Europe/London", {}, "central", "it")
APRIL = Calendar("april", first_month=4)
DAY = date(2026, 3, 31)
RATES = Rates({("EUR", "USD"): (Rate("EUR", "USD", date(2026, 1, 1), Decimal("1.105")),)})


def a_split(amount: str, cost_center: str = "CC100", account: str = "615000") -> Split:
    return Split(Coding(cost_center, account), Decimal(amount))


def charged(
    *splits: Split,
    currency: str = "USD",
    on: date = DAY,
    calendar: Calendar = APRIL,
    policy: BudgetPolicy | None = None,
) -> tuple[BudgetLine, ...] | Refusal:
    return charge(
        splits,
        currency,
        entity=ENTITY,
        calendar=calendar,
        on=on,
        rates=RATES,
        policy=policy or BudgetPolicy(),
    )


def amount_of(found: tuple[BudgetLine, ...] | Refusal) -> Decimal:
    assert isinstance(found, tuple)
    return sum((line.amount for line in found), Decimal(0))


def test_the_node_is_entity_fiscal_year_cost_center_and_account() -> None:
    assert charged(a_split("1.00")) == (BudgetLine("UK01/2026/CC100/615000", Decimal("1.00")),)


def test_the_fiscal_year_turns_by_the_entitys_own_calendar() -> None:
    assert charged(a_split("1.00"), on=date(2026, 4, 1)) == (
        BudgetLine("UK01/2027/CC100/615000", Decimal("1.00")),
    )


def test_accounts_are_gathered_under_a_budgeted_one_and_summed_in_key_order() -> None:
    policy = BudgetPolicy(budget_accounts={"615000": "IT", "615100": "IT"})

    found = charged(
        a_split("2.00", account="615100"),
        a_split("1.00"),
        a_split("5.00", account="400000"),
        policy=policy,
    )

    assert found == (
        BudgetLine("UK01/2026/CC100/400000", Decimal("5.00")),
        BudgetLine("UK01/2026/CC100/IT", Decimal("3.00")),
    )


def test_a_budget_may_be_kept_per_cost_center_alone() -> None:
    policy = BudgetPolicy(by_account=False)

    found = charged(a_split("1.00", account=""), a_split("2.00"), policy=policy)

    assert found == (BudgetLine("UK01/2026/CC100", Decimal("3.00")),)


def test_another_currency_is_converted_at_the_rate_of_the_day_half_up_b8() -> None:
    found = charged(a_split("904.98"), currency="EUR")

    assert found == (BudgetLine("UK01/2026/CC100/615000", Decimal("1000.00")),)


def test_parts_charge_together_what_the_whole_charges() -> None:
    splits = (a_split("0.35"), a_split("0.35"), a_split("0.35"))

    whole = amount_of(charged(*splits, currency="EUR"))
    parts = [amount_of(charged(split, currency="EUR")) for split in splits]

    assert whole == sum(parts)


@pytest.mark.parametrize(
    ("split", "currency", "calendar", "code"),
    [
        (a_split("1.00", cost_center=""), "USD", APRIL, "budget_not_found"),
        (a_split("1.00", account=""), "USD", APRIL, "budget_not_found"),
        (
            a_split("1.00"),
            "USD",
            Calendar("none", periods=(Period(2020, 1, date(2020, 1, 1), date(2020, 1, 31)),)),
            "budget_not_found",
        ),
        (a_split("1.00"), "GBP", APRIL, "fx_rate_missing"),
    ],
)
def test_what_cannot_be_charged_is_refused_never_left_unchecked(
    split: Split, currency: str, calendar: Calendar, code: str
) -> None:
    found = charged(split, currency=currency, calendar=calendar)

    assert isinstance(found, Refusal)
    assert found.code == code


def test_the_policy_refuses_a_field_it_does_not_know() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"by_acount": True}, BudgetPolicy)
