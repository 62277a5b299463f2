"""Admission: what the gateway takes at once, so that what it took is answered in time (I35).

Changes leave a part of the room to whoever only asks: while a portal hands in more than can be
taken, people still see their budgets. A client has its share of either.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from quaestor.gateway.problems import Problem
from quaestor.gateway.services import GatewayLimits

__all__ = ["Admission"]

_MINUTE_S = 60.0
_ADDRESSES_MAX = 10_000
_KNOWN_MAX = 10_000


class Admission:
    """Counts what is under way; `monotonic` is in seconds."""

    def __init__(self, limits: GatewayLimits, monotonic: Callable[[], float]) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._at_once: Counter[bool] = Counter()
        self._clients: Counter[tuple[str, bool]] = Counter()
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._known: OrderedDict[int, str] = OrderedDict()

    @contextmanager
    def room(self, *, changes: bool) -> Iterator[None]:
        """A place for one request. Raises `Problem` where there is none."""
        if self._is_full(changes):
            raise Problem("overloaded")
        self._at_once[changes] += 1
        try:
            yield
        finally:
            self._at_once[changes] -= 1

    @contextmanager
    def share(self, client: str, *, changes: bool) -> Iterator[None]:
        """A place among those that one client may hold."""
        held = client, changes
        if self._clients[held] >= self._limits.per_client_max:
            raise Problem("rate_limited")
        self._clients[held] += 1
        try:
            yield
        finally:
            self._clients[held] -= 1
            if not self._clients[held]:
                del self._clients[held]

    def know(self, authorization: str, client: str) -> None:
        """Whoever comes with this header is this client, as its token has shown."""
        key = hash(authorization)
        self._known[key] = client
        self._known.move_to_end(key)
        if len(self._known) > _KNOWN_MAX:
            self._known.popitem(last=False)

    def no_room(self, authorization: str, *, changes: bool) -> Problem | None:
        """What a request would be told at this moment, before anything of it is read; `None` where
        it finds room. It never lets anybody in: `room` and `share` do.
        """
        if self._is_full(changes):
            return Problem("overloaded")
        client = self._known.get(hash(authorization))
        if client is None or self._clients[client, changes] < self._limits.per_client_max:
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
