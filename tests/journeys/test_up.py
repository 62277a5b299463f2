"""A deployment on one machine: started, asked, hurt, and stopped without a trace."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import TestDatabase, asked
from tests.support.gateway import a_body, a_line_body
from tests.support.quaestor_process import (
    EXAMPLE,
    processes_naming,
    quaestor,
    running_quaestor,
    until,
)

pytestmark = [pytest.mark.slow, pytest.mark.serial]

SPLIT = EXAMPLE / "requisitions" / "split-line.json"
HEADLINE = EXAMPLE / "requisitions" / "headline.json"
BLOCKED = EXAMPLE / "requisitions" / "refused" / "blocked-supplier.json"


def called(url: str, changes: Any = None) -> Any:
    """What a control port answers; with changes it is told them."""
    body = None if changes is None else json.dumps(changes).encode()
    request = urllib.request.Request(url, body, method="GET" if body is None else "PATCH")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


class Up:
    """An `up` at work, and what may be asked of it."""

    def __init__(self, data: Path, process: Any, ready: Any) -> None:
        self.data = data
        self.process = process
        self.ready = ready

    def ask(self, *arguments: str | Path) -> Any:
        """The result of a command about this deployment, which has to be good."""
        said = quaestor(*arguments, "--data", self.data, "--json")
        assert said.code == 0, said.told
        return said.result

    def pid_of(self, role: str) -> int:
        """The process of a role, as the deployment wrote it down."""
        running = json.loads((self.data / "running.json").read_bytes())
        return next(each["pid"] for each in running["processes"] if each["role"] == role)

    def outcome_of(self, number: str) -> str:
        """How the document ended, by its trace; empty while it has not, or has not come in."""
        said = quaestor("trace", number, "--data", self.data, "--json")
        if said.result.get("error") == "trace_unknown":
            return ""
        assert said.code == 0, said.told
        steps = said.result["steps"]
        ends = [step["outcome"] for step in steps if step["outcome"].startswith("done:")]
        return ends[-1].removeprefix("done:") if ends else ""


@contextmanager
def started(data: Path) -> Iterator[Up]:
    with running_quaestor("up", "--project", EXAMPLE, "--data", data, "--json") as (process, ready):
        yield Up(data, process, ready)
    quaestor("down", "--data", data)


@pytest.fixture(scope="module")
def unhurt(session_place: Path) -> Iterator[Up]:
    """An `up` for tests that only ask it."""
    with started(session_place / "unhurt") as up:
        yield up


@pytest.fixture
def up(place: Path) -> Iterator[Up]:
    """An `up` for tests that hurt it."""
    with started(place / "data") as up:
        yield up


def test_a_requisition_is_ordered_traced_and_cancelled(unhurt: Up) -> None:
    up = unhurt
    taken = up.ask("submit", HEADLINE)["documents"][0]
    until(lambda: up.outcome_of("20417") == "ordered", "the order")

    again = up.ask("submit", HEADLINE)["documents"][0]
    up.ask("cancel", "20417", "--by", "ana.berger", "--reason", "not needed")
    until(lambda: up.outcome_of("20417") == "cancelled", "the cancellation")

    assert (taken["status"], again["status"]) == ("accepted", "known")
    assert taken["correlation_id"] == again["correlation_id"]


def test_what_is_sent_on_in_coupa_is_decided_in_workday_ordered_and_reported_home(
    unhurt: Up,
) -> None:
    up = unhurt
    coupa = up.ready["systems"]["coupa"]["control"]

    called(f"{coupa}/documents/20418", {"status": "approved"})
    until(lambda: up.outcome_of("20418") == "ordered", "the orders")

    shown = {one["number"]: one for one in called(f"{coupa}/documents")["documents"]}["20418"]
    orders = called(f"{up.ready['systems']['sap']['control']}/documents")["documents"]
    numbers = shown["custom_fields"]["sap-order"].split(", ")
    told = "\n".join(quaestor("trace", "20418", "--data", up.data).lines)
    assert len(set(numbers)) == 2
    assert set(numbers) <= {order["number"] for order in orders}
    assert "approved by workday (gus.adler for erin.wells: counted, fay.nolan: satisfies)" in told


def test_what_comes_over_http_without_a_decision_is_decided_in_workday(unhurt: Up) -> None:
    up = unhurt
    headers = {
        "Authorization": f"Bearer {up.ready['token']}",
        "Content-Type": "application/json",
        "Idempotency-Key": "up-1",
    }
    body = json.dumps(a_body("UP-1", lines=[a_line_body(category="it_hardware")])).encode()
    request = urllib.request.Request(f"{up.ready['url']}/v1/requisitions", body, headers)

    with urllib.request.urlopen(request, timeout=30) as answer:
        taken = json.load(answer)
    until(lambda: up.outcome_of("UP-1") == "ordered", "the order")

    told = "\n".join(quaestor("trace", "UP-1", "--data", up.data).lines)
    assert taken["status"] == "accepted"
    assert "approved by workday (ben.koch: satisfies, carla.lindt: satisfies)" in told


def test_what_cannot_go_on_stands_in_the_worklist_with_its_owner(unhurt: Up) -> None:
    up = unhurt
    up.ask("submit", BLOCKED)

    (item,) = until(lambda: up.ask("worklist")["items"], "an item")

    assert (item["owner"], item["refusal"]) == ("requester", "supplier_blocked")
    assert item["ways_out"] == ["retry", "cancel"]


def test_the_trail_verifies_against_a_checkpoint_that_was_kept_elsewhere(
    unhurt: Up, tmp_path: Path
) -> None:
    up = unhurt
    up.ask("submit", SPLIT)
    until(lambda: up.outcome_of("20419") == "ordered", "the order")

    signed = up.ask("audit", "checkpoint", "--checkpoints", tmp_path)
    report = up.ask("audit", "verify", "--checkpoint", tmp_path)

    assert signed["size"] > 0
    assert report["ok"] is True
    assert report["covered"] >= signed["size"]


def test_a_recovery_is_told_before_it_is_done(unhurt: Up) -> None:
    asked = ("recover", "--by", "carla.lindt", "--recovery-point", "2026-11-02T09:30:00+01:00")
    where = ("--data", unhurt.data, "--json")

    told = quaestor(*asked, *where)
    done = quaestor(*asked, "--yes", *where)

    assert (told.code, told.result["accepted"]) == (1, False)
    assert (done.code, done.result["accepted"]) == (0, True)
    for said in (told, done):
        assert "are looked for in their target system before their next send" in said.told


def test_a_project_is_released_once(unhurt: Up) -> None:
    first = unhurt.ask("release")
    again = unhurt.ask("release")

    assert first == again
    assert first["release"] == quaestor("project", "check", EXAMPLE, "--json").result["release"]


def test_a_worker_that_dies_is_started_again(up: Up) -> None:
    first = up.pid_of("worker")

    os.kill(first, signal.SIGKILL)
    until(lambda: up.pid_of("worker") != first, "another worker")
    up.ask("submit", HEADLINE)

    until(lambda: up.outcome_of("20417") == "ordered", "the order")


def test_a_second_up_in_the_same_place_is_refused(up: Up) -> None:
    said = quaestor("up", "--project", EXAMPLE, "--data", up.data, "--json")

    assert said.code == 1
    assert said.result["error"] == "already_running"
    assert up.process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything_that_was_started(number: signal.Signals, up: Up) -> None:
    up.process.send_signal(number)

    assert up.process.wait(30.0) == 0
    assert processes_naming(up.data) == []
    assert not (up.data / "running.json").exists()


def test_down_stops_what_a_killed_up_left_behind(up: Up) -> None:
    up.process.kill()
    up.process.wait()
    left = processes_naming(up.data)

    stopped = up.ask("down")["stopped"]

    assert left
    assert any(name.startswith("worker-1") for name in stopped)
    assert processes_naming(up.data) == []
    assert up.ask("down") == {"stopped": []}


def test_what_was_recorded_is_there_when_it_is_started_again(place: Path) -> None:
    data = place / "data"
    command = ("up", "--project", EXAMPLE, "--data", data, "--json")
    with running_quaestor(*command) as (process, ready):
        first = Up(data, process, ready)
        first.ask("submit", BLOCKED)
        until(lambda: first.ask("worklist")["items"], "an item")
        process.send_signal(signal.SIGTERM)
        process.wait(30.0)

    stopped = quaestor("worklist", "--data", data, "--json")
    with running_quaestor(*command) as (process, ready):
        again = Up(data, process, ready).ask("worklist")
        process.send_signal(signal.SIGTERM)
        process.wait(30.0)

    assert [item["number"] for item in stopped.result["items"]] == ["20433"]
    assert [item["number"] for item in again["items"]] == ["20433"]


def test_a_database_of_ones_own_is_used_and_left_running(
    place: Path, empty_database: TestDatabase
) -> None:
    data = place / "data"
    command = ("up", "--project", EXAMPLE, "--data", data, "--dsn", empty_database.dsn, "--json")

    with running_quaestor(*command) as (process, ready):
        up = Up(data, process, ready)
        up.ask("submit", HEADLINE)
        until(lambda: up.outcome_of("20417") == "ordered", "the order")
        process.send_signal(signal.SIGTERM)
        code = process.wait(30.0)

    assert code == 0
    assert asked(empty_database.dsn, "select count(*) from quaestor.document") == 1
    assert not (data / "postgres").exists()
