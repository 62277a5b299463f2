"""Call-outs: what a post by Coupa hints at. Pure.

Coupa documents neither a signature of the body nor its form ("OAuth 2.0 for Call Outs"), so that
nothing in it is believed: numbers that could be ids are taken out, and the objects are read again
over the API. A forged call-out costs one request and tells nobody anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

__all__ = ["BYTES_MAX", "IDS_MAX", "hinted"]

BYTES_MAX = 256 * 1024
# One page of the API: what is beyond comes with the next pull.
IDS_MAX = 50
_DEPTH_MAX = 4

# An object of one of these names is a requisition; so is one that says so itself.
_NAMES = frozenset({"requisition", "requisition-header", "requisitions", "requisition-headers"})
_TYPES = frozenset({"RequisitionHeader", "Requisition"})


def hinted(body: bytes) -> tuple[int, ...]:
    """The ids of requisitions that the call-out may mean, `IDS_MAX` at most, each once.

    A body that is no JSON, is too large or says nothing hints at nothing: the next pull brings
    whatever happened.
    """
    if len(body) > BYTES_MAX:
        return ()
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return ()
    found = dict.fromkeys(_ids(told, is_meant=True, depth=0))
    return tuple(found)[:IDS_MAX]


def _ids(value: Any, *, is_meant: bool, depth: int) -> Iterator[int]:
    """Ids of objects at the top, and of those below that are named as requisitions."""
    if depth > _DEPTH_MAX:
        return
    if isinstance(value, list):
        for one in value:
            yield from _ids(one, is_meant=is_meant, depth=depth + 1)
    elif isinstance(value, Mapping):
        yield from _own(value, is_meant)
        for name, below in value.items():
            if name.replace("_", "-") in _NAMES:
                yield from _ids(below, is_meant=True, depth=depth + 1)


def _own(value: Mapping[str, Any], is_meant: bool) -> Iterator[int]:
    stated = value.get("document-type") or value.get("document_type") or value.get("type")
    names = ("document-id", "document_id") if stated in _TYPES else ()
    for name in (*names, "id") if is_meant and stated in (None, *_TYPES) else names:
        number = value.get(name)
        if isinstance(number, str) and number.isascii() and number.isdigit():
            number = int(number[:18])
        if isinstance(number, int) and not isinstance(number, bool) and 0 < number < 10**18:
            yield number
            return
