"""The first hour: the README's own commands lead from nothing to a purchase order."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.quaestor_process import ROOT, quaestor, running_quaestor, until

NO_CURL = shutil.which("curl") is None
pytestmark = [
    pytest.mark.slow,
    pytest.mark.serial,
    pytest.mark.skipif(NO_CURL, reason="there is no curl on this machine"),
]

_USUAL = "http://127.0.0.1:8700"


def commands() -> list[str]:
    """The command lines of the README's first hour, in order; a continued one is one."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    section = page.partition("## The first hour")[2].partition("\n## ")[0]
    block = "\n".join(re.findall(r"^ {4}(.+)$", section, re.MULTILINE))
    return block.replace("\\\n", " ").splitlines()


def typed(script: list[str], at: Path, url: str) -> subprocess.CompletedProcess[str]:
    """These lines in a shell, in this folder; the gateway may have another port."""
    python = shlex.quote(sys.executable)
    lines = [
        line.replace(".venv/bin/quaestor", f"{python} -m quaestor").replace(_USUAL, url)
        for line in script
    ]
    return subprocess.run(
        ["sh", "-eu", "-c", "\n".join(lines)],
        cwd=at,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_first_hour_of_the_readme_ends_with_a_purchase_order(place: Path) -> None:
    init, up, token, curl, trace, down = commands()
    at = place / "hour"
    at.mkdir()
    made = typed([init], at, "")
    assert made.returncode == 0, made.stderr
    started = [str(at / word) if word.startswith("acme") else word for word in up.split()[1:]]

    with running_quaestor(*started, "--port", "0", "--json") as (process, ready):
        taken = typed([token, curl], at, ready["url"])
        data = at / "acme-data"
        until(
            lambda: (
                "done: ordered" in "\n".join(quaestor("trace", "FIRST-1", "--data", data).lines)
            ),
            "the order",
        )
        traced = typed([trace], at, ready["url"])
        waiting = quaestor("worklist", "--data", data, "--json").result
        stopped = typed([down], at, ready["url"])
        code = process.wait(60)

    assert '"status":"accepted"' in taken.stdout, taken.stderr
    assert "POST" in traced.stdout
    assert "4500000000" in traced.stdout
    assert waiting == {"items": [], "not_understood": []}
    assert (stopped.returncode, code) == (0, 0)


def test_a_newcomer_is_not_asked_for_anything_in_the_folder(place: Path) -> None:
    made = quaestor("init", place / "acme", "--json")
    checked = quaestor("project", "check", place / "acme", "--json")
    again = quaestor("init", place / "acme", "--json")

    assert made.result["systems"]["sap"] == {"connector": "sap_s4", "simulate": True}
    assert checked.result["release"] == made.result["release"]
    assert (again.code, again.result["error"]) == (1, "folder_not_empty")


def test_an_unknown_system_is_refused_by_name(place: Path) -> None:
    said = quaestor("init", place / "acme", "--erp", "sap", "--json")

    assert said.code == 2
    assert "sap_s4" in said.told
    assert not (place / "acme").exists()
