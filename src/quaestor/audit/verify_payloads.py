"""Checks that the bytes beside the entries are those that the entries refer to."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import asyncpg
import msgspec

from quaestor.audit.entry import EntryReading
from quaestor.audit.findings import FindingKind
from quaestor.audit.payload import Payload, PayloadUnreadable, SubjectKey, open_payload
from quaestor.audit.subjects import SubjectErased, Subjects, WrappingKeyMissing

__all__ = ["PayloadChecks"]

_PAYLOADS = """
select p.entity, p.retention, p.hash, p.subject, p.encoding, p.size, p.content, p.erased_by
from unnest($1::text[], $2::text[], $3::bytea[]) w (entity, retention, hash)
join quaestor.audit_payload p using (entity, retention, hash)
"""
_ERASURES = "select id, entity, canonical from quaestor.audit where id = any($1::bigint[])"
_SUBJECT_ERASED_BY = "select erased_by from quaestor.subject where subject = $1"
# Their own bytes are proved with the file of their month.
_ERASURES_ARCHIVED = """
select l.audit_id from quaestor.audit_leaf l
join quaestor.audit_archive m on l.leaf >= m.first_leaf and l.leaf < m.end_leaf
where l.audit_id = any($1::bigint[])
"""
_REMEMBERED_MAX = 10_000

_decoder = msgspec.json.Decoder(EntryReading)

Key = tuple[str, str, bytes]


class _Erasure(NamedTuple):
    entity: str
    effect: str
    subject: str
    retention: str


class PayloadChecks:
    """Collects the references of a batch of entries, then reads and checks them together."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        subjects: Subjects | None,
        find: Callable[..., None],
    ) -> None:
        self._connection = connection
        self._subjects = subjects
        self._find = find
        self._wanted: dict[Key, tuple[int, int]] = {}
        self._erasures: dict[int, _Erasure] = {}
        self._archived: set[int] = set()
        self.good = 0
        self.erased = 0
        self.sealed = 0

    def want(self, leaf: int, entry_id: int, entry: EntryReading) -> None:
        """Remember what an entry refers to."""
        for reference in entry.payloads:
            retention, _, digest = reference.partition(":")
            try:
                key = entry.entity, retention, bytes.fromhex(digest)
            except ValueError:
                self._find(
                    FindingKind.PAYLOAD_REMOVED, "A reference leads nowhere.", leaf, entry_id
                )
                continue
            self._wanted.setdefault(key, (leaf, entry_id))

    async def flush(self) -> None:
        """Check what was remembered."""
        wanted, self._wanted = self._wanted, {}
        if not wanted:
            return
        rows = await self._connection.fetch(_PAYLOADS, *map(list, zip(*wanted, strict=True)))
        await self._learn_erasures({row["erased_by"] for row in rows if row["content"] is None})
        for row in rows:
            leaf, entry_id = wanted.pop((row["entity"], row["retention"], row["hash"]))
            if row["content"] is None:
                self._check_erased(row, leaf, entry_id)
            else:
                await self._check_bytes(row, leaf, entry_id)
        for leaf, entry_id in wanted.values():
            self._find(FindingKind.PAYLOAD_REMOVED, "A payload is gone.", leaf, entry_id)

    async def _check_bytes(self, row: asyncpg.Record, leaf: int, entry_id: int) -> None:
        key: SubjectKey | None = None
        if row["subject"] is not None:
            if self._subjects is None:
                self.sealed += 1
                return
            try:
                key = await self._subjects.key(self._connection, row["subject"])
            except WrappingKeyMissing:
                self.sealed += 1
                return
            except SubjectErased:
                await self._check_key_erased(row["subject"], leaf, entry_id)
                return
        columns = ("entity", "retention", "hash", "subject", "encoding", "size", "content")
        try:
            plain = open_payload(Payload(*(row[name] for name in columns)), key)
        except PayloadUnreadable as error:
            self._find(FindingKind.PAYLOAD_CHANGED, f"A payload: {error}", leaf, entry_id)
            return
        if len(plain) != row["size"]:
            self._find(
                FindingKind.PAYLOAD_CHANGED, "The size of a payload differs.", leaf, entry_id
            )
            return
        self.good += 1

    def _check_erased(self, row: asyncpg.Record, leaf: int, entry_id: int) -> None:
        erasure = self._erasures.get(row["erased_by"])
        recorded = row["erased_by"] in self._archived or (
            erasure is not None
            and erasure.entity == row["entity"]
            and (
                (erasure.effect == "erase_payloads" and erasure.retention == row["retention"])
                or (erasure.effect == "erase_subject" and erasure.subject == row["subject"])
            )
        )
        if recorded:
            self.erased += 1
            return
        self._find(
            FindingKind.PAYLOAD_ERASED_WITHOUT_RECORD,
            "A payload is gone, and no entry tells of its erasure.",
            leaf,
            entry_id,
        )

    async def _check_key_erased(self, subject: str, leaf: int, entry_id: int) -> None:
        """A payload that came late, under the key of somebody who was being erased."""
        erased_by = await self._connection.fetchval(_SUBJECT_ERASED_BY, subject)
        await self._learn_erasures({erased_by} - {None})
        erasure = self._erasures.get(erased_by)
        recorded = erasure is not None and erasure.subject == subject
        if recorded or erased_by in self._archived:
            self.erased += 1
            return
        self._find(
            FindingKind.PAYLOAD_ERASED_WITHOUT_RECORD,
            "The key of a payload is gone, and no entry tells of its erasure.",
            leaf,
            entry_id,
        )

    async def _learn_erasures(self, ids: set[int]) -> None:
        """Read the entries that tell of these erasures; their bytes are checked in their turn."""
        if len(self._erasures) + len(self._archived) > _REMEMBERED_MAX:
            self._erasures.clear()
            self._archived.clear()
        new = [number for number in ids if number not in self._erasures]
        if not new:
            return
        gone = set(new)
        for row in await self._connection.fetch(_ERASURES, new):
            gone.discard(row["id"])
            try:
                entry = _decoder.decode(row["canonical"] or b"")
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            self._erasures[row["id"]] = _Erasure(
                row["entity"],
                entry.effect,
                entry.details.get("subject", ""),
                entry.details.get("retention", ""),
            )
        if gone:
            rows = await self._connection.fetch(_ERASURES_ARCHIVED, list(gone))
            self._archived.update(row["audit_id"] for row in rows)
