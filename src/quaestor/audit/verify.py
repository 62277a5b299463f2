"""Verification: recomputes every commitment, leaf and root, and names the first bad entry (I25).

Everything that the database holds can be rewritten consistently by whoever owns it. So what counts
is a checkpoint that was exported earlier: give at least one. Memory does not grow with the trail;
the database is read in batches, without holding a transaction open.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import asyncpg
import msgspec

from quaestor.audit.archive import Archive
from quaestor.audit.checkpoint import (
    Checkpoint,
    CheckpointMalformed,
    parse_checkpoint,
    verified_by,
)
from quaestor.audit.entry import EntryReading, commitment, leaf_hash
from quaestor.audit.findings import FINDINGS_MAX, Finding, FindingKind, VerifyReport
from quaestor.audit.merkle import Frontier
from quaestor.audit.note import NoteMalformed, NoteUntrusted, VerifyingKey
from quaestor.audit.subjects import Subjects
from quaestor.audit.verify_payloads import PayloadChecks

__all__ = ["VerifierSeesTooLittle", "verify"]

_ROWS = """
select l.leaf, l.audit_id, l.leaf_hash, l.at as leaf_at,
       a.txid::text::numeric::bigint as txid, a.at, a.entity, a.document_id,
       a.correlation_id, a.canonical, a.salt, a.commitment
from (select * from quaestor.audit_leaf where leaf >= $1 and leaf < $2 order by leaf limit $3) l
left join quaestor.audit a on a.id = l.audit_id and a.at = l.at
order by l.leaf
"""
_NODES = """
select n.level, n.index, n.hash
from unnest($1::smallint[], $2::bigint[]) w (level, index)
join quaestor.audit_node n using (level, index)
"""
_CHECKPOINTS = "select note from quaestor.checkpoint order by size"
_ARCHIVED = "select month, first_leaf, end_leaf from quaestor.audit_archive"
_END = "select next_leaf from quaestor.audit_sequencer"
_EPOCHS = "select first_leaf from quaestor.audit_epoch"
# Behind the sequencer, or with an id of a transaction that this server has not begun: nobody
# commits a row there any more.
_INSERTED = """
select a.id from quaestor.audit a, quaestor.audit_sequencer s
where ((a.txid, a.id) <= (s.last_txid, s.last_id)
       or a.txid >= pg_snapshot_xmax(pg_current_snapshot()))
  and not exists (
      select from quaestor.audit_leaf l where l.audit_id = a.id and l.at = a.at)
order by a.txid, a.id limit $1
"""
_BEYOND = """
select l.leaf, l.audit_id from quaestor.audit_leaf l, quaestor.audit_sequencer s
where l.leaf >= s.next_leaf order by l.leaf limit $1
"""
_PENDING = """
select count(*) from quaestor.audit a, quaestor.audit_sequencer s
where (a.txid, a.id) > (s.last_txid, s.last_id)
"""
_STILL_THERE = "select true from quaestor.audit where id = $1 limit 1"
_HASH_ELSEWHERE = """
select leaf from quaestor.audit_leaf where leaf_hash = $1 and leaf between $2 and $3 limit 1
"""
_NEARBY = 5000

_decoder = msgspec.json.Decoder(EntryReading)


class VerifierSeesTooLittle(Exception):
    """This role sees the rows of some entities only; verification needs to see them all."""


async def verify(
    connection: asyncpg.Connection,
    checkpoints: Sequence[Checkpoint],
    public_keys: Sequence[VerifyingKey],
    *,
    subjects: Subjects | None = None,
    archives: Sequence[Archive] = (),
    batch: int = 500,
    monotonic: Callable[[], float] = time.monotonic,
) -> VerifyReport:
    """Check the whole trail against itself and against `checkpoints` exported earlier.

    The checkpoints in the database are checked as well where there are keys, but convict nobody
    who owns it. With `subjects` sealed payloads are opened, too. Entries of archived
    months are in `archives`, which were checked before; without its file a month is counted as
    archived, and nothing of it is shown. Raises `VerifierSeesTooLittle`;
    whatever is wrong with the trail itself is in the report.
    """
    role = await connection.fetchval("select current_user")
    if role in ("quaestor_gateway", "quaestor_reader"):
        raise VerifierSeesTooLittle
    started = monotonic()
    verification = _Verification(connection, subjects, archives)
    await verification.take_checkpoints(checkpoints, public_keys)
    await verification.walk(batch)
    await verification.look_for_strays()
    return await verification.report(monotonic() - started)


class _Verification:
    """One walk over the leaves, from the first to the last."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        subjects: Subjects | None,
        archives: Sequence[Archive],
    ) -> None:
        self._connection = connection
        self._archives = archives
        self._months: list[asyncpg.Record] = []
        self._archived = 0
        self._shown = 0
        self._payloads = PayloadChecks(connection, subjects, self._find)
        self._frontier = Frontier()
        self._findings: list[Finding] = []
        self._total = 0
        # Roots that the tree must have at a size, by size.
        self._wanted: dict[int, bytes] = {}
        self._exported: set[int] = set()
        self._confirmed: list[int] = []
        self._differs = False
        # Once a leaf is missing, no later root or node can fit.
        self._aligned = True
        self._leaves = 0
        self._order: tuple[int, int] = (0, 0)
        self._epochs: set[int] = set()
        self._erased: dict[int, int] = {}
        self._erasures: set[int] = set()

    def _find(
        self,
        kind: FindingKind,
        message: str,
        leaf: int | None = None,
        entry: int | None = None,
        end_leaf: int | None = None,
    ) -> None:
        self._total += 1
        if len(self._findings) < FINDINGS_MAX:
            self._findings.append(Finding(kind, message, leaf, entry, end_leaf))

    async def take_checkpoints(
        self, given: Sequence[Checkpoint], public_keys: Sequence[VerifyingKey]
    ) -> None:
        """Keep the roots of checkpoints that a known key signed."""
        for checkpoint in given:
            self._take(checkpoint, public_keys, exported=True)
        if not public_keys:
            # Nobody can say who signed those of the database; they prove little in any case.
            return
        for row in await self._connection.fetch(_CHECKPOINTS):
            try:
                self._take(parse_checkpoint(row["note"]), public_keys, exported=False)
            except CheckpointMalformed as error:
                self._find(FindingKind.CHECKPOINT_INVALID, f"In the database: {error}")

    def _take(
        self, checkpoint: Checkpoint, public_keys: Sequence[VerifyingKey], *, exported: bool
    ) -> None:
        where = "exported" if exported else "in the database"
        try:
            verified_by(checkpoint, public_keys)
        except (NoteMalformed, NoteUntrusted, CheckpointMalformed) as error:
            self._find(
                FindingKind.CHECKPOINT_INVALID,
                f"The checkpoint of {checkpoint.size} leaves ({where}): {error}",
            )
            return
        known = self._wanted.setdefault(checkpoint.size, checkpoint.root)
        if known != checkpoint.root:
            self._find(
                FindingKind.CHECKPOINT_SPLIT,
                f"Two signed checkpoints of {checkpoint.size} leaves have different roots.",
                checkpoint.size,
            )
        if exported:
            self._exported.add(checkpoint.size)

    async def walk(self, batch: int) -> None:
        """Check every leaf up to the end of the tree."""
        self._months = await self._connection.fetch(_ARCHIVED)
        self._epochs = {row["first_leaf"] for row in await self._connection.fetch(_EPOCHS)}
        end: int = await self._connection.fetchval(_END)
        self._compare_root()
        expected = 0
        while True:
            rows = await self._connection.fetch(_ROWS, expected, end, batch)
            for row in rows:
                if row["leaf"] != expected:
                    self._missing_leaves(expected, row["leaf"])
                await self._check(row)
                expected = row["leaf"] + 1
            await self._compare_nodes()
            await self._payloads.flush()
            if len(rows) < batch:
                break
        if expected < end:
            self._missing_leaves(expected, end)

    def _missing_leaves(self, first: int, end: int) -> None:
        self._aligned = False
        self._find(
            FindingKind.LEAF_REMOVED, f"The leaves from {first} to {end - 1} are missing.", first
        )

    async def _check(self, row: asyncpg.Record) -> None:
        leaf, entry_id = row["leaf"], row["audit_id"]
        if row["txid"] is None:
            await self._removed(row)
        else:
            self._check_order(row)
            if leaf_hash(entry_id, row["commitment"]) != row["leaf_hash"]:
                await self._leaf_differs(row)
            elif row["canonical"] is None:
                self._erased[entry_id] = leaf
            elif commitment(row["salt"], row["canonical"]) != row["commitment"]:
                self._find(
                    FindingKind.ENTRY_CHANGED,
                    "The entry is not what was committed to.",
                    leaf,
                    entry_id,
                )
            else:
                self._check_columns(row)
        self._frontier.push(row["leaf_hash"])
        self._leaves += 1
        self._compare_root()

    async def _removed(self, row: asyncpg.Record) -> None:
        leaf, entry_id = row["leaf"], row["audit_id"]
        if any(archive.shows(leaf) for archive in self._archives):
            self._archived += 1
            self._shown += 1
        elif self._is_archived(leaf, f"{row['leaf_at']:%Y-%m}"):
            self._archived += 1
        elif await self._connection.fetchval(_STILL_THERE, entry_id):
            self._find(
                FindingKind.COLUMN_CHANGED, "The time of the entry was changed.", leaf, entry_id
            )
        else:
            self._find(FindingKind.ENTRY_REMOVED, "The entry is gone.", leaf, entry_id)

    def _is_archived(self, leaf: int, month: str) -> bool:
        """Whether its month is in a file that nobody gave us."""
        if any(each.covers(leaf) and each.report.month == month for each in self._archives):
            return False
        return any(
            row["month"] == month and row["first_leaf"] <= leaf < row["end_leaf"]
            for row in self._months
        )

    def _check_order(self, row: asyncpg.Record) -> None:
        """Leaves follow the order of transactions, which starts again in a new cluster."""
        order = row["txid"], row["audit_id"]
        if order <= self._order and row["leaf"] not in self._epochs:
            self._find(
                FindingKind.ENTRY_REORDERED,
                "The entry stands behind one that was committed later.",
                row["leaf"],
                row["audit_id"],
            )
        self._order = order

    async def _leaf_differs(self, row: asyncpg.Record) -> None:
        leaf, entry_id = row["leaf"], row["audit_id"]
        computed = leaf_hash(entry_id, row["commitment"])
        bytes_fit = row["canonical"] is None or (
            commitment(row["salt"], row["canonical"]) == row["commitment"]
        )
        if not bytes_fit:
            kind, message = FindingKind.ENTRY_CHANGED, "The commitment of the entry was changed."
        elif await self._connection.fetchval(
            _HASH_ELSEWHERE, computed, leaf - _NEARBY, leaf + _NEARBY
        ):
            kind, message = FindingKind.ENTRY_REORDERED, "The entry belongs to another leaf."
        else:
            kind, message = FindingKind.LEAF_CHANGED, "The leaf is not that of this entry."
        self._find(kind, message, leaf, entry_id)

    def _check_columns(self, row: asyncpg.Record) -> None:
        leaf, entry_id = row["leaf"], row["audit_id"]
        try:
            reading = _decoder.decode(row["canonical"])
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._find(
                FindingKind.ENTRY_CHANGED, "The bytes are no entry of the trail.", leaf, entry_id
            )
            return
        stated = (
            reading.id,
            reading.at,
            reading.entity,
            reading.document_id,
            reading.correlation_id,
        )
        columns = (
            entry_id,
            row["at"],
            row["entity"],
            row["document_id"],
            row["correlation_id"],
        )
        if stated != columns:
            self._find(
                FindingKind.COLUMN_CHANGED,
                "A column does not repeat what the entry says.",
                leaf,
                entry_id,
            )
        if reading.effect == "erase_entry":
            with suppress(ValueError):
                self._erasures.add(int(reading.details.get("entry", "")))
        if reading.payloads:
            self._payloads.want(leaf, entry_id, reading)

    def _compare_root(self) -> None:
        size = self._frontier.size
        wanted = self._wanted.get(size)
        if wanted is None or not self._aligned:
            return
        if self._frontier.root == wanted:
            self._confirmed.append(size)
        elif not self._differs:
            self._differs = True
            good = max(self._confirmed, default=0)
            self._find(
                FindingKind.TREE_DIFFERS,
                f"The tree is not the one of the checkpoint of {size} leaves; the first bad entry "
                f"is among the leaves from {good} to {size - 1}.",
                good,
                end_leaf=size,
            )

    async def _compare_nodes(self) -> None:
        completed, self._frontier.completed = self._frontier.completed, []
        if not completed or not self._aligned:
            return
        levels, indices, _ = zip(*completed, strict=True)
        rows = await self._connection.fetch(_NODES, list(levels), list(indices))
        stored = {(row["level"], row["index"]): row["hash"] for row in rows}
        for level, index, joined in completed:
            if stored.get((level, index)) != joined:
                self._find(
                    FindingKind.NODE_CHANGED,
                    f"The stored hash of level {level}, index {index} is not that of its leaves.",
                    index << level,
                    end_leaf=(index + 1) << level,
                )

    async def look_for_strays(self) -> None:
        """What stands where nothing may stand, and what is gone without a word about it."""
        for row in await self._connection.fetch(_INSERTED, FINDINGS_MAX):
            self._find(
                FindingKind.ENTRY_INSERTED,
                "The entry stands where none can appear any more, and has no leaf.",
                entry=row["id"],
            )
        for row in await self._connection.fetch(_BEYOND, FINDINGS_MAX):
            self._find(
                FindingKind.LEAF_INSERTED,
                "The leaf stands beyond the end of the tree.",
                row["leaf"],
                row["audit_id"],
            )
        for entry_id, leaf in self._erased.items():
            if entry_id not in self._erasures:
                self._find(
                    FindingKind.ENTRY_ERASED_WITHOUT_RECORD,
                    "The bytes of the entry are gone, and no entry tells of it.",
                    leaf,
                    entry_id,
                )
        for size in sorted(self._wanted):
            if size > self._frontier.size:
                self._find(
                    FindingKind.TAIL_REMOVED,
                    f"A checkpoint covers {size} leaves, and there are {self._frontier.size}.",
                    self._frontier.size,
                    end_leaf=size,
                )

    async def report(self, seconds: float) -> VerifyReport:
        """What came of it."""
        exported = [size for size in self._confirmed if size in self._exported]
        return VerifyReport(
            ok=self._total == 0,
            leaves=self._leaves,
            pending=await self._connection.fetchval(_PENDING),
            checkpoints=len(exported),
            covered=max(exported, default=0),
            payloads=self._payloads.good,
            erased_payloads=self._payloads.erased,
            sealed_payloads=self._payloads.sealed,
            erased_entries=len(self._erased),
            archived=self._archived,
            shown=self._shown,
            root=self._frontier.root.hex(),
            seconds=round(seconds, 3),
            rows_per_s=round(self._leaves / seconds, 1) if seconds else 0.0,
            total=self._total,
            findings=tuple(sorted(self._findings, key=lambda finding: finding.place)),
        )
