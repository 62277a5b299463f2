"""How a wire proves who it is. Secrets arrive resolved and never show themselves."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from quaestor.security.secrets import Secret

__all__ = ["Auth", "BasicAuth", "BearerAuth", "NoAuth", "TokenProvider"]


TokenProvider = Callable[[bool], Awaitable[Secret]]
"""Gives the access token; called with True it must fetch a new one. Single flight is its work."""


class Auth(Protocol):
    """Gives the headers of one request, and names the values that must never be shown."""

    @property
    def renewable(self) -> bool:
        """Whether asking again with `renew` can help after a 401."""
        ...

    async def headers(self, *, renew: bool = False) -> Mapping[str, str]: ...

    def secrets(self) -> tuple[str, ...]: ...


class NoAuth:
    """A system that asks for nothing."""

    renewable = False

    async def headers(self, *, renew: bool = False) -> Mapping[str, str]:
        return {}

    def secrets(self) -> tuple[str, ...]:
        return ()


class BasicAuth:
    """User and password in each request (RFC 7617, UTF-8)."""

    renewable = False

    def __init__(self, user: str, password: Secret) -> None:
        self._password = password
        pair = f"{user}:{password.reveal()}".encode()
        self._encoded = Secret(base64.b64encode(pair).decode())

    async def headers(self, *, renew: bool = False) -> Mapping[str, str]:
        return {"Authorization": f"Basic {self._encoded.reveal()}"}

    def secrets(self) -> tuple[str, ...]:
        return (self._password.reveal(), self._encoded.reveal())


class BearerAuth:
    """An access token from a provider (RFC 6750), renewed once when the system refuses it."""

    renewable = True

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = provider
        # Two generations: a late answer may still quote the token before the last one.
        self._seen: tuple[str, ...] = ()

    async def headers(self, *, renew: bool = False) -> Mapping[str, str]:
        token = (await self._provider(renew)).reveal()
        if token not in self._seen:
            self._seen = (token, *self._seen[:1])
        return {"Authorization": f"Bearer {token}"}

    def secrets(self) -> tuple[str, ...]:
        return self._seen
