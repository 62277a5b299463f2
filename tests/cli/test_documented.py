"""The page about the command line knows every command, and none that is not there."""

from __future__ import annotations

import re

from quaestor.cli.main import app
from tests.support.quaestor_process import ROOT

PAGE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
HIDDEN = {"bench-bare", "bench-ledger"}


def known() -> set[str]:
    """Every command of the command line, a sub-command with its group."""
    plain = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    grouped = {
        f"{group.name} {command.name}"
        for group in app.registered_groups
        if group.typer_instance is not None
        for command in group.typer_instance.registered_commands
    }
    return (plain | grouped) - HIDDEN


def documented() -> set[str]:
    """The first word of each row of the tables, the first two for a group's command."""
    rows = re.findall(r"^\| `([a-z ]+?)(?: [A-Z-].*?)?` \|", PAGE, re.MULTILINE)
    return set(rows)


def test_every_command_is_documented() -> None:
    assert known() - documented() == set()


def test_every_documented_command_is_there() -> None:
    assert documented() - known() == set()
