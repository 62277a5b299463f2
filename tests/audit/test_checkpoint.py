"""Checkpoints: anybody's tools read them, they reach two places, and they never contradict."""

from __future__ import annotations

from pathlib import Path

import pytest

from quaestor.audit.checkpoint import (
    CheckpointConflict,
    Checkpointer,
    CheckpointMalformed,
    PlaceUnwritable,
    TreeRewritten,
    parse_checkpoint,
    read_place,
    read_public_keys,
    signing_key,
    verified_by,
)
from quaestor.audit.note import (
    NoteMalformed,
    NoteUntrusted,
    SigningKey,
    VerifyingKey,
    open_note,
    sign_note,
)
from quaestor.store.database import Database
from tests.audit.builders import append_entries, place_all
from tests.support.database import TestDatabase

# The published example of the format (Go, golang.org/x/mod/sumdb/note).
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
NOTE = (
    TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdng"
    "otpRZb6KE6RyyBwJnAM=\n"
)
# The published example of a checkpoint (C2SP tlog-checkpoint).
EXAMPLE = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2"
    "q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)
ORIGIN = "audit.example.com/test"


def a_key(letter: str = "k") -> SigningKey:
    return SigningKey(ORIGIN, letter.encode() * 32)


async def grow(pool: Database, count: int) -> None:
    async with pool.transaction() as connection:
        await append_entries(connection, count)
    await place_all(pool)


def test_the_published_note_is_signed_byte_for_byte() -> None:
    key = SigningKey.parse(PRIVATE)

    assert sign_note(TEXT, [key]) == NOTE
    assert str(key.verifying) == PUBLIC
    assert key.secret == PRIVATE


def test_the_published_note_is_opened() -> None:
    key = VerifyingKey.parse(PUBLIC)

    assert open_note(NOTE, [key]) == (TEXT, (key,))


def test_a_key_does_not_show_its_secret() -> None:
    assert PRIVATE.rsplit("+", 1)[1] not in repr(SigningKey.parse(PRIVATE))


@pytest.mark.parametrize(
    "note",
    [
        NOTE.replace("cryptography", "cryptographY"),
        NOTE.replace("x08go/ZJ", "x08go/ZK"),
        NOTE.replace("PeterNeumann", "EnochRoot"),
        NOTE + sign_note(TEXT, [SigningKey.parse(PRIVATE)]).split("\n\n")[1].replace("k", "l"),
    ],
)
def test_a_note_that_was_touched_is_not_trusted(note: str) -> None:
    with pytest.raises(NoteUntrusted):
        open_note(note, [VerifyingKey.parse(PUBLIC)])


@pytest.mark.parametrize(
    "note",
    ["", TEXT, TEXT + "\n", NOTE[:-1], NOTE.replace("— ", "- "), NOTE.replace("\n", "\r\n")],
)
def test_what_is_no_note_is_refused(note: str) -> None:
    with pytest.raises(NoteMalformed):
        open_note(note, [VerifyingKey.parse(PUBLIC)])


@pytest.mark.parametrize("text", ["", "x", PUBLIC[:-4], PUBLIC.replace("c7", "c8"), PRIVATE])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(NoteMalformed):
        VerifyingKey.parse(text)


def test_signatures_of_strangers_are_ignored() -> None:
    note = sign_note(TEXT, [a_key("s"), SigningKey.parse(PRIVATE)])

    _, signers = open_note(note, [VerifyingKey.parse(PUBLIC)])

    assert [key.name for key in signers] == ["PeterNeumann"]


def test_the_published_checkpoint_is_read() -> None:
    checkpoint = parse_checkpoint(EXAMPLE)

    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.root.hex().startswith("0ac5186a")


@pytest.mark.parametrize(
    "note",
    [
        "",
        "a\n1\n",
        EXAMPLE.replace("20852163", "020852163"),
        EXAMPLE.replace("20852163", "-1"),
        EXAMPLE.replace("CsUYapGG", "CsUYapG"),
        EXAMPLE.replace("CsUYapGG", "CsUY"),
        EXAMPLE.replace("example.com/behind-the-sofa\n2", "\n2"),
    ],
)
def test_what_is_no_checkpoint_is_refused(note: str) -> None:
    with pytest.raises(CheckpointMalformed):
        parse_checkpoint(note)


async def test_a_checkpoint_reaches_both_places(database: TestDatabase, tmp_path: Path) -> None:
    worker = await database.connect("quaestor_worker")
    places = (tmp_path / "data" / "checkpoints", tmp_path / "witness")
    checkpointer = Checkpointer(ORIGIN, [a_key()], places)
    await grow(worker, 5)

    async with worker.connection() as connection:
        published = await checkpointer.publish(connection)

    assert published.new
    assert published.failures == ()
    assert published.checkpoint is not None
    assert published.checkpoint.size == 5
    assert [read_place(place) for place in places] == [[published.checkpoint]] * 2
    assert verified_by(published.checkpoint, [a_key().verifying]) == (a_key().verifying,)


async def test_without_growth_there_is_nothing_to_sign(
    database: TestDatabase, tmp_path: Path
) -> None:
    worker = await database.connect("quaestor_worker")
    checkpointer = Checkpointer(ORIGIN, [a_key()], [tmp_path])

    async with worker.connection() as connection:
        empty = await checkpointer.publish(connection)
        await grow(worker, 1)
        first = await checkpointer.publish(connection)
        again = await checkpointer.publish(connection)

    assert (empty.checkpoint, empty.new) == (None, False)
    assert (first.new, again.new) == (True, False)
    assert again.checkpoint == first.checkpoint


async def test_a_place_that_cannot_be_written_is_named_and_catches_up(
    database: TestDatabase, tmp_path: Path
) -> None:
    worker = await database.connect("quaestor_worker")
    good, bad = tmp_path / "good", tmp_path / "bad"
    bad.write_text("a file where a directory should be")
    checkpointer = Checkpointer(ORIGIN, [a_key()], [bad, good])

    failures = []
    async with worker.connection() as connection:
        for _ in range(3):
            await grow(worker, 2)
            failures.extend((await checkpointer.publish(connection)).failures)
        bad.unlink()
        repaired = await checkpointer.publish(connection)

    assert [type(failure) for failure in failures] == [PlaceUnwritable] * 3
    assert str(bad) in str(failures[0])
    assert failures[0].code == "audit_checkpoint_unwritable"
    assert repaired.failures == ()
    assert [item.size for item in read_place(bad)] == [2, 4, 6]
    assert read_place(bad) == read_place(good)


async def test_a_rewritten_tree_is_never_signed(database: TestDatabase, tmp_path: Path) -> None:
    worker = await database.connect("quaestor_worker")
    owner = await database.connect()
    checkpointer = Checkpointer(ORIGIN, [a_key()], [tmp_path])
    await grow(worker, 5)
    async with worker.connection() as connection:
        await checkpointer.publish(connection)
        async with owner.transaction() as superuser:
            await superuser.execute("set local session_replication_role = replica")
            await superuser.execute(
                "update quaestor.audit_leaf set leaf_hash = sha256('') where leaf = 2"
            )
        await grow(worker, 5)

        with pytest.raises(TreeRewritten):
            await checkpointer.publish(connection)

    assert [item.size for item in read_place(tmp_path)] == [5]


async def test_a_tree_that_lost_its_end_is_found_out_by_the_place(
    database: TestDatabase, tmp_path: Path
) -> None:
    worker = await database.connect("quaestor_worker")
    key = a_key()
    await grow(worker, 3)
    async with worker.connection() as connection:
        await Checkpointer(ORIGIN, [key], [tmp_path / "ours"]).publish(connection)
    # Another database under the same place: what a restore to an earlier time looks like.
    (tmp_path / "ours" / "000000000000000003.checkpoint").rename(
        tmp_path / "ours" / "000000000000000009.checkpoint"
    )
    path = tmp_path / "ours" / "000000000000000009.checkpoint"
    path.write_text(path.read_text().replace("\n3\n", "\n9\n"))

    async with worker.connection() as connection:
        with pytest.raises(TreeRewritten, match="9 leaves once"):
            await Checkpointer(ORIGIN, [key], [tmp_path / "ours"]).publish(connection)


async def test_a_place_that_holds_another_history_is_named(
    database: TestDatabase, tmp_path: Path
) -> None:
    worker = await database.connect("quaestor_worker")
    place = tmp_path / "witness"
    checkpointer = Checkpointer(ORIGIN, [a_key()], [place])
    await grow(worker, 3)
    async with worker.connection() as connection:
        await checkpointer.publish(connection)
        path = place / "000000000000000003.checkpoint"
        other = path.read_text().splitlines()
        other[2] = "A" * 43 + "="
        path.write_text("\n".join(other) + "\n")

        with pytest.raises(TreeRewritten):
            await checkpointer.publish(connection)


async def test_a_checkpoint_is_never_written_over_another_one(
    database: TestDatabase, tmp_path: Path
) -> None:
    worker = await database.connect("quaestor_worker")
    checkpointer = Checkpointer(ORIGIN, [a_key()], [tmp_path])
    async with worker.connection() as connection:
        await grow(worker, 3)
        await checkpointer.publish(connection)
        await grow(worker, 3)
        (tmp_path / "000000000000000003.checkpoint").rename(
            tmp_path / "000000000000000006.checkpoint"
        )

        [failure] = (await checkpointer.publish(connection)).failures

    assert isinstance(failure, CheckpointConflict)
    assert failure.code == "audit_checkpoint_conflict"
    assert [item.size for item in read_place(tmp_path)] == [3]


def test_a_deployment_makes_its_signing_key_once(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "checkpoint.key"

    first, again = signing_key(path, ORIGIN), signing_key(path, ORIGIN)

    assert first.secret == again.secret
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_public_keys(path.with_name("checkpoint.key.pub")) == [first.verifying]


async def test_after_a_rotation_old_checkpoints_still_verify(
    database: TestDatabase, tmp_path: Path
) -> None:
    worker = await database.connect("quaestor_worker")
    place, path = tmp_path / "place", tmp_path / "checkpoint.key"
    old = signing_key(path, ORIGIN)
    async with worker.connection() as connection:
        await grow(worker, 2)
        await Checkpointer(ORIGIN, [old], [place]).publish(connection)
        path.rename(tmp_path / "retired.key")
        new = signing_key(path, ORIGIN)
        await grow(worker, 2)
        await Checkpointer(ORIGIN, [new, old], [place]).publish(connection)
        await grow(worker, 2)
        await Checkpointer(ORIGIN, [new], [place]).publish(connection)

    known = read_public_keys(path.with_name("checkpoint.key.pub"))
    signers = [verified_by(checkpoint, known) for checkpoint in read_place(place)]
    assert known == [old.verifying, new.verifying]
    assert signers == [
        (old.verifying,),
        (new.verifying, old.verifying),
        (new.verifying,),
    ]
    with pytest.raises(NoteUntrusted):
        verified_by(read_place(place)[2], [old.verifying])
