"""A simulator as a process, and the check of a system that it stands in for."""

from __future__ import annotations

import json
import signal
import urllib.request

import pytest

from tests.support.quaestor_process import EXAMPLE, quaestor, running_quaestor


def test_a_simulator_says_where_it_is_and_ends_with_a_signal() -> None:
    with running_quaestor("simulator", "run", "sap_s4", "--json") as (process, ready):
        with urllib.request.urlopen(f"{ready['control']}/documents", timeout=10.0) as answer:
            found = json.load(answer)
        process.send_signal(signal.SIGTERM)
        code = process.wait(10.0)

    assert set(ready) == {"url", "control", "credentials"}
    assert found == {"count": 0, "documents": []}
    assert code == 0


def test_a_simulator_takes_the_options_of_its_vendor() -> None:
    own = json.dumps({"requisitions": ["requisitions"], "begun_as": "pending_approval"})
    command = ("simulator", "run", "coupa", "--project", EXAMPLE, "--options", own, "--json")

    with (
        running_quaestor(*command) as (_, ready),
        urllib.request.urlopen(f"{ready['control']}/documents", timeout=10.0) as answer,
    ):
        documents = json.load(answer)["documents"]

    assert {one["status"] for one in documents} == {"pending_approval"}
    assert "20417" in {one["number"] for one in documents}


@pytest.mark.parametrize(
    ("own", "code", "told"),
    [
        ('{"requisition": []}', 1, "requisition"),
        ('{"requisitions": ["nowhere.json"]}', 1, "nowhere.json"),
        ("[1]", 2, "--options"),
    ],
)
def test_a_wrong_option_of_the_vendor_is_told(own: str, code: int, told: str) -> None:
    said = quaestor("simulator", "run", "coupa", "--options", own)

    assert said.code == code
    assert told in said.told


def test_a_simulated_system_passes_its_check() -> None:
    said = quaestor("connector", "check", "--project", EXAMPLE, "--json")

    assert said.code == 0, said.told
    probes = said.result["systems"]["sap"]
    assert {"network", "credentials"} <= {probe["name"] for probe in probes}
    assert all(probe["good"] for probe in probes)
