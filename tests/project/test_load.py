"""A project folder as values, and the hash of what was read."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from quaestor.approvals.snapshot import ApprovalPolicy
from quaestor.connectors.kit.config import BasicConfig
from quaestor.model.crosswalk import Crosswalks
from quaestor.model.employee import Directory
from quaestor.project.load import load_project
from quaestor.project.reads import project_reads
from quaestor.project.seams import load_flow_seams
from tests.project.folders import EXAMPLES, a_copy, change

DAY = date(2026, 3, 2)


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.iterdir()))
def test_every_example_loads(example: str) -> None:
    project = load_project(EXAMPLES / example)

    assert project.settings.deployment.name
    assert project.entities


def test_a_code_keeps_its_zeros_and_an_amount_its_cents(tmp_path: Path) -> None:
    folder = a_copy(tmp_path)
    change(folder, "entities.yaml", "sap: 1010", "sap: 0010")
    change(folder, "entities.yaml", "country: DE", "country: NO")
    change(folder, "directory/people.yaml", "limit: 25000.00", "limit: 25000.10")

    project = load_project(folder)

    assert project.crosswalks.theirs("sap", "company_code", "acme-de", DAY) == "0010"
    assert project.entities["acme-de"].country == "NO"
    assert project.directory.people["ben.koch"].limit == Decimal("25000.10")


def test_only_a_limit_that_is_called_unlimited_is_without_limit() -> None:
    people = load_project(EXAMPLES / "it-hardware").directory.people

    limits = [people[name].limit for name in ("gus.adler", "ana.berger")]

    assert limits == [None, Decimal(0)]


def test_a_delegation_holds_from_its_first_instant_until_before_its_last(tmp_path: Path) -> None:
    folder = a_copy(tmp_path)
    lent = (
        "delegations:\n      - {to: ben.koch, start: 2026-12-21T00:00:00+01:00, "
        "end: 2027-01-04T00:00:00+01:00, max_amount: 50000}"
    )
    change(folder, "directory/people.yaml", "roles: [finance]", f"roles: [finance]\n    {lent}")

    carla = load_project(folder).directory.people["carla.lindt"]

    first, last = datetime(2026, 12, 20, 23, tzinfo=UTC), datetime(2027, 1, 3, 23, tzinfo=UTC)
    assert [len(carla.lent_to("ben.koch", at)) for at in (first, last)] == [1, 0]
    assert carla.delegations[0].max_amount == Decimal(50000)


def test_an_entity_is_routed_to_its_own_ledger_before_that_of_all(tmp_path: Path) -> None:
    folder = a_copy(tmp_path)
    routed = '"*" = "sap"\nacme-us = "workday"'
    change(folder, "quaestor.toml", '"*" = "sap"', routed)

    entities = load_project(folder).entities

    assert [entities[name].ledger_on(DAY) for name in ("acme-de", "acme-us")] == ["sap", "workday"]


def test_ledgers_by_date_win_over_the_route_of_all(tmp_path: Path) -> None:
    folder = a_copy(tmp_path)
    ledgers = "plant: berlin\n    ledgers: [{system: workday, since: 2020-01-01}]"
    change(folder, "entities.yaml", "plant: berlin", ledgers)

    entities = load_project(folder).entities

    assert entities["acme-de"].ledger_on(DAY) == "workday"


def test_the_decider_of_an_entity_wins_over_that_of_all(tmp_path: Path) -> None:
    folder = a_copy(tmp_path)
    about = "decision: approval, document: requisition, entity: acme-us"
    change(
        folder,
        "ownership.yaml",
        "decisions:\n",
        f"decisions:\n  - {{{about}, decider: coupa, mode: relay}}\n",
    )

    project = load_project(folder)

    policies = [project.approval_policy("requisition", name) for name in ("acme-de", "acme-us")]
    assert policies == [
        ApprovalPolicy("workday", "verify", 30),
        ApprovalPolicy("coupa", "relay", 30),
    ]


def test_the_freshness_that_ownership_declares_is_what_the_checks_ask_for(tmp_path: Path) -> None:
    folder = a_copy(tmp_path)
    change(folder, "ownership.yaml", "object: supplier,", "object: supplier, max_age_s: 7200,")
    change(folder, "ownership.yaml", "object: account,", "object: account, max_age_s: 3600,")

    policy = load_project(folder).validation_policy()

    assert (policy.supplier_max_age_s, policy.chart_max_age_s) == (7200, 3600)


def test_a_system_is_configured_as_its_own_connector_wants_it(tmp_path: Path) -> None:
    folder = a_copy(tmp_path)
    real = (
        'base_url = "https' + '://s4.example"\nclient = "100"\n'
        'auth = {user = "QUAESTOR", password = "env:SAP_PASSWORD"}\n'
    )
    change(folder, "quaestor.toml", "simulate = true", real + "simulate = false")

    config = load_project(folder).configs["sap"]

    assert (config.client, config.settle_s, config.connect_timeout_s) == ("100", 1.0, 1.0)
    assert config.auth == BasicConfig("QUAESTOR", "env:SAP_PASSWORD")


def test_a_stage_reads_what_it_declares_and_nothing_else() -> None:
    project = load_project(EXAMPLES / "it-hardware")
    read = project_reads(project, load_flow_seams(project))

    found = read("requisition", "acme-de", (Directory, Crosswalks, ApprovalPolicy))

    assert set(found) == {Directory, Crosswalks, ApprovalPolicy}
    assert found[Directory] is project.directory
    assert found[ApprovalPolicy].decider == "workday"


def test_a_type_that_no_project_holds_is_an_error() -> None:
    project = load_project(EXAMPLES / "it-hardware")
    read = project_reads(project, load_flow_seams(project))

    with pytest.raises(KeyError):
        read("requisition", "acme-de", (Path,))


# --- the release ----------------------------------------------------------------------------------


def test_the_same_folder_elsewhere_is_the_same_release(tmp_path: Path) -> None:
    there = load_project(a_copy(tmp_path)).release()

    here = load_project(a_copy(tmp_path / "elsewhere")).release()

    assert here == there


@pytest.mark.parametrize(
    ("file", "old", "new", "part"),
    [
        ("policies/approvals.yaml", "30", "31", "policies/approvals.yaml"),
        ("policies/budget.yaml", "5000000.00", "4000000.00", "policies/budget.yaml"),
        ("crosswalks/sap.csv", "10300001", "10300002", "crosswalks"),
        ("directory/people.yaml", "Ana Berger", "Ana Braun", "directory"),
        ("quaestor.toml", "slots = 8", "slots = 9", "quaestor.toml"),
    ],
)
def test_a_change_shows_in_its_part_and_in_the_whole_and_nowhere_else(
    tmp_path: Path, file: str, old: str, new: str, part: str
) -> None:
    folder = a_copy(tmp_path)
    before = load_project(folder).release()
    change(folder, file, old, new)

    after = load_project(folder).release()

    changed = {name for name in before.parts if before.parts[name] != after.parts[name]}
    assert changed == {part}
    assert before.hash != after.hash


def test_a_file_that_is_renamed_is_another_release(tmp_path: Path) -> None:
    folder = a_copy(tmp_path)
    before = load_project(folder).release()
    (folder / "crosswalks" / "sap.csv").rename(folder / "crosswalks" / "s4.csv")

    after = load_project(folder).release()

    assert before.parts["crosswalks"] != after.parts["crosswalks"]


def test_what_is_not_read_is_not_part_of_the_release(tmp_path: Path) -> None:
    folder = a_copy(tmp_path)
    before = load_project(folder).release()
    (folder / "notes.txt").write_text("to be thought about")

    after = load_project(folder).release()

    assert before == after
