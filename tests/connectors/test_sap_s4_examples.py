"""Every example requisition becomes a payload that SAP's published contract allows.

The contract is ../shared/contracts/sap-s4hana/API_PURCHASEORDER_PROCESS_SRV.edmx.
"""

from __future__ import annotations

import json

import pytest

from quaestor.connectors.kit.contract import Command
from quaestor.connectors.sap_s4.compare import differences
from quaestor.connectors.sap_s4.config import SapConfig
from quaestor.connectors.sap_s4.mapping import render_create
from quaestor.model.order import PurchaseOrder
from quaestor.project.load import load_project
from tests.connectors.orders import a_command
from tests.connectors.sap_orders import contract, document_of
from tests.project.test_examples import ACME, ORDERED, a_driver, from_coupa, ordered


def commands_of(name: str) -> tuple[SapConfig, list[Command]]:
    """The installation of the example project, and what it sends to SAP."""
    project = load_project(ACME)
    orders: list[PurchaseOrder] = ordered(a_driver(project, from_coupa(project, name)))
    return project.configs["sap"], [a_command(order) for order in orders]


@pytest.mark.parametrize("name", [name for name, _, _ in ORDERED])
def test_an_example_keeps_saps_published_contract(name: str) -> None:
    config, commands = commands_of(name)

    payloads = [json.loads(render_create(command, config.order)) for command in commands]
    faults = [contract().faults("A_PurchaseOrderType", one, creates=True) for one in payloads]

    assert faults == [[]] * len(commands) != []


@pytest.mark.parametrize("name", [name for name, _, _ in ORDERED])
def test_saps_document_of_an_example_is_the_one_that_was_commanded(name: str) -> None:
    config, commands = commands_of(name)
    wanted = [json.loads(render_create(command, config.order)) for command in commands]
    there = [document_of(command.order, config.order) for command in commands if command.order]

    found = [
        differences(ours, config.order, theirs) for ours, theirs in zip(wanted, there, strict=True)
    ]

    assert found == [()] * len(commands) != []
