"""What the documentation says about settings, and what must agree between them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from quaestor.model.crosswalk import CODE_KINDS
from quaestor.project.load import KNOWN
from quaestor.settings import (
    Deployment,
    Limits,
    Settings,
    SimulatorSettings,
    SystemSettings,
    settings_faults,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "project-folder.md"
DOCUMENTED = [Deployment, SystemSettings, SimulatorSettings, Limits]


@pytest.mark.parametrize("kind", DOCUMENTED)
def test_every_setting_is_documented(kind: type[msgspec.Struct]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    names = {field.name for field in msgspec.structs.fields(kind)} - {"own"}

    missing = sorted(name for name in names if f"`{name}`" not in page)

    assert missing == []


def test_every_kind_of_code_and_every_folder_is_documented() -> None:
    page = PAGE.read_text(encoding="utf-8")

    missing = [kind for kind in CODE_KINDS if f"`{kind}`" not in page]
    missing += [folder for folder in KNOWN if folder and f"{folder}/" not in page]

    assert missing == []


def a_system(**given: object) -> SystemSettings:
    return msgspec.convert({"connector": "sap_s4", "total_timeout_s": 10} | given, SystemSettings)


def faults(system: SystemSettings, **deployment: object) -> list[str]:
    settings = Settings(
        deployment=msgspec.convert({"name": "acme"} | deployment, Deployment),
        systems={"sap": system},
    )
    return [fault.code for fault in settings_faults(settings)]


@pytest.mark.parametrize(("lease_s", "found"), [(10.9, ["lease_too_short"]), (11, [])])
def test_an_answer_must_be_written_before_the_lease_ends(lease_s: float, found: list[str]) -> None:
    assert faults(a_system(), lease_s=lease_s) == found


def test_nothing_is_sent_to_a_system_that_is_only_named() -> None:
    assert faults(a_system(connector="none"), lease_s=5) == []


def test_a_simulator_is_for_tests() -> None:
    assert faults(a_system(simulate=True), environment="production") == ["simulator_in_production"]


def test_there_is_nothing_to_simulate_where_there_is_no_connector() -> None:
    assert faults(a_system(connector="none", simulate=True)) == ["nothing_to_simulate"]


@pytest.mark.parametrize(
    ("system", "deployment", "found"),
    [
        ("production", "test", ["production_system_in_test"]),
        ("test", "production", ["test_system_in_production"]),
        ("production", "production", []),
        ("test", "test", []),
        (None, "production", []),
    ],
)
def test_a_system_and_its_deployment_are_of_one_environment(
    system: str | None, deployment: str, found: list[str]
) -> None:
    given = a_system(environment=system, base_url="https://sap.acme.example")

    assert faults(given, environment=deployment) == found


def test_where_a_simulator_stands_in_nothing_reaches_the_real_system() -> None:
    assert faults(a_system(environment="production", simulate=True)) == []


@pytest.mark.parametrize(
    ("deployment", "system", "mode"),
    [
        ("live", "live", "live"),
        ("live", "observe", "observe"),
        ("observe", "live", "observe"),
        ("observe", "observe", "observe"),
    ],
)
def test_a_deployment_that_observes_sends_nothing_to_any_system(
    deployment: str, system: str, mode: str
) -> None:
    settings = Settings(Deployment("acme", mode=deployment), {"sap": a_system(mode=system)})

    assert settings.mode_of("sap") == mode
