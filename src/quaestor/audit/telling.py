"""A step of the audit trail as a sentence: the same in a terminal and on a page."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from quaestor.audit.exchange import WireExchange
from quaestor.audit.trace import Step

__all__ = ["elapsed", "milliseconds", "request_bytes", "the_change", "told"]

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_KEY_CHARS = 12


def the_change(step: Step) -> WireExchange | None:
    """The request that was to change something there: neither a token nor a look-up."""
    exchanges = [each.exchange for each in step.wire if each.exchange is not None]
    changing = [each for each in exchanges if each.method not in _READING]
    return changing[-1] if changing else None


def request_bytes(exchange: WireExchange) -> int:
    """The size of what was sent; a body over the limit of a trace counts as far as it is kept."""
    if exchange.request_base64:
        return len(exchange.request_base64) * 3 // 4
    return len(exchange.request.encode())


def milliseconds(first: Step, then: Step) -> float:
    """The time between two steps."""
    return (then.at - first.at).total_seconds() * 1000


def elapsed(ms: float) -> str:
    """A time since the beginning, in the unit that says it."""
    if ms < 10_000:
        return f"+{ms:,.0f} ms"
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if ms >= 2000 * length_s:
            return f"+{ms / 1000 / length_s:,.1f} {unit}"
    return f"+{ms / 1000:,.1f} s"


def told(step: Step, names: Mapping[str, str] = MappingProxyType({})) -> str:
    """What happened, in a sentence without a full stop; empty for a step that says nothing new."""
    if step.erased:
        return "erased"
    match step.effect:
        case "receive":
            return f"received from {step.system}, version {step.version}"
        case "send":
            return _sent(step)
        case "look":
            return _looked(step)
        case "inquire":
            return _asked(step)
        case "hold":
            size = step.details.get("bytes", "")
            return f"would be sent: {step.details.get('action', '')}, {size} bytes; not sent"
        case "resolve":
            return _resolved(step)
        case "record":
            return _recorded(step)
        case "tell":
            to = step.details.get("to", "")
            return f"told {names.get(to, to)}: {step.details.get('text', '')}"
        case "event":
            return f"{step.outcome} by {step.actor_name or step.actor}"
        case "step":
            return _stepped(step)
        case "park" | "reconcile":
            return f"{step.effect}: {_refusal(step)}"
        case "reserve" | "adjust" | "commit" | "relieve" | "release" | "consume":
            if step.refusal:
                return f"budget: {step.effect} refused, {_refusal(step)}"
            return f"budget {step.outcome}"
    return f"{step.effect}: {step.outcome}"


def _sent(step: Step) -> str:
    match step.outcome:
        case "begun":
            key = step.details.get("key", "")[:_KEY_CHARS]
            return f"intent committed before the first byte: attempt {step.attempt}, key {key}…"
        case "lost":
            return "the lease is over and no outcome was recorded: perhaps applied"
    change = the_change(step)
    sent = f"{change.method} {request_bytes(change):,} bytes" if change else "sent"
    match step.outcome:
        case "applied":
            status = f"{change.status}, " if change else ""
            took = f", {change.elapsed_ms:,.0f} ms" if change else ""
            return f"{sent} → {status}{step.external_ids.get('number', '')}{took}"
        case "ambiguous":
            return f"{sent} → no answer ({step.details.get('reason', '')}): perhaps applied"
        case "rejected":
            return f"{sent} → refused by the system"
        case "transient" | "permanent":
            return f"surely not applied: {step.details.get('reason', '')}"
    return f"{sent} → {step.outcome}"


def _looked(step: Step) -> str:
    match step.outcome:
        case "applied":
            return f"looked by our reference: found {step.external_ids.get('number', '')}"
        case "absent":
            return "looked by our reference: nothing there"
    return f"looked by our reference: {step.outcome} {step.details.get('reason', '')}".rstrip()


def _asked(step: Step) -> str:
    asked = f"asked for {step.name}"
    match step.outcome:
        case "answered":
            return f"{asked}: true as of {step.details.get('as_of', '')}"
        case "refused":
            return f"{asked}: {_refusal(step)}"
    return f"{asked}: no answer yet, {step.details.get('reason', '')}"


def _resolved(step: Step) -> str:
    number = step.external_ids.get("number", "")
    match step.outcome:
        case "applied":
            return f"confirmed: {number}"
        case "withdrawn":
            return f"never to be sent again; left there: {number or 'nothing'}"
    return f"{step.outcome}: {_refusal(step)}"


def _recorded(step: Step) -> str:
    facts = step.details
    if step.name != "approval_evidence":
        return f"recorded {step.name}: " + ", ".join(f"{k} {v}" for k, v in facts.items())
    return f"{facts.get('outcome', '')} by {facts.get('decided_by', '')} ({facts.get('votes', '')})"


def _stepped(step: Step) -> str:
    if step.refusal:
        return f"{step.stage_before}: parked with {_owner(step)}, {step.refusal}"
    if step.outcome.startswith("done:"):
        return f"done: {step.outcome.removeprefix('done:')}"
    if step.stage_before == step.stage_after:
        return f"{step.stage_before}: {step.outcome}"
    stages = [*step.details.get("by_way_of", "").split(), step.stage_before, step.stage_after]
    return " → ".join(stages)


def _refusal(step: Step) -> str:
    return f"{step.refusal or step.outcome} ({_owner(step)})"


def _owner(step: Step) -> str:
    return step.details.get("owner", "nobody")
