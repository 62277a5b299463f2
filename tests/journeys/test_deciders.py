"""Whose decision counts: Workday decides, its people err, and Quaestor holds them to our minimum.

Coupa, Workday and SAP behind their own interfaces, in this process; see DESIGN D13.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.company import BEN, CARLA, a_company, headline
from tests.support.database import TestDatabase

pytestmark = [pytest.mark.slow]

# Ben acts in Carla's place, and Workday says so.
FOR_CARLA = {"steps": [{"by": "finance", "after_ms": 0, "actor": BEN, "comment": "for Carla"}]}
LENT = (
    "roles: [finance]\n    identities: {coupa: clindt",
    "roles: [finance]\n    delegations:\n      - {to: ben.koch, start: 2020-01-01T00:00:00+01:00, "
    "end: 2099-01-01T00:00:00+01:00}\n    identities: {coupa: clindt",
)


def said_in_coupa(verdict: str) -> dict[str, Any]:
    vote = {"approver": "clindt", "verdict": verdict, "decided_at": "2026-11-16T11:20:05+01:00"}
    return {"decided_by": "coupa", "version": 1, "decisions": [vote]}


async def test_an_approval_with_too_little_authority_stands_with_finance_and_orders_nothing(
    database: TestDatabase, tmp_path: Path
) -> None:
    only_ben = {"steps": [{"by": "manager", "after_ms": 0}]}
    async with a_company(
        database, tmp_path / "acme", requisitions=[headline()], routing=only_ben
    ) as company:
        await company.hears("coupa")
        await company.waits_in_workday()
        await company.hears("workday")
        await company.ends("approval_evidence_insufficient")

        parked, orders = await company.parked(), company.orders()

    assert parked == ("approval_evidence_insufficient", "finance", "authority_below_amount")
    assert orders == []


async def test_an_approval_of_version_1_after_version_2_exists_is_not_counted(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with a_company(database, tmp_path / "acme", requisitions=[headline()]) as company:
        await company.hears("coupa")
        first = await company.waits_in_workday()

        company.decides(first, BEN, CARLA)
        company.coupa.changes("requisitions", "20417", {"req-title": "Laptops, again"})
        await company.hears("coupa")
        second = await company.waits_in_workday(version=2)
        await company.hears("workday")
        company.decides(second, BEN, CARLA)
        await company.hears("workday")
        await company.ends("ordered")

        recorded, asked = await company.recorded(), await company.asked()
        orders, requests = company.orders(), company.requests()

    assert asked == ["withdrawn", "decided"]
    assert [one["outcome"] for one in recorded] == ["no_open_request", "approved"]
    assert recorded[0]["votes"] == "ben.koch: approved, carla.lindt: approved"
    assert (orders, requests) == ([True], ["APPROVED", "APPROVED"])


async def test_a_delegation_that_only_workday_knows_is_no_authority(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with a_company(
        database, tmp_path / "acme", requisitions=[headline()], routing=FOR_CARLA
    ) as company:
        await company.hears("coupa")
        await company.waits_in_workday()
        await company.hears("workday")
        await company.ends("approval_evidence_insufficient")

        parked, orders = await company.parked(), company.orders()

    assert parked == ("approval_evidence_insufficient", "finance", "delegation_missing")
    assert orders == []


async def test_a_delegation_that_our_directory_knows_counts_and_is_recorded(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with a_company(
        database, tmp_path / "acme", requisitions=[headline()], routing=FOR_CARLA, people=LENT
    ) as company:
        await company.hears("coupa")
        await company.waits_in_workday()
        await company.hears("workday")
        await company.ends("ordered")

        recorded, orders = await company.recorded(), company.orders()

    assert recorded[-1]["votes"] == "ben.koch for carla.lindt: satisfies"
    assert orders == [True]


@pytest.mark.parametrize(
    ("in_coupa", "in_workday", "outcome", "orders"),
    [("approved", "deny", "rejected", []), ("rejected", "approve", "ordered", [True])],
)
async def test_the_declared_decider_counts_and_the_other_is_recorded(
    database: TestDatabase,
    tmp_path: Path,
    in_coupa: str,
    in_workday: str,
    outcome: str,
    orders: list[bool],
) -> None:
    decide = [{"by": "manager", "after_ms": 0, "comment": "seen"}, {"by": "finance", "after_ms": 0}]
    decide[-1] |= {"do": in_workday, "comment": "decided"}
    async with a_company(
        database, tmp_path / "acme", requisitions=[headline()], routing={"steps": decide}
    ) as company:
        await company.is_brought(headline(approval=said_in_coupa(in_coupa)))
        await company.waits_in_workday()
        await company.hears("workday")
        await company.ends(outcome)

        recorded, standing, told = await company.recorded(), company.orders(), company.told()

    assert recorded[0] == {
        "decided_by": "coupa",
        "outcome": "other_decider",
        "version": "1",
        "votes": f"carla.lindt: {in_coupa}",
    }
    assert recorded[-1]["decided_by"] == "workday"
    assert standing == orders
    assert told == [{"rejected": "approval_rejected", "ordered": "ordered"}[outcome]]


async def test_what_workday_rescinded_before_we_looked_orders_nothing_and_is_told_in_coupa(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with a_company(database, tmp_path / "acme", requisitions=[headline()]) as company:
        await company.hears("coupa")
        number = await company.waits_in_workday()

        company.decides(number, BEN, CARLA)
        company.workday.changes("decisions", number, {"status": "Rescinded"})
        await company.hears("workday")
        await company.ends("approval_undecided")

        orders, told = company.orders(), company.told()

    assert (orders, told) == ([], ["approval_undecided"])


# --- cancelled and changed on the way -------------------------------------------------------------


async def test_a_cancellation_while_workday_decides_leaves_nobody_waiting_there(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with a_company(database, tmp_path / "acme", requisitions=[headline()]) as company:
        await company.hears("coupa")
        await company.waits_in_workday()

        await company.cancels()
        await company.ends("cancelled")

        requests, orders, told = company.requests(), company.orders(), company.told()

    assert (requests, orders, told) == (["CANCELED"], [], ["cancelled"])


async def test_a_change_while_workday_decides_takes_the_former_version_back(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with a_company(database, tmp_path / "acme", requisitions=[headline()]) as company:
        await company.hears("coupa")
        await company.waits_in_workday()

        company.coupa.changes("requisitions", "20417", {"req-title": "Laptops, again"})
        await company.hears("coupa")
        company.decides(await company.waits_in_workday(version=2), BEN, CARLA)
        await company.hears("workday")
        await company.ends("ordered")

        requests, orders, told = company.requests(), company.orders(), company.told()

    assert (requests, orders, told) == (["CANCELED", "APPROVED"], [True], ["ordered"])


async def test_a_change_of_what_is_ordered_is_refused_in_coupa_and_orders_nothing_more(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with a_company(database, tmp_path / "acme", requisitions=[headline()]) as company:
        await company.hears("coupa")
        company.decides(await company.waits_in_workday(), BEN, CARLA)
        await company.hears("workday")
        await company.ends("ordered")

        company.coupa.changes("requisitions", "20417", {"req-title": "Laptops, again"})
        await company.hears("coupa")
        await company.ends("state_forbids_change")

        orders, told = company.orders(), company.told()

    assert (orders, told) == ([True], ["ordered", "state_forbids_change"])


async def test_a_taking_back_whose_answer_is_lost_is_known_and_done_once(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with a_company(database, tmp_path / "acme", requisitions=[headline()]) as company:
        await company.hears("coupa")
        await company.waits_in_workday()

        company.workday_loses_its_answer()
        await company.cancels()
        await company.ends("cancelled")

        requests, told = company.requests(), company.told()

    assert (requests, told) == (["CANCELED"], ["cancelled"])


async def test_a_requisition_that_is_withdrawn_in_coupa_is_cancelled_everywhere(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with a_company(database, tmp_path / "acme", requisitions=[headline()]) as company:
        await company.hears("coupa")
        await company.waits_in_workday()

        company.coupa.changes("requisitions", "20417", {"status": "withdrawn"})
        await company.hears("coupa")
        await company.ends("cancelled")

        requests, orders, told = company.requests(), company.orders(), company.told()

    assert (requests, orders, told) == (["CANCELED"], [], ["cancelled"])


async def test_a_cancellation_while_sap_does_not_answer_finds_the_order_and_cancels_it(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with a_company(database, tmp_path / "acme", requisitions=[headline()]) as company:
        company.sap_loses_its_answer()
        await company.hears("coupa")
        company.decides(await company.waits_in_workday(), BEN, CARLA)
        await company.hears("workday")
        await company.is_unknown_in_sap()

        await company.cancels()
        await company.ends("cancelled")

        requests, orders, told = company.requests(), company.orders(), company.told()

    # What is approved there waits for nobody, and Workday does not give it back.
    assert (requests, orders, told) == (["APPROVED"], [False], ["cancelled"])
