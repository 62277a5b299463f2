"""Payloads: the bytes beside an entry, which can be erased while the entry's proof stays.

An entry refers to a payload by retention class and hash. Without a subject the hash is SHA-256 of
the plain bytes. Bytes about one person are sealed under that person's key, and named by a keyed
hash: once the key is gone nobody can read them, nor test a guess against the name that stays.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import zlib
from enum import StrEnum

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from quaestor.store.packing import pack

__all__ = [
    "PAYLOAD_BYTES_MAX",
    "Payload",
    "PayloadTooLarge",
    "PayloadUnreadable",
    "Retention",
    "SubjectKey",
    "make_payload",
    "open_payload",
    "payload_hash",
    "payload_reference",
]

PAYLOAD_BYTES_MAX = 16 * 1024 * 1024

_ZLIB, _SEALED = 1, 2
_NONCE_BYTES = 12


class Retention(StrEnum):
    """Why bytes are kept, and so how long. A project states the periods; the class never changes.

    `WIRE` requests and answers exchanged with a system, secrets masked. `DOCUMENT` bodies of
    business documents. `EVIDENCE` what a decision rested on (votes, snapshots, files).
    `PERSONAL` bytes about one person: always sealed under the subject's key.
    """

    WIRE = "wire"
    DOCUMENT = "document"
    EVIDENCE = "evidence"
    PERSONAL = "personal"


class PayloadTooLarge(ValueError):
    """A payload is larger than the limit; store a file elsewhere and its hash here."""


class PayloadUnreadable(ValueError):
    """Stored bytes are not what their name says, or the key is another one."""


class SubjectKey:
    """The key of one person, 32 bytes, and what is derived from it (HKDF, RFC 5869)."""

    __slots__ = ("_name", "_seal", "subject")

    def __init__(self, subject: str, key: bytes) -> None:
        self.subject = subject
        self._seal = AESGCM(_derive(key, b"quaestor/audit/seal"))
        self._name = _derive(key, b"quaestor/audit/name")

    def name(self, plain: bytes) -> bytes:
        """The keyed hash that stands for these bytes."""
        return hmac.digest(self._name, plain, "sha256")

    def seal(self, plain: bytes, about: bytes) -> bytes:
        """Nonce ‖ AES-256-GCM, with `about` as associated data."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._seal.encrypt(nonce, plain, about)

    def open(self, sealed: bytes, about: bytes) -> bytes:
        """What `seal` closed. Raises `PayloadUnreadable`."""
        try:
            return self._seal.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], about)
        except (InvalidTag, ValueError) as error:
            raise PayloadUnreadable("The key does not open it.") from error


class Payload(msgspec.Struct, frozen=True, gc=False):
    """One row of `audit_payload`, ready to store. Made by `make_payload`. `size` in plain bytes."""

    entity: str
    retention: str
    hash: bytes
    subject: str | None
    encoding: int
    size: int
    content: bytes

    @property
    def reference(self) -> str:
        """What `Entry.payloads` holds."""
        return payload_reference(self.retention, self.hash)


def make_payload(
    entity: str, retention: Retention, plain: bytes, key: SubjectKey | None = None
) -> Payload:
    """Compress `plain`, and seal it where `key` says whom it is about.

    The same bytes give the same hash, so they are stored once per entity and class. Raises
    `PayloadTooLarge`, and `ValueError` for personal bytes without a key.
    """
    if len(plain) > PAYLOAD_BYTES_MAX:
        raise PayloadTooLarge(f"{len(plain)} bytes are more than {PAYLOAD_BYTES_MAX}.")
    if key is None:
        if retention is Retention.PERSONAL:
            raise ValueError("personal bytes are sealed under the key of a subject")
        content = pack(plain)
        digest = hashlib.sha256(plain).digest()
        return Payload(entity, retention.value, digest, None, _ZLIB, len(plain), content)
    digest = key.name(plain)
    content = key.seal(pack(plain), digest)
    return Payload(entity, retention.value, digest, key.subject, _SEALED, len(plain), content)


def open_payload(payload: Payload, key: SubjectKey | None = None) -> bytes:
    """The plain bytes, checked against their hash. Raises `PayloadUnreadable`."""
    if payload.encoding == _SEALED:
        if key is None or key.subject != payload.subject:
            raise PayloadUnreadable("It is sealed under the key of a subject.")
        packed = key.open(payload.content, payload.hash)
    else:
        packed = payload.content
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(packed, PAYLOAD_BYTES_MAX + 1)
    except zlib.error as error:
        raise PayloadUnreadable("It is not zlib.") from error
    if not unpacker.eof or len(plain) > PAYLOAD_BYTES_MAX:
        raise PayloadUnreadable("It is cut off, or larger than any payload.")
    if payload_hash(plain, key if payload.encoding == _SEALED else None) != payload.hash:
        raise PayloadUnreadable("The bytes have another hash.")
    return plain


def payload_hash(plain: bytes, key: SubjectKey | None = None) -> bytes:
    """The hash that names these bytes: 32 bytes."""
    return key.name(plain) if key is not None else hashlib.sha256(plain).digest()


def payload_reference(retention: str, digest: bytes) -> str:
    """`<retention class>:<lower-case hex>`."""
    return f"{retention}:{digest.hex()}"


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDFExpand(algorithm=SHA256(), length=32, info=purpose).derive(key)
