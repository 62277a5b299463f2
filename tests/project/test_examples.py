"""Each example goes the way that its name says, through the shipped flow, by values alone."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from quaestor.budget.balance import Balance
from quaestor.connectors.coupa.mapping import read_published
from quaestor.connectors.kit.contract import Applied
from quaestor.connectors.kit.published import Mapped, Reading
from quaestor.flows.kit.dossier import Answered, Document
from quaestor.flows.kit.effects import Record
from quaestor.flows.kit.reads import EntityBook
from quaestor.flows.requisition_to_order import REQUISITION_TO_ORDER
from quaestor.model.canonical import content_hash
from quaestor.model.employee import Directory
from quaestor.model.order import PurchaseOrder
from quaestor.model.requisition import Requisition
from quaestor.project.load import load_project
from quaestor.project.project import Project
from quaestor.project.reads import project_reads
from quaestor.project.seams import load_flow_seams
from tests.project.folders import EXAMPLES
from tests.support.flow_driver import FlowDriver

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
ACME = EXAMPLES / "it-hardware"
PORTAL = EXAMPLES / "custom-portal"


def from_coupa(project: Project, name: str) -> Requisition:
    result = read_published(
        project.configs["coupa"],
        (ACME / "requisitions" / f"{name}.json").read_bytes(),
        Reading(project.crosswalks, project.directory, NOW.date()),
    )
    assert isinstance(result, Mapped), result
    return result.requisition


def a_driver(project: Project, requisition: Requisition) -> FlowDriver:
    """The document at the first stage, with everything the project gives it to read."""
    read = project_reads(project, load_flow_seams(project))
    kinds = {kind for stage in REQUISITION_TO_ORDER.stages.values() for kind in stage.reads}
    return FlowDriver(
        flow=REQUISITION_TO_ORDER,
        document=Document(
            id=1,
            type="requisition",
            entity=requisition.entity,
            source_system=requisition.source_system,
            source_id=requisition.source_id,
            correlation_id="c-1",
            version=requisition.version,
            content_hash=content_hash(requisition),
            body=requisition,
        ),
        reads=read("requisition", requisition.entity, tuple(kinds)),
        now=NOW,
        balances={node.key: Balance(node) for node in project.budget_nodes.values()},
    )


def ordered(driver: FlowDriver) -> list[PurchaseOrder]:
    """Run to the end; planning states what the folder says, each order is applied as sent."""
    driver.start()
    while driver.asking:
        node = next(iter(driver.asking)).removeprefix("budget/")
        budget = driver.balances[node].node
        entity = driver.reads[EntityBook].entities[budget.entity]
        value = {
            "mode": "gross",
            "currency": entity.base_currency,
            "budget": f"{budget.amount:f}",
        }
        driver.hears(Answered(value, driver.now, driver.now))
    while driver.sending is not None:
        driver.answer(Applied(f"450000000{len(driver.sent)}"))
    return [send.order for send in driver.sent if send.order is not None]


ORDERED = [
    ("headline", 1, 4),
    ("two-suppliers", 2, 4),
    ("split-line", 1, 2),
    ("lost-answer", 1, 2),
    ("killed-worker", 1, 2),
    ("cancel-while-unknown", 1, 2),
]


@pytest.mark.parametrize(("name", "orders", "lines"), ORDERED)
def test_an_example_is_ordered_once_per_supplier(name: str, orders: int, lines: int) -> None:
    project = load_project(ACME)
    requisition = from_coupa(project, name)
    driver = a_driver(project, requisition)

    made = ordered(driver)

    assert driver.outcome == "ordered"
    assert (len(made), sum(len(order.lines) for order in made)) == (orders, lines)
    assert sum(order.total for order in made) == requisition.total
    assert sum(driver.holding.enc.values()) == requisition.total
    assert driver.holding.pre == {}


def test_every_scenario_in_the_folder_is_tried() -> None:
    names = {path.stem for path in (ACME / "requisitions").glob("*.json")}

    assert names == {name for name, _, _ in ORDERED}


def test_a_line_that_two_cost_centers_pay_is_charged_to_both() -> None:
    project = load_project(ACME)
    driver = a_driver(project, from_coupa(project, "split-line"))

    (order,) = ordered(driver)

    centers = [split.coding.cost_center for split in order.lines[0].splits]
    assert centers == ["10101301", "10101602"]
    assert set(driver.holding.enc) == {"acme-de/2026/it-de", "acme-de/2026/sales-de"}


REFUSED = [
    ("insufficient-authority", "approval_evidence_insufficient", "finance"),
    ("own-approval", "approval_evidence_insufficient", "finance"),
    ("missing-crosswalk", "crosswalk_missing", "finance"),
    ("blocked-supplier", "supplier_blocked", "requester"),
]


@pytest.mark.parametrize(("name", "code", "owner"), REFUSED)
def test_what_may_not_be_ordered_rests_with_its_owner(name: str, code: str, owner: str) -> None:
    project = load_project(ACME)
    driver = a_driver(project, from_coupa(project, f"refused/{name}"))

    made = ordered(driver)

    assert made == []
    assert driver.parked == code
    assert getattr(driver.waiting, "owner", None) == owner


def test_every_refused_example_is_tried() -> None:
    names = {path.stem for path in (ACME / "requisitions" / "refused").glob("*.json")}

    assert names == {name for name, _, _ in REFUSED}


def portal_requisition(name: str) -> Requisition:
    return msgspec.json.decode(
        (PORTAL / "requisitions" / f"{name}.json").read_bytes(), type=Requisition
    )


def test_a_customers_own_step_sets_the_tax_codes_of_the_orders() -> None:
    project = load_project(PORTAL)
    driver = a_driver(project, portal_requisition("ward-3"))

    made = ordered(driver)

    tax_codes = {
        line.description: [split.coding.tax_code for split in line.splits]
        for order in made
        for line in order.lines
    }
    assert driver.outcome == "ordered"
    assert tax_codes == {
        "Chair, washable": ["V20"],
        "Handbook of wound care": ["V10"],
        "Reading lamp with a clamp": ["RC"],
    }


def test_a_customers_own_step_adds_effects_at_the_end() -> None:
    project = load_project(PORTAL)
    driver = a_driver(project, portal_requisition("ward-3"))

    ordered(driver)

    effects = [effect for _, step in driver.steps for effect in step.do]
    recorded = [
        effect.facts for effect in effects if isinstance(effect, Record) and effect.name == "filed"
    ]
    assert recorded == [
        {
            "alpenmoebel/riverside/EUR/central/": "voucher 4500000001",
            "nordlicht/riverside/EUR/central/": "voucher 4500000002",
        }
    ]


def test_a_customers_own_step_may_refuse_an_order() -> None:
    project = load_project(PORTAL)
    (line, *_) = portal_requisition("ward-3").lines
    lines = tuple(msgspec.structs.replace(line, number=number) for number in range(1, 42))
    requisition = portal_requisition("ward-3")
    long = msgspec.structs.replace(
        requisition, lines=lines, total=41 * line.amount, approval=requisition.approval
    )
    driver = a_driver(msgspec.structs.replace(project, directory=unlimited(project)), long)

    made = ordered(driver)

    assert made == []
    assert driver.parked == "too_many_lines"


def unlimited(project: Project) -> Directory:
    """The same people, everybody with every authority."""
    people = {
        name: msgspec.structs.replace(person, limit=None)
        for name, person in project.directory.people.items()
    }
    return msgspec.structs.replace(project.directory, people=people)
