"""What is wrong with a project folder: every problem at once, each with its place and its cure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

__all__ = ["Problem", "Problems", "ProjectError"]


class Problem(msgspec.Struct, frozen=True):
    """One fault. `file` is relative to the folder, `key` dotted, `instead` what to write."""

    code: str
    file: str
    key: str
    message: str
    instead: str = ""
    line: int | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        key = f" {self.key}:" if self.key else ""
        instead = f"; write {self.instead}" if self.instead else ""
        return f"{place}:{key} {self.message}{instead} [{self.code}]"


class ProjectError(Exception):
    """The project folder cannot be used; `problems` are all that was found, in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "1 problem" if count == 1 else f"{count} problems"
        super().__init__("\n".join([f"{head} in the project folder:", *map(str, self.problems)]))


class Problems:
    """Collects problems while the folder is read."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def add(
        self,
        code: str,
        file: str,
        key: str,
        message: str,
        instead: str = "",
        line: int | None = None,
    ) -> None:
        self._found.append(Problem(code, file, key, message, instead, line))

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def files(self) -> frozenset[str]:
        """The files in which something was found."""
        return frozenset(problem.file for problem in self._found)

    def raise_if_any(self) -> None:
        """Raise `ProjectError` with everything found so far."""
        if self._found:
            raise ProjectError(self._found)
