"""A person is a pseudonym in the trail, and can be forgotten."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from quaestor.audit.entry import canonical_bytes, commitment, decode_entry
from quaestor.audit.erasure import erase_entry, erase_payloads, erase_subject
from quaestor.audit.keyfile import KeyFileExposed, KeyFileUnreadable, read_or_make_key
from quaestor.audit.payload import Retention, make_payload
from quaestor.audit.subjects import (
    Keyring,
    SubjectErased,
    Subjects,
    WrappingKeyMissing,
    deployment_key,
)
from tests.audit.builders import append_entries
from tests.support.database import TestDatabase

KEY = bytes(range(32))
JANE = ("DE01", "coupa:jane@example.com")
JOHN = ("DE01", "coupa:john@example.com")
ACTOR = "system:operator"


async def test_a_person_keeps_his_pseudonym(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    async with worker.connection() as connection:
        first = await Subjects(KEY).pseudonyms(connection, [JANE, JOHN])
        again = await Subjects(KEY).pseudonyms(connection, [JOHN, JANE, JANE])

    assert first == again
    assert len(set(first.values())) == 2


async def test_two_entities_know_the_same_person_under_two_pseudonyms(
    database: TestDatabase,
) -> None:
    worker = await database.connect("quaestor_worker")
    async with worker.connection() as connection:
        known = await Subjects(KEY).pseudonyms(connection, [JANE, ("FR01", JANE[1])])

    assert len(set(known.values())) == 2


async def test_nothing_that_is_stored_tells_who_it_is(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    subjects = Subjects(KEY)
    async with worker.connection() as connection:
        [pseudonym] = (await subjects.pseudonyms(connection, [JANE])).values()
        [row] = await connection.fetch("select * from quaestor.subject")
        identity = await Subjects(KEY).identity(connection, pseudonym)

    assert identity == JANE[1]
    assert b"jane" not in b"".join((row["lookup"], row["sealed"], row["wrapped_key"]))


async def test_who_was_made_in_a_transaction_that_was_undone_is_made_again(
    database: TestDatabase,
) -> None:
    worker = await database.connect("quaestor_worker")
    subjects = Subjects(KEY)
    async with worker.connection() as connection:
        undone = connection.transaction()
        await undone.start()
        before = await subjects.pseudonyms(connection, [JANE])
        await undone.rollback()

        after = await subjects.pseudonyms(connection, [JANE])
        stored = await connection.fetchval("select subject from quaestor.subject")

    assert before[JANE] != after[JANE] == stored


async def test_many_who_meet_the_same_new_people_agree_on_them(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker", max_size=8, acquire_timeout_s=30)
    people = [("DE01", f"coupa:{number}") for number in range(40)]

    async def ask(turn: int) -> dict[tuple[str, str], str]:
        async with worker.transaction() as connection:
            asked = people[turn:] + people[:turn]
            return await Subjects(KEY).pseudonyms(connection, asked)

    answers = await asyncio.gather(*(ask(turn * 5) for turn in range(8)))

    assert all(answer == answers[0] for answer in answers)


async def test_after_the_deployment_key_changed_everybody_is_still_known(
    database: TestDatabase,
) -> None:
    worker = await database.connect("quaestor_worker")
    async with worker.connection() as connection:
        before = await Subjects(KEY).pseudonyms(connection, [JANE])
        rotated = Subjects(Keyring(b"n" * 32, [KEY]))

        after = await rotated.pseudonyms(connection, [JANE])

        assert after == before
        assert await rotated.identity(connection, after[JANE]) == JANE[1]
        with pytest.raises(WrappingKeyMissing):
            await Subjects(b"n" * 32).identity(connection, after[JANE])


async def test_an_erased_person_cannot_be_read_but_the_trail_stands(
    database: TestDatabase,
) -> None:
    worker = await database.connect("quaestor_worker")
    subjects = Subjects(KEY)
    async with worker.transaction() as connection:
        [jane, john] = (await subjects.pseudonyms(connection, [JANE, JOHN])).values()
        mine = make_payload("DE01", Retention.PERSONAL, b"1", await subjects.key(connection, jane))
        other = make_payload("DE01", Retention.PERSONAL, b"2", await subjects.key(connection, john))
        await append_entries(
            connection, 1, (mine, other), actor=jane, payloads=(mine.reference, other.reference)
        )

    async with worker.transaction() as connection:
        assert await erase_subject(connection, jane, actor=ACTOR, reason="request 17")
        assert not await erase_subject(connection, jane, actor=ACTOR, reason="request 17")

    payloads = await worker.fetch(
        "select subject, content is null as gone, erased_by from quaestor.audit_payload"
    )
    assert {row["subject"]: row["gone"] for row in payloads} == {jane: True, john: False}
    async with worker.connection() as connection:
        with pytest.raises(SubjectErased):
            await Subjects(KEY).identity(connection, jane)
        again = await Subjects(KEY).pseudonyms(connection, [JANE])
    assert again[JANE] != jane
    rows = await worker.fetch("select * from quaestor.audit order by txid, id")
    first, erasure = (decode_entry(row["canonical"]) for row in rows)
    assert first.actor == jane
    assert (erasure.effect, erasure.outcome) == ("erase_subject", "erased")
    assert erasure.details == {"subject": jane, "reason": "request 17"}
    assert {row["erased_by"] for row in payloads} == {None, erasure.id}


async def test_payloads_of_a_class_go_when_their_time_is_over(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    now = await worker.fetchval("select quaestor.clock()")
    payloads = [make_payload("DE01", Retention.WIRE, bytes([n])) for n in range(5)]
    kept = [
        make_payload("DE01", Retention.DOCUMENT, b"kept"),
        make_payload("FR01", Retention.WIRE, b"kept"),
    ]
    async with worker.transaction() as connection:
        await append_entries(connection, 1, (*payloads, *kept))

    erased = []
    for _ in range(3):
        async with worker.transaction() as connection:
            erased.append(
                await erase_payloads(
                    connection,
                    "DE01",
                    Retention.WIRE,
                    before=now + timedelta(hours=1),
                    actor=ACTOR,
                    reason="seven years",
                    at_most=4,
                )
            )

    left = await worker.fetch("select hash from quaestor.audit_payload where content is not null")
    rows = await worker.fetch("select canonical from quaestor.audit order by txid, id")
    assert erased == [4, 1, 0]
    assert {row["hash"] for row in left} == {item.hash for item in kept}
    assert len(rows) == 3
    assert decode_entry(rows[1]["canonical"]).details["payloads"] == "4"


async def test_what_the_database_writes_about_an_erasure_is_canonical(
    database: TestDatabase,
) -> None:
    worker = await database.connect("quaestor_worker")
    async with worker.transaction() as connection:
        [entry] = await append_entries(connection)
        await erase_entry(
            connection, entry, actor=ACTOR, reason='Bescheid "§ 17"\\\x01\x7f\t Mu\u0308ller € 🙂'
        )

    row = await worker.fetchrow("select * from quaestor.audit where canonical is not null")

    assert row is not None
    assert canonical_bytes(decode_entry(row["canonical"])) == row["canonical"]
    assert commitment(row["salt"], row["canonical"]) == row["commitment"]
    assert row["at"] == decode_entry(row["canonical"]).at


async def test_an_erased_entry_keeps_its_commitment_only(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    async with worker.transaction() as connection:
        [entry] = await append_entries(connection)
    before = await worker.fetchval("select commitment from quaestor.audit")

    async with worker.transaction() as connection:
        assert await erase_entry(connection, entry, actor=ACTOR, reason="a name in it")
        assert not await erase_entry(connection, entry, actor=ACTOR, reason="a name in it")

    row = await worker.fetchrow("select * from quaestor.audit where id = $1", entry)
    assert row is not None
    assert (row["canonical"], row["salt"], row["commitment"]) == (None, None, before)


async def test_only_the_worker_erases(database: TestDatabase) -> None:
    for role in ("quaestor_gateway", "quaestor_reader"):
        pool = await database.connect(role)
        async with pool.connection() as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await erase_subject(connection, "sub:a", actor=ACTOR, reason="none")


async def test_who_erases_is_a_pseudonym_or_a_system(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    async with worker.connection() as connection:
        [entry] = await append_entries(connection)

        with pytest.raises(asyncpg.CheckViolationError):
            await erase_entry(connection, entry, actor="Jane", reason="none")


def test_a_deployment_makes_its_key_once(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "audit.key"

    first, again = deployment_key(path), deployment_key(path)

    assert first == again
    assert len(first) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    path.write_bytes(b"x")
    path.chmod(0o640)

    with pytest.raises(KeyFileExposed, match="0640"):
        read_or_make_key(path, lambda: b"y")


def test_a_key_file_without_a_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    path.write_bytes(b"")
    path.chmod(0o600)

    with pytest.raises(KeyFileUnreadable):
        read_or_make_key(path, lambda: b"y")
