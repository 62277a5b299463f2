"""SAP for the proofs: one process, which forgets everything before each proof."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.simulator_process import RunningSimulator, running_simulator


@pytest.fixture(scope="session")
def sap_process() -> Iterator[RunningSimulator]:
    """SAP's simulator. An order can be found at the latest 0.2 s after it was made."""
    with running_simulator("sap_s4", latency_ms=20, settle_s=0.2) as sap:
        yield sap


@pytest.fixture
def sap(sap_process: RunningSimulator) -> RunningSimulator:
    """SAP as on its first day."""
    sap_process.reset()
    return sap_process
