"""Reading Coupa's JSON: tolerant of what it does not know, exact in what it takes.

Coupa writes decimals as JSON strings and names members with dashes; older resources also use
underscores (docs "Differences between XML and JSON in Coupa"). Both names are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from quaestor.connectors.kit.loss import Dispositions, Loss, LossReport
from quaestor.model.refusal import Refusal, refuse

__all__ = ["Findings", "Node", "decode"]

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,30})(?:\.[0-9]{1,20})?")
_POSITION = re.compile(r"\[[0-9]+\]")
_CAN_BE_EMPTY = (str, list, dict)


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
        self._losses: dict[tuple[str, str, str], int] = {}

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
        key = (_POSITION.sub("[]", path), kind, reason)
        self._losses[key] = self._losses.get(key, 0) + 1

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        return tuple(self._refusals.values())

    def report(self) -> LossReport:
        return LossReport(
            tuple(
                msgspec.convert(
                    {"path": path, "kind": kind, "reason": reason, "times": times}, Loss
                )
                for (path, kind, reason), times in sorted(self._losses.items())
            )
        )


class Node:
    """One object of the document, at a path, with the findings it adds to.

    A getter returns `None` for a member that is missing, null or empty, and for one that is not
    of its kind, which it then reports.
    """

    def __init__(self, value: Mapping[str, Any], path: str, findings: Findings) -> None:
        self.path = path
        self.findings = findings
        self._given = value
        self._members = value
        if any("_" in name for name in value):
            self._given = {_dashed(name, value): item for name, item in value.items()}
            self._members = {**value, **self._given}

    def at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def has(self, name: str) -> bool:
        return not _is_empty(self._members.get(name))

    def get(self, name: str) -> Any:
        value = self._members.get(name)
        return None if _is_empty(value) else value

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
        if isinstance(value, float | bool):
            self.findings.refuse("money_must_be_string", where=self.at(name))
            return None
        if not isinstance(value, str | int | Decimal) or not _DECIMAL.fullmatch(str(value)):
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
        if isinstance(value, Mapping):
            return Node(value, self.at(name), self.findings)
        self.invalid(name, "an object")
        return None

    def children(self, name: str) -> list[Node]:
        value = self.get(name)
        if value is None:
            return []
        if isinstance(value, list) and all(isinstance(one, Mapping) for one in value):
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
        reference = self.child(name)
        return None if reference is None else reference.text(member)

    def required_name(self, name: str, member: str) -> str | None:
        """As `named`, and a problem where it is missing."""
        found = self.named(name, member)
        if found is None and isinstance(self.get(name), Mapping):
            self.findings.invalid(f"{self.at(name)}.{member}", "a text")
        elif found is None:
            self.require(name, f"an object with {member}")
        return found

    def account_for(
        self, dispositions: Dispositions, references: Mapping[str, tuple[str, ...]]
    ) -> None:
        """Report every member that is given here and goes nowhere."""
        for name, value in self._given.items():
            if _is_empty(value):
                continue
            disposition = dispositions.get(name)
            if disposition is None:
                self.findings.lose(self.at(name), "unknown", "Not a field this mapping knows.")
            elif disposition.kind == "dropped":
                self.findings.lose(self.at(name), "dropped", disposition.note)
            elif name in references and isinstance(value, Mapping):
                self._account_for_reference(name, value, references[name])

    def _account_for_reference(
        self, name: str, value: Mapping[str, Any], read: tuple[str, ...]
    ) -> None:
        others = {member.replace("_", "-") for member in value if not _is_empty(value[member])}
        if others - set(read):
            reason = f"Master data has its own owner; only {', '.join(read)} is read."
            self.findings.lose(f"{self.at(name)}.*", "dropped", reason)


def _is_empty(value: Any) -> bool:
    return value is None or (not value and isinstance(value, _CAN_BE_EMPTY))


def _dashed(name: str, value: Mapping[str, Any]) -> str:
    """The member's dashed name; an underscored one beside its dashed twin stays as it is."""
    dashed = name.replace("_", "-")
    return name if dashed in value else dashed
