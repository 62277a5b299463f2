"""Bogus does what its table of cents says."""

from __future__ import annotations

import re
from dataclasses import replace as changed
from pathlib import Path

import pytest

from quaestor.connectors.bogus.simulator import CENTS
from quaestor.connectors.kit.contract import (
    Absent,
    AlreadyExists,
    Ambiguous,
    Applied,
    Command,
    Pending,
    Permanent,
    Rejected,
    Several,
    Transient,
)
from quaestor.connectors.kit.rig import CANARY, Rig
from tests.connectors.orders import a_cancellation, a_command, a_line, an_order
from tests.connectors.subjects import bogus

README = Path(__file__).resolve().parents[2] / "src/quaestor/connectors/bogus/README.md"


def worth(cents: str) -> Command:
    """An order of two lines whose total ends in these cents."""
    lines = [
        a_line(quantity="1", unit_price="100.00"),
        a_line(2, quantity="1", unit_price=f"10.{cents}"),
    ]
    return a_command(an_order(lines))


def test_the_readme_tables_exactly_the_cents_that_matter() -> None:
    rows = re.findall(r"^\| `\.(\d\d)` \| ([^|]+?) \|", README.read_text(encoding="utf-8"), re.M)

    assert dict(rows) == dict(CENTS)


@pytest.mark.parametrize(
    ("cents", "outcome", "documents"),
    [
        ("00", Applied, 1),
        ("01", Rejected, 0),
        ("02", Ambiguous, 1),
        ("03", Ambiguous, 1),
        ("04", Transient, 0),
        ("05", Pending, 1),
        ("06", Applied, 2),
        ("07", Applied, 1),
        ("08", Ambiguous, 0),
        ("09", Transient, 0),
        ("10", Ambiguous, 1),
        ("11", Ambiguous, 1),
        ("12", Applied, 1),
        ("13", Ambiguous, 0),
        ("14", Ambiguous, 0),
        ("15", Rejected, 0),
        ("16", Applied, 1),
        ("17", Applied, 1),
        ("99", Applied, 1),
    ],
)
async def test_the_cents_of_the_total_decide(
    cents: str, outcome: type[object], documents: int
) -> None:
    async with Rig(bogus("search")) as rig:
        command = worth(cents)

        answer = await rig.submit(command)

        assert isinstance(answer, outcome)
        assert len(await rig.documents(command)) == documents


@pytest.mark.parametrize("cents", [c for c in CENTS if c not in ("01", "06", "15")])
@pytest.mark.parametrize("guarantee", ["key", "unique", "search", "repeatable"])
async def test_whoever_sends_again_and_looks_comes_to_an_end(cents: str, guarantee: str) -> None:
    async with Rig(bogus(guarantee)) as rig:
        command = worth(cents)
        first = await rig.submit(command)
        doubtful = isinstance(first, Ambiguous | Transient)

        # Under `search` nothing is sent again before a look; the others may send at once.
        looks = guarantee == "search" and doubtful
        look = await rig.found(command, within_s=0.3) if looks else Absent()
        second = await rig.submit(command) if doubtful and isinstance(look, Absent) else first

        found = await rig.found(command)
        assert isinstance(second, Applied | AlreadyExists | Pending | Ambiguous)
        assert isinstance(found, Applied | Pending)
        assert len(await rig.documents(command)) == 1


async def test_a_late_commit_is_the_only_one_where_the_reference_is_unique() -> None:
    async with Rig(bogus("unique")) as rig:
        command = worth("14")
        await rig.submit(command)
        second = await rig.submit(command)

        found = await rig.found(command)

        assert isinstance(second, Applied)
        assert found == second


async def test_pending_work_is_found_when_it_is_done() -> None:
    subject = bogus("search")
    async with Rig(changed(subject, options={**subject.options, "late_s": 0.2})) as rig:
        command = worth("05")
        await rig.submit(command)

        first = await rig.find(command)
        while isinstance(found := await rig.find(command), Pending):
            pass

        assert first == Pending("J000001")
        assert found == Applied("B000001")


async def test_duplicates_are_several() -> None:
    async with Rig(bogus("search")) as rig:
        await rig.submit(worth("06"))

        assert await rig.find(worth("06")) == Several(("B000001", "B000002"))


async def test_a_dropped_line_is_a_difference() -> None:
    async with Rig(bogus("search")) as rig:
        answer = await rig.submit(worth("12"))

        assert answer == Applied("B000001", ("lines: 1 instead of 2",))


async def test_a_held_order_is_not_released() -> None:
    async with Rig(bogus("search")) as rig:
        assert await rig.submit(worth("16")) == Applied("B000001", released=False)


async def test_a_token_quoted_in_a_refusal_is_masked() -> None:
    async with Rig(bogus("search")) as rig:
        answer = await rig.submit(worth("15"))

        assert isinstance(answer, Rejected)
        assert answer.refusal.details["message"] == "refused for Bearer ***"
        assert CANARY.encode() not in rig.shown()


async def test_a_system_without_a_guarantee_cannot_be_asked() -> None:
    async with Rig(bogus("none")) as rig:
        await rig.submit(worth("00"))

        assert isinstance(await rig.find(worth("00")), Permanent)


async def test_a_key_is_remembered_only_as_long_as_promised() -> None:
    subject = bogus("key")
    options = {**subject.options, "remembered_for_s": 0.0}
    async with Rig(changed(subject, options=options)) as rig:
        await rig.submit(worth("00"))
        await rig.submit(worth("00"))

        assert len(await rig.documents(worth("00"))) == 2


async def test_cancelling_may_be_repeated_and_is_found() -> None:
    async with Rig(bogus("search")) as rig:
        await rig.submit(worth("00"))
        cancel = a_cancellation("B000001")

        before = await rig.find(cancel)
        answers = [await rig.submit(cancel) for _ in range(2)]

        assert before == Absent()
        assert answers == [Applied("B000001")] * 2
        assert await rig.find(cancel) == Applied("B000001")
        assert isinstance(await rig.submit(a_cancellation("B999999")), Rejected)
