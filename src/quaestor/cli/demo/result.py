"""The demo's result for machines. Every number was counted, in the database or in the ERP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quaestor.audit.telling import told
from quaestor.cli.demo.headline import amounts
from quaestor.cli.demo.run import CASES, Found
from quaestor.model.approval import ApprovalDecision

__all__ = ["ORDER_FIELD", "STATE_FIELD", "result", "verdict"]

# The custom fields of the example's Coupa, `[systems.coupa.report]`.
ORDER_FIELD = "sap-order"
STATE_FIELD = "quaestor-state"

_WANTED = {"cancel-while-unknown": "cancelled"}
_WORTH_TELLING = frozenset({"send", "look", "event", "receive", "record"})


def verdict(found: Sequence[Found], in_erp: int) -> list[str]:
    """What is wrong, as sentences; empty when all is well. `in_erp` counts all documents there."""
    wrong = []
    for one in found:
        number, counted = one.facts.number, one.counted
        wanted = _WANTED.get(one.received.case, "ordered")
        if one.facts.outcome != wanted:
            wrong.append(f"Requisition {number} is {one.facts.outcome}, not {wanted}.")
        if not counted.order_groups == len(counted.documents) > 0:
            wrong.append(
                f"Requisition {number} has {counted.order_groups} order groups and "
                f"{len(counted.documents)} orders in the ERP."
            )
        standing = 0 if wanted == "cancelled" else counted.order_groups
        if counted.standing != standing:
            wrong.append(f"Requisition {number} has {counted.standing} orders that stand.")
        if counted.duplicates:
            wrong.append(f"Requisition {number} was ordered {1 + counted.duplicates} times.")
        if one.shown != _at_home(one, wanted):
            wrong.append(f"Coupa shows on requisition {number}: {dict(one.shown)}.")
        if (missing := _not_shown(one)) is not None:
            wrong.append(missing)
    known = sum(len(one.counted.documents) for one in found)
    if known != in_erp:
        wrong.append(f"The ERP holds {in_erp} orders; the requisitions account for {known}.")
    return wrong


def _at_home(one: Found, wanted: str) -> dict[str, str]:
    """What the requester has to read in Coupa."""
    orders = [] if wanted == "cancelled" else [order.number or "" for order in one.facts.created]
    return {ORDER_FIELD: ", ".join(orders), STATE_FIELD: wanted}


def _not_shown(one: Found) -> str | None:
    """A fault that did not take place proves nothing."""
    seen = [(step.effect, step.outcome) for step in one.facts.steps]
    needed = {
        "lost-answer": [("send", "ambiguous"), ("look", "applied")],
        "killed-worker": [("send", "lost"), ("look", "applied")],
        "cancel-while-unknown": [("send", "ambiguous"), ("event", "cancel"), ("look", "applied")],
    }.get(one.received.case, [])
    places = [seen.index(each) if each in seen else -1 for each in needed]
    if -1 in places or places != sorted(places):
        return f"Requisition {one.facts.number}: the fault {CASES[one.received.case]} is not seen."
    return None


def result(headline: Found, others: Sequence[Found], wrong: Sequence[str]) -> dict[str, Any]:
    """The line that `--json` prints (DESIGN §5)."""
    facts = headline.facts
    return {
        "ok": not wrong,
        "correlation_id": facts.correlation_id,
        "requisition": facts.number,
        "purchase_order": ", ".join(order.number or "" for order in facts.created),
        "approvals": [
            _vote(evidence.decided_by, vote)
            for evidence in facts.decided
            for vote in evidence.decisions
        ],
        "budget": amounts(facts),
        "trace": facts.steps,
        "shown_in_coupa": headline.shown,
        "order_groups": headline.counted.order_groups,
        "erp_documents": len(headline.counted.documents),
        "duplicates": headline.counted.duplicates,
        "others": [_other(one) for one in others],
        **({"wrong": list(wrong)} if wrong else {}),
    }


def _vote(decided_by: str, vote: ApprovalDecision) -> dict[str, Any]:
    return {
        "decided_by": decided_by,
        "approver": vote.approver,
        "on_behalf_of": vote.on_behalf_of,
        "verdict": vote.verdict,
        "decided_at": vote.decided_at,
    }


def _other(one: Found) -> dict[str, Any]:
    return {
        "name": one.received.case,
        "requisition": one.facts.number,
        "correlation_id": one.facts.correlation_id,
        "outcome": one.facts.outcome,
        "order_groups": one.counted.order_groups,
        "erp_documents": len(one.counted.documents),
        "duplicates": one.counted.duplicates,
        "purchase_orders": [_order(document) for document in one.counted.documents],
        "shown_in_coupa": one.shown,
        "happened": [told(step) for step in one.facts.steps if step.effect in _WORTH_TELLING],
    }


def _order(document: Mapping[str, Any]) -> dict[str, Any]:
    return {"number": document["number"], "deleted": document["deleted"]}
