"""What a work item remembers between two steps. Stored as one value; parked work is data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from quaestor.budget.balance import DocumentHolding
from quaestor.flows.kit.dossier import Result
from quaestor.flows.kit.step import Await, Park

__all__ = ["SCHEMA_NO", "Asking", "SentIntent", "WorkState", "decode_state", "encode_state"]

# Rises when a stored body or state can no longer be read by older code (DESIGN D9).
SCHEMA_NO = 1


class SentIntent(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the intent of a `Send` is found."""

    key: str
    system: str
    action: str
    generation: int


class Asking(msgspec.Struct, frozen=True, omit_defaults=True):
    """A question that waits for its answer, asked since `since` and not again before `not_before`.

    `failures` counts answers of the system itself that said nothing.
    """

    system: str
    question: str
    facts: Mapping[str, str]
    since: datetime
    failures: int = 0
    not_before: datetime | None = None


class WorkState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The persistent part of a dossier, plus what the work item is waiting for.

    `sending` names the send that must be resolved before the next stage runs, `asking` are the
    questions that must be answered before, by the name of the effect. `holding` is
    what the budget holds for the document. `unconsumed` counts events
    that came and that no step has consumed yet; `steps` counts steps, against the limit.
    """

    results: Mapping[str, Result] = {}
    sends: Mapping[str, SentIntent] = {}
    sending: str | None = None
    asking: Mapping[str, Asking] = {}
    awaiting: Await | None = None
    parked: Park | None = None
    holding: DocumentHolding = DocumentHolding()
    unconsumed: int = 0
    steps: int = 0


_decoder = msgspec.json.Decoder(WorkState)
_encoder = msgspec.json.Encoder(decimal_format="string")


def encode_state(state: WorkState) -> bytes:
    """UTF-8 JSON; decimals as strings."""
    return _encoder.encode(state)


def decode_state(stored: bytes) -> WorkState:
    """The inverse of `encode_state`; raises `msgspec.ValidationError` on a foreign schema."""
    return _decoder.decode(stored)
