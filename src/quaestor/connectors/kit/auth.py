"""How a wire proves who it is. Secrets arrive resolved and never show themselves."""

from __future__ import annotations

import asyncio
import base64
import contextvars
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from quaestor.connectors.kit.attempt import current_attempt
from quaestor.connectors.kit.contract import DEADLINE_PASSED, Transient
from quaestor.security.secrets import Secret

__all__ = [
    "Auth",
    "BasicAuth",
    "BearerAuth",
    "ClientCredentialsAuth",
    "Granted",
    "NoAuth",
    "TokenProvider",
]

# A token is renewed this share of its life before its end, and at most this long before.
EARLY_SHARE = 0.1
EARLY_MAX_S = 60.0


TokenProvider = Callable[[bool], Awaitable[Secret]]
"""Gives the access token; called with True it must fetch a new one. Single flight is its work."""


class Auth(Protocol):
    """Gives the headers of one request, and names the values that must never be shown."""

    @property
    def renewable(self) -> bool:
        """Whether asking again with `renew` can help after a 401."""
        ...

    @property
    def patience_s(self) -> float:
        """How much longer than a request of its own the headers may take, in seconds."""
        ...

    def at_hand(self) -> Mapping[str, str] | None:
        """The headers, where nothing has to be waited for."""
        ...

    async def headers(self, *, renew: bool = False) -> Mapping[str, str]: ...

    def secrets(self) -> tuple[str, ...]: ...


class NoAuth:
    """A system that asks for nothing."""

    renewable = False
    patience_s = 0.0

    def at_hand(self) -> Mapping[str, str]:
        return {}

    async def headers(self, *, renew: bool = False) -> Mapping[str, str]:
        return self.at_hand()

    def secrets(self) -> tuple[str, ...]:
        return ()


class BasicAuth:
    """User and password in each request (RFC 7617, UTF-8)."""

    renewable = False
    patience_s = 0.0

    def __init__(self, user: str, password: Secret) -> None:
        self._password = password
        pair = f"{user}:{password.reveal()}".encode()
        self._encoded = Secret(base64.b64encode(pair).decode())

    def at_hand(self) -> Mapping[str, str]:
        return {"Authorization": f"Basic {self._encoded.reveal()}"}

    async def headers(self, *, renew: bool = False) -> Mapping[str, str]:
        return self.at_hand()

    def secrets(self) -> tuple[str, ...]:
        return (self._password.reveal(), self._encoded.reveal())


class BearerAuth:
    """An access token from a provider (RFC 6750), renewed once when the system refuses it."""

    renewable = True
    patience_s = 0.0

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = provider
        # Two generations: a late answer may still quote the token before the last one.
        self._seen: tuple[str, ...] = ()

    def at_hand(self) -> None:
        return None

    async def headers(self, *, renew: bool = False) -> Mapping[str, str]:
        token = (await self._provider(renew)).reveal()
        if token not in self._seen:
            self._seen = (token, *self._seen[:1])
        return {"Authorization": f"Bearer {token}"}

    def secrets(self) -> tuple[str, ...]:
        return self._seen


@dataclass(frozen=True)
class Granted:
    """What a token endpoint gave: the access token, and for how many seconds it holds."""

    token: Secret
    life_s: float


@dataclass(frozen=True)
class _Held:
    """A granted token on our own clock, in monotonic seconds."""

    token: Secret
    usable_at: float
    ends_at: float


class ClientCredentialsAuth:
    """OAuth 2.0 client credentials (RFC 6749, section 4.4): one token per wire, so per worker.

    `grant` asks the token endpoint once; `secret` is what it asks with. A fresh token is left
    alone for `gap_s` before its first use, where the vendor asks for that. However many requests
    need a token at a time, one grant is under way. A token that the system refuses is replaced
    once per request; a request that used an older token than the present one takes the present.
    `now` is monotonic, in seconds.
    """

    renewable = True

    def __init__(
        self,
        grant: Callable[[], Awaitable[Granted]],
        secret: Callable[[], Secret],
        *,
        gap_s: float = 0.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._grant = grant
        self._secret = secret
        # A fresh token is waited for even where its gap is longer than a request may take.
        self.patience_s = gap_s
        self._now = now
        self._held: _Held | None = None
        self._asking: asyncio.Task[_Held] | None = None
        self._used: WeakKeyDictionary[asyncio.Task[Any], Secret] = WeakKeyDictionary()
        # The secret as it was last asked with, and two generations of tokens.
        self._shown: tuple[str, ...] = ()
        self._seen: tuple[str, ...] = ()

    def at_hand(self) -> Mapping[str, str] | None:
        held, now = self._held, self._now()
        if held is None or held.ends_at <= now or held.usable_at > now:
            return None
        return self._given(held)

    async def headers(self, *, renew: bool = False) -> Mapping[str, str]:
        """Raises `Transient` where no token is given, or none may be used in time."""
        task = asyncio.current_task()
        held = self._held
        if renew and held is not None and task is not None:
            refused = self._used.get(task)
            # Another request may have met the same refusal before, and renewed already.
            if refused is None or refused is held.token:
                self._held = None
        return self._given(await self._token())

    def _given(self, held: _Held) -> Mapping[str, str]:
        task = asyncio.current_task()
        if task is not None:
            self._used[task] = held.token
        return {"Authorization": f"Bearer {held.token.reveal()}"}

    def secrets(self) -> tuple[str, ...]:
        return self._shown + self._seen

    async def _token(self) -> _Held:
        held = self._held
        if held is None or held.ends_at <= self._now():
            _refuse_if_late()
            if self._asking is None:
                # Its own context: the grant belongs to nobody's attempt, so that neither one
                # deadline ends it for all, nor one recording shows it.
                self._asking = asyncio.create_task(self._ask(), context=contextvars.Context())
                self._asking.add_done_callback(self._asked)
            held = await asyncio.shield(self._asking)
        await self._settle(held)
        return held

    async def _ask(self) -> _Held:
        self._shown = (self._secret().reveal(),)
        granted = await self._grant()
        now = self._now()
        early_s = min(EARLY_MAX_S, EARLY_SHARE * granted.life_s)
        held = _Held(granted.token, now + self.patience_s, now + granted.life_s - early_s)
        self._seen = (granted.token.reveal(), *self._seen[:1])
        self._held = held
        return held

    def _asked(self, task: asyncio.Task[_Held]) -> None:
        self._asking = None
        if not task.cancelled():
            # Read here, so that a failure that nobody waits for any more is not reported as lost.
            task.exception()

    async def _settle(self, held: _Held) -> None:
        wait_s = held.usable_at - self._now()
        if wait_s <= 0:
            return
        attempt = current_attempt()
        if attempt is not None and wait_s >= min(
            attempt.send_before - time.monotonic(), attempt.total_timeout_s
        ):
            raise Transient(
                f"a fresh access token may be used in {wait_s:.1f} s",
                code="token_settling",
                retry_after_s=wait_s,
            )
        await asyncio.sleep(wait_s)


def _refuse_if_late() -> None:
    """No token is asked for on behalf of a send whose time is up: nobody could use it."""
    attempt = current_attempt()
    if attempt is not None and time.monotonic() >= attempt.send_before:
        raise Transient(
            "the deadline passed before a token was asked for", code=DEADLINE_PASSED, system=False
        )
