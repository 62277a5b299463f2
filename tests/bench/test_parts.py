"""The parts of the benchmark, each alone."""

from __future__ import annotations

import asyncio
import os
import sys
import urllib.request
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quaestor.bench.erp import RECORDS_TARGET, Counted, Ledger, serve_ledger
from quaestor.bench.folder import CENTERS, Requisitions, write_folder
from quaestor.bench.gateway import Served
from quaestor.bench.load import Window, percentile
from quaestor.bench.meters import busy_s, cpu_s, machine, peak_memory_mb, with_children
from quaestor.bench.report import as_object
from quaestor.bench.run import Measured, Plan
from quaestor.bench.spending import Spending
from quaestor.connectors.coupa.config import CoupaConfig
from quaestor.connectors.coupa.mapping import read_published
from quaestor.connectors.kit.contract import Question
from quaestor.connectors.kit.published import Mapped, Reading
from quaestor.connectors.planning.mapping import budget_answer, budget_target
from quaestor.model.budget import BALANCE_QUESTION
from quaestor.project.load import load_project

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
ORDER = {
    "CorrespncExternalReference": "abc",
    "to_PurchaseOrderItem": [{"PurchaseOrderItem": "10", "to_AccountAssignment": [{"a": "1"}]}],
}

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")


def _measured(**changes: Any) -> Measured:
    given: dict[str, Any] = {
        "machine": "a machine",
        "plan": Plan(),
        "limit": [900.0, 1000.0, 5000.0],
        "one_by_one": [200.0, 250.0, 260.0],
        "engine": {
            1: [Window(200, 1.0, [1.0, 2.0, 3.0]), Window(300, 1.0, [4.0]), Window(900, 1.0, [5.0])]
        },
        "taken": 1400,
        "done": 1400,
        "counted": Counted(5600, 1400, 1400, reported=1400),
    }
    return Measured(**(given | changes))


# --- the project and its requisitions -------------------------------------------------------------


def test_the_folder_is_a_project_and_its_requisitions_can_be_read(tmp_path: Path) -> None:
    write_folder(tmp_path, base_url="http://127.0.0.1:1", slots=200, on=NOW.date())
    project = load_project(tmp_path)
    texts = Requisitions(NOW)

    read = [
        read_published(
            CoupaConfig(),
            texts.numbered(number),
            Reading(project.crosswalks, project.directory, NOW.date()),
        )
        for number in range(1, CENTERS + 3)
    ]

    assert all(isinstance(one, Mapped) for one in read)
    assert len({one.requisition.source_id for one in read}) == len(read)
    charged = {one.requisition.lines[0].splits[0].coding.cost_center for one in read}
    assert len(charged) == CENTERS


def test_a_run_that_passes_into_the_next_year_has_its_budgets(tmp_path: Path) -> None:
    write_folder(tmp_path, base_url="http://127.0.0.1:1", slots=1, on=date(2026, 12, 31))

    project = load_project(tmp_path)

    years = {node.split("/")[1] for node in project.budget_nodes}
    assert {"2026", "2027"} <= years


# --- the ledger -----------------------------------------------------------------------------------


def test_the_ledger_answers_a_deep_insert_as_sap_does() -> None:
    status, _, body = Ledger().answer("POST", "/A_PurchaseOrder", msgspec.json.encode(ORDER))

    created = msgspec.json.decode(body)["d"]
    (item,) = created["to_PurchaseOrderItem"]["results"]
    assert status == 201
    assert created["PurchaseOrder"] == "4500000001"
    assert item["to_AccountAssignment"] == {"results": [{"a": "1"}]}


def test_the_ledger_counts_an_order_twice_where_it_was_sent_twice() -> None:
    ledger = Ledger()
    for _ in range(2):
        ledger.answer("POST", "/A_PurchaseOrder", msgspec.json.encode(ORDER))

    counted = ledger.counted()

    assert counted == Counted(requests=2, orders=2, references=1)


def test_the_ledger_finds_by_reference() -> None:
    ledger = Ledger()
    ledger.answer("POST", "/A_PurchaseOrder", msgspec.json.encode(ORDER))
    where = "$filter=CorrespncExternalReference%20eq%20'{}'"

    found = [
        msgspec.json.decode(ledger.answer("GET", f"/A_PurchaseOrder?{where.format(key)}", b"")[2])
        for key in ("abc", "xyz")
    ]

    assert [len(answer["d"]["results"]) for answer in found] == [1, 0]


def test_a_budget_is_answered_by_the_name_that_was_asked_for() -> None:
    question = Question(
        BALANCE_QUESTION, "acme-de", {"fiscal_year": "2026", "cost_center": "center-4007"}
    )

    status, _, body = Ledger().answer("GET", budget_target(question), b"")

    answer = budget_answer(body, question, datetime.now(UTC), timedelta(seconds=1))
    assert status == 200
    assert answer.value["budget"] == "1000000000.00"


def test_a_number_that_came_home_twice_is_one_requisition() -> None:
    ledger = Ledger()
    record = msgspec.json.encode({"external-id": "abc", "document-id": 7})
    target = f"{RECORDS_TARGET}?fields=id"

    looked = ledger.answer("GET", target, b"")
    answers = [ledger.answer("POST", target, record) for _ in range(2)]

    assert looked == (200, "", b"[]")
    assert [msgspec.json.decode(body)["external-id"] for _, _, body in answers] == ["abc", "abc"]
    assert ledger.counted() == Counted(requests=3, orders=0, references=0, reported=1)


async def test_the_ledger_serves_until_it_is_stopped() -> None:
    stop, told = asyncio.Event(), asyncio.get_running_loop().create_future()

    def ready(said: Mapping[str, Any]) -> None:
        told.set_result(said["url"])

    serving = asyncio.create_task(serve_ledger(ready, stop))
    counted = await asyncio.to_thread(_get, await told + "/counted")
    stop.set()
    await serving

    assert msgspec.json.decode(counted, type=Counted) == Counted(0, 0, 0)


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        body: bytes = answer.read()
        return body


# --- meters ---------------------------------------------------------------------------------------


@needs_proc
def test_processor_time_and_memory_of_a_process_are_read() -> None:
    before, busy_before = cpu_s([os.getpid()]), busy_s()
    while cpu_s([os.getpid()]) < before + 0.05:
        sum(range(10_000))

    assert busy_s() > busy_before
    assert peak_memory_mb(os.getpid()) > 10
    assert os.getpid() in with_children(os.getppid())


@needs_proc
def test_a_process_that_is_gone_costs_nothing_more() -> None:
    gone = 2**22 + 1

    assert cpu_s([gone]) == 0


def test_the_machine_is_told_in_words() -> None:
    words = machine("18.4")

    assert "cores" in words
    assert words.endswith("PostgreSQL 18.4")


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 50, 0.0), ([7.0], 99, 7.0), ([1.0, 2.0, 3.0], 50, 2.0), (list(range(101)), 99, 99.0)],
)
def test_percentiles(values: list[float], percent: int, expected: float) -> None:
    assert percentile(values, percent) == pytest.approx(expected)


# --- the report -----------------------------------------------------------------------------------


def test_medians_of_the_windows_make_the_ratio() -> None:
    found = as_object(_measured())

    assert (found["flows_per_s"], found["limit_flows_per_s"]) == (300.0, 1000.0)
    assert found["ratio"] == 0.3
    assert found["ratio_one_by_one"] == 1.2
    assert found["ok"] is True


def test_two_workers_and_costs_are_told_where_they_were_measured() -> None:
    spending = Spending(1.0, 2.0, 3.0, 4.0, 5.0, 0.3, 0.2, 0.7)
    measured = _measured(
        engine={1: [Window(300, 1.0, [1.0])], 2: [Window(500, 1.0, [1.0])]},
        spent={1: [spending]},
        limit_spent=[Spending(0.0, 0.5, 0.0, 0.0, 5.0, 0.0, 0.0, 0.6)],
    )

    found = as_object(measured)

    assert found["ratio_two_workers"] == 0.5
    assert found["per_flow"]["database_cpu_ms"] == 2.0
    assert found["limit_database_cpu_ms"] == 0.5
    assert found["other_work_cores"] == 0.7


@pytest.mark.parametrize(
    "changes",
    [
        {"counted": Counted(5600, 1401, 1400, reported=1400)},
        {"counted": Counted(5600, 1399, 1399, reported=1400)},
        {"counted": Counted(5600, 1400, 1400, reported=1399)},
        {"done": 1399},
        {"taken": 0, "done": 0, "counted": Counted(0, 0, 0)},
        {"served": Served(*[1.0] * 9, intake_accepted=20, intake_repeated=2, intake_documents=19)},
        {"served": Served(*[1.0] * 9, intake_accepted=20, intake_repeated=2, intake_documents=22)},
    ],
)
def test_a_run_that_lost_or_doubled_an_order_is_not_good(changes: dict[str, Any]) -> None:
    assert as_object(_measured(**changes))["ok"] is False
