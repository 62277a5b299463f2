"""A simulator as a process, and the check of a system that it stands in for."""

from __future__ import annotations

import json
import signal
import urllib.request

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


def test_a_simulated_system_passes_its_check() -> None:
    said = quaestor("connector", "check", "--project", EXAMPLE, "--json")

    assert said.code == 0, said.told
    probes = said.result["systems"]["sap"]
    assert {"network", "credentials"} <= {probe["name"] for probe in probes}
    assert all(probe["good"] for probe in probes)
