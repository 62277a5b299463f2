"""Recording: the notes of a transaction become entries of the audit trail, in that transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from quaestor.audit.append import EntryIds, append
from quaestor.audit.entry import FORMAT, Entry
from quaestor.audit.payload import Payload, make_payload
from quaestor.connectors.kit.attempt import Exchange
from quaestor.runtime.case import Case, Note
from quaestor.store import Connection

__all__ = ["ACTOR", "Recorder", "SubjectBook", "encode_exchange"]

# The actor of what no person asked for.
ACTOR = "system:quaestor"

_exchange_encoder = msgspec.json.Encoder()


class SubjectBook(Protocol):
    """Pseudonyms of persons; the audit trail never holds an identity."""

    async def pseudonyms(
        self, connection: Connection, persons: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], str]:
        """The pseudonym of each (entity, identity), made where it is new."""
        ...


def encode_exchange(exchange: Exchange) -> bytes:
    """One request and answer as a payload of the class `wire`; bodies as base64."""
    return _exchange_encoder.encode(exchange)


class Recorder:
    """Turns notes into entries and appends them."""

    def __init__(self, subjects: SubjectBook) -> None:
        self._ids = EntryIds()
        self._subjects = subjects

    async def record(self, connection: Connection, cases: Iterable[Case], now: datetime) -> None:
        """One entry per note, in the order of the cases; payloads go beside them."""
        noted = [(case, note) for case in cases for note in case.notes]
        if not noted:
            return
        people = await self._people(connection, noted)
        ids = await self._ids.take(connection, len(noted))
        payloads: list[Payload] = []
        entries = []
        for entry_id, (case, note) in zip(ids, noted, strict=True):
            made = [
                make_payload(case.document.entity, note.kept_as, plain) for plain in note.payloads
            ]
            payloads.extend(made)
            entries.append(_entry(entry_id, case, note, now, people, made))
        await append(connection, entries, payloads)

    async def _people(
        self, connection: Connection, noted: Sequence[tuple[Case, Note]]
    ) -> dict[tuple[str, str], str]:
        named = {
            (case.document.entity, person)
            for case, note in noted
            for person in (note.actor, note.to)
            if person and not person.startswith("system:")
        }
        return await self._subjects.pseudonyms(connection, sorted(named)) if named else {}


def _entry(
    entry_id: int,
    case: Case,
    note: Note,
    now: datetime,
    people: dict[tuple[str, str], str],
    payloads: Sequence[Payload],
) -> Entry:
    document = case.document
    details = note.details
    if note.refusal is not None:
        told = {f"refusal.{name}": text for name, text in note.refusal.details.items()}
        details = {**details, **told, "owner": note.refusal.owner}
    if note.to:
        details = {**details, "to": people.get((document.entity, note.to), note.to)}
    actor = people.get((document.entity, note.actor), note.actor) if note.actor else ACTOR
    return Entry(
        format=FORMAT,
        id=entry_id,
        at=now,
        entity=document.entity,
        correlation_id=document.correlation_id,
        actor=actor,
        effect=note.effect,
        outcome=note.outcome,
        name=note.name,
        document_id=document.id,
        version=document.version,
        content_hash=document.content_hash,
        system=note.system,
        external_ids={"number": note.external_id} if note.external_id else {},
        stage_before=note.stage_before,
        stage_after=note.stage_after,
        flow=f"{case.flow.name}@{case.flow.version}",
        release=case.release,
        attempt=note.attempt,
        refusal=note.refusal.code if note.refusal is not None else "",
        payloads=tuple([payload.reference for payload in payloads]),
        details=details,
    )
