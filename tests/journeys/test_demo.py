"""`quaestor demo`, as a user runs it: every order counted in SAP, nothing left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.quaestor_process import Said, processes_naming, quaestor, until

pytestmark = [pytest.mark.slow, pytest.mark.serial]

SECOND_RUN_S = 25.0
CASES = {
    "two-suppliers": ("ordered", 2),
    "split-line": ("ordered", 1),
    "lost-answer": ("ordered", 1),
    "killed-worker": ("ordered", 1),
    "cancel-while-unknown": ("cancelled", 1),
}


@pytest.fixture(scope="module")
def demonstrated(session_place: Path) -> tuple[Said, Path, float]:
    """The second of two runs: what it said, where its data was, how long it took in seconds."""
    place = session_place / "demo"
    quaestor("demo", "--once", "--json", "--data", place)
    began = time.monotonic()
    said = quaestor("demo", "--once", "--json", "--data", place)
    return said, place, time.monotonic() - began


@pytest.fixture(scope="module")
def result(demonstrated: tuple[Said, Path, float]) -> Any:
    said = demonstrated[0]
    assert said.code == 0, said.told
    return said.result


def test_the_headline_becomes_exactly_one_order(result: Any) -> None:
    counted = {name: result[name] for name in ("order_groups", "erp_documents", "duplicates")}

    assert result["ok"] is True
    assert counted == {"order_groups": 1, "erp_documents": 1, "duplicates": 0}
    assert result["requisition"] == "20417"
    assert result["purchase_order"].isdecimal()


def test_each_other_requisition_has_as_many_orders_as_groups(result: Any) -> None:
    others = {one["name"]: one for one in result["others"]}

    found = {name: (one["outcome"], one["order_groups"]) for name, one in others.items()}
    assert found == CASES
    assert all(one["erp_documents"] == one["order_groups"] for one in others.values())
    assert all(one["duplicates"] == 0 for one in others.values())


def test_what_was_cancelled_in_doubt_is_deleted_in_the_erp(result: Any) -> None:
    cancelled = next(one for one in result["others"] if one["name"] == "cancel-while-unknown")

    assert [order["deleted"] for order in cancelled["purchase_orders"]] == [True]


def test_each_fault_took_place_and_was_resolved_by_a_look(result: Any) -> None:
    happened = {one["name"]: "\n".join(one["happened"]) for one in result["others"]}

    assert "perhaps applied\nlooked by our reference: found" in happened["lost-answer"]
    assert "the lease is over" in happened["killed-worker"]
    assert "looked by our reference: found" in happened["killed-worker"]
    assert "cancel by" in happened["cancel-while-unknown"]


def test_the_budget_holds_what_was_ordered(result: Any) -> None:
    budget = result["budget"]

    assert budget["reserved"] == budget["committed"] == "34959.00"
    assert budget["still_reserved"] == "0.00"
    assert [node["node"] for node in budget["nodes"]] == ["acme-de/2026/it-de"]


def test_the_budget_is_what_planning_stated_a_moment_before(result: Any) -> None:
    (node,) = result["budget"]["nodes"]
    age = datetime.fromisoformat(result["trace"][0]["at"]) - datetime.fromisoformat(node["as_of"])

    assert (node["source"], node["budget"]) == ("planning", "5000000.00")
    assert abs(age.total_seconds()) < 60


def test_coupa_shows_the_order_on_the_requisition(result: Any) -> None:
    others = {one["name"]: one for one in result["others"]}
    numbers = [order["number"] for order in others["two-suppliers"]["purchase_orders"]]

    assert result["shown_in_coupa"] == {
        "sap-order": result["purchase_order"],
        "quaestor-state": "ordered",
    }
    assert others["two-suppliers"]["shown_in_coupa"]["sap-order"] == ", ".join(numbers)
    assert others["cancel-while-unknown"]["shown_in_coupa"]["quaestor-state"] == "cancelled"


def test_a_delegate_of_workday_decides_with_his_delegators_authority(result: Any) -> None:
    happened = next(one for one in result["others"] if one["name"] == "two-suppliers")["happened"]

    assert any("gus.adler for erin.wells: counted" in sentence for sentence in happened)


def test_the_approval_names_who_decided(result: Any) -> None:
    assert [(one["approver"], one["verdict"]) for one in result["approvals"]] == [
        ("ben.koch", "approved"),
        ("carla.lindt", "approved"),
    ]


def test_the_trace_leads_from_the_receipt_to_the_order_with_what_went_over_the_wire(
    result: Any,
) -> None:
    steps = result["trace"]
    effects = [(step["effect"], step["outcome"]) for step in steps]
    posted = next(
        step
        for step in steps
        if (step["effect"], step["outcome"], step.get("system")) == ("send", "applied", "sap")
    )

    assert effects[0] == ("receive", "accepted")
    assert effects.index(("send", "begun")) < effects.index(("send", "applied"))
    assert posted["external_ids"]["number"] == result["purchase_order"]
    assert [each["exchange"]["method"] for each in posted["wire"]][-1] == "POST"


def test_people_are_told_on_stderr_while_stdout_has_one_line(
    demonstrated: tuple[Said, Path, float],
) -> None:
    said = demonstrated[0]

    assert len(said.lines) == 1
    assert "Requisition 20417" in said.told
    assert "0 twice" in said.told
    assert f"/v1/traces/20417: {len(said.result['trace'])} steps" in said.told


def test_no_process_is_left(demonstrated: tuple[Said, Path, float]) -> None:
    place = demonstrated[1]

    assert processes_naming(place) == []
    assert not (place / "running.json").exists()


def test_the_second_run_is_quick(demonstrated: tuple[Said, Path, float]) -> None:
    assert demonstrated[2] <= SECOND_RUN_S


def test_a_database_that_no_demo_made_is_left_alone(place: Path) -> None:
    (place / "postgres").mkdir()

    said = quaestor("demo", "--once", "--json", "--data", place)

    assert said.code == 1
    assert said.result == {
        "ok": False,
        "error": "data_not_empty",
        "message": said.result["message"],
    }
    assert list((place / "postgres").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_demo_leaves_no_process(number: signal.Signals, place: Path) -> None:
    data = place / "demo"
    command = [sys.executable, "-m", "quaestor", "demo", "--once", "--json", "--data", str(data)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    until((data / "running.json").exists, "the first of its processes")

    process.send_signal(number)
    said, _ = process.communicate(timeout=30.0)

    assert process.returncode == 1
    assert json.loads(said)["error"] == "interrupted"
    assert processes_naming(data) == []
