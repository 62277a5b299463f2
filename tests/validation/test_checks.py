"""The checks of a requisition on replicas, by values, in their precedence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quaestor.model.coding import Coding, Split
from quaestor.model.entity import Entity
from quaestor.model.requisition import Requisition, RequisitionLine
from quaestor.model.supplier import Supplier
from quaestor.validation.checks import (
    CHECKS,
    CheckVerdict,
    ValidationFacts,
    first_obstacle,
    validate,
)
from quaestor.validation.facts import (
    ChartReplica,
    CostCenter,
    GlAccount,
    SupplierReplica,
    ValidationPolicy,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TODAY = date(2026, 3, 2)
ENTITY = Entity("DE01", "DE", "EUR", "Europe/Berlin", {}, "central", "it")


def a_line(
    number: int = 1,
    *,
    supplier: str = "acme",
    cost_center: str = "CC100",
    account: str = "615000",
    amount: str = "10.00",
) -> RequisitionLine:
    split = Split(Coding(cost_center, account), Decimal(amount))
    return RequisitionLine(
        number, "Pen", supplier, Decimal(1), "EA", Decimal(amount), Decimal(amount), (split,)
    )


def a_requisition(*lines: RequisitionLine, **changes: Any) -> Requisition:
    given = lines or (a_line(),)
    total = sum((line.amount for line in given), Decimal(0))
    made = Requisition(
        "coupa", "1", "REQ-1", 1, "DE01", "ana", "EUR", total, given, submitted_at=NOW
    )
    return msgspec.structs.replace(made, **changes)


SUPPLIERS = {
    "acme": Supplier("acme", "Acme", entities=("DE01",)),
    "bad": Supplier("bad", "Bad", status="blocked", entities=("DE01",)),
    "far": Supplier("far", "Far", entities=("FR01",)),
}
CENTERS = (
    CostCenter("CC100", "DE01"),
    CostCenter("CC200", "DE01", open_to=TODAY - timedelta(days=1)),
    CostCenter("CC300", "DE01", open_from=TODAY + timedelta(days=1)),
    CostCenter("CC400", "DE01", open_from=TODAY, open_to=TODAY, accounts=("615000",)),
    CostCenter("CC100", "FR01"),
    CostCenter("CC900", "FR01"),
)
ACCOUNTS = (
    GlAccount("615000"),
    GlAccount("400000", entities=("FR01",)),
    GlAccount("700000", open_to=TODAY - timedelta(days=1)),
    GlAccount("615100"),
)


def facts(**changes: Any) -> ValidationFacts:
    known = ValidationFacts(
        now=NOW,
        policy=ValidationPolicy(),
        entity=ENTITY,
        suppliers=SupplierReplica(SUPPLIERS, NOW - timedelta(hours=1)),
        chart=ChartReplica(
            {(each.entity, each.id): each for each in CENTERS},
            {each.id: each for each in ACCOUNTS},
            NOW - timedelta(hours=2),
        ),
    )
    return msgspec.structs.replace(known, **changes)


def found(requisition: Requisition, **changes: Any) -> list[CheckVerdict]:
    return [v for v in validate(requisition, facts(**changes)) if v.verdict != "pass"]


def code_of(requisition: Requisition, **changes: Any) -> str:
    refusal = first_obstacle(validate(requisition, facts(**changes)))
    return refusal.code if refusal else "pass"


def test_a_good_requisition_passes_each_check_as_of_its_replica() -> None:
    verdicts = validate(a_requisition(), facts())

    assert [(v.check, v.verdict) for v in verdicts] == [(check.name, "pass") for check in CHECKS]
    assert [v.as_of for v in verdicts] == [
        NOW,
        NOW,
        NOW - timedelta(hours=1),
        NOW - timedelta(hours=2),
    ]
    assert first_obstacle(verdicts) is None


# Each row also breaks what stands below it, so that only the precedence can tell them apart.
WORST = a_line(supplier="nobody", cost_center="CC999")
PRECEDENCE: list[tuple[str, Requisition, Mapping[str, Any]]] = [
    ("total_mismatch", a_requisition(WORST, total=Decimal(1)), {"entity": None}),
    ("entity_unknown", a_requisition(WORST), {"entity": None}),
    ("supplier_unknown", a_requisition(WORST), {}),
    ("supplier_blocked", a_requisition(a_line(supplier="bad", cost_center="CC999")), {}),
    ("supplier_not_approved", a_requisition(a_line(supplier="far", cost_center="CC999")), {}),
    (
        "invalid_account_combination",
        a_requisition(a_line(cost_center="CC999")),
        {"suppliers": None},
    ),
    ("check_unknown", a_requisition(), {"suppliers": None}),
]


@pytest.mark.parametrize(("expected", "requisition", "changes"), PRECEDENCE)
def test_the_first_refusal_stands_for_the_whole_and_unknown_comes_last(
    expected: str, requisition: Requisition, changes: Mapping[str, Any]
) -> None:
    assert code_of(requisition, **changes) == expected


@pytest.mark.parametrize(
    ("cost_center", "account", "closed"),
    [
        ("CC100", "615000", None),
        ("CC999", "615000", "cost_center"),
        ("CC900", "615000", "cost_center"),
        ("CC200", "615000", "cost_center"),
        ("CC300", "615000", "cost_center"),
        ("CC100", "999999", "gl_account"),
        ("CC100", "400000", "gl_account"),
        ("CC100", "700000", "gl_account"),
        ("CC400", "615000", None),
        ("CC400", "615100", "combination"),
    ],
)
def test_a_coding_must_be_open_and_allowed_in_the_entity_n57(
    cost_center: str, account: str, closed: str | None
) -> None:
    verdicts = found(a_requisition(a_line(cost_center=cost_center, account=account)))

    assert [v.refusal.details["closed"] for v in verdicts if v.refusal] == (
        [closed] if closed else []
    )


def test_every_fault_is_reported_with_its_line() -> None:
    requisition = a_requisition(
        a_line(1, supplier="bad"), a_line(2, supplier="far"), a_line(3, cost_center="CC200")
    )

    verdicts = found(requisition)

    assert [(v.check, v.line) for v in verdicts] == [
        ("supplier", 1),
        ("supplier", 2),
        ("coding", 3),
    ]


@pytest.mark.parametrize(("age_s", "verdict"), [(3600, "pass"), (3599, "unknown")])
def test_a_replica_may_be_exactly_as_old_as_allowed(age_s: int, verdict: str) -> None:
    policy = ValidationPolicy(supplier_max_age_s=age_s)

    verdicts = {v.check: v for v in validate(a_requisition(), facts(policy=policy))}

    assert verdicts["supplier"].verdict == verdict
    assert verdicts["supplier"].as_of == NOW - timedelta(hours=1)


def test_a_missing_replica_is_unknown_never_a_refusal_of_the_supplier() -> None:
    verdicts = found(a_requisition(a_line(supplier="nobody")), suppliers=None)

    assert [(v.check, v.verdict, v.as_of) for v in verdicts] == [("supplier", "unknown", None)]


def test_a_center_closes_at_midnight_in_the_entitys_own_time_zone_i34() -> None:
    late = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)

    before = found(a_requisition(a_line(cost_center="CC400")))
    after = found(a_requisition(a_line(cost_center="CC400")), now=late)

    assert before == []
    assert [v.check for v in after] == ["coding"]
