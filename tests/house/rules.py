"""The rules of the house that no shipped checker knows, each a function of values.

A rule takes a file as a `Page` and returns its violations as sentences, each beginning with
`path:line`. A rule reads nothing itself, so that a test can hand it a planted violation.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = [
    "FILE_LINES_MAX",
    "FUNCTION_LINES_MAX",
    "LINE_COLUMNS_MAX",
    "Page",
    "Rule",
    "banned_words",
    "binary_fractions",
    "clock_and_chance",
    "long_file",
    "long_functions",
    "long_lines",
    "machine_paths",
    "missing_public_names",
]

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
LINE_COLUMNS_MAX = 100

PURE_ROOMS = ("model", "validation", "approvals", "budget", "matching", "masterdata", "flows")
MONEY_ROOMS = ("model", "validation", "approvals", "budget", "matching")

# Joined from halves, so that this file does not break the rule it states.
LEFT_OPEN = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK", "Not" + "ImplementedError")
BANNED = re.compile(
    rf"\b(?:{'|'.join(LEFT_OPEN)})\b|unittest[.]mock|from unittest import [^\n]*\bmock\b"
)
SKIP = re.compile(r"pytest[.]mark[.]skip(?:if)?\b(?![(][^)]*reason\s*=)|pytest[.]skip[(]\s*[)]")
MACHINE_PATH = re.compile(r"(?<![\w.}>*-])/(?:home|root|work|Users|mnt)/")

CLOCKS_AND_CHANCE = frozenset(
    {
        "datetime.date.today",
        "datetime.datetime.now",
        "datetime.datetime.today",
        "datetime.datetime.utcnow",
        "os.getrandom",
        "os.times",
        "os.urandom",
        "uuid.uuid1",
        "uuid.uuid4",
        "uuid.uuid6",
        "uuid.uuid7",
    }
)
DURATION_ENDINGS = ("_s", "_ms")
MODULES_OF_CHANCE = frozenset({"random", "secrets", "time"})


@dataclass(frozen=True)
class Page:
    """One text file: its path from the checkout's root, with forward slashes, and its text."""

    path: str
    text: str

    @property
    def room(self) -> str:
        """The package directly under `quaestor` that holds this file, or an empty string."""
        parts = PurePosixPath(self.path).parts
        return parts[2] if parts[:2] == ("src", "quaestor") and len(parts) > 3 else ""

    @property
    def is_mapping(self) -> bool:
        """Whether this is a vendor's mapping, one file or a package of that name."""
        parts = PurePosixPath(self.path).with_suffix("").parts
        return self.room == "connectors" and "mapping" in parts[4:]

    @property
    def is_pure(self) -> bool:
        """Whether what stands here only decides: the pure rooms, mappings, the posting core."""
        name = PurePosixPath(self.path).name
        core = self.room == "runtime" and (name == "intent.py" or name.startswith("posting"))
        return self.room in PURE_ROOMS or self.is_mapping or core


Rule = Callable[[Page], list[str]]


def long_file(page: Page) -> list[str]:
    """A file that needs more than `FILE_LINES_MAX` lines is two files."""
    lines = len(page.text.splitlines())
    return [f"{page.path}:{lines} has {lines} lines"] if lines > FILE_LINES_MAX else []


def long_lines(page: Page) -> list[str]:
    """No line is wider than `LINE_COLUMNS_MAX` columns."""
    return [
        f"{page.path}:{number} is {len(line)} columns wide"
        for number, line in enumerate(page.text.splitlines(), start=1)
        if len(line) > LINE_COLUMNS_MAX
    ]


def long_functions(page: Page) -> list[str]:
    """A function that needs more than `FUNCTION_LINES_MAX` lines is two functions."""
    return [
        f"{page.path}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(page.text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    ]


def missing_public_names(page: Page) -> list[str]:
    """A module says what it offers in `__all__`, before anything else it defines."""
    if PurePosixPath(page.path).name in {"__init__.py", "__main__.py"}:
        return []
    for statement in ast.parse(page.text).body:
        if _assigns(statement, "__all__"):
            return []
        if not _is_preamble(statement):
            return [f"{page.path}:{statement.lineno} comes before __all__"]
    return [f"{page.path}:1 has no __all__"]


def _assigns(statement: ast.stmt, name: str) -> bool:
    return isinstance(statement, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == name for target in statement.targets
    )


def _is_preamble(statement: ast.stmt) -> bool:
    """Docstrings and imports, also those behind `if TYPE_CHECKING` or `try`."""
    if isinstance(statement, ast.If | ast.Try):
        return all(_is_preamble(inner) for inner in statement.body)
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_text or isinstance(statement, ast.Import | ast.ImportFrom)


def banned_words(page: Page) -> list[str]:
    """Work left open, mocks, and skips that do not say what is missing."""
    return [
        f"{page.path}:{page.text.count(chr(10), 0, found.start()) + 1} says {found.group()}"
        for pattern in (BANNED, SKIP)
        for found in pattern.finditer(page.text)
    ]


def machine_paths(page: Page) -> list[str]:
    """A path of somebody's machine is of no use to anybody else."""
    return [
        f"{page.path}:{number} names a path of one machine"
        for number, line in enumerate(page.text.splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]


def binary_fractions(page: Page) -> list[str]:
    """Money is `Decimal`: where it is decided or mapped there is no binary fraction (D10).

    Durations, named `…_s` or `…_ms`, are measured and may be binary. Asking whether something
    is a `float` is how money refuses one.
    """
    if page.room not in MONEY_ROOMS and not page.is_mapping:
        return []
    tree = ast.parse(page.text)
    harmless = {
        id(inner) for node in ast.walk(tree) if _is_harmless(node) for inner in ast.walk(node)
    }
    return [
        f"{page.path}:{node.lineno} makes a binary fraction"
        for node in ast.walk(tree)
        if id(node) not in harmless
        and (
            (isinstance(node, ast.Constant) and isinstance(node.value, float))
            or (isinstance(node, ast.Name) and node.id == "float")
        )
    ]


def _is_harmless(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="isinstance")):
            return True
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.arg(arg=name):
            return name.endswith(DURATION_ENDINGS)
        case ast.keyword(arg=str(name)):
            return name.endswith(DURATION_ENDINGS)
    return False


def clock_and_chance(page: Page) -> list[str]:
    """What decides is given the time and every id: it reads no clock and draws no lots (D2)."""
    if not page.is_pure:
        return []
    tree = ast.parse(page.text)
    meaning = dict(_imported_names(tree))
    imported = [
        f"{page.path}:{node.lineno} imports {module}"
        for node in ast.walk(tree)
        for module in _modules(node)
        if module.split(".")[0] in MODULES_OF_CHANCE
    ]
    used = [
        f"{page.path}:{node.lineno} uses {name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name)
        for name in [_dotted(node, meaning)]
        if name in CLOCKS_AND_CHANCE
    ]
    return imported + used


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module]
    return []


def _imported_names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Each imported name with the dotted name it stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (first, first)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _dotted(node: ast.expr, meaning: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, meaning)}.{node.attr}"
    return meaning.get(node.id, "") if isinstance(node, ast.Name) else ""
