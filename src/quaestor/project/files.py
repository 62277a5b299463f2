"""The files of a project folder as plain values, with the line of every key.

YAML is read with text only: `NO` is a country, `0010` a company code and `1000.10` an amount, and
the type of the field decides, not the looks of the value. So no amount passes through a binary
fraction, and nothing needs quotes.
"""

from __future__ import annotations

import csv
import hashlib
import io
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from quaestor.project.problems import Problems

__all__ = ["FILE_BYTES_MAX", "Folder", "SourceFile", "Table"]

FILE_BYTES_MAX = 32 * 1024 * 1024
DEPTH_MAX = 16
# The C parser reads a large directory ten times as fast; the values come out the same.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS = frozenset({"", "~", "null"})


@dataclass(frozen=True)
class SourceFile:
    """One parsed file. `lines` gives the line of a dotted key, counted from 1."""

    name: str
    value: Any
    lines: Mapping[str, int] = field(default_factory=dict)

    def line(self, key: str) -> int | None:
        """The line of the key, or of the nearest key above it that is known."""
        at = key
        while at:
            if at in self.lines:
                return self.lines[at]
            at = at.rpartition(".")[0]
        return None


@dataclass(frozen=True)
class Table:
    """A CSV file: each row by column name, with its line."""

    name: str
    rows: tuple[tuple[int, Mapping[str, str]], ...]


class Folder:
    """A project folder. What is read is remembered, so that its hash is of what was used."""

    def __init__(self, path: Path, problems: Problems) -> None:
        self.path = path
        self.problems = problems
        self.hashes: dict[str, str] = {}

    def names(self, pattern: str) -> list[str]:
        """The files that match, by name."""
        return sorted(
            found.relative_to(self.path).as_posix()
            for found in self.path.glob(pattern)
            if found.is_file() and not found.name.startswith(".")
        )

    def read(self, name: str) -> str | None:
        """The file's text; `None`, and a problem, where it cannot be read."""
        try:
            with (self.path / name).open("rb") as file:
                raw = file.read(FILE_BYTES_MAX + 1)
            if len(raw) > FILE_BYTES_MAX:
                self.problems.add(
                    "file_too_large", name, "", f"the file is over {FILE_BYTES_MAX} bytes"
                )
                return None
            text = raw.decode("utf-8-sig")
        except OSError:
            self.problems.add("file_missing", name, "", "the file is not there, or not readable")
            return None
        except UnicodeDecodeError as error:
            line = raw[: error.start].count(b"\n") + 1
            self.problems.add("file_not_utf8", name, "", "the file is not UTF-8", line=line)
            return None
        self.hashes[name] = hashlib.sha256(raw).hexdigest()
        return text

    def toml(self, name: str) -> SourceFile | None:
        """A TOML file; a problem where it is missing or cannot be parsed."""
        text = self.read(name)
        if text is None:
            return None
        try:
            return SourceFile(name, tomllib.loads(text), _toml_lines(text))
        except tomllib.TOMLDecodeError as error:
            self.problems.add("file_malformed", name, "", f"not TOML: {error}")
            return None

    def yaml(self, name: str) -> SourceFile | None:
        """A YAML file; a problem where it is missing or cannot be parsed."""
        text = self.read(name)
        if text is None:
            return None
        try:
            node = yaml.compose(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            self.problems.add(
                "file_malformed",
                name,
                "",
                f"not YAML: {error.problem}",
                line=None if mark is None else mark.line + 1,
            )
            return None
        except yaml.YAMLError as error:
            self.problems.add("file_malformed", name, "", f"not YAML: {str(error)[:200]}")
            return None
        reader = _YamlReader(name, self.problems)
        return SourceFile(name, None if node is None else reader.value(node, "", 0), reader.lines)

    def csv(self, name: str, columns: tuple[str, ...]) -> Table | None:
        """A CSV file with exactly these columns, in any order."""
        text = self.read(name)
        if text is None:
            return None
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        rows = []
        try:
            header = [column.strip() for column in reader.fieldnames or []]
            if sorted(header) != sorted(columns):
                self.problems.add(
                    "columns_differ",
                    name,
                    "",
                    f"the columns are {', '.join(header) or 'missing'}",
                    ",".join(columns),
                    line=1,
                )
                return None
            reader.fieldnames = header
            for row in reader:
                if None in row or None in row.values():
                    self.problems.add(
                        "columns_differ",
                        name,
                        "",
                        f"the row has more or fewer than {len(columns)} fields",
                        line=reader.line_num,
                    )
                    continue
                rows.append((reader.line_num, {key: text.strip() for key, text in row.items()}))
        except csv.Error as error:
            self.problems.add("file_malformed", name, "", f"not CSV: {error}", line=reader.line_num)
            return None
        return Table(name, tuple(rows))


class _YamlReader:
    """Nodes to plain values: mappings, lists, texts, `None`."""

    def __init__(self, name: str, problems: Problems) -> None:
        self.name = name
        self.problems = problems
        self.lines: dict[str, int] = {}

    def value(self, node: yaml.Node, key: str, depth: int) -> Any:
        line = node.start_mark.line + 1
        if key:
            self.lines.setdefault(key, line)
        if depth > DEPTH_MAX:
            self.problems.add("file_malformed", self.name, key, "nested too deeply", line=line)
            return None
        if isinstance(node, yaml.ScalarNode):
            # A plain scalar has no style, or an empty one from the C parser.
            return None if not node.style and node.value in _NULLS else node.value
        if isinstance(node, yaml.SequenceNode):
            return [
                self.value(child, _joined(key, str(position)), depth + 1)
                for position, child in enumerate(node.value, start=1)
            ]
        return self._mapping(node, key, depth)

    def _mapping(self, node: yaml.Node, key: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name_node, child in node.value:
            line = name_node.start_mark.line + 1
            if not isinstance(name_node, yaml.ScalarNode):
                self.problems.add("file_malformed", self.name, key, "a key is a text", line=line)
                continue
            name = str(name_node.value)
            at = _joined(key, name)
            if name in found:
                self.problems.add(
                    "key_repeated",
                    self.name,
                    at,
                    f"the key stands on line {self.lines[at]} too; only one can be meant",
                    line=line,
                )
                continue
            self.lines[at] = line
            found[name] = self.value(child, at, depth + 1)
        return found


def _joined(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _toml_lines(text: str) -> dict[str, int]:
    """The line of each table header and of each key at the start of a line.

    The parser keeps no positions. This covers how such a file is written by hand; a key inside
    an inline table is found at the key that holds the table.
    """
    lines: dict[str, int] = {}
    table = ""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if line.startswith("["):
            table = _bare_key(line.strip("[]").split("]")[0])
            lines.setdefault(table, number)
        elif "=" in line and not line.startswith("#"):
            lines.setdefault(_joined(table, _bare_key(line.split("=")[0])), number)
    return lines


def _bare_key(text: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in text.split("."))
