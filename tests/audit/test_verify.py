"""Whoever changes the trail is found out by a checkpoint that was exported before (I25, F49)."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest
import pytest_asyncio

from quaestor.audit.checkpoint import Checkpoint, Checkpointer
from quaestor.audit.erasure import erase_entry, erase_payloads, erase_subject
from quaestor.audit.findings import FindingKind, VerifyReport
from quaestor.audit.note import SigningKey
from quaestor.audit.payload import Retention, make_payload
from quaestor.audit.subjects import Subjects
from quaestor.audit.verify import VerifierSeesTooLittle, verify
from quaestor.store.database import Database
from tests.audit.attacks import ATTACKS
from tests.audit.builders import append_entries, place_all
from tests.support.database import TestDatabase

KEY = SigningKey("audit.example.com/test", b"k" * 32)
SUBJECTS = Subjects(b"d" * 32)
ACTOR = "system:operator"
STEP = 200
TRIES = 5


class Trail(NamedTuple):
    """600 entries and a few payloads, checkpoints exported at 200, 400 and 600 leaves."""

    worker: Database
    owner: Database
    checkpoints: list[Checkpoint]

    async def verify(self, connection: asyncpg.Connection | None = None) -> VerifyReport:
        if connection is not None:
            return await verify(connection, self.checkpoints, [KEY.verifying], subjects=SUBJECTS)
        async with self.worker.connection() as borrowed:
            return await verify(borrowed, self.checkpoints, [KEY.verifying], subjects=SUBJECTS)


@pytest_asyncio.fixture
async def trail(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Trail]:
    worker, owner = await database.connect("quaestor_worker"), await database.connect()
    checkpointer = Checkpointer("audit.example.com/test", [KEY], [tmp_path / "exported"])
    checkpoints = []
    for step in range(3):
        payloads = [make_payload("DE01", Retention.WIRE, b"%d %d" % (step, n)) for n in range(3)]
        async with worker.transaction() as connection:
            for payload in payloads:
                await append_entries(connection, 1, (payload,), payloads=(payload.reference,))
            await append_entries(connection, STEP - len(payloads), document_id=7)
        await place_all(worker)
        async with worker.connection() as connection:
            published = await checkpointer.publish(connection)
        assert published.checkpoint is not None
        checkpoints.append(published.checkpoint)
    yield Trail(worker, owner, checkpoints)


async def test_an_untouched_trail_is_good(trail: Trail) -> None:
    async with trail.worker.transaction() as connection:
        await append_entries(connection, 4)
    await place_all(trail.worker)
    async with trail.worker.transaction() as connection:
        await append_entries(connection, 2)

    report = await trail.verify()

    assert report.findings == ()
    assert report.ok
    assert (report.leaves, report.pending, report.covered) == (604, 2, 600)
    assert (report.checkpoints, report.payloads) == (3, 9)
    assert json.loads(report.to_json())["ok"] is True


async def test_an_empty_trail_is_good(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    async with worker.connection() as connection:
        report = await verify(connection, [], [])

    assert (report.ok, report.leaves) == (True, 0)


async def test_without_keys_and_checkpoints_the_trail_is_checked_against_itself(
    trail: Trail,
) -> None:
    async with trail.worker.connection() as connection:
        report = await verify(connection, [], [])

    assert (report.ok, report.leaves, report.covered) == (True, 600, 0)


async def attacked(trail: Trail, name: str, seed: int) -> tuple[VerifyReport, str, int | None]:
    """What verification says about an attack, which is undone afterwards."""
    async with trail.owner.connection() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute("set local session_replication_role = replica")
            kind, leaf = await ATTACKS[name](connection, random.Random(seed))
            return await trail.verify(connection), kind, leaf
        finally:
            await transaction.rollback()


def accused(report: VerifyReport, kind: str, leaf: int | None) -> bool:
    """Whether the first finding is of this kind and at this leaf, or in a range around it."""
    first = report.first
    if report.ok or first is None or first.kind != kind:
        return False
    if leaf is None or first.leaf == leaf:
        return True
    return (
        first.leaf is not None
        and first.end_leaf is not None
        and (first.leaf <= leaf < first.end_leaf)
    )


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_is_named_with_its_place(trail: Trail, name: str) -> None:
    tried = [await attacked(trail, name, seed) for seed in range(TRIES)]

    missed = [
        (report.first, kind, leaf)
        for report, kind, leaf in tried
        if not accused(report, kind, leaf)
    ]
    assert missed == []
    assert (await trail.verify()).ok


@pytest.mark.parametrize("size", [1, 2])
async def test_one_earlier_checkpoint_is_enough(trail: Trail, size: int) -> None:
    only = trail._replace(checkpoints=trail.checkpoints[size - 1 : size])

    tried = [
        await attacked(only, "everything rewritten to fit a changed entry", seed)
        for seed in range(12)
    ]

    covered = size * STEP
    assert {report.ok for report, _, leaf in tried if leaf is not None and leaf < covered} == {
        False
    }


async def test_what_no_exported_checkpoint_covers_can_be_rewritten(trail: Trail) -> None:
    nothing_exported = trail._replace(checkpoints=[])

    report, _, _ = await attacked(
        nothing_exported, "everything rewritten to fit a changed entry", seed=1
    )

    # This is why checkpoints are exported, and why the report says how much they cover.
    assert report.ok
    assert (report.covered, report.checkpoints) == (0, 0)


async def test_a_checkpoint_that_nobody_known_signed_counts_for_nothing(trail: Trail) -> None:
    stranger = SigningKey("audit.example.com/test", b"s" * 32)
    async with trail.worker.connection() as connection:
        report = await verify(connection, trail.checkpoints, [stranger.verifying])

    assert not report.ok
    assert report.first is not None
    assert report.first.kind is FindingKind.CHECKPOINT_INVALID
    assert report.covered == 0


async def test_two_histories_signed_with_one_key_convict_the_signer(
    trail: Trail, tmp_path: Path
) -> None:
    async with trail.owner.connection() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("set local session_replication_role = replica")
        await ATTACKS["everything rewritten to fit a changed entry"](connection, random.Random(3))
        forger = Checkpointer("audit.example.com/test", [KEY], [tmp_path / "forged"])
        published = await forger.publish(connection)
        await transaction.rollback()
    assert published.checkpoint is not None

    both = trail._replace(checkpoints=[*trail.checkpoints, published.checkpoint])
    report = await both.verify()

    assert not report.ok
    assert FindingKind.CHECKPOINT_SPLIT in {finding.kind for finding in report.findings}


async def test_what_was_erased_lawfully_is_counted_and_good(trail: Trail) -> None:
    async with trail.worker.transaction() as connection:
        [jane] = (await SUBJECTS.pseudonyms(connection, [("DE01", "jane")])).values()
        key = await SUBJECTS.key(connection, jane)
        mine = make_payload("DE01", Retention.PERSONAL, b"her address", key)
        await append_entries(connection, 1, (mine,), payloads=(mine.reference,))
        now = await connection.fetchval("select quaestor.clock()")
    before = await trail.verify()

    async with trail.worker.transaction() as connection:
        await erase_subject(connection, jane, actor=ACTOR, reason="request 17")
        await erase_payloads(
            connection,
            "DE01",
            Retention.WIRE,
            before=now,
            actor=ACTOR,
            reason="period is over",
            at_most=4,
        )
        [gone] = await append_entries(connection)
        await erase_entry(connection, gone, actor=ACTOR, reason="a name in it")
    await place_all(trail.worker)
    after = await trail.verify()

    assert before.ok
    assert after.findings == ()
    assert (after.payloads, after.erased_payloads, after.erased_entries) == (5, 5, 1)


async def test_without_the_deployment_key_sealed_payloads_are_counted(trail: Trail) -> None:
    async with trail.worker.transaction() as connection:
        [jane] = (await SUBJECTS.pseudonyms(connection, [("DE01", "jane")])).values()
        mine = make_payload("DE01", Retention.PERSONAL, b"x", await SUBJECTS.key(connection, jane))
        await append_entries(connection, 1, (mine,), payloads=(mine.reference,))
    await place_all(trail.worker)

    async with trail.worker.connection() as connection:
        without = await verify(connection, trail.checkpoints, [KEY.verifying])
        other = await verify(
            connection, trail.checkpoints, [KEY.verifying], subjects=Subjects(b"o" * 32)
        )
    with_key = await trail.verify()

    assert (without.sealed_payloads, other.sealed_payloads, with_key.sealed_payloads) == (1, 1, 0)
    assert without.ok
    assert with_key.payloads == without.payloads + 1


async def test_a_trail_of_two_clusters_is_good(trail: Trail) -> None:
    await trail.owner.fetch("update quaestor.audit_sequencer set system_identifier = '1'")
    await trail.owner.fetch(
        "update quaestor.audit_sequencer set last_txid = '9000000000', last_id = 0"
    )
    await place_all(trail.worker)
    async with trail.worker.transaction() as connection:
        await append_entries(connection, 5)
    await place_all(trail.worker)

    report = await trail.verify()

    assert report.findings == ()
    assert report.leaves == 605


@pytest.mark.parametrize("role", ["quaestor_gateway", "quaestor_reader"])
async def test_who_sees_only_some_entities_does_not_verify(
    database: TestDatabase, role: str
) -> None:
    pool = await database.connect(role)
    async with pool.connection() as connection:
        with pytest.raises(VerifierSeesTooLittle):
            await verify(connection, [], [])
