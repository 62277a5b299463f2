"""The posting key: one name for one effect in one system, derived from the business document.

It is a function of the business document alone (DESIGN D3), so a restore, a re-ingest and another
worker derive the same key. The version of the document is content and no part of it.
"""

from __future__ import annotations

import base64
import hashlib

__all__ = ["posting_key", "short_reference"]

# The encoding can never change: keys already stand in ERPs. A new encoding takes a new prefix.
_DOMAIN = b"quaestor/posting-key/1"


def posting_key(
    *,
    deployment: str,
    system: str,
    company_code: str,
    source_system: str,
    source_id: str,
    order_group: str,
    action: str,
    generation: int,
) -> str:
    """52 characters of `a-z2-7`: SHA-256 over the length-prefixed UTF-8 parts, without padding.

    Lower case, because some ERPs ignore case in references and others keep it (fault F7).
    Raises `ValueError` for a generation below one and for text that has no UTF-8 form.
    """
    if generation < 1:
        raise ValueError("a posting generation starts at one")
    parts = (
        deployment,
        system,
        company_code,
        source_system,
        source_id,
        order_group,
        action,
        str(generation),
    )
    prefixed = [len(part).to_bytes(8, "big") + part for part in map(str.encode, parts)]
    digest = hashlib.sha256(_DOMAIN + b"".join(prefixed)).digest()
    return base64.b32encode(digest).decode().rstrip("=").lower()


def short_reference(key: str, length: int = 12) -> str:
    """The first `length` characters: 12 of them carry 60 bits, so a hit is compared by content.

    Raises `ValueError` when the key has fewer characters than asked for.
    """
    if not 1 <= length <= len(key):
        raise ValueError("a short reference is a part of the key")
    return key[:length]
