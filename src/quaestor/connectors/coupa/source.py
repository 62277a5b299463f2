"""Reading Coupa's JSON: tolerant of what it does not know, exact in what it takes.

Coupa writes decimals as JSON strings and names members with dashes; older resources also use
underscores (docs "Differences between XML and JSON in Coupa"). Both names are read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from quaestor.connectors.kit.loss import Dispositions, Loss, LossReport
from quaestor.model.refusal import Refusal, refuse

__all__ = ["Findings", "Node", "References", "decode"]

References = Mapping[str, tuple[str, ...]]
"""By the name of a member that stands for something: the members of it that are read."""

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,30})(?:\.[0-9]{1,20})?")
_POSITION = re.compile(r"\[[0-9]+\]")
_CAN_BE_EMPTY = (str, list, dict)
_INEXACT = (float, bool)
_EXACT = (str, int, Decimal)

# Path, kind and reason.
_Lost = tuple[str, str, str]


def decode(raw: bytes) -> Any:
    """Coupa's JSON with exact numbers. Raises `msgspec.DecodeError` for what is not JSON, and
    for what is nested deeper than any document.
    """
    try:
        return _DECODER.decode(raw)
    except RecursionError:
        raise msgspec.DecodeError("nested too deeply") from None


class Findings:
    """What one mapping found wrong, and what it left behind. Lives for one document only."""

    def __init__(self) -> None:
        self._refusals: dict[str, Refusal] = {}
        self._lost: list[_Lost] = []
        self._read: list[tuple[Node, Dispositions, References]] = []

    def refuse(self, code: str, **details: str) -> None:
        self.add(refuse(code, **details))

    def add(self, refusal: Refusal) -> None:
        """Keep a refusal; the same one twice is one."""
        told = ", ".join(f"{key}={value}" for key, value in sorted(refusal.details.items()))
        self._refusals.setdefault(f"{refusal.code}: {told}", refusal)

    def invalid(self, path: str, expected: str) -> None:
        """The member is not what Coupa publishes. The value is not shown: it may be personal."""
        self.refuse("source_document_invalid", where=path, expected=expected)

    def lose(self, path: str, kind: str, reason: str) -> None:
        self._lost.append((path, kind, reason))

    def account_for(self, node: Node, dispositions: Dispositions, references: References) -> None:
        """Report every member that is given in `node` and goes nowhere."""
        self._read.append((node, dispositions, references))

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        return tuple(self._refusals.values())

    def report(self) -> LossReport:
        return LossReport(self._losses)

    def _losses(self) -> tuple[Loss, ...]:
        lost = self._lost + [one for read in self._read for one in _left_behind(*read)]
        times = Counter((_POSITION.sub("[]", path), kind, reason) for path, kind, reason in lost)
        return tuple(
            msgspec.convert({"path": path, "kind": kind, "reason": reason, "times": count}, Loss)
            for (path, kind, reason), count in sorted(times.items())
        )


class Node:
    """One object of the document, at a path, with the findings it adds to.

    A getter returns `None` for a member that is missing, null or empty, and for one that is not
    of its kind, which it then reports.
    """

    def __init__(self, value: Mapping[str, Any], path: str, findings: Findings) -> None:
        self.path = path
        self.findings = findings
        self.given = value
        self._members = value
        if "_" in "".join(value):
            self.given = {_dashed(name, value): item for name, item in value.items()}
            self._members = {**value, **self.given}

    def at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def has(self, name: str) -> bool:
        return self.get(name) is not None

    def get(self, name: str) -> Any:
        value = self._members.get(name)
        return None if not value and _is_empty(value) else value

    def invalid(self, name: str, expected: str) -> None:
        self.findings.invalid(self.at(name), expected)

    def require(self, name: str, expected: str) -> None:
        """Report a member that is not given. One that is, and is wrong, its getter reports."""
        if not self.has(name):
            self.invalid(name, expected)

    def text(self, name: str) -> str | None:
        value = self.get(name)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        self.invalid(name, "a text")
        return None

    def integer(self, name: str) -> int | None:
        value = self.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
            return int(value)
        self.invalid(name, "a whole number")
        return None

    def decimal(self, name: str) -> Decimal | None:
        """An exact number: a decimal string, or a JSON number that `decode` kept exact."""
        value = self.get(name)
        if value is None:
            return None
        if isinstance(value, _INEXACT):
            self.findings.refuse("money_must_be_string", where=self.at(name))
            return None
        if not isinstance(value, _EXACT) or not _DECIMAL.fullmatch(str(value)):
            self.findings.refuse("money_format", where=self.at(name))
            return None
        return Decimal(value)

    def instant(self, name: str) -> datetime | None:
        """ISO 8601 with an offset."""
        text = self.text(name)
        if text is None:
            return None
        try:
            instant = datetime.fromisoformat(text)
        except ValueError:
            self.invalid(name, "a date and time such as 2026-03-01T09:30:00+01:00")
            return None
        if instant.tzinfo is None:
            self.findings.refuse("timezone_required", where=self.at(name))
            return None
        return instant

    def day(self, name: str) -> date | None:
        """The date as written, in the offset that it was written in."""
        text = self.text(name)
        if text is None:
            return None
        try:
            return datetime.fromisoformat(text).date()
        except ValueError:
            self.invalid(name, "a date such as 2026-03-01")
            return None

    def child(self, name: str) -> Node | None:
        value = self.get(name)
        if value is None:
            return None
        if isinstance(value, dict):
            return Node(value, self.at(name), self.findings)
        self.invalid(name, "an object")
        return None

    def children(self, name: str) -> list[Node]:
        value = self.get(name)
        if value is None:
            return []
        if isinstance(value, list) and all(isinstance(one, dict) for one in value):
            return [
                Node(one, f"{self.at(name)}[{position}]", self.findings)
                for position, one in enumerate(value, start=1)
            ]
        self.invalid(name, "a list of objects")
        return []

    def named(self, name: str, member: str) -> str | None:
        """`member` of the object under `name`; or its text, where Coupa renders only that."""
        value = self.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, dict):
            # Nearly always it stands there as it should, and nothing else of the object is read.
            told = value.get(member)
            if told and isinstance(told, str):
                return told
        reference = self.child(name)
        return None if reference is None else reference.text(member)

    def required_name(self, name: str, member: str) -> str | None:
        """As `named`, and a problem where it is missing."""
        found = self.named(name, member)
        if found is None and isinstance(self.get(name), dict):
            self.findings.invalid(f"{self.at(name)}.{member}", "a text")
        elif found is None:
            self.require(name, f"an object with {member}")
        return found


def _left_behind(node: Node, dispositions: Dispositions, references: References) -> Iterator[_Lost]:
    for name, value in node.given.items():
        if _is_empty(value):
            continue
        disposition = dispositions.get(name)
        if disposition is None:
            yield node.at(name), "unknown", "Not a field this mapping knows."
        elif disposition.kind == "dropped":
            yield node.at(name), "dropped", disposition.note
        elif name in references and isinstance(value, dict):
            read = references[name]
            others = {member.replace("_", "-") for member in value if not _is_empty(value[member])}
            if others - set(read):
                reason = f"Master data has its own owner; only {', '.join(read)} is read."
                yield f"{node.at(name)}.*", "dropped", reason


def _is_empty(value: Any) -> bool:
    return value is None or (not value and isinstance(value, _CAN_BE_EMPTY))


def _dashed(name: str, value: Mapping[str, Any]) -> str:
    """The member's dashed name; an underscored one beside its dashed twin stays as it is."""
    dashed = name.replace("_", "-")
    return name if dashed in value else dashed
