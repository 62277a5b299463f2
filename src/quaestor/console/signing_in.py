"""Signing in: a token, pasted once, becomes a session of this browser."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from litestar import Request

from quaestor.console.forms import is_loopback, is_own_form, read_form, safe_return
from quaestor.console.services import ConsoleServices
from quaestor.console.session import COOKIE_BYTES_MAX, SessionTooLarge, seal, unseal
from quaestor.model.refusal import Refusal, refuse
from quaestor.security.identity import Caller, TokenInvalid, verify

__all__ = ["SIGN_IN", "Sessions", "Signed"]

SIGN_IN = "/console/sign-in"

_FORM_BYTES_MAX = 16 * 1024
_MINUTE_S = 60.0
_ADDRESSES_MAX = 10_000
_EVERY = "Path=/; HttpOnly; SameSite=Strict"
# The prefix makes browsers hold the cookie to this host and to TLS. On one's own machine there is
# no TLS, and some browsers drop `Secure` there.
_SECURE, _LOOPBACK = "__Host-quaestor", "quaestor-console"


class Signed(msgspec.Struct, frozen=True):
    """What came of a sign-in: `cookie` and where to go, or `refusal` with its HTTP status."""

    to: str
    cookie: str = ""
    refusal: Refusal | None = None
    status: int = 303


class Sessions:
    """Opens and reads sessions; counts bad tokens. `monotonic` is in seconds."""

    def __init__(self, services: ConsoleServices, monotonic: Callable[[], float]) -> None:
        self._services = services
        self._monotonic = monotonic
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def caller(self, headers: Mapping[str, str], *, now_s: int) -> Caller | None:
        """Whose session the request brings; None without one that is good."""
        name = _cookie_name(headers)
        given = [
            value
            for part in headers.get("cookie", "").split(";")
            for key, _, value in [part.strip().partition("=")]
            if key == name
        ]
        if len(given) != 1:
            return None
        return unseal(given[0], self._services.session_key, now_s=now_s)

    async def sign_in(self, request: Request[Any, Any, Any], address: str, *, now_s: int) -> Signed:
        """Open a session with the token of the form."""
        if not is_own_form(request.headers):
            return Signed("", refusal=refuse("form_foreign"), status=403)
        if self._is_held_up(address):
            return Signed("", refusal=refuse("rate_limited"), status=429)
        form = read_form(await _limited(request))
        to = safe_return(form.get("next", ""))
        token = form.get("token", "").strip()
        try:
            if not token or not token.isascii():
                raise TokenInvalid("There is no token in the form.")
            caller = verify(token, self._services.trusted, now_s=now_s)
        except TokenInvalid as error:
            self._failed(address)
            return Signed(to, refusal=refuse("token_invalid", reason=str(error)), status=401)
        until_s = min(caller.expires_s, now_s + self._services.limits.session_max_s)
        if until_s <= now_s:
            reason = "The token is about to end."
            return Signed(to, refusal=refuse("token_invalid", reason=reason), status=401)
        session = msgspec.structs.replace(caller, expires_s=until_s)
        try:
            sealed = seal(session, self._services.session_key)
        except SessionTooLarge:
            too_large = refuse("session_too_large", bytes_max=str(COOKIE_BYTES_MAX))
            return Signed(to, refusal=too_large, status=422)
        return Signed(to, _cookie(request.headers, sealed, until_s - now_s))

    def sign_out(self, headers: Mapping[str, str]) -> str:
        """The cookie that ends the session in the browser."""
        return _cookie(headers, "", 0)

    def _is_held_up(self, address: str) -> bool:
        since, count = self._failures.get(address, (0.0, 0))
        young = self._monotonic() - since < _MINUTE_S
        return young and count >= self._services.limits.bad_tokens_per_minute_max

    def _failed(self, address: str) -> None:
        now = self._monotonic()
        since, count = self._failures.get(address, (now, 0))
        if now - since >= _MINUTE_S:
            since, count = now, 0
        self._failures[address] = since, count + 1
        self._failures.move_to_end(address)
        while len(self._failures) > _ADDRESSES_MAX:
            self._failures.popitem(last=False)


def _cookie_name(headers: Mapping[str, str]) -> str:
    return _LOOPBACK if is_loopback(headers.get("host", "")) else _SECURE


def _cookie(headers: Mapping[str, str], value: str, max_age_s: int) -> str:
    name = _cookie_name(headers)
    secure = "; Secure" if name == _SECURE else ""
    return f"{name}={value}; Max-Age={max_age_s}; {_EVERY}{secure}"


async def _limited(request: Request[Any, Any, Any]) -> bytes:
    """The whole form; nothing of one that is larger than any token."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _FORM_BYTES_MAX:
            return b""
        chunks.append(chunk)
    return b"".join(chunks)
