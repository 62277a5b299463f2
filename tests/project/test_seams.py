"""A customer's own steps are found, checked before they are needed, and named in the release."""

from __future__ import annotations

from pathlib import Path

import pytest

from quaestor.flows.kit.reads import Seams
from quaestor.project.load import load_project
from quaestor.project.problems import ProjectError
from quaestor.project.seams import load_flow_seams
from tests.project.folders import a_copy, change
from tests.support.builders import a_requisition, an_order

FILE = "flows/requisition_to_order.py"


def seams_of(folder: Path, text: str) -> Seams:
    change(folder, FILE, "", text)
    return load_flow_seams(load_project(folder))


def test_a_project_without_steps_has_none(tmp_path: Path) -> None:
    project = load_project(a_copy(tmp_path))

    seams = load_flow_seams(project)

    assert seams == Seams()


def test_a_step_is_called_with_values_and_gives_one(tmp_path: Path) -> None:
    text = "def before_post(order, requisition):\n    return (order.supplier, requisition.number)\n"

    seams = seams_of(a_copy(tmp_path), text)

    (before_post,) = seams.before_post
    assert before_post(an_order(), a_requisition()) == ("10300001", "20417")
    assert (seams.enrich, seams.after_done) == ((), ())


def test_two_projects_have_each_their_own_step(tmp_path: Path) -> None:
    folders = [a_copy(tmp_path / name) for name in ("one", "two")]

    both = [
        seams_of(folder, f"def enrich(order, requisition):\n    return {number}\n")
        for number, folder in enumerate(folders)
    ]

    assert [seams.enrich[0](an_order(), a_requisition()) for seams in both] == [0, 1]


def test_a_step_is_a_part_of_the_release(tmp_path: Path) -> None:
    folder = a_copy(tmp_path)
    change(folder, FILE, "", "def enrich(order, requisition):\n    return order\n")
    before = load_project(folder).release()
    change(folder, FILE, "return order", "return None")

    after = load_project(folder).release()

    assert before.parts["flows"] != after.parts["flows"]


BROKEN = [
    ("def enrihc(order, requisition):\n    return order\n", "seam_unknown", 1),
    ("def enrich(order):\n    return order\n", "seam_broken", 1),
    ("\nasync def enrich(order, requisition):\n    return order\n", "seam_broken", 2),
    ("import nowhere_at_all\n", "seam_broken", 1),
    ("x = 1\ny = x / 0\n", "seam_broken", 2),
    ("def enrich(:\n", "seam_broken", 1),
]


@pytest.mark.parametrize(("text", "code", "line"), BROKEN)
def test_a_broken_step_is_named_before_any_order_needs_it(
    tmp_path: Path, text: str, code: str, line: int
) -> None:
    folder = a_copy(tmp_path)

    with pytest.raises(ProjectError) as caught:
        seams_of(folder, text)

    (problem,) = caught.value.problems
    assert (problem.file, problem.code, problem.line) == (FILE, code, line)


def test_helpers_and_imports_are_no_seams(tmp_path: Path) -> None:
    text = (
        "from dataclasses import dataclass, replace\n"
        "def _helper(value):\n    return value\n"
        "def enrich(order, requisition):\n    return _helper(order)\n"
    )

    seams = seams_of(a_copy(tmp_path), text)

    assert len(seams.enrich) == 1
