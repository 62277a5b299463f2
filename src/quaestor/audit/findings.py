"""What verification can find, and how it says so."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ["FINDINGS_MAX", "Finding", "FindingKind", "VerifyReport"]

FINDINGS_MAX = 100


class FindingKind(StrEnum):
    """What is wrong with the trail. The value is the name that reports and alarms use.

    `ENTRY_CHANGED` bytes, salt or commitment of an entry do not fit together.
    `COLUMN_CHANGED` a column repeats something else than the entry says.
    `ENTRY_REMOVED` a leaf has no entry. `ENTRY_INSERTED` an entry stands where none can appear.
    `ENTRY_REORDERED` two entries stand in another order than they were committed in.
    `ENTRY_ERASED_WITHOUT_RECORD` an entry's bytes are gone, and no entry tells of their erasure.
    `LEAF_CHANGED` a leaf hash is not that of its entry. `LEAF_REMOVED` a leaf number is missing.
    `LEAF_INSERTED` a leaf stands beyond the end of the tree.
    `TREE_DIFFERS` the tree is not the one of a checkpoint, though all of it fits together: the
    bad entry is among the leaves since the last checkpoint that does fit.
    `TAIL_REMOVED` a checkpoint covers more leaves than there are.
    `NODE_CHANGED` a stored inner hash is not that of its leaves.
    `CHECKPOINT_INVALID` a checkpoint is not signed by a known key, or is not a checkpoint.
    `CHECKPOINT_SPLIT` two signed checkpoints of one size have different roots.
    `PAYLOAD_CHANGED` stored bytes are not those that the entry refers to.
    `PAYLOAD_REMOVED` what an entry refers to is not there, not even as erased.
    `PAYLOAD_ERASED_WITHOUT_RECORD` as with entries.
    `ARCHIVE_UNREADABLE` the file of an archived month is cut, or is none.
    """

    ENTRY_CHANGED = "entry_changed"
    COLUMN_CHANGED = "column_changed"
    ENTRY_REMOVED = "entry_removed"
    ENTRY_INSERTED = "entry_inserted"
    ENTRY_REORDERED = "entry_reordered"
    ENTRY_ERASED_WITHOUT_RECORD = "entry_erased_without_record"
    LEAF_CHANGED = "leaf_changed"
    LEAF_REMOVED = "leaf_removed"
    LEAF_INSERTED = "leaf_inserted"
    TREE_DIFFERS = "tree_differs"
    TAIL_REMOVED = "tail_removed"
    NODE_CHANGED = "node_changed"
    CHECKPOINT_INVALID = "checkpoint_invalid"
    CHECKPOINT_SPLIT = "checkpoint_split"
    PAYLOAD_CHANGED = "payload_changed"
    PAYLOAD_REMOVED = "payload_removed"
    PAYLOAD_ERASED_WITHOUT_RECORD = "payload_erased_without_record"
    ARCHIVE_UNREADABLE = "archive_unreadable"


# What names an entry comes first; what says that something is wrong somewhere comes last.
_PRECISION = {
    FindingKind.NODE_CHANGED: 1,
    FindingKind.TREE_DIFFERS: 2,
    FindingKind.TAIL_REMOVED: 2,
    FindingKind.CHECKPOINT_INVALID: 2,
    FindingKind.CHECKPOINT_SPLIT: 2,
}


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong. `leaf` and `entry` (its id) say where, as far as it is known;
    with `end_leaf` it is somewhere in the leaves `[leaf, end_leaf)`.
    """

    kind: FindingKind
    message: str
    leaf: int | None = None
    entry: int | None = None
    end_leaf: int | None = None

    @property
    def place(self) -> tuple[int, int]:
        """Findings sort by this: the precise ones first, by leaf."""
        return _PRECISION.get(self.kind, 0), self.leaf if self.leaf is not None else 2**63


class VerifyReport(msgspec.Struct, frozen=True):
    """What was checked, and what was found.

    `leaves` entries were checked against the tree, `pending` ones have no leaf yet. `checkpoints`
    were confirmed, the newest of them over `covered` leaves: what lies beyond is only checked
    against itself. `payloads` were read and are what they should be; `erased_payloads` and
    `erased_entries` are gone, as the trail records; `archived` ones are in the
    files of their months, `shown` of them in files that were given; `sealed_payloads` could not be
    opened without the deployment's key. `findings` are the first `FINDINGS_MAX`, precise ones
    first; `total` is how many there were.
    """

    ok: bool
    leaves: int
    pending: int
    checkpoints: int
    covered: int
    payloads: int
    erased_payloads: int
    sealed_payloads: int
    erased_entries: int
    archived: int
    shown: int
    root: str
    seconds: float
    rows_per_s: float
    total: int
    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding | None:
        """The first bad entry, or what comes nearest to it."""
        return self.findings[0] if self.findings else None

    def to_json(self) -> str:
        """One line of JSON."""
        return msgspec.json.encode(self).decode()
