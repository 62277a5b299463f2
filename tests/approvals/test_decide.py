"""The approval decision, by values: one row per refusal, in their precedence."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quaestor.approvals.decide import (
    Approved,
    Decision,
    Declined,
    Insufficient,
    Undecided,
    VoteFinding,
    decide,
)
from quaestor.approvals.snapshot import ApprovalPolicy, ApprovalSnapshot
from quaestor.model.approval import ApprovalDecision, ApprovalEvidence
from quaestor.model.employee import Delegation, Directory, Employee
from quaestor.model.rates import Rate, Rates

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HASH = "a" * 64


def lent(to: str, **changes: Any) -> Delegation:
    """On the day of `NOW`."""
    given = Delegation(to, NOW - timedelta(hours=9), NOW + timedelta(hours=15))
    return msgspec.structs.replace(given, **changes)


PEOPLE = (
    Employee("ana", "Ana", manager="ben", delegations=(lent("ben"),)),
    Employee("ben", "Ben", manager="cleo", limit=Decimal(1000), delegations=(lent("cleo"),)),
    Employee("cleo", "Cleo", limit=None, delegations=(lent("ben"), lent("ana"))),
    Employee("dora", "Dora", limit=Decimal(5000), limit_currency="USD"),
    Employee("emil", "Emil", limit=Decimal(9000), limit_currency="GBP"),
    Employee("fritz", "Fritz", limit=None, entities=("FR01",)),
    Employee("gone", "Gone", limit=None, active=False),
)


def vote(approver: str, verdict: Any = "approved", on_behalf_of: str | None = None) -> Any:
    return ApprovalDecision(approver, verdict, NOW, on_behalf_of)


def evidence(
    *votes: ApprovalDecision,
    decided_by: str = "workday",
    content_hash: str | None = HASH,
    version: int | None = 1,
) -> ApprovalEvidence:
    return ApprovalEvidence(decided_by, votes, content_hash, version)


def snapshot(given: ApprovalEvidence | None, **changes: Any) -> ApprovalSnapshot:
    """A requisition of 1,000.00 EUR by ana, to be decided in workday."""
    base = ApprovalSnapshot(
        policy=ApprovalPolicy(decider="workday"),
        entity="DE01",
        base_currency="EUR",
        amount=Decimal("1000.00"),
        currency="EUR",
        on=date(2026, 3, 2),
        version=1,
        content_hash=HASH,
        interested=frozenset({"ana"}),
        directory=Directory({person.id: person for person in PEOPLE}),
        rates=Rates({("EUR", "USD"): (Rate("EUR", "USD", date(2026, 1, 1), Decimal("1.25")),)}),
        evidence=given,
    )
    return msgspec.structs.replace(base, **changes)


def failed(decision: Decision) -> str:
    assert isinstance(decision, Insufficient), decision
    assert decision.refusal.code == "approval_evidence_insufficient"
    assert decision.refusal.owner == "finance"
    return decision.refusal.details["failed"]


def test_a_manager_within_his_authority_approves_and_the_evidence_says_who() -> None:
    decision = decide(snapshot(evidence(vote("ben"))))

    assert decision == Approved((VoteFinding("ben", "ben", "satisfies"),))


@pytest.mark.parametrize("given", [None, evidence()])
def test_without_a_vote_nothing_is_decided(given: ApprovalEvidence | None) -> None:
    assert decide(snapshot(given)) == Undecided()


# Each row also breaks every rule below it, so that only the precedence can tell them apart.
BELOW = (vote("ben"),)
STALE = Directory({person.id: person for person in PEOPLE}, stale=True)
OTHER = {"content_hash": "b" * 64, "version": 2}
PRECEDENCE = [
    ("other_decider", evidence(vote("ana", "rejected"), decided_by="slack", **OTHER), {}),
    ("other_content", evidence(vote("ana", "rejected"), vote("ana"), **OTHER), {}),
    ("content_unknown", evidence(vote("ana"), vote("nobody"), content_hash=None, version=None), {}),
    ("directory_stale", evidence(vote("ana"), vote("cleo")), {"directory": STALE}),
    ("nobody_independent", evidence(vote("ana"), vote("nobody"), vote("gone")), {}),
    ("approver_unknown", evidence(vote("nobody"), vote("gone")), {}),
    ("approver_inactive", evidence(vote("gone")), {}),
    ("delegation_missing", evidence(vote("ben", on_behalf_of="emil")), {}),
    ("rate_missing", evidence(vote("emil"), vote("ben")), {"amount": Decimal("1000.01")}),
    ("authority_below_amount", evidence(*BELOW), {"amount": Decimal("1000.01")}),
]


@pytest.mark.parametrize(("expected", "given", "changes"), PRECEDENCE)
def test_insufficient_evidence_is_named_in_its_precedence(
    expected: str, given: ApprovalEvidence, changes: dict[str, Any]
) -> None:
    assert failed(decide(snapshot(given, **changes))) == expected


def test_a_rejection_stands_whoever_else_approved() -> None:
    decision = decide(snapshot(evidence(vote("cleo"), vote("ben", "rejected"))))

    assert isinstance(decision, Declined)
    assert decision.refusal.code == "approval_rejected"
    assert decision.refusal.details["approvers"] == "ben"


def test_a_rejection_needs_no_proof_of_its_content() -> None:
    given = evidence(vote("nobody", "rejected"), content_hash=None, version=None)

    assert isinstance(decide(snapshot(given)), Declined)


def test_a_vote_on_other_content_says_nothing_not_even_no() -> None:
    given = evidence(vote("ben", "rejected"), **OTHER)

    assert failed(decide(snapshot(given))) == "other_content"


@pytest.mark.parametrize(
    ("content_hash", "version", "is_same"),
    [(HASH, 9, True), (HASH, None, True), (None, 1, True), (None, 2, False), ("b" * 64, 1, False)],
)
def test_the_hash_is_the_better_witness_than_the_version(
    content_hash: str | None, version: int | None, is_same: bool
) -> None:
    given = evidence(vote("ben"), content_hash=content_hash, version=version)

    assert isinstance(decide(snapshot(given)), Approved) is is_same


@pytest.mark.parametrize(("amount", "is_approved"), [("1000.00", True), ("1000.01", False)])
def test_authority_is_inclusive_a3(amount: str, is_approved: bool) -> None:
    decision = decide(snapshot(evidence(vote("ben")), amount=Decimal(amount)))

    assert isinstance(decision, Approved) is is_approved


@pytest.mark.parametrize(("amount", "is_approved"), [("4000.00", True), ("4000.01", False)])
def test_a_limit_in_another_currency_is_compared_at_the_rate_of_the_day_a4(
    amount: str, is_approved: bool
) -> None:
    decision = decide(snapshot(evidence(vote("dora")), amount=Decimal(amount)))

    assert isinstance(decision, Approved) is is_approved


def test_authority_without_limit_reaches_every_amount() -> None:
    decision = decide(snapshot(evidence(vote("cleo")), amount=Decimal("99999999999.00")))

    assert isinstance(decision, Approved)


def test_authority_in_another_entity_is_none_here_a30() -> None:
    assert failed(decide(snapshot(evidence(vote("fritz"))))) == "authority_below_amount"


def test_small_votes_do_not_add_up_to_authority_i17() -> None:
    given = evidence(vote("ben"), vote("dora"))

    assert failed(decide(snapshot(given, amount=Decimal("4500.00")))) == "authority_below_amount"


def test_one_good_vote_is_enough_beside_votes_that_do_not_count() -> None:
    decision = decide(snapshot(evidence(vote("ana"), vote("gone"), vote("nobody"), vote("ben"))))

    assert isinstance(decision, Approved)
    assert [finding.standing for finding in decision.votes] == [
        "interested",
        "approver_inactive",
        "approver_unknown",
        "satisfies",
    ]


def test_a_delegate_lends_his_hand_the_authority_is_the_delegators_a15() -> None:
    given = evidence(vote("ben", on_behalf_of="cleo"))

    decision = decide(snapshot(given, amount=Decimal("500000.00")))

    assert decision == Approved((VoteFinding("ben", "cleo", "satisfies"),))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (vote("ana", on_behalf_of="cleo"), "nobody_independent"),
        (vote("ben", on_behalf_of="ana"), "nobody_independent"),
        (vote("ben", on_behalf_of="nobody"), "approver_unknown"),
        (vote("ben", on_behalf_of="gone"), "approver_inactive"),
        (vote("cleo", on_behalf_of="ben"), "authority_below_amount"),
    ],
)
def test_a_delegation_carries_no_interested_unknown_or_smaller_authority_a15(
    given: ApprovalDecision, expected: str
) -> None:
    decision = decide(snapshot(evidence(given), amount=Decimal("1000.01")))

    assert failed(decision) == expected


@pytest.mark.parametrize(
    ("known", "is_counted"),
    [
        ((), False),
        ((lent("dora"),), False),
        ((lent("ben"),), True),
        ((lent("ben", start=NOW),), True),
        ((lent("ben", end=NOW),), False),
        ((lent("ben", start=NOW + timedelta(seconds=1)),), False),
        ((lent("ben", max_amount=Decimal("1000.00")),), True),
        ((lent("ben", max_amount=Decimal("999.99")),), False),
        ((lent("ben", max_amount=Decimal(1)), lent("ben")), True),
    ],
)
def test_a_delegation_counts_where_our_directory_knows_it_for_that_instant_and_amount(
    known: tuple[Delegation, ...], is_counted: bool
) -> None:
    people = {person.id: person for person in PEOPLE}
    people["cleo"] = msgspec.structs.replace(people["cleo"], delegations=known)
    given = evidence(vote("ben", on_behalf_of="cleo"))

    decision = decide(snapshot(given, directory=Directory(people)))

    assert isinstance(decision, Approved) is is_counted
    assert is_counted or failed(decision) == "delegation_missing"


def test_what_is_lent_is_not_lent_on() -> None:
    people = {person.id: person for person in PEOPLE}
    people["dora"] = msgspec.structs.replace(people["dora"], delegations=(lent("cleo"),))
    given = evidence(vote("ben", on_behalf_of="dora"))

    decision = decide(snapshot(given, directory=Directory(people)))

    assert failed(decision) == "delegation_missing"


def test_without_a_declared_decider_evidence_of_any_system_is_held_to_the_minimum() -> None:
    anywhere = ApprovalPolicy(decider=None)

    decision = decide(snapshot(evidence(vote("ben"), decided_by="slack"), policy=anywhere))

    assert isinstance(decision, Approved)


def test_relay_takes_the_deciders_verdict_as_it_is_but_not_on_other_content() -> None:
    relay = ApprovalPolicy(decider="workday", mode="relay")

    unchecked = decide(snapshot(evidence(vote("nobody")), policy=relay))
    other = decide(snapshot(evidence(vote("nobody"), **OTHER), policy=relay))

    assert isinstance(unchecked, Approved)
    assert failed(other) == "other_content"


votes_of_anybody = st.builds(
    vote,
    st.sampled_from([person.id for person in PEOPLE] + ["nobody"]),
    st.sampled_from(["approved", "approved", "approved", "rejected"]),
    st.none() | st.sampled_from([person.id for person in PEOPLE] + ["nobody"]),
)


@given(
    votes=st.lists(votes_of_anybody, max_size=5),
    interested=st.frozensets(st.sampled_from([person.id for person in PEOPLE]), max_size=4),
    amount=st.decimals(min_value=0, max_value=20000, places=2),
)
def test_what_is_approved_has_an_independent_known_authority_for_the_amount_i15_i17(
    votes: list[ApprovalDecision], interested: frozenset[str], amount: Decimal
) -> None:
    decision = decide(snapshot(evidence(*votes), interested=interested, amount=amount))

    if isinstance(decision, Approved):
        assert any(_is_good(each, interested, amount) for each in votes)
        assert not any(each.verdict == "rejected" for each in votes)


_LENT = {"ana": ("ben",), "ben": ("cleo",), "cleo": ("ana", "ben")}


def _is_good(each: ApprovalDecision, interested: Iterable[str], amount: Decimal) -> bool:
    """An oracle of its own, in the plainest words."""
    directory = {person.id: person for person in PEOPLE}
    holder = each.on_behalf_of or each.approver
    if {holder, each.approver} & set(interested):
        return False
    if not all(name in directory and directory[name].active for name in (holder, each.approver)):
        return False
    if holder != each.approver and each.approver not in _LENT.get(holder, ()):
        return False
    if holder == "fritz":
        return amount == 0
    limit = {"ana": 0, "ben": 1000, "dora": 4000}.get(holder)
    return holder == "cleo" or (limit is not None and amount <= limit)
