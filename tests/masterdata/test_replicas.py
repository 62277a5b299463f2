"""Replicas as values: what differs, what is not let in, and whose word holds."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from quaestor.masterdata.replicas import (
    Difference,
    difference,
    load_refused,
    logins_with,
    people_with,
    suppliers_with,
)
from quaestor.model.employee import Employee
from quaestor.model.replica import PersonRow, Replica, ReplicaRow, SupplierRow
from quaestor.model.supplier import Supplier

AS_OF = datetime(2026, 11, 20, tzinfo=UTC)


def rows(*given: ReplicaRow) -> dict[str, ReplicaRow]:
    return {row.id: row for row in given}


def people(count: int, *, active: bool = True) -> dict[str, ReplicaRow]:
    return rows(*(PersonRow(f"{n:03}", f"Person {n}", active=active) for n in range(count)))


def a_replica(*given: ReplicaRow) -> Replica:
    return Replica("workday", 1, AS_OF, rows(*given))


ANN, BEN, CY = PersonRow("1", "Ann", manager="2"), PersonRow("2", "Ben"), PersonRow("3", "Cy")
DIFFERENCES = [
    ("nothing", rows(ANN), rows(ANN), Difference()),
    ("somebody new", rows(ANN), rows(ANN, CY), Difference(added=("3",))),
    ("somebody gone", rows(ANN, CY), rows(ANN), Difference(removed=("3",))),
    ("another name", rows(CY), rows(replace(CY, name="Cyn")), Difference(changed=("3",))),
    ("the first load", {}, rows(CY, ANN), Difference(added=("1", "3"))),
]


@pytest.mark.parametrize(
    ("before", "after", "found"), [row[1:] for row in DIFFERENCES], ids=[r[0] for r in DIFFERENCES]
)
def test_a_difference_names_what_is_new_other_or_gone(
    before: dict[str, ReplicaRow], after: dict[str, ReplicaRow], found: Difference
) -> None:
    assert difference(before, after) == found


SHRUNK, CIRCLE = "directory_shrink_guard", "hierarchy_cycle"
LOADS = [
    ("the first load", {}, people(3), True, ""),
    ("as many as before", people(100), people(100), True, ""),
    ("nine of a hundred fewer", people(100), people(91), True, ""),
    ("a tenth fewer", people(100), people(90), True, SHRUNK),
    ("nobody any more", people(100), {}, True, SHRUNK),
    ("all there and inactive", people(100), people(100, active=False), True, SHRUNK),
    ("few changes are not a load", people(100), people(90), False, ""),
    ("a tenth fewer suppliers", rows(SupplierRow("1", "S")), {}, True, SHRUNK),
    ("his own manager", {}, rows(PersonRow("1", "A", manager="1")), True, CIRCLE),
    ("each other's", rows(ANN, BEN), rows(ANN, replace(BEN, manager="1")), False, CIRCLE),
    ("a manager who is not there", {}, rows(ANN), True, ""),
]


@pytest.mark.parametrize(
    ("before", "after", "whole", "code"), [row[1:] for row in LOADS], ids=[row[0] for row in LOADS]
)
def test_a_load_that_may_be_a_mistake_is_not_let_in(
    before: dict[str, ReplicaRow], after: dict[str, ReplicaRow], whole: bool, code: str
) -> None:
    refusal = load_refused(before, after, whole=whole)

    assert (refusal.code if refusal else "") == code


def test_a_circle_is_told_with_the_people_in_it() -> None:
    given = rows(ANN, replace(BEN, manager="3"), replace(CY, manager="1"), PersonRow("0", "Z"))

    refusal = load_refused({}, given, whole=True)

    assert refusal is not None
    assert refusal.details == {"people": "1 → 2 → 3 → 1", "length": "3"}


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")))
def test_what_is_let_in_has_an_end_above_everybody(managers: dict[str, str]) -> None:
    given_rows = rows(*(PersonRow(one, one, manager=above) for one, above in managers.items()))

    refusal = load_refused({}, given_rows, whole=True)

    ends = all(_ends(managers, start) for start in managers)
    assert (refusal is None) == ends


def _ends(managers: dict[str, str], start: str) -> bool:
    at: str | None = start
    for _ in range(len(managers) + 1):
        at = managers.get(at) if at else None
    return at is None


ANA = Employee("ana", "Ana", "ben", identities={"workday": "1", "coupa": "ana"})
BOSS = Employee("ben", "Ben", limit=Decimal(100), roles=("cfo",), identities={"workday": "2"})
OWN = {"ana": ANA, "ben": BOSS}


def test_the_owner_says_names_managers_and_who_is_active_and_we_the_authority() -> None:
    replica = a_replica(PersonRow("1", "Ana Berger", manager="2", active=False), BEN)

    found = people_with(replica, OWN)

    assert found["ana"] == replace(ANA, name="Ana Berger", manager="ben", active=False)
    assert found["ben"] == BOSS


def test_whom_the_owner_does_not_have_is_inactive() -> None:
    found = people_with(a_replica(BEN), OWN)

    assert (found["ana"].active, found["ben"].active) == (False, True)


def test_somebody_new_has_no_authority_and_is_known_by_his_identity() -> None:
    found = people_with(a_replica(*rows(ANN, BEN).values(), PersonRow("9", "Cy", manager="1")), OWN)

    assert found["9"] == Employee("9", "Cy", "ana", Decimal(0), identities={"workday": "9"})


def test_somebody_new_never_takes_the_id_of_a_person_of_ours() -> None:
    found = people_with(a_replica(PersonRow("ben", "Ben Other")), OWN)

    assert found["ben"].active is False
    assert found["workday:ben"].name == "Ben Other"


def test_a_field_that_another_owns_is_kept() -> None:
    replica = a_replica(PersonRow("1", "Ana Berger", active=False), BEN)

    found = people_with(replica, OWN, kept={"manager", "name"})

    assert found["ana"] == replace(ANA, active=False)


def test_logins_are_those_of_the_system_that_owns_them() -> None:
    users = Replica("coupa", 1, AS_OF, rows(PersonRow("1", "", login="ana.b"), PersonRow("7", "")))

    found = logins_with(users, OWN, "workday")

    assert found["ana"].identities == {"workday": "1", "coupa": "ana.b"}
    assert found["ben"] == BOSS


HELIO = Supplier("helio", "Helio", entities=("de",), country="DE", payment_terms="net-14")
CODES = {("supplier", "S1"): "helio", ("supplier", "S2"): "new", ("payment_terms", "N30"): "net-30"}


def _ours(kind: str, theirs: str) -> str | None:
    return CODES.get((kind, theirs))


SUPPLIERS: list[tuple[str, SupplierRow, frozenset[str], dict[str, Supplier]]] = [
    ("known", SupplierRow("S1", "Helio"), frozenset(), {"helio": HELIO}),
    (
        "blocked, with other terms",
        SupplierRow("S1", "Helio AG", active=False, payment_terms="N30"),
        frozenset(),
        {"helio": replace(HELIO, name="Helio AG", status="blocked", payment_terms="net-30")},
    ),
    (
        "blocked, and that is ours to say",
        SupplierRow("S1", "Helio", active=False),
        frozenset({"status"}),
        {"helio": HELIO},
    ),
    (
        "terms that no crosswalk knows",
        SupplierRow("S1", "Helio", payment_terms="N99"),
        frozenset(),
        {"helio": HELIO},
    ),
    ("approved for nobody", SupplierRow("S2", "New"), frozenset(), {"new": Supplier("new", "New")}),
    ("without a code of ours", SupplierRow("S3", "Other"), frozenset(), {}),
]


@pytest.mark.parametrize(
    ("row", "kept", "found"), [case[1:] for case in SUPPLIERS], ids=[case[0] for case in SUPPLIERS]
)
def test_a_supplier_is_as_its_owner_says(
    row: SupplierRow, kept: frozenset[str], found: dict[str, Supplier]
) -> None:
    replica = Replica("coupa", 1, AS_OF, rows(row))

    assert suppliers_with(replica, {"helio": HELIO}, _ours, kept) == found
