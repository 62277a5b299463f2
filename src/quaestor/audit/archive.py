"""An archived month: a file that proves itself against one signed checkpoint, without a database.

The file is gzip over lines of JSON. The first is `ArchiveHeader`, then one `ArchivedLeaf` for each
leaf from `first_leaf` on, in order. Months meet at their edges, so some of these leaves are of a
neighbour: of them the hash alone is there. With the roots of what lies left and right of the month
they make the root that the checkpoint states (docs/audit-format.md).
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from quaestor.audit.checkpoint import Checkpoint, parse_checkpoint, verified_by
from quaestor.audit.entry import EntryReading, commitment, leaf_hash
from quaestor.audit.findings import FINDINGS_MAX, Finding, FindingKind
from quaestor.audit.merkle import Frontier, covering
from quaestor.audit.note import NoteMalformed, NoteUntrusted, VerifyingKey

__all__ = [
    "Archive",
    "ArchiveHeader",
    "ArchiveReport",
    "ArchivedLeaf",
    "archive_name",
    "sha256_of",
    "verify_archive",
    "write_archive",
]

FORMAT = 1

_encode = msgspec.json.Encoder().encode
_entry = msgspec.json.Decoder(EntryReading)
_CHUNK = 1 << 20
_LEVEL = 6
_LINE_MAX = 1 << 20


class ArchiveHeader(msgspec.Struct, frozen=True):
    """What the file holds. `left` and `right` are the roots of the complete subtrees before
    `first_leaf`, and from `end_leaf` to the end of the `checkpoint`, a signed note.
    """

    format: int
    month: str
    first_leaf: int
    end_leaf: int
    entries: int
    left: tuple[bytes, ...]
    right: tuple[bytes, ...]
    checkpoint: str


class ArchivedLeaf(msgspec.Struct, frozen=True, omit_defaults=True):
    """A leaf: of the month itself with its entry, else with its `hash` alone. An erased entry has
    neither `canonical` nor `salt`.
    """

    leaf: int
    hash: bytes = b""
    id: int = 0
    txid: int = 0
    at: datetime | None = None
    entity: str = ""
    document_id: int | None = None
    correlation_id: str = ""
    canonical: bytes | None = None
    salt: bytes | None = None
    commitment: bytes = b""


class ArchiveReport(msgspec.Struct, frozen=True):
    """What was checked of a file. `known` says that its checkpoint was also given from elsewhere:
    without that whoever holds the signing key could have made both.
    """

    ok: bool
    file: str
    month: str
    entries: int
    erased: int
    first_leaf: int
    end_leaf: int
    size: int
    known: bool
    total: int
    findings: tuple[Finding, ...]


class Archive(NamedTuple):
    """A file that was checked; `own` has a bit for each of its leaves, set where the entry is."""

    report: ArchiveReport
    checkpoint: Checkpoint | None
    own: bytes

    def covers(self, leaf: int) -> bool:
        """Whether the leaf is among those of the file."""
        return self.report.first_leaf <= leaf < self.report.end_leaf

    def shows(self, leaf: int) -> bool:
        """Whether its entry is in the file, and all of the file is good."""
        place = leaf - self.report.first_leaf
        return (
            self.report.ok and self.covers(leaf) and bool(self.own[place >> 3] >> (place & 7) & 1)
        )


def archive_name(month: str) -> str:
    """The file of a month."""
    return f"audit-{month}.jsonl.gz"


async def write_archive(
    path: Path, header: ArchiveHeader, leaves: AsyncIterator[ArchivedLeaf]
) -> None:
    """Write the file whole or not at all, for its owner alone. Raises `OSError`."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            # Without a time in it, so that the same month makes the same file.
            with gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed:
                packed.write(_encode(header) + b"\n")
                async for leaf in leaves:
                    packed.write(_encode(leaf) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def sha256_of(path: Path) -> bytes:
    """The hash of a file. Raises `OSError`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()


def verify_archive(
    path: Path, checkpoints: Sequence[Checkpoint], public_keys: Sequence[VerifyingKey]
) -> Archive:
    """Prove the file against its checkpoint, signed by one of these keys, and hold that against
    those `checkpoints` that were kept elsewhere. Raises `OSError`.
    """
    check = _Check(path)
    with gzip.open(path, "rb") as lines:
        try:
            check.walk(_lines(lines))
        except (EOFError, gzip.BadGzipFile, zlib.error, msgspec.DecodeError, ValueError) as error:
            check.find(FindingKind.ARCHIVE_UNREADABLE, f"The file cannot be read: {error}")
    check.compare(checkpoints, public_keys)
    return Archive(check.report(), check.checkpoint, bytes(check.own))


def _lines(packed: gzip.GzipFile) -> Iterator[bytes]:
    while line := packed.readline(_LINE_MAX):
        yield line


class _Check:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._findings: list[Finding] = []
        self._total = 0
        self._header: ArchiveHeader | None = None
        self._frontier = Frontier()
        self._entries = 0
        self._erased = 0
        self._whole = False
        self._known = False
        self.checkpoint: Checkpoint | None = None
        self.own = bytearray()

    def find(
        self, kind: FindingKind, message: str, leaf: int | None = None, entry: int | None = None
    ) -> None:
        self._total += 1
        if len(self._findings) < FINDINGS_MAX:
            self._findings.append(Finding(kind, message, leaf, entry))

    def walk(self, lines: Iterator[bytes]) -> None:
        header = self._header = msgspec.json.decode(next(lines, b""), type=ArchiveHeader)
        if header.format != FORMAT:
            raise ValueError(f"its format is {header.format}")
        signed = self.checkpoint = parse_checkpoint(header.checkpoint)
        self._push((0, header.first_leaf), header.left)
        decoder = msgspec.json.Decoder(ArchivedLeaf)
        for line in lines:
            leaf = decoder.decode(line)
            if leaf.leaf != self._frontier.size:
                raise ValueError(f"leaf {leaf.leaf} stands where {self._frontier.size} belongs")
            if not len(self.own) * 8 > self._frontier.size - header.first_leaf:
                self.own.append(0)
            self._frontier.push(leaf.hash or self._own(leaf, header))
        if (self._frontier.size, self._entries) != (header.end_leaf, header.entries):
            raise ValueError("it does not hold what it says")
        self._push((header.end_leaf, signed.size), header.right)
        self._whole = True

    def _push(self, span: tuple[int, int], roots: Sequence[bytes]) -> None:
        parts = covering(span)
        if len(parts) != len(roots) or any(len(root) != 32 for root in roots):
            raise ValueError("the roots beside it are not those of its place")
        for (level, _), root in zip(parts, roots, strict=True):
            self._frontier.push(root, level)

    def _own(self, leaf: ArchivedLeaf, header: ArchiveHeader) -> bytes:
        place = leaf.leaf - header.first_leaf
        self.own[place >> 3] |= 1 << (place & 7)
        self._entries += 1
        if leaf.canonical is None or leaf.salt is None:
            self._erased += 1
        elif commitment(leaf.salt, leaf.canonical) != leaf.commitment:
            message = "The entry is not what was committed to."
            self.find(FindingKind.ENTRY_CHANGED, message, leaf.leaf, leaf.id)
        else:
            self._check_columns(leaf, leaf.canonical, header.month)
        return leaf_hash(leaf.id, leaf.commitment)

    def _check_columns(self, leaf: ArchivedLeaf, canonical: bytes, month: str) -> None:
        said = _entry.decode(canonical)
        stated = said.id, said.at, said.entity, said.document_id, said.correlation_id
        columns = leaf.id, leaf.at, leaf.entity, leaf.document_id, leaf.correlation_id
        if stated != columns or f"{leaf.at:%Y-%m}" != month:
            message = "A column does not repeat what the entry says, or it is of another month."
            self.find(FindingKind.COLUMN_CHANGED, message, leaf.leaf, leaf.id)

    def compare(
        self, checkpoints: Sequence[Checkpoint], public_keys: Sequence[VerifyingKey]
    ) -> None:
        """The root of all this must be what somebody signed."""
        signed = self.checkpoint
        if signed is None:
            return
        try:
            verified_by(signed, public_keys)
        except (NoteMalformed, NoteUntrusted) as error:
            self.find(FindingKind.CHECKPOINT_INVALID, f"The checkpoint in the file: {error}")
        for known in checkpoints:
            if known.size == signed.size and known.origin == signed.origin:
                self._known = True
                if known.root != signed.root:
                    message = f"Two checkpoints of {known.size} leaves have different roots."
                    self.find(FindingKind.CHECKPOINT_SPLIT, message, known.size)
        if self._whole and self._frontier.root != signed.root:
            message = f"The tree is not the one of the checkpoint of {signed.size} leaves."
            self.find(FindingKind.TREE_DIFFERS, message)

    def report(self) -> ArchiveReport:
        header, signed = self._header, self.checkpoint
        return ArchiveReport(
            ok=self._total == 0,
            file=str(self._path),
            month=header.month if header else "",
            entries=self._entries,
            erased=self._erased,
            first_leaf=header.first_leaf if header else 0,
            end_leaf=header.end_leaf if header else 0,
            size=signed.size if signed else 0,
            known=self._known,
            total=self._total,
            findings=tuple(sorted(self._findings, key=lambda finding: finding.place)),
        )
