"""Checkpoints: the signed root of the tree, exported to two places that nobody here controls alone.

A checkpoint is a C2SP tlog-checkpoint: origin, size and root, signed. What was exported once can
convict whoever changes, removes, inserts or reorders an entry below its size later (I25). Before a
new one is signed, the tree must still extend the last one: we never sign two histories.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import re
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import msgspec

from quaestor.audit.keyfile import read_or_make_key
from quaestor.audit.note import NoteMalformed, SigningKey, VerifyingKey, open_note, sign_note
from quaestor.audit.tree import TreeIncomplete, tree_root

__all__ = [
    "Checkpoint",
    "CheckpointConflict",
    "CheckpointMalformed",
    "Checkpointer",
    "PlaceUnwritable",
    "Published",
    "TreeRewritten",
    "parse_checkpoint",
    "read_place",
    "read_public_keys",
    "signing_key",
    "verified_by",
]

_SUFFIX = ".checkpoint"
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}").fullmatch
_CATCH_UP_MAX = 1000

_LAST = "select size, root, note from quaestor.checkpoint order by size desc limit 1"
_NEXT_LEAF = "select next_leaf from quaestor.audit_sequencer"
_STORE = """
insert into quaestor.checkpoint (size, root, note, made_at)
values ($1, $2, $3, quaestor.clock()) on conflict do nothing
"""
_AFTER = """
select note from quaestor.checkpoint where size > $1 order by size limit $2
"""


class CheckpointMalformed(ValueError):
    """The text is not a checkpoint."""


class TreeRewritten(Exception):
    """The tree no longer extends a checkpoint that was signed before; nothing more is signed."""

    code = "audit_trail_altered"


class CheckpointConflict(Exception):
    """A place holds another checkpoint of this size: somebody was shown another history."""

    code = "audit_checkpoint_conflict"


class PlaceUnwritable(Exception):
    """A checkpoint cannot be written to one of its places."""

    code = "audit_checkpoint_unwritable"


class Checkpoint(msgspec.Struct, frozen=True):
    """The root of the tree over the first `size` leaves, and the signed note that states it."""

    origin: str
    size: int
    root: bytes
    note: str

    @property
    def file_name(self) -> str:
        """Files sort by size."""
        return f"{self.size:018d}{_SUFFIX}"


class Published(msgspec.Struct, frozen=True):
    """What `publish` did: the newest checkpoint, whether it is new, and what went wrong where."""

    checkpoint: Checkpoint | None
    new: bool
    failures: tuple[CheckpointConflict | PlaceUnwritable, ...] = ()


def parse_checkpoint(note: str) -> Checkpoint:
    """Read a checkpoint. The signature is not checked here: see `open_note`.

    Raises `CheckpointMalformed`.
    """
    text, empty_line, _ = note.rpartition("\n\n")
    lines = text.split("\n")
    if not empty_line or len(lines) < 3 or not all(lines) or not _SIZE(lines[1]):
        raise CheckpointMalformed("A checkpoint is origin, size and root, and signatures.")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except (binascii.Error, ValueError):
        root = b""
    if len(root) != 32:
        raise CheckpointMalformed("The root of a checkpoint is 32 bytes in base64.")
    return Checkpoint(lines[0], int(lines[1]), root, note)


def signing_key(path: Path, name: str) -> SigningKey:
    """The key of a deployment from its file, made at the first start (mode 0600).

    The public key is written beside it as `<file>.pub`, one line per key that ever signed: keep a
    copy elsewhere, an auditor needs it. To rotate a key that is lost or leaked, move the file away:
    the next start makes a new one, and `.pub` keeps the old one's line (F50). Raises what
    `read_or_make_key` does, and `NoteMalformed`.
    """
    text = read_or_make_key(path, lambda: SigningKey.generate(name).secret.encode() + b"\n")
    key = SigningKey.parse(text.decode("ascii", "replace"))
    public = path.with_name(path.name + ".pub")
    line = f"{key.verifying}\n"
    if not public.exists() or line not in public.read_text().splitlines(keepends=True):
        with public.open("a") as file:
            file.write(line)
    return key


def read_public_keys(path: Path) -> list[VerifyingKey]:
    """The keys of a `.pub` file, one per line. Raises `NoteMalformed`, `OSError`."""
    return [VerifyingKey.parse(line) for line in path.read_text().splitlines() if line.strip()]


def read_place(place: Path) -> list[Checkpoint]:
    """All checkpoints in a directory, smallest first. Raises `CheckpointMalformed`, `OSError`."""
    found = []
    for path in sorted(place.glob(f"*{_SUFFIX}")):
        try:
            found.append(parse_checkpoint(path.read_text()))
        except (CheckpointMalformed, UnicodeDecodeError) as error:
            raise CheckpointMalformed(f"{path.name}: {error}") from error
    return sorted(found, key=lambda checkpoint: checkpoint.size)


class Checkpointer:
    """Signs the tree's root and exports it.

    `origin` names this log among all others, for example `audit.example.com/production`. The
    first of `keys` is in force; a second one signs too, while a rotation is under way, so that
    whoever knows only the old key can follow to the new one. `places` are directories.
    """

    def __init__(self, origin: str, keys: Sequence[SigningKey], places: Sequence[Path]) -> None:
        if not origin or any(sign.isspace() or sign == "+" for sign in origin):
            raise ValueError("an origin has no white space and no plus sign")
        self._origin = origin
        self._keys = tuple(keys)
        self._places = tuple(places)

    async def publish(self, connection: asyncpg.Connection) -> Published:
        """Sign the tree as it is, if it grew, and bring every place up to date.

        What a place missed while it could not be written is written now. A failing place is
        returned, and does not keep the others from their copy. Raises `TreeRewritten` when the
        tree contradicts the last checkpoint of the store or of any place; then nothing is signed.
        """
        last = await self._last(connection)
        for earlier in (last, *await asyncio.to_thread(self._newest_of_places)):
            await _require_extends(connection, earlier)
        size = await connection.fetchval(_NEXT_LEAF)
        new = size > (last.size if last is not None else 0)
        if new:
            last = self._sign(size, await tree_root(connection, size))
            await connection.execute(_STORE, last.size, last.root, last.note)
        failures = [await _catch_up(connection, place) for place in self._places]
        return Published(last, new, tuple(failure for failure in failures if failure is not None))

    def _sign(self, size: int, root: bytes) -> Checkpoint:
        text = f"{self._origin}\n{size}\n{base64.b64encode(root).decode()}\n"
        return Checkpoint(self._origin, size, root, sign_note(text, self._keys))

    async def _last(self, connection: asyncpg.Connection) -> Checkpoint | None:
        row = await connection.fetchrow(_LAST)
        return None if row is None else parse_checkpoint(row["note"])

    def _newest_of_places(self) -> list[Checkpoint]:
        newest = []
        for place in self._places:
            try:
                path = max(place.glob(f"*{_SUFFIX}"), default=None)
                if path is not None:
                    newest.append(parse_checkpoint(path.read_text()))
            except (OSError, UnicodeDecodeError, CheckpointMalformed):
                # A place that cannot be read is reported when it is written to.
                continue
        return newest


async def _catch_up(
    connection: asyncpg.Connection, place: Path
) -> CheckpointConflict | PlaceUnwritable | None:
    # A place may be a mount that hangs: it is waited for outside of the event loop.
    try:
        newest = await asyncio.to_thread(_newest_size, place)
        rows = await connection.fetch(_AFTER, newest - 1, _CATCH_UP_MAX)
        checkpoints = [parse_checkpoint(row["note"]) for row in rows]
        await asyncio.to_thread(_export, place, checkpoints)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        return PlaceUnwritable(f"{place}: {reason}")
    except CheckpointConflict as conflict:
        return conflict
    return None


def _newest_size(place: Path) -> int:
    place.mkdir(parents=True, exist_ok=True)
    newest = max((path.name for path in place.glob(f"*{_SUFFIX}")), default="")
    return int(newest.removesuffix(_SUFFIX)) if newest else 0


async def _require_extends(connection: asyncpg.Connection, earlier: Checkpoint | None) -> None:
    if earlier is None:
        return
    try:
        root = await tree_root(connection, earlier.size)
    except TreeIncomplete as error:
        raise TreeRewritten(f"There were {earlier.size} leaves once: {error}") from error
    if root != earlier.root:
        raise TreeRewritten(f"The first {earlier.size} leaves had another root.")


def _export(place: Path, checkpoints: Sequence[Checkpoint]) -> None:
    for checkpoint in checkpoints:
        _write_once(place, checkpoint)


def _write_once(place: Path, checkpoint: Checkpoint) -> None:
    """Whole or not at all, and never over another one."""
    path = place / checkpoint.file_name
    if path.exists():
        if parse_checkpoint(path.read_text()).root != checkpoint.root:
            raise CheckpointConflict(f"{path} has another root.")
        return
    beside = place / f".{checkpoint.file_name}.{os.getpid()}"
    try:
        with beside.open("w") as file:
            file.write(checkpoint.note)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def verified_by(checkpoint: Checkpoint, known: Sequence[VerifyingKey]) -> tuple[VerifyingKey, ...]:
    """Which known keys signed it. Raises `NoteMalformed` and `NoteUntrusted`."""
    text, signers = open_note(checkpoint.note, known)
    if parse_checkpoint(checkpoint.note) != checkpoint or text.split("\n")[0] != checkpoint.origin:
        raise NoteMalformed("The note states another checkpoint.")
    return signers
