"""The first week: everything is read, nothing is sent, and going live sends nothing by itself."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.quaestor_process import quaestor, running_quaestor, until

pytestmark = [pytest.mark.slow, pytest.mark.serial]

MODE = '# mode = "live"  '


def submitted(url: str, token: str, body: bytes) -> int:
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Idempotency-Key": json.loads(body)["source_id"],
    }
    request = urllib.request.Request(f"{url}/v1/requisitions", body, headers)
    with urllib.request.urlopen(request, timeout=20) as said:
        return int(said.status)


def control(system: Any, path: str) -> Any:
    with urllib.request.urlopen(f"{system['control']}{path}", timeout=20) as said:
        return json.load(said)


def writes(system: Any) -> list[str]:
    """What reached the simulator that was neither a query nor for a token."""
    return [
        f"{one['method']} {one['path']}"
        for one in control(system, "/requests")["requests"]
        if one["method"] not in ("GET", "HEAD") and "oauth" not in one["path"]
    ]


def documents(system: Any) -> list[Any]:
    """What stands there: Workday's queries are posts, like everything that is said in SOAP."""
    return list(control(system, "/documents")["documents"])


def stopped(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(60)


def held(data: Path) -> list[dict[str, Any]]:
    return list(quaestor("observe", "report", "--payload", "--data", data, "--json").result["held"])


def test_what_is_observed_waits_for_a_person_also_after_going_live(place: Path) -> None:
    folder, data = place / "acme", place / "data"
    assert quaestor("init", folder, "--json").code == 0
    settings = folder / "quaestor.toml"
    live = settings.read_text(encoding="utf-8")
    up = ("up", "--project", folder, "--data", data, "--port", "0", "--json")
    body = (folder / "requisitions" / "first.json").read_bytes()

    settings.write_text(live.replace(MODE, 'mode = "observe" ', 1), encoding="utf-8")
    with running_quaestor(*up) as (process, ready):
        taken = submitted(ready["url"], ready["token"], body)
        observed = until(lambda: held(data), "the held order", seconds=90)
        written = {name: writes(ready["systems"][name]) for name in ("coupa", "sap")}
        stands = {name: documents(ready["systems"][name]) for name in ("workday", "sap")}
        stopped(process)
    settings.write_text(live, encoding="utf-8")
    with running_quaestor(*up) as (process, ready):
        other = json.loads(body) | {"source_id": "SECOND-1"}
        submitted(ready["url"], ready["token"], json.dumps(other).encode())
        until(lambda: _done(data, "SECOND-1"), "an order in earnest", seconds=90)
        still = held(data)
        told = quaestor("observe", "release", "--by", "ben.koch", "--all", "--data", data, "--json")
        released = quaestor(
            "observe", "release", "--by", "ben.koch", "FIRST-1", "--yes", "--data", data, "--json"
        )
        until(lambda: _done(data, "FIRST-1"), "the order that was held", seconds=90)
        orders = [
            one for one in writes(ready["systems"]["sap"]) if one.endswith("/A_PurchaseOrder")
        ]
        stopped(process)

    assert taken == 201
    assert [(one["system"], one["action"]) for one in observed] == [("sap", "create_order")]
    assert json.loads(observed[0]["payload"])["CompanyCode"] == "1010"
    assert (written, stands) == ({"coupa": [], "sap": []}, {"workday": [], "sap": []})
    assert [one["number"] for one in still] == ["FIRST-1"]
    assert (told.code, told.result["documents"]) == (1, [1])
    assert (released.code, released.result["documents"]) == (0, [1])
    assert len(orders) == 2


def _done(data: Path, number: str) -> bool:
    return "done: ordered" in "\n".join(quaestor("trace", number, "--data", data).lines)


def test_a_project_of_another_name_does_not_start_on_the_database(place: Path) -> None:
    data = place / "data"
    assert quaestor("init", place / "acme", "--json").code == 0
    assert quaestor("init", place / "other", "--json").code == 0
    up = ("up", "--data", data, "--port", "0", "--json")
    with running_quaestor(*up, "--project", place / "acme") as (process, _):
        stopped(process)

    said = quaestor(*up, "--project", place / "other")

    assert (said.code, said.result["error"]) == (1, "environment_mismatch")
