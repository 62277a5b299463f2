"""One table names every refusal: the code uses no other name, and no name is idle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from quaestor.model.refusal import REFUSALS, refuse
from tests.model.refusal_page import page

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "src" / "quaestor" / "model" / "refusal.py"
SOURCES = [
    path
    for folder in ("src", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != TABLE
]


def literals(tree: ast.AST) -> Iterator[str]:
    """Every text constant, except docstrings and other statements that are only a text."""
    idle = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in idle:
            yield node.value


def refused_codes(tree: ast.AST) -> Iterator[str]:
    """The code of every call `refuse("code", …)` and `….refuse("code", …)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name == "refuse":
                yield str(node.args[0].value)


def test_every_code_that_is_refused_with_stands_in_the_table() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}

    unknown = [
        f"{path.relative_to(ROOT)}: {code}"
        for path, tree in trees.items()
        for code in refused_codes(tree)
        if code not in REFUSALS
    ]

    assert unknown == []


def test_no_code_of_the_table_is_idle() -> None:
    used = {
        text for path in SOURCES for text in literals(ast.parse(path.read_text(encoding="utf-8")))
    }

    idle = sorted(set(REFUSALS) - used)

    assert idle == []


def test_a_code_that_is_not_in_the_table_cannot_be_refused_with() -> None:
    with pytest.raises(KeyError):
        refuse("because")


def test_a_refusal_is_owned_by_whom_the_table_says() -> None:
    refusal = refuse("crosswalk_missing", code="x")

    assert (refusal.owner, refusal.details) == ("finance", {"code": "x"})


def test_every_meaning_is_a_short_sentence() -> None:
    odd = [
        kind.code
        for kind in REFUSALS.values()
        if not kind.meaning.endswith(".") or len(kind.meaning) > 70
    ]

    assert odd == []


def test_the_page_of_refusals_is_the_table() -> None:
    written = (ROOT / "docs" / "refusals.md").read_text(encoding="utf-8")

    assert written == page()
