"""Project folders to be spoilt: a copy of the example with one thing changed."""

from __future__ import annotations

import shutil
from pathlib import Path

from quaestor.project.load import load_project
from quaestor.project.problems import Problem, ProjectError
from tests.support.file_only import file_only

__all__ = ["EXAMPLES", "a_copy", "change", "problems_of"]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def a_copy(folder: Path, example: str = "it-hardware") -> Path:
    """A copy of the example under `folder`; of ours the one that posts to SAP alone."""
    if example == "it-hardware":
        return file_only(folder / example)
    return Path(shutil.copytree(EXAMPLES / example, folder / example))


def change(project: Path, file: str, old: str, new: str) -> None:
    """Put `new` in the place of `old`, once; with nothing for `old`, append."""
    path = project / file
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    assert old in text, f"{file} does not hold {old!r}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace(old, new, 1) if old else text + new, encoding="utf-8")


def problems_of(project: Path) -> tuple[Problem, ...]:
    """What is found wrong with the folder; nothing where it loads."""
    try:
        load_project(project)
    except ProjectError as error:
        return error.problems
    return ()
