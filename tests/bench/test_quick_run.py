"""The whole benchmark, short: what it says of itself holds, and every requisition is one order."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.quaestor_process import Said, benchmark

pytestmark = [pytest.mark.slow, pytest.mark.serial]

ARGUMENTS = ("--quick", "--seconds", "1", "--workers", "1", "--in-flight", "40")
ALWAYS = {
    "ok",
    "flows_per_s",
    "limit_flows_per_s",
    "ratio",
    "limit_one_by_one_flows_per_s",
    "ratio_one_by_one",
    "p50_ms",
    "p99_ms",
    "machine",
    "in_flight",
    "rounds",
    "window_s",
    "requisitions",
    "documents_done",
    "orders",
    "order_references",
    "transactions_per_flow",
    "rows_per_flow",
    "limit_rows_per_flow",
    "validation_rps",
    "validation_p50_ms",
    "validation_p99_ms",
    "bare_rps",
    "bare_p50_ms",
    "bare_p99_ms",
    "intake_rps",
    "intake_p50_ms",
    "intake_p99_ms",
}
PER_FLOW = {
    "worker_cpu_ms",
    "database_cpu_ms",
    "load_cpu_ms",
    "ledger_cpu_ms",
    "wal_bytes",
    "commits",
    "fsyncs",
}

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")


@pytest.fixture(scope="module")
def ended(session_place: Path) -> Said:
    """One run of the command."""
    return benchmark(session_place / "bench", *ARGUMENTS)


@pytest.fixture
def said(ended: Said) -> dict[str, Any]:
    found: dict[str, Any] = ended.result
    return found


def test_one_line_for_machines_and_the_table_for_people(ended: Said, said: dict[str, Any]) -> None:
    assert said.keys() >= ALWAYS
    assert "database alone, batches of 80" in ended.told


def test_what_is_not_measured_is_absent(said: dict[str, Any]) -> None:
    absent = {name for name in said if "two_workers" in name}

    assert absent == set()


def test_what_was_taken_in_over_http_is_there_once(said: dict[str, Any]) -> None:
    repeated = said["intake_repeated"]

    assert said["intake_documents"] == said["intake_accepted"] > 0
    assert repeated > 0


def test_validations_are_told_beside_the_bare_route(said: dict[str, Any]) -> None:
    assert 0 < said["validation_rps"] < said["bare_rps"]
    assert 0 < said["validation_p50_ms"] <= said["validation_p99_ms"]
    assert 0 < said["bare_p50_ms"] <= said["bare_p99_ms"]


def test_every_requisition_is_done_once_and_ordered_once(said: dict[str, Any]) -> None:
    counts = {
        said[name] for name in ("requisitions", "documents_done", "orders", "order_references")
    }

    assert said["ok"] is True
    assert len(counts) == 1
    assert counts.pop() > 40


def test_the_ratio_is_that_of_the_two_rates(said: dict[str, Any]) -> None:
    ratio = said["flows_per_s"] / said["limit_flows_per_s"]

    assert said["ratio"] == pytest.approx(ratio, abs=0.01)
    assert 0 < said["p50_ms"] <= said["p99_ms"]


def test_the_limit_writes_the_rows_that_the_engine_writes(said: dict[str, Any]) -> None:
    engine, limit = said["rows_per_flow"], said["limit_rows_per_flow"]
    singly = ("document", "document_body", "work", "intent", "crossref", "audit", "budget_entry")

    for table in singly:
        assert limit[table]["inserted"] == pytest.approx(engine[table]["inserted"], rel=0.15)
        assert limit[table]["updated"] == pytest.approx(engine[table]["updated"], abs=0.5)


@needs_proc
def test_what_a_flow_costs_is_told_by_who_spent_it(said: dict[str, Any]) -> None:
    spent = said["per_flow"]

    assert spent.keys() == PER_FLOW
    assert min(spent["worker_cpu_ms"], spent["database_cpu_ms"], spent["load_cpu_ms"]) > 0
    assert spent["wal_bytes"] > 1000
    assert said["worker_memory_mb"] > 10


@needs_proc
def test_the_gateway_is_measured_alone_with_what_a_request_costs(session_place: Path) -> None:
    arguments = ("--gateway", "--quick", "--seconds", "1")

    found = benchmark(session_place / "bench-gateway", *arguments).result

    assert found["intake_documents"] == found["intake_accepted"] > 0
    assert 0 < found["bare_cpu_ms"] < found["validation_cpu_ms"]
    assert found["intake_cpu_ms"] > 0
    assert "flows_per_s" not in found
