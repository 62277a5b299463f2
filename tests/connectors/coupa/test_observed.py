"""A Coupa that is only observed is read to the end, and nothing in it is marked."""

from __future__ import annotations

from tests.connectors.coupa.installed import Installed, installed
from tests.connectors.coupa.subjects import EXAMPLES

OBSERVE = {"mode": "observe"}


async def drained(coupa: Installed, after: str | None = None) -> tuple[list[str], str]:
    """The ids that come until there is no more, and the cursor then."""
    ids: list[str] = []
    while True:
        page = await coupa.connector.pull("requisitions", after)
        ids += [item.source_id for item in page.items]
        after = page.cursor
        if not page.more:
            return ids, after


async def test_what_stands_as_not_exported_comes_once_and_stays_so() -> None:
    async with installed(table=OBSERVE) as coupa:
        first, cursor = await drained(coupa)
        again, _ = await drained(coupa, cursor)
        written = await coupa.writes()

    assert len(first) == len(set(first)) == len(list(EXAMPLES.glob("*.json")))
    assert (again, written) == ([], [])


async def test_a_change_there_is_still_seen() -> None:
    async with installed(table=OBSERVE) as coupa:
        _, cursor = await drained(coupa)
        coupa.clock.pass_s(5)
        coupa.vendor.edit("20417", {"req-title": "Something else"})

        changed, _ = await drained(coupa, cursor)
        written = await coupa.writes()

    assert (changed, written) == (["20417"], [])


async def test_in_earnest_the_same_is_marked_there() -> None:
    async with installed() as coupa:
        taken, _ = await drained(coupa)
        written = await coupa.writes()

    assert len(written) == len(taken) > 0
