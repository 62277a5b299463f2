"""`quaestor init`: what it writes can be loaded, for every choice, and shows every option."""

from __future__ import annotations

import itertools
import re
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from quaestor.connectors.kit.registry import connector_kinds
from quaestor.project.load import load_project
from quaestor.project.starter.choosing import NO_SYSTEM, SystemUnsuited, choose, suited
from quaestor.project.starter.writing import (
    FolderRefused,
    deployment_name,
    starter_files,
    write_folder,
)
from quaestor.settings import SystemSettings

NOW = datetime.fromisoformat("2026-11-22T14:00:00+01:00")
COMBINATIONS = list(
    itertools.product(
        [*suited("procurement"), NO_SYSTEM],
        [*suited("approvals"), NO_SYSTEM],
        [*suited("planning"), NO_SYSTEM],
        suited("erp"),
        [False, True],
    )
)
EVERYTHING = {
    "procurement": "coupa",
    "approvals": "workday",
    "planning": "planning",
    "erp": "sap_s4",
}
OPTION = re.compile(r"^# (?=[a-z_]+ = |\[[a-z_.]+\]$)", re.MULTILINE)


def written(place: Path, *, real: bool = False, **chosen: str) -> Path:
    """A new project in this place."""
    folder = place / "acme"
    files = starter_files(choose(**{**EVERYTHING, **chosen}), folder, NOW, real=real)
    write_folder(folder, files)
    return folder


def test_each_part_has_its_systems() -> None:
    assert (suited("procurement"), suited("approvals"), suited("planning")) == (
        ["coupa"],
        ["workday"],
        ["planning"],
    )
    assert {"sap_s4", "bogus"} <= set(suited("erp"))


@pytest.mark.parametrize(("procurement", "approvals", "planning", "erp", "real"), COMBINATIONS)
def test_every_choice_of_systems_can_be_loaded(
    tmp_path: Path, procurement: str, approvals: str, planning: str, erp: str, real: bool
) -> None:
    chosen = {
        "procurement": procurement,
        "approvals": approvals,
        "planning": planning,
        "erp": erp,
    }

    project = load_project(written(tmp_path, real=real, **chosen))

    named = {system.connector for system in project.settings.systems.values()} - {NO_SYSTEM}
    assert named == set(chosen.values()) - {NO_SYSTEM}
    assert all(
        system.simulate is not real
        for system in project.settings.systems.values()
        if system.connector != NO_SYSTEM
    )
    assert project.settings.deployment.mode == ("observe" if real else "live")


def test_with_every_option_switched_on_it_can_still_be_loaded(tmp_path: Path) -> None:
    folder = written(tmp_path)
    path = folder / "quaestor.toml"
    text = path.read_text(encoding="utf-8").replace("simulate = true", "simulate = false")

    path.write_text(OPTION.sub("", text), encoding="utf-8")

    switched = load_project(folder).settings.systems["sap"]
    assert (switched.base_url, switched.auth["user"]) == (
        "https://my300000-api.s4hana.cloud.sap",
        "env:SAP_USER",
    )


@pytest.mark.parametrize("name", ["coupa", "workday", "planning", "sap"])
def test_every_option_of_a_connector_is_shown_with_its_own_default(
    tmp_path: Path, name: str
) -> None:
    folder = written(tmp_path)
    text = OPTION.sub("", (folder / "quaestor.toml").read_text(encoding="utf-8"))
    project = load_project(folder)
    config = project.configs[name]

    shown = set(re.findall(rf"^\[systems\.{name}\.([a-z_]+)\]$", text, re.MULTILINE))
    block = text.partition(f"[systems.{name}]\n")[2].partition("\n# --- ")[0]
    shown |= set(re.findall(r"^([a-z_]+) = ", block, re.MULTILINE))

    kind = connector_kinds()[project.settings.systems[name].connector]
    wanted = {field.name for field in msgspec.structs.fields(kind.config_type)}
    wanted |= {field.name for field in msgspec.structs.fields(SystemSettings)}
    wanted -= {"system", "logins", "own"}
    assert wanted - shown == (set() if kind.manifest.receives else {"webhook"})
    assert type(config) is kind.config_type


def test_no_secret_is_written(tmp_path: Path) -> None:
    text = (written(tmp_path, real=True) / "quaestor.toml").read_text(encoding="utf-8")

    secrets = re.findall(r'^(?:token|password|client_secret) = "(.+)"', text, re.MULTILINE)

    assert sorted(secrets) == [
        "env:COUPA_CLIENT_SECRET",
        "env:PLANNING_TOKEN",
        "env:SAP_PASSWORD",
        "env:WORKDAY_TOKEN",
    ]


@pytest.mark.parametrize(
    ("part", "asked", "told"),
    [
        ("erp", "sap", "sap_s4"),
        ("erp", "none", "sap_s4"),
        ("erp", "coupa", "sap_s4"),
        ("procurement", "workday", "coupa, none"),
    ],
)
def test_a_system_that_cannot_do_its_part_is_refused_by_name(
    part: str, asked: str, told: str
) -> None:
    with pytest.raises(SystemUnsuited, match=rf"--{part} {asked}: .*{told}"):
        choose(**{**EVERYTHING, part: asked})


def refused(folder: Path) -> str:
    with pytest.raises(FolderRefused) as error:
        write_folder(folder, {"quaestor.toml": ""})
    return error.value.code


def test_a_folder_with_anything_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")

    code = refused(tmp_path)

    assert code == "folder_not_empty"
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("place", ["/", "/etc/quaestor", "/usr", "~"])
def test_a_place_of_the_machine_or_of_the_person_is_refused(place: str) -> None:
    assert refused(Path(place).expanduser()) == "path_dangerous"


@pytest.mark.parametrize("inhabitant", ["quaestor.toml", "audit.key"])
def test_a_place_inside_a_project_or_a_data_directory_is_refused(
    tmp_path: Path, inhabitant: str
) -> None:
    (tmp_path / inhabitant).write_text("")

    assert refused(tmp_path / "new") == "path_dangerous"


def test_a_file_or_a_link_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")

    codes = [refused(tmp_path / name) for name in ("file", "link")]

    assert codes == ["path_dangerous", "path_dangerous"]


@pytest.mark.parametrize(
    ("folder", "name"),
    [("acme", "acme"), ("Acme GmbH", "acme-gmbh"), ("2027", "acme-2027"), ("x" * 60, "x" * 40)],
)
def test_a_deployment_is_called_as_its_folder_as_far_as_it_may(
    tmp_path: Path, folder: str, name: str
) -> None:
    assert deployment_name(tmp_path / folder) == name
