"""What is asked for together is done together, and each has his own answer or error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from quaestor.gateway.together import GROUP_MAX, Together
from quaestor.store import StorageUnavailable


class Till:
    """Doubles what it is given; its groups are seen, and the first one waits for `opens`."""

    def __init__(
        self,
        fails: Callable[[Sequence[int]], Exception | None] = lambda _: None,
        at_once: int = 1,
    ) -> None:
        self.groups: list[tuple[str, list[int]]] = []
        self.opens = asyncio.Event()
        self._fails = fails
        self.together: Together[str, int, int] = Together(self._work, at_once=at_once)

    async def _work(self, key: str, asked: Sequence[int]) -> list[int | Exception]:
        self.groups.append((key, list(asked)))
        await self.opens.wait()
        if (error := self._fails(asked)) is not None:
            raise error
        return [2 * each if each >= 0 else ValueError(each) for each in asked]

    async def asks(self, *numbers: int, key: str = "one") -> list[asyncio.Task[int]]:
        """One is under way already when the others ask."""
        tasks = []
        for number in numbers:
            tasks.append(asyncio.create_task(self.together.ask(key, number)))
            await begun(lambda: bool(self.groups))
        return tasks


async def begun(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        # A group tells nobody that it has begun.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def heard(tasks: Sequence[Awaitable[int]]) -> list[int | str]:
    said = await asyncio.gather(*tasks, return_exceptions=True)
    return [type(each).__name__ if isinstance(each, BaseException) else each for each in said]


async def test_what_is_asked_while_one_group_is_under_way_makes_the_next() -> None:
    till = Till()
    tasks = await till.asks(1, 2, 3)

    till.opens.set()
    said = await heard(tasks)

    assert said == [2, 4, 6]
    assert till.groups == [("one", [1]), ("one", [2, 3])]


async def test_two_groups_may_be_under_way_and_the_others_make_the_next() -> None:
    till = Till(at_once=2)
    tasks = await till.asks(1)
    tasks += await till.asks(2)
    await begun(lambda: len(till.groups) == 2)
    tasks += await till.asks(3, 4)

    till.opens.set()
    said = await heard(tasks)

    assert said == [2, 4, 6, 8]
    assert till.groups == [("one", [1]), ("one", [2]), ("one", [3, 4])]
    assert not till.together.is_busy


async def test_each_has_his_own_answer_or_error() -> None:
    till = Till()
    tasks = await till.asks(1, 2, -3, 4)

    till.opens.set()
    said = await heard(tasks)

    assert said == [2, 4, "ValueError", 8]


async def test_what_fails_a_group_fails_alone() -> None:
    till = Till(lambda asked: KeyError("five") if 5 in asked else None)
    tasks = await till.asks(1, 4, 5, 6)

    till.opens.set()
    said = await heard(tasks)

    assert said == [2, 8, "KeyError", 12]
    assert [group for _, group in till.groups] == [[1], [4, 5, 6], [4], [5], [6]]


async def test_trouble_of_the_database_is_everybodys() -> None:
    till = Till(lambda asked: StorageUnavailable() if len(asked) > 1 else None)
    tasks = await till.asks(1, 2, 3)

    till.opens.set()
    said = await heard(tasks)

    assert said == [2, "StorageUnavailable", "StorageUnavailable"]
    assert [group for _, group in till.groups] == [[1], [2, 3]]


@pytest.mark.parametrize("gone", [0, 2])
async def test_who_goes_away_spoils_nothing_for_the_others(gone: int) -> None:
    till = Till()
    tasks = await till.asks(1, 2, 3, 4)

    tasks[gone].cancel()
    await asyncio.sleep(0)
    till.opens.set()
    said = await heard(tasks)

    expected: list[int | str] = [2, 4, 6, 8]
    expected[gone] = "CancelledError"
    assert said == expected


async def test_who_went_away_before_his_group_began_is_left_out_of_it() -> None:
    till = Till()
    tasks = await till.asks(1, 2, 3)

    tasks[1].cancel()
    await asyncio.sleep(0)
    till.opens.set()
    await heard(tasks)

    assert till.groups == [("one", [1]), ("one", [3])]


async def test_a_group_is_never_of_two_keys() -> None:
    till = Till()
    first = await till.asks(1, 2, key="one")
    second = await till.asks(3, 4, key="two")
    await begun(lambda: len(till.groups) == 2)

    till.opens.set()
    said = await heard([*first, *second])

    assert said == [2, 4, 6, 8]
    assert sorted(till.groups) == [("one", [1]), ("one", [2]), ("two", [3, 4])]


async def test_a_group_has_an_end() -> None:
    till = Till()
    tasks = await till.asks(*range(GROUP_MAX + 2))

    till.opens.set()
    await heard(tasks)

    assert [len(group) for _, group in till.groups] == [1, GROUP_MAX, 1]


async def test_after_the_last_answer_nothing_is_kept() -> None:
    till = Till()
    till.opens.set()

    first = await till.together.ask("one", 1)
    await begun(lambda: not till.together.is_busy)
    second = await till.together.ask("one", 2)

    assert (first, second) == (2, 4)
