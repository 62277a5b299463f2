"""Tokens that were found good a moment ago, so that a signature is not checked at each request.

Whether a token is good at this time is asked every time. What is known is forgotten soon: once
an issuer's key is no longer trusted, or a token were revoked, nobody would be let in for longer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from quaestor.security.identity import LEEWAY_S, Caller, TrustedIssuer, verify

__all__ = ["KNOWN_MAX", "KNOWN_S", "KnownTokens"]

KNOWN_S = 60
KNOWN_MAX = 10_000


class KnownTokens:
    """Checks tokens of trusted issuers. Only good ones are remembered, by digest alone."""

    def __init__(self, trusted: Sequence[TrustedIssuer]) -> None:
        self._trusted = trusted
        # In the order in which they were checked.
        self._known: dict[bytes, tuple[Caller, int]] = {}

    def verify(self, token: str, *, now_s: int) -> Caller:
        """As `identity.verify`: the caller that the token names. Raises `TokenInvalid`."""
        digest = _digest(token)
        known = self._known.get(digest)
        if known is not None:
            caller, checked_s = known
            if checked_s <= now_s < min(checked_s + KNOWN_S, caller.expires_s + LEEWAY_S):
                return caller
            del self._known[digest]
        caller = verify(token, self._trusted, now_s=now_s)
        if len(self._known) >= KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self._known[digest] = caller, now_s
        return caller

    def client_of(self, token: str) -> str | None:
        """The client whose token this is, where it was found good a moment ago. It says whom a
        request counts against, and lets nobody in.
        """
        known = self._known.get(_digest(token))
        return None if known is None else known[0].client


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
