"""Pages: how many items at once, and where the next page begins.

A cursor names the last item that was shown and is signed with the list it belongs to, so that
nobody makes one up and no list takes another's.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from typing import Any

import msgspec

from quaestor.gateway.operation import Call, Query
from quaestor.gateway.problems import Problem
from quaestor.model.refusal import refuse

__all__ = ["CURSOR", "LIMIT", "cursor_of", "limit_of", "position_of"]

LIMIT = Query(
    "limit",
    "How many items at most.",
    {"type": "integer", "minimum": 1, "maximum": 200, "default": 50},
)
CURSOR = Query(
    "cursor",
    "Where the page begins: `next` of the page before.",
    {"type": "string", "minLength": 1},
)
_SIGNATURE_BYTES = 16


def limit_of(call: Call) -> int:
    """The page's size. Raises `limit_out_of_range`."""
    limits = call.services.limits
    text = call.query.get("limit")
    if text is None:
        return limits.page_default
    good = text.isascii() and text.isdecimal() and len(text) <= 6
    if not good or not 1 <= int(text) <= limits.page_max:
        raise Problem(refuse("limit_out_of_range", limit_max=str(limits.page_max)))
    return int(text)


def cursor_of(call: Call, list_: str, position: Sequence[Any]) -> str:
    """The cursor after the item at this position."""
    stated = msgspec.json.encode(list(position))
    return base64.urlsafe_b64encode(_sign(call, list_, stated) + stated).decode().rstrip("=")


def position_of(call: Call, list_: str, kind: Any) -> Any:
    """The position of the cursor that came, as `kind`; `None` for the first page.

    Raises `cursor_invalid` for one that was not made here, for this list.
    """
    text = call.query.get("cursor")
    if text is None:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        signature, stated = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, _sign(call, list_, stated)):
            raise Problem("cursor_invalid")
        return msgspec.json.decode(stated, type=kind)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise Problem("cursor_invalid") from error


def _sign(call: Call, list_: str, stated: bytes) -> bytes:
    message = list_.encode() + b"\0" + stated
    return hmac.digest(call.services.cursor_key, message, "sha256")[:_SIGNATURE_BYTES]
