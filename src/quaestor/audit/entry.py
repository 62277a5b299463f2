"""One entry of the audit trail, and the bytes that stand for it for ever (docs/audit-format.md).

The format never changes: a later release may add members under a higher `format`, and the bytes
of every earlier entry stay as they are.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

__all__ = [
    "ENTRY_BYTES_MAX",
    "FORMAT",
    "SALT_BYTES",
    "Entry",
    "EntryInvalid",
    "EntryReading",
    "canonical_bytes",
    "commitment",
    "decode_entry",
    "leaf_hash",
    "leaf_input",
]

FORMAT = 1
SALT_BYTES = 16
ENTRY_BYTES_MAX = 8192

_INTEGER_MAX = 2**53 - 1
_MEMBERS_MAX = 32
_TEXT_CHARS_MAX = 256
_LEAF_FORMAT = b"\x01"
_NAME = re.compile(r"[A-Za-z0-9_.:/@\[\]-]{1,64}").fullmatch
_PERSON_OR_SYSTEM = re.compile(r"sub:[a-z2-7]{16}|system:[a-z0-9_.-]{1,64}").fullmatch
_CAUSATION = re.compile(r"entry:[1-9][0-9]{0,15}|event:.{1,200}", re.DOTALL).fullmatch
_PAYLOAD = re.compile(r"[a-z][a-z_]{0,31}:[0-9a-f]{64}").fullmatch
_ESCAPE, _NUL = b"\\", b"\\u0000"
_REPLACEMENT = "\ufffd"
_ELLIPSIS = "\u2026"


class EntryInvalid(ValueError):
    """An entry breaks the format: our own code built it wrongly, nothing was recorded."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What happened, in one transition. A member that is empty is absent from the bytes.

    `id` comes from `EntryIds`; `at` is database time, aware. `causation` is `entry:<id>` of the
    entry that led here or `event:<id>` of the inbound event. `actor` and `on_behalf_of` are
    `sub:<pseudonym>` of a person (`Subjects`) or `system:<name>`, never a name or an address.
    `effect` is the kind (`send`), `name` the effect's own name in the flow (`order`). `before`
    and `after` state changed business fields other than the stage. `flow`, `mapping`, `policy`
    and `release` are the versions that decided; `content_hash` and `version` are those of the
    document. `payloads` are references `<retention class>:<hex>` (`Payload.reference`).
    `details` and `external_ids` hold safe texts: no secret, no bank account, nobody's name.
    """

    format: int
    id: int
    at: datetime
    entity: str
    correlation_id: str
    actor: str
    effect: str
    outcome: str
    name: str = ""
    on_behalf_of: str = ""
    document_id: int | None = None
    version: int = 0
    content_hash: str = ""
    request_id: str = ""
    causation: str = ""
    system: str = ""
    external_ids: Mapping[str, str] = {}
    stage_before: str = ""
    stage_after: str = ""
    before: Mapping[str, str] = {}
    after: Mapping[str, str] = {}
    flow: str = ""
    mapping: str = ""
    policy: str = ""
    release: str = ""
    attempt: int = 0
    refusal: str = ""
    payloads: tuple[str, ...] = ()
    details: Mapping[str, str] = {}


class EntryReading(msgspec.Struct, frozen=True, gc=False):
    """The members that are repeated in columns or that verification follows. Fast to decode."""

    id: int
    at: datetime
    entity: str
    correlation_id: str
    effect: str
    document_id: int | None = None
    payloads: tuple[str, ...] = ()
    details: Mapping[str, str] = {}


_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Entry)


def canonical_bytes(entry: Entry) -> bytes:
    """The canonical JSON of an entry (RFC 8785 over texts, integers, arrays and objects).

    Texts are NFC; NUL and unpaired surrogates become U+FFFD; an entry over `ENTRY_BYTES_MAX` has
    its texts cut to 256 characters. So nothing that a vendor answers can keep the answer from
    being recorded. Raises `EntryInvalid` for what our own code got wrong.
    """
    _validate(entry)
    try:
        encoded = _encoder.encode(entry)
    except UnicodeEncodeError:
        return _normalized(entry)
    at = entry.at
    if (
        at.tzinfo is UTC
        and at.microsecond
        and len(encoded) <= ENTRY_BYTES_MAX
        and (_ESCAPE not in encoded or _NUL not in encoded)
        and (encoded.isascii() or unicodedata.is_normalized("NFC", encoded.decode()))
    ):
        return encoded
    return _normalized(entry)


def decode_entry(canonical: bytes) -> Entry:
    """The entry of canonical bytes. Raises `msgspec.DecodeError` for other bytes."""
    return _decoder.decode(canonical)


def commitment(salt: bytes, canonical: bytes) -> bytes:
    """SHA-256(salt ‖ canonical bytes): tells nothing about the entry once the salt is gone."""
    return hashlib.sha256(salt + canonical).digest()


def leaf_input(entry_id: int, committed: bytes) -> bytes:
    """What the tree holds of an entry: 0x01 ‖ id (8 bytes, big-endian) ‖ commitment."""
    return _LEAF_FORMAT + entry_id.to_bytes(8, "big") + committed


def leaf_hash(entry_id: int, committed: bytes) -> bytes:
    """SHA-256(0x00 ‖ leaf input), the leaf of RFC 9162 section 2.1.1."""
    return hashlib.sha256(b"\x00" + leaf_input(entry_id, committed)).digest()


def _validate(entry: Entry) -> None:
    if entry.format != FORMAT:
        raise EntryInvalid(f"format is {FORMAT}")
    if entry.at.tzinfo is None:
        raise EntryInvalid("the time of an entry has a time zone")
    document_id = 1 if entry.document_id is None else entry.document_id
    if not (0 < entry.id <= _INTEGER_MAX and 0 < document_id <= _INTEGER_MAX):
        raise EntryInvalid("an id is outside of 1 to 2^53-1")
    if not (0 <= entry.version <= _INTEGER_MAX and 0 <= entry.attempt <= _INTEGER_MAX):
        raise EntryInvalid("an integer is outside of 0 to 2^53-1")
    if not _is_person_or_system(entry.actor):
        raise EntryInvalid("the actor is neither a pseudonym nor a system")
    if entry.on_behalf_of and not _is_person_or_system(entry.on_behalf_of):
        raise EntryInvalid("on behalf of neither a pseudonym nor a system")
    if not (entry.effect and entry.outcome):
        raise EntryInvalid("effect and outcome are always stated")
    # Both are repeated in columns, so they must not differ from what normalizing makes of them.
    if not (_is_column(entry.entity) and _is_column(entry.correlation_id)):
        raise EntryInvalid("entity and correlation id are 1 to 200 printable NFC characters")
    if entry.causation and not _CAUSATION(entry.causation):
        raise EntryInvalid("causation names an entry or an event")
    for reference in entry.payloads:
        if not _PAYLOAD(reference):
            raise EntryInvalid("a payload is referred to by retention class and hash")
    for members in (entry.external_ids, entry.before, entry.after, entry.details):
        if members:
            _validate_members(members)


# Few people, systems, entities, cases and names of members come again and again, and remembering
# the answer is a third of the price of finding it.
@lru_cache(4096)
def _is_person_or_system(text: str) -> bool:
    return _PERSON_OR_SYSTEM(text) is not None


@lru_cache(4096)
def _is_column(text: str) -> bool:
    return 0 < len(text) <= 200 and text.isprintable() and unicodedata.is_normalized("NFC", text)


@lru_cache(4096)
def _are_names(names: tuple[str, ...]) -> bool:
    return len(names) <= _MEMBERS_MAX and all(map(_NAME, names))


def _validate_members(members: Mapping[str, str]) -> None:
    if not _are_names(tuple(members)):
        raise EntryInvalid(f"more than {_MEMBERS_MAX} members, or a name that is none")
    for name, text in members.items():
        if type(text) is not str:
            raise EntryInvalid(f"{name} is not a text")


def _normalized(entry: Entry) -> bytes:
    """The slow way, for the few entries that the encoder alone does not make canonical."""
    plain = {name: item for name, item in msgspec.structs.asdict(entry).items() if item}
    plain["at"] = entry.at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"
    encoded = _encoder.encode(_storable(plain, None))
    if len(encoded) > ENTRY_BYTES_MAX:
        encoded = _encoder.encode(_storable(plain, _TEXT_CHARS_MAX))
    if len(encoded) > ENTRY_BYTES_MAX * 8:
        raise EntryInvalid("an entry is far too large")
    return encoded


def _storable(value: Any, chars_max: int | None) -> Any:
    match value:
        case str():
            text = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
            text = unicodedata.normalize("NFC", text.replace("\0", _REPLACEMENT))
            if chars_max is not None and len(text) > chars_max:
                return text[: chars_max - 1] + _ELLIPSIS
            return text
        case Mapping():
            return {name: _storable(item, chars_max) for name, item in value.items()}
        case tuple() | list():
            return [_storable(item, chars_max) for item in value]
        case _:
            return value
