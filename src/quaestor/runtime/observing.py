"""Observing: a system in mode `observe` is read, and what would be sent to it is shown instead.

The document stops where its first effect there would change something. Nothing of that step takes
place, so nothing is half done: a change or a cancellation that comes meanwhile is dealt with as
ever, and when a person lets it go on the stage decides anew, by what is true then. Pure.
"""

from __future__ import annotations

import hashlib

import msgspec

from quaestor.connectors.kit.attempt import Exchange
from quaestor.connectors.kit.contract import Permanent
from quaestor.flows.kit.step import Park
from quaestor.model.refusal import Refusal, refuse
from quaestor.runtime.case import Case, IntentRow

__all__ = ["HELD", "WOULD_SEND", "Held", "held", "held_park", "note_held"]

HELD = "held_while_observing"
# Stands where the trail has the method of a request that was made.
WOULD_SEND = "WOULD SEND"

_encode = msgspec.json.Encoder().encode


class Held(Permanent):
    """Raised where a send would begin: nothing is sent, and a person owns the document."""

    def __init__(self, system: str, action: str, name: str, payload: bytes) -> None:
        super().__init__(f"{system} is only observed", held(system, action))
        self.system, self.action, self.name, self.payload = system, action, name, payload


def held(system: str, action: str) -> Refusal:
    """Why the document waits."""
    return refuse(HELD, system=system, action=action)


def held_park(refusal: Refusal) -> Park:
    """With the operator: to be let go on, or let go of, once it is known who ordered it."""
    return Park(refusal.owner, refusal, ways_out=("retry", "dismiss", "cancel"))


def note_held(case: Case, sending: Held | IntentRow) -> None:
    """The would-be effect goes into the trail, with the bytes as they would have left."""
    shown = Exchange(WOULD_SEND, sending.action, (), sending.payload, 0, (), b"", 0.0, HELD)
    case.note(
        "hold",
        "not_sent",
        system=sending.system,
        name=sending.name,
        details={
            "action": sending.action,
            "bytes": str(len(sending.payload)),
            "sha256": hashlib.sha256(sending.payload).hexdigest(),
        },
        payloads=(_encode(shown),),
    )
