"""compose.yaml, Containerfile and the pages about production say what the command line knows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from quaestor.cli.main import app
from quaestor.cli.place import read_dsn
from tests.support.quaestor_process import ROOT

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
OURS = {name: each for name, each in COMPOSE["services"].items() if name != "database"}
CONTAINERFILE = (ROOT / "Containerfile").read_text(encoding="utf-8")
PAGES = ["docs/production.md", "docs/first-week.md", "README.md"]


def unknown_in(words: list[str]) -> list[str]:
    """What of a command is none of ours: its name, or an option."""
    known: Any = typer.main.get_command(app)
    given = list(words)
    while hasattr(known, "commands"):
        name = given.pop(0)
        if name not in known.commands:
            return [name]
        known = known.commands[name]
    options = {option for each in known.params for option in each.opts} | {"--help"}
    asked = [word.partition("=")[0] for word in given if word.startswith("--")]
    return [option for option in asked if option not in options]


def commands_in(page: str) -> Iterator[list[str]]:
    text = (ROOT / page).read_text(encoding="utf-8")
    for line in re.findall(
        r"^ {4}(?:\.venv/bin/)?quaestor (.+?)(?: {2,}#.*)?$", text, re.MULTILINE
    ):
        yield shlex.split(line)


@pytest.mark.parametrize("name", OURS)
def test_every_command_of_the_composition_is_one_of_ours(name: str) -> None:
    assert unknown_in(OURS[name]["command"]) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_is_one_of_ours(page: str) -> None:
    commands = list(commands_in(page))

    assert commands
    assert [found for words in commands for found in unknown_in(words)] == []


def test_a_command_that_is_none_of_ours_is_found() -> None:
    assert unknown_in(["serve", "--prot=1"]) == ["--prot"]
    assert unknown_in(["audit", "verfiy"]) == ["verfiy"]


@pytest.mark.parametrize("name", OURS)
def test_our_containers_can_do_no_more_than_they_need(name: str) -> None:
    service = OURS[name]

    assert service["read_only"] is True
    assert service["user"].split(":")[0] not in ("0", "root")
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_what_depends_on_the_schema_waits_for_it() -> None:
    waiting = {
        name: {on: each["condition"] for on, each in service["depends_on"].items()}
        for name, service in OURS.items()
    }

    assert waiting == {
        "migrate": {"database": "service_healthy"},
        "release": {"migrate": "service_completed_successfully"},
        "gateway": {"release": "service_completed_successfully"},
        "worker": {"release": "service_completed_successfully"},
    }
    assert "/healthz" in OURS["gateway"]["healthcheck"]["test"][-1]
    assert (OURS["migrate"]["restart"], OURS["release"]["restart"]) == ("no", "no")


def test_secrets_are_files_and_none_stands_in_the_composition() -> None:
    used = {name for each in COMPOSE["services"].values() for name in each.get("secrets", ())}
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")

    assert used == set(COMPOSE["secrets"])
    assert all(set(each) == {"file"} for each in COMPOSE["secrets"].values())
    assert re.findall(r"(?im)(?:password|secret|token)\s*:\s*[\"']?\w+[\"']?\s*$", text) == []
    assert "postgresql://" not in text


def test_every_mounted_volume_is_declared() -> None:
    mounted = {
        volume.split(":")[0]
        for each in COMPOSE["services"].values()
        for volume in each.get("volumes", ())
        if not volume.startswith(".")
    }

    assert mounted == set(COMPOSE["volumes"])


def test_the_image_runs_as_nobody_special_and_copies_what_is_there() -> None:
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", CONTAINERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]

    assert re.findall(r"^USER (\S+)$", CONTAINERFILE, re.MULTILINE) == ["10001:10001"]
    assert re.findall(r"^ENTRYPOINT (.+)$", CONTAINERFILE, re.MULTILINE) == ['["quaestor"]']
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_a_dsn_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text("postgresql://quaestor@database/quaestor\n")

    given = [read_dsn(f"file:{tmp_path / 'dsn'}"), read_dsn("postgresql://here/"), read_dsn(None)]

    assert given == ["postgresql://quaestor@database/quaestor", "postgresql://here/", None]


def test_a_dsn_in_a_file_that_is_not_there_is_wrong_usage() -> None:
    with pytest.raises(typer.BadParameter, match="cannot be read"):
        read_dsn("file:nowhere/dsn")
