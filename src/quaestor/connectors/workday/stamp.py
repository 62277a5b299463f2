"""The stamp that a requisition carries in Workday: whose content the people there vote on.

Workday keeps no hash of what was voted on, and an approver may edit a requisition while it is on
his way. So its internal memo names our document, its version and the hash of its content, and
also a digest of the fields that Workday was given. Whoever reads the requisition back computes
that digest again: a stamp beside other fields vouches for nothing. Pure.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

import msgspec

__all__ = ["Stamp", "digest_of", "read_stamp", "without_stamp", "write_stamp"]

_STAMP = re.compile(
    r"\s*\[quaestor (?P<system>[^\s/\]]+)/(?P<id>[^\s/\]]+) v(?P<version>[0-9]{1,9})"
    r" content=(?P<content>[0-9a-f]{64}) fields=(?P<fields>[0-9a-f]{64})\]"
)


class Stamp(msgspec.Struct, frozen=True):
    """Which version of which document was sent; both hashes are lower-case hex SHA-256."""

    source_system: str
    source_id: str
    version: int
    content_hash: str
    fields_digest: str


def write_stamp(title: str, stamp: Stamp) -> str:
    """The internal memo: the title, and the stamp after it."""
    written = (
        f"[quaestor {quote(stamp.source_system, safe='')}/{quote(stamp.source_id, safe='')}"
        f" v{stamp.version} content={stamp.content_hash} fields={stamp.fields_digest}]"
    )
    return f"{title} {written}" if title else written


def read_stamp(memo: str) -> Stamp | None:
    """The one stamp in a memo; `None` where there is none, or more than one."""
    found = list(_STAMP.finditer(memo))
    if len(found) != 1:
        return None
    (match,) = found
    return Stamp(
        source_system=unquote(match["system"]),
        source_id=unquote(match["id"]),
        version=int(match["version"]),
        content_hash=match["content"],
        fields_digest=match["fields"],
    )


def without_stamp(memo: str) -> str:
    """What a person wrote into the memo."""
    return _STAMP.sub("", memo).strip()


def digest_of(fields: Mapping[str, str]) -> str:
    """Lower-case hex SHA-256 of fields by name."""
    text = json.dumps(dict(fields), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
