"""Admission: what the gateway takes at once, so that what it took is answered in time (I35).

Nothing queues here: whoever finds no room is told at once when to come again.
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


class Admission:
    """Counts what is under way; `monotonic` is in seconds."""

    def __init__(self, limits: GatewayLimits, monotonic: Callable[[], float]) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._at_once = 0
        self._clients: Counter[str] = Counter()
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    @contextmanager
    def room(self) -> Iterator[None]:
        """A place for one request. Raises `Problem` where there is none."""
        if self._at_once >= self._limits.at_once_max:
            raise Problem("overloaded")
        self._at_once += 1
        try:
            yield
        finally:
            self._at_once -= 1

    @contextmanager
    def share(self, client: str) -> Iterator[None]:
        """A place among those that one client may hold."""
        if self._clients[client] >= self._limits.per_client_max:
            raise Problem("rate_limited")
        self._clients[client] += 1
        try:
            yield
        finally:
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]

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
