"""`connector check`: every topic of every vendor, each failure with its cure, never a secret."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from quaestor.cli.main import app
from quaestor.connectors.kit.checking import TOPICS
from quaestor.project.starter.choosing import choose
from quaestor.project.starter.writing import starter_files, write_folder
from tests.support.simulator_process import running_simulator

NAMES = ["coupa", "workday", "planning", "sap"]
NOW = datetime.fromisoformat("2026-11-22T14:00:00+01:00")
SECRETS = {
    "COUPA_CLIENT_ID": "quaestor",
    "COUPA_CLIENT_SECRET": "wrong-coupa-secret",
    "WORKDAY_TOKEN": "wrong-workday-token",
    "PLANNING_TOKEN": "wrong-planning-token",
    "SAP_USER": "QUAESTOR",
    "SAP_PASSWORD": "wrong-sap-password",
}


def a_project(place: Path, *, real: bool = False) -> Path:
    chosen = choose(procurement="coupa", approvals="workday", planning="planning", erp="sap_s4")
    write_folder(place / "acme", starter_files(chosen, place / "acme", NOW, real=real))
    return place / "acme"


def checked(folder: Path, *more: str) -> tuple[int, Any, str]:
    """Exit code, result, and everything that was said."""
    done = CliRunner().invoke(app, ["connector", "check", "--project", str(folder), *more])
    lines = done.stdout.splitlines()
    return done.exit_code, json.loads(lines[-1]) if "--json" in more else None, done.output


def test_every_topic_is_checked_for_every_vendor(tmp_path: Path) -> None:
    code, result, _ = checked(a_project(tmp_path), "--json")

    topics = {name: {one["topic"] for one in probes} for name, probes in result["systems"].items()}
    assert topics == {name: set(TOPICS) for name in NAMES}
    assert (code, result["ok"]) == (0, True)


def test_people_read_it_system_by_system(tmp_path: Path) -> None:
    code, _, said = checked(a_project(tmp_path))

    assert code == 0
    assert said.count("our simulator") == len(NAMES)
    assert "looked for, 600 s after the last byte" in " ".join(said.split())
    assert "Everything is good." in said


def test_a_secret_that_is_not_there_is_told_for_each_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)
    folder = a_project(tmp_path, real=True)
    settings = folder / "quaestor.toml"
    nowhere = settings.read_text(encoding="utf-8")
    settings.write_text(_at(nowhere, "http://127.0.0.1:1"), encoding="utf-8")

    code, result, _ = checked(folder, "--json")

    bad = {
        name: [one for one in probes if not one["good"]]
        for name, probes in result["systems"].items()
    }
    assert code == 1
    assert all(one["fix"] for probes in bad.values() for one in probes)
    assert {name for name, probes in bad.items() if "not set" in probes[0]["detail"]} >= {
        "workday",
        "planning",
        "sap",
    }


@pytest.mark.parametrize(
    ("name", "kind", "cure"),
    [
        ("coupa", "coupa", "Client credentials"),
        ("workday", "workday", "API client"),
        ("planning", "planning", "token"),
        ("sap", "sap_s4", "SAP_COM_0053"),
    ],
)
def test_wrong_credentials_are_told_with_what_to_switch_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str, cure: str
) -> None:
    for variable, secret in SECRETS.items():
        monkeypatch.setenv(variable, secret)
    folder = a_project(tmp_path, real=True)
    settings = folder / "quaestor.toml"
    with running_simulator(kind) as simulator:
        settings.write_text(_at(settings.read_text(encoding="utf-8"), simulator.url), "utf-8")
        code, result, said = checked(folder, "--system", name, "--json")

    bad = [one for one in result["systems"][name] if not one["good"]]
    assert code == 1
    assert [one["topic"] for one in bad] == ["credentials"]
    assert cure in bad[0]["fix"]
    assert "wrong-" not in said


def test_a_system_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    code, _, said = checked(a_project(tmp_path), "--system", "sapp")

    assert code == 2
    assert "workday" in said


def _at(text: str, url: str) -> str:
    """Every system at this address."""
    lines = [
        f'base_url = "{url}"' if line.startswith("base_url") else line for line in text.splitlines()
    ]
    return "\n".join(lines) + "\n"
