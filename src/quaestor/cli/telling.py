"""One entry of the audit trail as a sentence, for the timeline of a document."""

from __future__ import annotations

from collections.abc import Sequence

from quaestor.audit.entry import Entry
from quaestor.connectors.kit.attempt import Exchange

__all__ = ["the_change", "told"]

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_KEY_CHARS = 12


def the_change(exchanges: Sequence[Exchange]) -> Exchange | None:
    """The request that was to change something there: neither a token nor a look-up."""
    changing = [each for each in exchanges if each.method not in _READING]
    return changing[-1] if changing else None


def told(entry: Entry, exchanges: Sequence[Exchange] = ()) -> str:
    """What happened, in a sentence without a full stop; empty for a step that says nothing new."""
    match entry.effect:
        case "receive":
            return f"received from {entry.system}, version {entry.version}"
        case "send":
            return _sent(entry, exchanges)
        case "look":
            return _looked(entry)
        case "resolve":
            return _resolved(entry)
        case "record":
            return _recorded(entry)
        case "tell":
            return f"told {entry.details.get('to', '')}: {entry.details.get('text', '')}"
        case "event":
            return f"{entry.outcome} by {entry.actor}"
        case "step":
            return _stepped(entry)
        case "park" | "reconcile":
            return f"{entry.effect}: {_refusal(entry)}"
        case "reserve" | "adjust" | "commit" | "relieve" | "release" | "consume":
            if entry.refusal:
                return f"budget: {entry.effect} refused, {_refusal(entry)}"
            return f"budget {entry.outcome}"
    return f"{entry.effect}: {entry.outcome}"


def _sent(entry: Entry, exchanges: Sequence[Exchange]) -> str:
    match entry.outcome:
        case "begun":
            key = entry.details.get("key", "")[:_KEY_CHARS]
            return f"intent committed before the first byte: attempt {entry.attempt}, key {key}…"
        case "lost":
            return "the lease is over and no outcome was recorded: perhaps applied"
    change = the_change(exchanges)
    sent = f"{change.method} {len(change.request_body):,} bytes" if change else "sent"
    match entry.outcome:
        case "applied":
            status = f"{change.status}, " if change else ""
            return f"{sent} → {status}{entry.external_ids.get('number', '')}"
        case "ambiguous":
            return f"{sent} → no answer ({entry.details.get('reason', '')}): perhaps applied"
        case "rejected":
            return f"{sent} → refused by the system"
        case "transient" | "permanent":
            return f"surely not applied: {entry.details.get('reason', '')}"
    return f"{sent} → {entry.outcome}"


def _looked(entry: Entry) -> str:
    match entry.outcome:
        case "applied":
            return f"looked by our reference: found {entry.external_ids.get('number', '')}"
        case "absent":
            return "looked by our reference: nothing there"
    return f"looked by our reference: {entry.outcome} {entry.details.get('reason', '')}".rstrip()


def _resolved(entry: Entry) -> str:
    number = entry.external_ids.get("number", "")
    match entry.outcome:
        case "applied":
            return f"it stands: {number}"
        case "withdrawn":
            return f"never to be sent again; left there: {number or 'nothing'}"
    return f"{entry.outcome}: {_refusal(entry)}"


def _recorded(entry: Entry) -> str:
    facts = entry.details
    if entry.name != "approval_evidence":
        return f"recorded {entry.name}: " + ", ".join(f"{k} {v}" for k, v in facts.items())
    return f"{facts.get('outcome', '')} by {facts.get('decided_by', '')} ({facts.get('votes', '')})"


def _stepped(entry: Entry) -> str:
    if entry.refusal:
        return f"{entry.stage_before}: parked with {_owner(entry)}, {entry.refusal}"
    if entry.outcome.startswith("done:"):
        return f"done: {entry.outcome.removeprefix('done:')}"
    if entry.stage_before == entry.stage_after:
        return f"{entry.stage_before}: {entry.outcome}"
    return f"{entry.stage_before} → {entry.stage_after}"


def _refusal(entry: Entry) -> str:
    return f"{entry.refusal or entry.outcome} ({_owner(entry)})"


def _owner(entry: Entry) -> str:
    return entry.details.get("owner", "nobody")
