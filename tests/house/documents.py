"""The rules for what is not Python: locks, documents and the packaging of the project."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.house.rules import Page

__all__ = [
    "index_addresses",
    "missing_paths",
    "pinned",
    "unhashed_requirements",
    "unlocked_dependencies",
]

INDEX = re.compile(
    r"^\s*(?:-i\b|-f\b|--(?:extra-)?index-url|--find-links|--trusted-host)"
    r"|https?://|\bfile:|\[\[?tool[.]uv[.]index|\[\[?tool[.]poetry[.]source",
    re.MULTILINE,
)
REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)(?P<rest>(?:[^\\\n]|\\\n)*)", re.MULTILINE)
LINK = re.compile(r"\]\((?P<target>[^)\s#]+)")
QUOTED = re.compile(r"`(?P<target>[\w./*-]+)`")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
TOP = ("src/", "tests/", "docs/", "requirements/", "changes/", "examples/", ".ci/")


def index_addresses(page: Page) -> list[str]:
    """A lock says what is installed, never from where: that is the reader's own setting."""
    return [
        f"{page.path}:{page.text.count(chr(10), 0, found.start()) + 1} says {found.group().strip()}"
        for found in INDEX.finditer(page.text)
    ]


def unhashed_requirements(page: Page) -> list[str]:
    """Each requirement of a lock is one exact version with at least one hash."""
    found = list(REQUIREMENT.finditer(page.text))
    if not found:
        return [f"{page.path}:1 locks nothing"]
    return [
        f"{page.path}: {requirement['name']} is not pinned with a hash"
        for requirement in found
        if not re.match(r"==[\w.+!]+", requirement["rest"])
        or "--hash=sha256:" not in requirement["rest"]
    ]


def pinned(page: Page) -> dict[str, str]:
    """Normalised name → version of everything in a lock."""
    return {
        normal(found["name"]): found["rest"].split("==")[1].split()[0]
        for found in REQUIREMENT.finditer(page.text)
        if "==" in found["rest"]
    }


def normal(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def unlocked_dependencies(wanted: list[str], lock: Page) -> list[str]:
    """Each dependency that the project names stands in the lock."""
    names = (re.split(r"[^\w.-]", dependency, maxsplit=1)[0] for dependency in wanted)
    locked = pinned(lock)
    return [f"{lock.path}: {name} is missing" for name in names if normal(name) not in locked]


def missing_paths(page: Page, exists: Callable[[str], bool]) -> list[str]:
    """Each path that a document names exists.

    `exists` answers for a path, or a pattern with `*`, from the checkout's root. Links are
    relative to their document; quoted paths that begin with one of our folders, to the root.
    """
    prose = FENCE.sub("", page.text)
    folder = page.path.rpartition("/")[0]
    links = [
        _joined(folder, found["target"])
        for found in LINK.finditer(prose)
        if "://" not in found["target"] and not found["target"].startswith("mailto:")
    ]
    quoted = [found["target"] for found in QUOTED.finditer(prose)]
    named = links + [target for target in quoted if target.startswith(TOP)]
    return [f"{page.path} names {path}, which is not there" for path in named if not exists(path)]


def _joined(folder: str, target: str) -> str:
    parts = folder.split("/") if folder else []
    for part in target.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)
