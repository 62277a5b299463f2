"""Admission: what the gateway takes at once, so that what it took is answered in time (I35).

Changes leave a part of the room to whoever only asks: while a portal hands in more than can be
taken, people still see their budgets. A client has its share of either.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from quaestor.gateway.problems import Problem
from quaestor.gateway.services import GatewayLimits

__all__ = ["Admission"]

_MINUTE_S = 60.0
_ADDRESSES_MAX = 10_000


K = TypeVar("K", bound=Hashable)


class Admission:
    """Counts what is under way; `monotonic` is in seconds."""

    def __init__(self, limits: GatewayLimits, monotonic: Callable[[], float]) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._at_once: Counter[bool] = Counter()
        self._clients: Counter[tuple[str | None, bool]] = Counter()
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def room(self, *, changes: bool) -> AbstractContextManager[None]:
        """A place for one request. Raises `Problem` where there is none."""
        if self._is_full(changes):
            raise Problem("overloaded")
        return _Place(self._at_once, changes)

    def share(self, client: str, *, changes: bool) -> AbstractContextManager[None]:
        """A place among those that one client may hold. Raises `Problem` where there is none."""
        held = client, changes
        if self._clients[held] >= self._limits.per_client_max:
            raise Problem("rate_limited")
        return _Place(self._clients, held)

    def no_room(self, client: Callable[[], str | None], *, changes: bool) -> Problem | None:
        """What a request would be told at this moment, before anything of it is read; `None` where
        it finds room. It never lets anybody in: `room` and `share` do.

        Whose it is is asked only while somebody has all of his share.
        """
        if self._is_full(changes):
            return Problem("overloaded")
        most = self._limits.per_client_max
        if max(self._clients.values(), default=0) < most or self._clients[client(), changes] < most:
            return None
        return Problem("rate_limited")

    def _is_full(self, changes: bool) -> bool:
        if self._at_once.total() >= self._limits.at_once_max:
            return True
        return changes and self._at_once[True] >= self._limits.changes_max

    def token_failed(self, address: str) -> None:
        """Count a bad token of this peer; raises `rate_limited` beyond the limit (N66).

        Good tokens of the same address are never held up: many people share one proxy.
        """
        now = self._monotonic()
        since, count = self._failures.get(address, (now, 0))
        if now - since >= _MINUTE_S:
            since, count = now, 0
        self._failures[address] = since, count + 1
        self._failures.move_to_end(address)
        while len(self._failures) > _ADDRESSES_MAX:
            self._failures.popitem(last=False)
        if count >= self._limits.bad_tokens_per_minute_max:
            retry_after_s = max(1, round(_MINUTE_S - (now - since)))
            raise Problem("rate_limited", headers={"Retry-After": str(retry_after_s)})


class _Place(AbstractContextManager[None], Generic[K]):
    """One more under this key, until it is left."""

    __slots__ = ("_counted", "_key")

    def __init__(self, counted: Counter[K], key: K) -> None:
        self._counted, self._key = counted, key

    def __enter__(self) -> None:
        self._counted[self._key] += 1

    def __exit__(self, *_: object) -> None:
        self._counted[self._key] -= 1
        if not self._counted[self._key]:
            del self._counted[self._key]
