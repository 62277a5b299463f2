"""Together: what is asked for while one group is under way makes the next group.

A round trip to the database, a transaction, a commit cost the same for one as for fifty. Nobody
waits for company: a group takes who is there already. Under load the groups grow by themselves,
and each caller gets his own answer or his own error.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

import asyncpg

from quaestor.gateway.problems import Problem
from quaestor.store import is_storage_trouble

__all__ = ["GROUP_MAX", "Together"]

# Beyond this a group only becomes slower for its first.
GROUP_MAX = 64

K = TypeVar("K", bound=Hashable)
Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

_Waiting = tuple[Asked, "asyncio.Future[Answered]"]
Work = Callable[[K, Sequence[Asked]], Awaitable[Sequence[Answered | Exception]]]


class Together(Generic[K, Asked, Answered]):
    """Carries out `work` for groups of what was asked under one key, never of two keys; of each
    key `at_once` groups at a time.

    `work` answers each in its place, with the answer or with the error that is his. Where the
    whole of a group fails, each of it is done alone, unless what is raised is everybody's: a
    `Problem`, or a database in trouble. Who goes away before his group has begun is left out of it.

    How many wait is bounded by the admission of the gateway: each is a request with a place.
    """

    def __init__(self, work: Work[K, Asked, Answered], *, at_once: int = 1) -> None:
        self._work = work
        self._at_once = at_once
        # A key is here while somebody waits under it, or a group of it is under way.
        self._waiting: dict[K, deque[_Waiting[Asked, Answered]]] = {}
        self._groups: Counter[K] = Counter()
        self._under_way: set[asyncio.Task[None]] = set()

    async def ask(self, key: K, asked: Asked) -> Answered:
        """The answer to this one. Raises what is his, or everybody's."""
        answer: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(key, deque())
        waiting.append((asked, answer))
        if self._groups[key] < self._at_once:
            self._groups[key] += 1
            task = asyncio.create_task(self._empty(key, waiting))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return await answer

    @property
    def is_busy(self) -> bool:
        """Whether a group is under way."""
        return bool(self._waiting)

    async def _empty(self, key: K, waiting: deque[_Waiting[Asked, Answered]]) -> None:
        """One group after the other, until nobody waits under this key."""
        try:
            while waiting:
                # What has reached this process already is read before the group is closed.
                await asyncio.sleep(0)
                group = [waiting.popleft() for _ in range(min(GROUP_MAX, len(waiting)))]
                # Without those who went away.
                await self._carry_out(key, [each for each in group if not each[1].done()])
        finally:
            self._groups[key] -= 1
            if not self._groups[key]:
                del self._groups[key], self._waiting[key]

    async def _carry_out(self, key: K, group: Sequence[_Waiting[Asked, Answered]]) -> None:
        if not group:
            return
        try:
            answers = await self._work(key, [asked for asked, _ in group])
        except Exception as error:  # noqa: BLE001 - it is raised where it was asked for
            if len(group) > 1 and not _is_of_all(error):
                for one in group:
                    await self._carry_out(key, [one])
                return
            answers = [error] * len(group)
        for (_, waiting), answer in zip(group, answers, strict=True):
            if waiting.done():
                continue
            if isinstance(answer, Exception):
                waiting.set_exception(answer)
            else:
                waiting.set_result(answer)


def _is_of_all(error: Exception) -> bool:
    """Whether each of a group would meet the same alone."""
    return is_storage_trouble(error) or isinstance(error, Problem | asyncpg.QueryCanceledError)
