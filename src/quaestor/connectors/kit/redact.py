"""Taking secrets and personal data out of what is recorded, refused or shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from quaestor.security.masking import MASK, SECRET_CHARS_MIN, is_secret_name, mask_secrets

__all__ = ["masked_headers", "safe_text", "scrubbed"]

# What a session or a token is asked for or refused with is no secret, and worth reading.
_TOKEN_WORDS = frozenset({"fetch", "required"})

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_MAIL = re.compile(r"[^\s@<>]+@[^\s@<>]+\.[A-Za-z]{2,}")
_IBAN = re.compile(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")


_is_secret = lru_cache(maxsize=512)(is_secret_name)


def masked_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The same headers, those that carry credentials or sessions masked."""
    return tuple(
        (name, MASK) if _is_secret(name) and value.lower() not in _TOKEN_WORDS else (name, value)
        for name, value in headers
    )


def scrubbed(body: bytes, secrets: Sequence[str], bytes_max: int) -> bytes:
    """At most `bytes_max` of the body, with each known secret masked wherever it stands."""
    for secret in sorted(secrets, key=len, reverse=True) if body else ():
        needle = secret.encode()
        if len(secret) >= SECRET_CHARS_MIN and needle in body:
            body = body.replace(needle, MASK.encode())
    return body[:bytes_max]


def safe_text(text: str, secrets: Sequence[str] = (), chars_max: int = 200) -> str:
    """A vendor's sentence, fit to be shown: one line, bounded, no secret, no mail, no IBAN."""
    text = _CONTROL.sub(" ", mask_secrets(text, secrets))
    text = _IBAN.sub(MASK, _MAIL.sub(MASK, text)).strip()
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"
