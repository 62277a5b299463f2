"""The house is tidy, and each rule that says so can fail."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.documents import (
    index_addresses,
    missing_paths,
    pinned,
    unhashed_requirements,
    unlocked_dependencies,
)
from tests.house.rules import (
    Page,
    Rule,
    banned_words,
    binary_fractions,
    clock_and_chance,
    long_file,
    long_functions,
    long_lines,
    machine_paths,
    missing_public_names,
)

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = {"__pycache__", ".venv", ".git"}
TEXT = {"", ".md", ".py", ".sql", ".toml", ".yaml", ".yml", ".json", ".txt", ".csv", ".jinja"}


def pages(*places: str, suffixes: set[str] = TEXT) -> Iterator[Page]:
    """Every text file under the named places, which may be files, folders or patterns."""
    for place in places:
        for found in sorted(ROOT.glob(place)):
            below = sorted(found.rglob("*")) if found.is_dir() else [found]
            for path in below:
                name = path.relative_to(ROOT)
                if path.is_file() and path.suffix in suffixes and not LEFT_OUT & {*name.parts}:
                    yield Page(name.as_posix(), path.read_text(encoding="utf-8"))


def exists(path: str) -> bool:
    return any(ROOT.glob(path)) if "*" in path else (ROOT / path).exists()


PYTHON = {".py"}
WRITTEN = ("src", "tests", "docs", "changes", "examples", ".ci", "*.md", "Makefile")
SOURCE_RULES = [clock_and_chance, binary_fractions, missing_public_names]
CODE_RULES = [long_file, long_lines, long_functions]
WORD_RULES = [banned_words, machine_paths]


@pytest.mark.parametrize("rule", SOURCE_RULES)
def test_the_source_keeps_the_rule(rule: Rule) -> None:
    source = list(pages("src", suffixes=PYTHON))

    violations = [sentence for page in source for sentence in rule(page)]

    assert source
    assert violations == []


@pytest.mark.parametrize("rule", CODE_RULES)
def test_source_and_tests_keep_the_rule(rule: Rule) -> None:
    code = list(pages("src", "tests", suffixes=PYTHON))

    violations = [sentence for page in code for sentence in rule(page)]

    assert code
    assert violations == []


@pytest.mark.parametrize("rule", [long_file, long_lines])
def test_queries_and_migrations_are_small_too(rule: Rule) -> None:
    queries = pages("src", suffixes={".sql"})

    violations = [sentence for page in queries for sentence in rule(page)]

    assert violations == []


@pytest.mark.parametrize("rule", WORD_RULES)
def test_everything_written_keeps_the_rule(rule: Rule) -> None:
    written = list(pages(*WRITTEN))

    violations = [sentence for page in written for sentence in rule(page)]

    assert written
    assert violations == []


def test_every_path_named_in_a_document_exists() -> None:
    documents = list(pages("*.md", "docs", "changes", "src", suffixes={".md"}))

    violations = [sentence for page in documents for sentence in missing_paths(page, exists)]

    assert documents
    assert violations == []


def test_locks_pin_every_version_with_hashes_and_name_no_index() -> None:
    locks = list(pages("requirements", "pyproject.toml", "*.lock", suffixes={".txt", ".lock"}))

    violations = [
        sentence
        for page in locks
        for rule in (unhashed_requirements, index_addresses)
        for sentence in rule(page)
    ]

    assert {page.path for page in locks} >= {"requirements/runtime.txt", "requirements/dev.txt"}
    assert violations == []


def test_the_locks_hold_every_dependency_of_the_project_and_agree_with_each_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime, dev = (
        Page(name, (ROOT / name).read_text())
        for name in ("requirements/runtime.txt", "requirements/dev.txt")
    )
    extras = project["optional-dependencies"]

    missing = unlocked_dependencies(project["dependencies"] + extras["embedded"], runtime)
    missing += unlocked_dependencies(extras["dev"], dev)
    different = set(pinned(runtime).items()) - set(pinned(dev).items())

    assert missing == []
    assert different == set()


def in_a_loop(body: str) -> str:
    return "def run():\n" + body * 60


PLANTED = [
    (long_file, "src/quaestor/model/money.py", "\n" * 501),
    (long_lines, "src/quaestor/model/money.py", "x" * 101),
    (long_functions, "src/quaestor/model/money.py", in_a_loop("    pass\n")),
    (long_functions, "src/quaestor/store/pool.py", "async " + in_a_loop("    pass\n")),
    (missing_public_names, "src/quaestor/model/money.py", '"""Money."""\n'),
    (missing_public_names, "src/quaestor/model/money.py", "SCALE = 2\n__all__ = []\n"),
    (banned_words, "docs/guide.md", "This is left open, " + "TO" + "DO.\n"),
    (banned_words, "src/quaestor/app.py", "raise Not" + "ImplementedError\n"),
    (banned_words, "tests/test_app.py", "from unittest " + "import mock\n"),
    (banned_words, "tests/test_app.py", "@pytest.mark" + ".skip\n"),
    (banned_words, "tests/test_app.py", "@pytest.mark" + ".skipif(True)\n"),
    (machine_paths, "docs/guide.md", "Look into `" + "/home" + "/ann/guide`.\n"),
    (machine_paths, "src/quaestor/app.py", 'HERE = "' + "/root" + '/quaestor"\n'),
    (binary_fractions, "src/quaestor/budget/node.py", "left = float(total)\n"),
    (binary_fractions, "src/quaestor/approvals/rule.py", "limit = 0.1\n"),
    (binary_fractions, "src/quaestor/model/money.py", "amount: float\n"),
    (binary_fractions, "src/quaestor/connectors/acme/mapping.py", "return_ = float(x)\n"),
    (binary_fractions, "src/quaestor/connectors/acme/mapping/lines.py", "y = map(float, x)\n"),
    (clock_and_chance, "src/quaestor/flows/order.py", "import time\n"),
    (clock_and_chance, "src/quaestor/flows/order.py", "from random import choice\n"),
    (clock_and_chance, "src/quaestor/runtime/posting_move.py", "import time\n"),
    (
        clock_and_chance,
        "src/quaestor/budget/period.py",
        "from datetime import datetime as moment\nnow = moment.now()\n",
    ),
    (
        clock_and_chance,
        "src/quaestor/budget/period.py",
        "import datetime as dt\nnow = dt.datetime.now(dt.UTC)\n",
    ),
    (
        clock_and_chance,
        "src/quaestor/connectors/acme/mapping.py",
        "from uuid import uuid4\nkey = uuid4()\n",
    ),
    (unhashed_requirements, "requirements/runtime.txt", "rich==15.0.0\n"),
    (unhashed_requirements, "requirements/runtime.txt", "rich>=15 \\\n    --hash=sha256:00\n"),
    (unhashed_requirements, "requirements/runtime.txt", ""),
    (index_addresses, "requirements/runtime.txt", "--index-url example.com/simple\n"),
    (index_addresses, "requirements/runtime.txt", "rich @ https" + "://example.com/rich.whl\n"),
]


@pytest.mark.parametrize(("rule", "path", "text"), PLANTED)
def test_a_planted_violation_is_found(rule: Rule, path: str, text: str) -> None:
    page = Page(path, text)

    violations = rule(page)

    assert violations
    assert all(sentence.startswith(path) for sentence in violations)


HARMLESS = [
    (missing_public_names, "src/quaestor/model/__init__.py", ""),
    (missing_public_names, "src/quaestor/app.py", '"""App."""\nimport os\n__all__ = ["run"]\n'),
    (banned_words, "tests/test_app.py", '@pytest.mark.skipif(gone, reason="no contracts")\n'),
    (machine_paths, "docs/guide.md", "Ask `/v1/worklist/home/1` or `GET /v1/home/`.\n"),
    (binary_fractions, "src/quaestor/budget/node.py", "wait_s: float = 2.5\n"),
    (binary_fractions, "src/quaestor/model/money.py", "refused = isinstance(x, float)\n"),
    (binary_fractions, "src/quaestor/runtime/lanes.py", "pause = 0.5\n"),
    (clock_and_chance, "src/quaestor/flows/order.py", "later = dossier.now + wait\n"),
    (clock_and_chance, "src/quaestor/runtime/lanes.py", "import time\n"),
    (unhashed_requirements, "requirements/x.txt", "rich==15.0.0 \\\n    --hash=sha256:00\n"),
]


@pytest.mark.parametrize(("rule", "path", "text"), HARMLESS)
def test_what_is_allowed_is_not_reported(rule: Rule, path: str, text: str) -> None:
    page = Page(path, text)

    violations = rule(page)

    assert violations == []


def test_a_document_that_names_a_missing_path_is_found() -> None:
    page = Page("docs/guide.md", "[here](../README.md), `src/gone.py`, `tests/*.rs`, `make`\n")

    violations = missing_paths(page, exists={"README.md"}.__contains__)

    assert [sentence.split()[2] for sentence in violations] == ["src/gone.py,", "tests/*.rs,"]


def test_a_link_is_followed_from_its_document() -> None:
    page = Page("docs/decisions/0001-x.md", "[up](../guide.md) and [aside](0002-y.md#why)\n")

    violations = missing_paths(page, exists={"docs/guide.md"}.__contains__)

    assert len(violations) == 1
    assert "docs/decisions/0002-y.md" in violations[0]


def test_a_dependency_that_is_not_locked_is_found() -> None:
    lock = Page("requirements/runtime.txt", "rich==15.0.0 \\\n    --hash=sha256:00\n")

    missing = unlocked_dependencies(["rich>=13", "PyYAML>=6"], lock)

    assert missing == ["requirements/runtime.txt: PyYAML is missing"]


def test_decisions_are_numbered_without_a_gap_and_say_their_number() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))

    numbers = [(int(page.name[:4]), page.read_text().partition(". ")[0]) for page in pages]

    assert numbers == [(number, f"# {number}") for number in range(1, len(pages) + 1)]
