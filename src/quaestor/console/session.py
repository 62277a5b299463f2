"""A browser's session: what the token said, sealed into a cookie. There is no table of sessions.

The cookie is authenticated encryption (AES-256-GCM) of the claims with an expiry that is never
later than the token's own. It is worth nothing at the API, and the token is not in it.
"""

from __future__ import annotations

import base64
import binascii
import os
import zlib

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quaestor.security.identity import Caller

__all__ = ["COOKIE_BYTES_MAX", "SessionTooLarge", "seal", "unseal"]

# What browsers keep of one cookie, less its name and attributes.
COOKIE_BYTES_MAX = 3800

_NONCE_BYTES = 12
_PURPOSE = b"quaestor/console/session/1"
_CLAIMS_BYTES_MAX = 64 * 1024

_decoder = msgspec.json.Decoder(Caller)


class SessionTooLarge(Exception):
    """The token names more entities and scopes than a browser keeps."""


def seal(caller: Caller, key: bytes) -> str:
    """The cookie of a caller until `caller.expires_s`. Raises `SessionTooLarge`."""
    nonce = os.urandom(_NONCE_BYTES)
    packed = zlib.compress(msgspec.json.encode(caller, order="deterministic"), 9)
    sealed = nonce + AESGCM(key).encrypt(nonce, packed, _PURPOSE)
    cookie = base64.urlsafe_b64encode(sealed).decode().rstrip("=")
    if len(cookie) > COOKIE_BYTES_MAX:
        raise SessionTooLarge
    return cookie


def unseal(cookie: str, key: bytes, *, now_s: int) -> Caller | None:
    """The caller of a cookie that we sealed and that is good at `now_s` (Unix time), else None."""
    if not 0 < len(cookie) <= COOKIE_BYTES_MAX:
        return None
    try:
        padded = cookie + "=" * (-len(cookie) % 4)
        sealed = base64.b64decode(padded, altchars=b"-_", validate=True)
        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        packed = AESGCM(key).decrypt(nonce, rest, _PURPOSE)
        plain = zlib.decompressobj().decompress(packed, _CLAIMS_BYTES_MAX)
        caller = _decoder.decode(plain)
    except (binascii.Error, InvalidTag, ValueError, zlib.error):
        return None
    return caller if now_s < caller.expires_s else None
