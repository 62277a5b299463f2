"""Crosswalk: their code for our code, and ours for theirs, from one day to another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Literal, get_args

import msgspec

from quaestor.model.refusal import Refusal, refuse

__all__ = ["CODE_KINDS", "CodeKind", "CrosswalkRow", "Crosswalks", "Missing"]

CodeKind = Literal[
    "supplier",
    "cost_center",
    "gl_account",
    "tax_code",
    "uom",
    "company_code",
    "purchasing_organisation",
    "purchasing_group",
    "material_group",
    "plant",
    "payment_terms",
    "project",
    "material",
]
CODE_KINDS: tuple[str, ...] = get_args(CodeKind)


class CrosswalkRow(msgspec.Struct, frozen=True):
    """One pair of codes, in force from `valid_from` to `valid_to`, both days inclusive.

    `None` is without limit. `origin` says where the row was written, for messages.
    """

    system: str
    kind: CodeKind
    our_code: str
    their_code: str
    valid_from: date | None = None
    valid_to: date | None = None
    origin: str = ""

    def holds_on(self, day: date) -> bool:
        """Whether the row is in force on that day."""
        begun = self.valid_from is None or self.valid_from <= day
        return begun and (self.valid_to is None or day <= self.valid_to)


class Missing(msgspec.Struct, frozen=True):
    """No code, or several that are equally right: `candidates` then names them.

    `looked_for` is `ours` when their code was given, else `theirs`.
    """

    system: str
    kind: str
    code: str
    on: date
    looked_for: Literal["ours", "theirs"]
    candidates: tuple[str, ...] = ()

    def refusal(self) -> Refusal:
        """`crosswalk_missing`, or `crosswalk_ambiguous` where there are several."""
        details = {
            "system": self.system,
            "kind": self.kind,
            "code": self.code,
            "on": self.on.isoformat(),
            "looked_for": self.looked_for,
        }
        if self.candidates:
            return refuse("crosswalk_ambiguous", **details, candidates=", ".join(self.candidates))
        return refuse("crosswalk_missing", **details)


_Index = Mapping[tuple[str, str, str], tuple[CrosswalkRow, ...]]


class Crosswalks(msgspec.Struct, frozen=True):
    """Every row, indexed both ways. Made by `Crosswalks.of`; a look-up is a pure function.

    An order asks dozens of times, and nearly every code has one row: that way is kept short.
    """

    rows: tuple[CrosswalkRow, ...]
    forward: _Index
    backward: _Index

    @classmethod
    def of(cls, rows: Iterable[CrosswalkRow]) -> Crosswalks:
        """The book of these rows, in this order."""
        kept = tuple(rows)
        forward: dict[tuple[str, str, str], tuple[CrosswalkRow, ...]] = {}
        backward: dict[tuple[str, str, str], tuple[CrosswalkRow, ...]] = {}
        for row in kept:
            ours = (row.system, row.kind, row.our_code)
            theirs = (row.system, row.kind, row.their_code)
            forward[ours] = (*forward.get(ours, ()), row)
            backward[theirs] = (*backward.get(theirs, ()), row)
        return cls(kept, forward, backward)

    def theirs(self, system: str, kind: CodeKind, our_code: str, on: date) -> str | Missing:
        """The system's code for ours on that day."""
        rows = self.forward.get((system, kind, our_code), ())
        if len(rows) == 1 and rows[0].holds_on(on):
            return rows[0].their_code
        codes = sorted({row.their_code for row in rows if row.holds_on(on)})
        if len(codes) == 1:
            return codes[0]
        return Missing(system, kind, our_code, on, "theirs", tuple(codes))

    def ours(self, system: str, kind: CodeKind, their_code: str, on: date) -> str | Missing:
        """Our code for the system's on that day."""
        rows = self.backward.get((system, kind, their_code), ())
        if len(rows) == 1 and rows[0].holds_on(on):
            return rows[0].our_code
        codes = sorted({row.our_code for row in rows if row.holds_on(on)})
        if len(codes) == 1:
            return codes[0]
        return Missing(system, kind, their_code, on, "ours", tuple(codes))
