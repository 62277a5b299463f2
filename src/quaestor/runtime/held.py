"""What an observation shows: would-be sends, would-be refusals, and what was not understood."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from quaestor.audit.trace import trace
from quaestor.runtime.observing import HELD
from quaestor.runtime.worklist import (
    NotUnderstoodItem,
    WorklistItem,
    read_not_understood,
    read_worklist,
)
from quaestor.security.masking import mask_values
from quaestor.store import Connection

__all__ = ["HeldSend", "Observed", "read_held", "read_observed"]


class HeldSend(msgspec.Struct, frozen=True, omit_defaults=True):
    """A document that waits at a system which is only observed. `payload` is what would leave."""

    document_id: int
    number: str
    entity: str
    correlation_id: str
    system: str
    action: str
    held_at: datetime
    age_s: int
    payload: str = ""


class Observed(msgspec.Struct, frozen=True):
    """The whole report. `refused` is what a person would have to settle in earnest, too."""

    held: tuple[HeldSend, ...]
    refused: tuple[WorklistItem, ...]
    not_understood: tuple[NotUnderstoodItem, ...]


async def read_held(
    connection: Connection, *, entity: str | None = None, system: str = ""
) -> list[HeldSend]:
    """What is held, the oldest first; a thousand at most."""
    items = await read_worklist(connection, entity=entity, code=HELD)
    return [_held(item) for item in items if system in ("", item.details.get("system"))]


async def read_observed(
    connection: Connection, *, entity: str | None = None, system: str = "", payloads: bool = False
) -> Observed:
    """The report; with `payloads` also the bytes, masked, as they are in the trail."""
    held = await read_held(connection, entity=entity, system=system)
    if payloads:
        held = [
            msgspec.structs.replace(one, payload=await _payload(connection, one)) for one in held
        ]
    parked = await read_worklist(connection, entity=entity)
    return Observed(
        tuple(held),
        tuple(item for item in parked if item.refusal != HELD),
        tuple(await read_not_understood(connection, entity=entity)),
    )


def _held(item: WorklistItem) -> HeldSend:
    details: Mapping[str, str] = item.details
    return HeldSend(
        item.document_id,
        item.number,
        item.entity,
        item.correlation_id,
        details.get("system", ""),
        details.get("action", ""),
        item.parked_at,
        item.age_s,
    )


async def _payload(connection: Connection, one: HeldSend) -> str:
    found = await trace(connection, one.correlation_id)
    steps = [
        step
        for step in (found.steps if found else ())
        if step.effect == "hold" and step.document_id == one.document_id
    ]
    shown = [each.exchange for step in steps[-1:] for each in step.wire if each.exchange]
    return _masked(shown[0].request or shown[0].request_base64) if shown else ""


def _masked(text: str) -> str:
    """JSON by the names of its members; other text as the wire would show it."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return msgspec.json.encode(mask_values(value)).decode()
