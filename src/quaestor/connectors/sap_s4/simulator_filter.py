"""The part of `$filter` that our SAP simulator knows; everything else it refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from quaestor.connectors.sap_s4.simulator_rules import ENTITIES, Refusal400

__all__ = ["Term", "matches", "parsed"]

_TERM = re.compile(
    r"\s*(?P<field>\w+)\s+(?P<operator>\w+)\s+"
    r"(?:'(?P<text>(?:[^']|'')*)'|datetime'(?P<moment>[0-9T:.-]+)')\s*(?P<rest>.*)",
    re.DOTALL,
)
_MS = re.compile(r"/Date\((-?[0-9]+)")


class Term(msgspec.Struct, frozen=True):
    """One comparison; a date in milliseconds since 1970."""

    field: str
    operator: str
    value: str | int


def parsed(text: str) -> tuple[Term, ...]:
    """Terms joined by `and`. Raises `Refusal400` for any other syntax."""
    terms: list[Term] = []
    rest = text
    while rest:
        match = _TERM.fullmatch(rest)
        if match is None:
            raise Refusal400("/IWBEP/CM_MGW_RT/012", "Invalid expression in $filter")
        terms.append(_term(match))
        rest = match["rest"]
        if rest:
            joined, _, rest = rest.partition(" ")
            if joined != "and" or not rest.strip():
                raise Refusal400("/IWBEP/CM_MGW_RT/012", "Invalid expression in $filter")
    return tuple(terms)


def _term(match: re.Match[str]) -> Term:
    field = ENTITIES["A_PurchaseOrderType"].get(match["field"])
    if field is None:
        raise Refusal400("/IWBEP/CM_MGW_RT/018", f"Unknown property '{match['field']}' in $filter")
    is_date = field.type in ("t", "o")
    if match["operator"] not in (("eq", "ge") if is_date else ("eq",)):
        raise Refusal400("/IWBEP/CM_MGW_RT/012", f"Operator '{match['operator']}' not supported")
    if is_date != (match["moment"] is not None):
        raise Refusal400("/IWBEP/CM_MGW_RT/019", "Operand types do not agree in $filter")
    if match["moment"] is None:
        return Term(field.name, match["operator"], match["text"].replace("''", "'"))
    try:
        moment = datetime.fromisoformat(match["moment"]).replace(tzinfo=UTC)
    except ValueError:
        raise Refusal400("/IWBEP/CM_MGW_RT/019", "Invalid datetime literal") from None
    return Term(field.name, match["operator"], int(moment.timestamp() * 1000))


def matches(terms: Sequence[Term], document: Mapping[str, Any]) -> bool:
    """Whether the document satisfies every term."""
    return all(_holds(term, document.get(term.field)) for term in terms)


def _holds(term: Term, value: object) -> bool:
    if isinstance(term.value, str):
        there, asked = str(value or ""), term.value
        alpha = ENTITIES["A_PurchaseOrderType"][term.field].alpha
        return there == (asked.lstrip("0") if alpha and asked.isdigit() else asked)
    match = _MS.match(value) if isinstance(value, str) else None
    if match is None:
        return False
    moment = int(match[1])
    return moment >= term.value if term.operator == "ge" else moment == term.value
