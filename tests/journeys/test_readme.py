"""The commands of the README do what it says, in its order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support.quaestor_process import ROOT, Said, quaestor, running_quaestor, until

pytestmark = [pytest.mark.slow, pytest.mark.serial]

COMMAND = re.compile(r"^ {4}\.venv/bin/quaestor (.+?)(?: {2,}#.*)?$", re.MULTILINE)


def commands(data: Path) -> list[list[str]]:
    """The commands of the README's last way, on this data directory and the checkout's files."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    found = COMMAND.findall(page.partition("## How to go on")[2])
    named = [shlex.split(command) for command in found]
    return [
        [
            str(data) if w == "./data" else str(ROOT / w) if w.startswith("examples/") else w
            for w in c
        ]
        for c in named
    ]


def test_the_commands_of_the_readme_work_in_its_order(place: Path) -> None:
    up, *others = commands(place / "data")

    with running_quaestor(*up, "--json") as (process, _):
        submit, trace, *rest, down = others
        said = [quaestor(*submit)]
        until(lambda: "done: ordered" in "\n".join(quaestor(*trace).lines), "the order")
        said += [quaestor(*command) for command in (trace, *rest, down)]
        code = process.wait(30.0)

    assert [one.code for one in said] == [0] * len(said), said
    assert code == 0
    assert all(isinstance(one, Said) and one.lines for one in said)
