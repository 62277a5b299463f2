"""What every command promises: exit codes, and one line of JSON for machines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quaestor.cli.main import app
from tests.support.quaestor_process import EXAMPLE

GOOD = [
    ("version",),
    ("project", "check", str(EXAMPLE)),
    ("schemas", "--out", "schemas"),
]
NOT_GOOD = [
    ("project", "check", "nowhere"),
    ("trace", "20417"),
    ("trace", "20417", "--data", "nowhere"),
    ("worklist", "--data", "nowhere"),
    ("audit", "verify", "--data", "nowhere"),
    ("submit", "nowhere.json", "--data", "nowhere"),
    ("cancel", "20417", "--by", "ana.berger", "--data", "nowhere"),
    ("up", "--project", "nowhere", "--data", "place"),
    ("demo", "--project", "nowhere", "--data", "place"),
]
USED_WRONGLY = [
    ("nonsense",),
    ("trace",),
    ("simulator", "run", "nonsense"),
    ("worklist", "--owner", "nobody", "--data", "nowhere"),
    ("recover", "--by", "ana.berger", "--recovery-point", "yesterday", "--data", "nowhere"),
    ("up", "--workers", "0"),
    ("audit", "archive", "2020-1", "--by", "ana.berger", "--out", "place"),
    ("audit", "archive", "2020-01", "--by", "ana.berger", "--out", "place", "--yes", "--drop"),
]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("QUAESTOR_DATA", "QUAESTOR_DSN", "QUAESTOR_PROJECT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("arguments", GOOD)
def test_what_is_good_ends_with_0_and_one_line_for_machines(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*arguments, "--json"])

    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) == 1
    assert isinstance(json.loads(done.stdout), dict)


@pytest.mark.parametrize("arguments", GOOD)
def test_without_json_people_are_told_on_stdout(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, arguments)

    assert done.exit_code == 0
    assert done.stdout
    assert not done.stderr


@pytest.mark.parametrize("arguments", NOT_GOOD)
def test_what_is_not_good_ends_with_1_and_says_so_in_one_line(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*arguments, "--json"])

    assert done.exit_code == 1, done.output
    assert json.loads(done.stdout)["ok"] is False
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", USED_WRONGLY)
def test_what_is_used_wrongly_ends_with_2(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, arguments)

    assert done.exit_code == 2
    assert not done.stdout


def test_every_command_explains_itself() -> None:
    names = [command.callback.__name__ for command in app.registered_commands if command.callback]

    helps = {name: CliRunner().invoke(app, [name.replace("_", "-"), "--help"]) for name in names}

    assert {name for name, done in helps.items() if done.exit_code != 0} == set()
    assert len(helps) > 10


def test_a_problem_of_a_project_names_its_place_and_its_cure(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "quaestor.toml").write_text('[deployment]\nname = "x"\nlease = 5\n')

    done = CliRunner().invoke(app, ["project", "check", "broken", "--json"])

    problems = json.loads(done.stdout)["problems"]
    assert {"quaestor.toml"} <= {problem["file"] for problem in problems}
    assert all(problem["code"] and problem["message"] for problem in problems)
