"""Signed notes (C2SP signed-note): text with Ed25519 signatures, readable by anybody's tools.

A key has a name and an id of four bytes. A key in text is `name+id+base64`; a private one has
`PRIVATE+KEY+` before it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

__all__ = [
    "NOTE_BYTES_MAX",
    "NoteMalformed",
    "NoteUntrusted",
    "SigningKey",
    "VerifyingKey",
    "open_note",
    "sign_note",
]

NOTE_BYTES_MAX = 64 * 1024

_ED25519 = b"\x01"
_ID_BYTES = 4
_PRIVATE = "PRIVATE+KEY+"
_DASH = "\u2014 "


class NoteMalformed(ValueError):
    """The text is not a signed note, or not a key."""


class NoteUntrusted(Exception):
    """No known key signed the note, or the signature of a known key is wrong."""


class VerifyingKey(msgspec.Struct, frozen=True):
    """A public key, 32 bytes, and the name it signs under."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """The first four bytes of SHA-256(name, newline, 0x01, public key)."""
        named = self.name.encode() + b"\n" + _ED25519 + self.public
        return hashlib.sha256(named).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_base64(_ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> VerifyingKey:
        """Read `name+id+base64`. Raises `NoteMalformed`."""
        name, key_id, encoded = (*text.strip().split("+", 2), "", "")[:3]
        raw = _decode(encoded)
        key = cls(name, raw[1:])
        if not _is_name(name) or raw[:1] != _ED25519 or len(raw) != 33 or key.id.hex() != key_id:
            raise NoteMalformed("This is not a public key of a signed note.")
        return key

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Whether this key made the signature over the text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """A private key and the name it signs under. It never shows its secret, except to `secret`."""

    __slots__ = ("_seed", "verifying")

    def __init__(self, name: str, seed: bytes) -> None:
        if not _is_name(name) or len(seed) != 32:
            raise NoteMalformed("This is not a private key of a signed note.")
        self._seed = seed
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
        self.verifying = VerifyingKey(name, public.public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> SigningKey:
        """A new key."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """Read what `secret` wrote. Raises `NoteMalformed`, which does not repeat the text."""
        name, key_id, encoded = (*text.strip().removeprefix(_PRIVATE).split("+", 2), "", "")[:3]
        raw = _decode(encoded)
        key = cls(name, raw[1:])
        if raw[:1] != _ED25519 or key.verifying.id.hex() != key_id:
            raise NoteMalformed("This is not a private key of a signed note.")
        return key

    @property
    def secret(self) -> str:
        """The private key as text, for its file."""
        verifying = self.verifying
        encoded = _base64(_ED25519 + self._seed)
        return f"{_PRIVATE}{verifying.name}+{verifying.id.hex()}+{encoded}"

    def sign(self, text: bytes) -> bytes:
        """The signature over the text: 64 bytes (RFC 8032)."""
        return Ed25519PrivateKey.from_private_bytes(self._seed).sign(text)

    def __repr__(self) -> str:
        return f"SigningKey({self.verifying})"


def sign_note(text: str, keys: Iterable[SigningKey]) -> str:
    """The note: text, an empty line, a signature line per key. The text ends with a newline."""
    if not text.endswith("\n") or any(sign < " " and sign != "\n" for sign in text):
        raise NoteMalformed("The text of a note is lines, without control characters.")
    lines = [
        f"{_DASH}{key.verifying.name} {_base64(key.verifying.id + key.sign(text.encode()))}\n"
        for key in keys
    ]
    return f"{text}\n{''.join(lines)}"


def open_note(note: str, known: Sequence[VerifyingKey]) -> tuple[str, tuple[VerifyingKey, ...]]:
    """The text, and which known keys signed it; at least one did.

    Signatures of unknown keys are ignored, as the format demands. Raises `NoteMalformed` and
    `NoteUntrusted`; a wrong signature of a known key spoils the whole note.
    """
    text, signatures = _split(note)
    signers: list[VerifyingKey] = []
    for name, raw in signatures:
        for key in known:
            if (key.name, key.id) != (name, raw[:_ID_BYTES]):
                continue
            if not key.signed(text.encode(), raw[_ID_BYTES:]):
                raise NoteUntrusted(f"The signature of {key.name}+{key.id.hex()} is wrong.")
            signers.append(key)
    if not signers:
        raise NoteUntrusted("No known key signed this note.")
    return text, tuple(signers)


def _split(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    if len(note) > NOTE_BYTES_MAX or any(sign < " " and sign != "\n" for sign in note):
        raise NoteMalformed("The note is too large or holds control characters.")
    text, empty_line, block = note.rpartition("\n\n")
    if not empty_line or not block.endswith("\n"):
        raise NoteMalformed("The note has no signatures.")
    signatures = []
    for line in block.removesuffix("\n").split("\n"):
        name, space, encoded = line.removeprefix(_DASH).partition(" ")
        raw = _decode(encoded)
        if not line.startswith(_DASH) or not _is_name(name) or not space or len(raw) <= _ID_BYTES:
            raise NoteMalformed("A signature line is not one.")
        signatures.append((name, raw))
    return text + "\n", signatures


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(sign.isspace() for sign in name)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decode(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteMalformed("This is not base64.") from error
