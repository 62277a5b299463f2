"""The simulators of a project: the vendor's own options, checked by the vendor's simulator."""

from __future__ import annotations

from pathlib import Path

from quaestor.connectors.workday.config import WorkdayConfig
from quaestor.project.load import load_project
from tests.project.folders import a_copy, change, problems_of

TOML = "quaestor.toml"
WORKDAY = """[systems.workday]
connector = "workday"
simulate = true
total_timeout_s = 3
tenant = "acme"

[systems.workday.simulator.routing]
steps = [{by = "manager", after_ms = 300}, {by = "finance"}]
delegations = {"31002" = "10001"}
"""
NAMED = '[systems.workday]\nconnector = "none"\n'


def deciding(folder: Path, *, table: str = WORKDAY) -> Path:
    """The example with a Workday of ours."""
    project = a_copy(folder)
    change(project, TOML, NAMED, table)
    return project


def test_what_is_the_vendors_own_is_kept_apart_from_what_every_simulator_takes(
    tmp_path: Path,
) -> None:
    project = load_project(deciding(tmp_path))

    simulator = project.settings.systems["workday"].simulator
    assert simulator.latency_ms == 0.0
    assert set(simulator.own) == {"routing"}
    assert simulator.own["routing"]["delegations"] == {"31002": "10001"}


def test_a_wrong_option_of_the_vendor_is_named_with_its_place(tmp_path: Path) -> None:
    project = deciding(tmp_path, table=WORKDAY.replace("after_ms = 300", "after = 300"))

    (problem,) = problems_of(project)

    assert (problem.code, problem.key) == (
        "key_unknown",
        "systems.workday.simulator.routing.steps.1.after",
    )


def test_a_simulator_without_options_of_its_own_takes_none(tmp_path: Path) -> None:
    project = a_copy(tmp_path, "custom-portal")
    table = "[systems.ledger.simulator]\nseeds = 1\n"
    change(project, TOML, "[routing", f"{table}\n[routing")

    (problem,) = problems_of(project)

    assert (problem.code, problem.key) == ("key_unknown", "systems.ledger.simulator.seeds")
    assert problem.instead == "seed"


def test_workers_are_who_the_directory_says(tmp_path: Path) -> None:
    config = load_project(deciding(tmp_path)).configs["workday"]

    assert isinstance(config, WorkdayConfig)
    assert config.rules.codes["worker"]["ana.berger"] == "21001"


def test_a_table_of_workers_takes_the_place_of_the_directory(tmp_path: Path) -> None:
    table = '[systems.workday.requisition.codes.worker]\n"ana.berger" = "9"\n'
    config = load_project(deciding(tmp_path, table=WORKDAY + table)).configs["workday"]

    assert config.rules.codes == {"worker": {"ana.berger": "9"}}
