"""Coupa's table in quaestor.toml: only named, simulated, or connected."""

from __future__ import annotations

from pathlib import Path

from quaestor.connectors.coupa.config import CoupaConfig
from quaestor.connectors.kit.config import ClientConfig
from quaestor.connectors.kit.ready import Ready
from quaestor.project.load import load_project
from quaestor.project.systems import open_systems, submitting_kinds
from tests.project.folders import a_copy, change, problems_of
from tests.support.file_only import file_only_example

TOML = "quaestor.toml"
NAMED = "sends = false"


def connected(folder: Path) -> Path:
    project = a_copy(folder)
    change(project, TOML, NAMED, "sends = true")
    return project


def test_a_system_that_is_only_named_is_neither_opened_nor_reported_to() -> None:
    project = load_project(file_only_example())

    assert "coupa" in project.configs
    assert set(submitting_kinds(project)) == {"sap"}


def test_the_loader_gives_a_table_its_name_and_the_kind_of_its_login(tmp_path: Path) -> None:
    config = load_project(connected(tmp_path)).configs["coupa"]

    assert isinstance(config, CoupaConfig)
    assert config.system == "coupa"
    assert config.auth == ClientConfig("env:COUPA_CLIENT_ID", "env:COUPA_CLIENT_SECRET")
    assert config.connect_timeout_s <= config.total_timeout_s


def test_a_table_does_not_write_its_own_name(tmp_path: Path) -> None:
    project = a_copy(tmp_path)
    change(project, TOML, NAMED, 'sends = false\nsystem = "other"')

    (problem,) = problems_of(project)

    assert (problem.code, problem.key) == ("key_unknown", "systems.coupa.system")


def test_a_part_of_the_oauth_table_keeps_coupas_other_defaults(tmp_path: Path) -> None:
    project = connected(tmp_path)
    table = '[systems.coupa.oauth]\ntoken_url = "/oauth2/access_tokens"\n\n'
    change(project, TOML, "[systems.workday]", f"{table}[systems.workday]")

    oauth = load_project(project).configs["coupa"].oauth

    assert (oauth.token_url, oauth.gap_s) == ("/oauth2/access_tokens", 5.0)
    assert "core.requisition.read" in oauth.scopes


async def test_a_connected_coupa_opens_without_its_secret_and_a_simulated_one_with_its_own(
    tmp_path: Path,
) -> None:
    project = load_project(connected(tmp_path))
    sap = Ready("http://127.0.0.1:9", "http://127.0.0.1:9", {"user": "U", "password": "simulated"})
    client = {"client_id": "simulated", "client_secret": "simulated-only"}
    coupa = Ready("http://127.0.0.1:9", "http://127.0.0.1:9", client)

    opened = [
        open_systems(project, simulated)
        for simulated in ({"sap": sap}, {"sap": sap, "coupa": coupa})
    ]

    assert [set(systems) for systems in opened] == [{"sap", "coupa"}] * 2
    for systems in opened:
        assert systems["coupa"].submits is not None
        for system in systems.values():
            await system.wire.close()
