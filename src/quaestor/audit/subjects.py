"""People in the audit trail: a pseudonym in every entry, the person behind it erasable.

A *subject* is one person as one legal entity knows him: each entity answers for its own data, and
row-level security separates them. The pseudonym is random, so that nothing leads from it to the
person once his row has forgotten him.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import asyncpg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from quaestor.audit.keyfile import read_or_make_key
from quaestor.audit.payload import SubjectKey

__all__ = [
    "KEY_BYTES",
    "Keyring",
    "SubjectErased",
    "Subjects",
    "WrappingKeyMissing",
    "deployment_key",
    "new_pseudonym",
]

KEY_BYTES = 32

_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_CACHED_MAX = 10_000
# F51: a key is kept in memory for five minutes at most, so an erasure reaches every process.
_CACHED_S = 300.0

_FIND = """
select w.place, s.subject
from unnest($1::integer[], $2::text[], $3::bytea[]) as w (place, entity, lookup)
join quaestor.subject s on s.entity = w.entity and s.lookup = w.lookup
"""
_ADD = """
insert into quaestor.subject (subject, entity, lookup, sealed, wrapped_key, created_at)
select n.*, quaestor.clock()
from unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[], $5::bytea[]) as n
on conflict (entity, lookup) do nothing
"""
_KEY_OF = "select wrapped_key, sealed from quaestor.subject where subject = $1"

Person = tuple[str, str]
"""A legal entity, and the identity of a person as the source system states it."""

V = TypeVar("V")


class SubjectErased(Exception):
    """The subject was erased, or never was: nobody can read what was sealed under his key."""


class WrappingKeyMissing(Exception):
    """A subject's key is wrapped under a deployment key that was not given."""

    code = "audit_key_missing"


class Keyring:
    """The deployment's key, and earlier ones that still open what they wrapped. 32 bytes each."""

    def __init__(self, current: bytes, previous: Sequence[bytes] = ()) -> None:
        self._keys = [_DeploymentKey(key) for key in (current, *previous)]

    def lookups(self, entity: str, identity: str) -> list[bytes]:
        """What a person may be filed under; the first is what he is filed under today."""
        text = f"{entity}\0{unicodedata.normalize('NFC', identity.strip())}".encode()
        return [hmac.digest(key.lookup, text, "sha256") for key in self._keys]

    def wrap(self, subject: str, key: bytes) -> bytes:
        """Key id ‖ nonce ‖ AES-256-GCM of a subject's key, bound to the subject."""
        current, nonce = self._keys[0], os.urandom(_NONCE_BYTES)
        return current.id + nonce + current.wrapping.encrypt(nonce, key, subject.encode())

    def unwrap(self, subject: str, wrapped: bytes) -> bytes:
        """The subject's key. Raises `WrappingKeyMissing`."""
        key_id, rest = wrapped[:_KEY_ID_BYTES], wrapped[_KEY_ID_BYTES:]
        for key in self._keys:
            if key.id == key_id:
                nonce, sealed = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
                try:
                    return key.wrapping.decrypt(nonce, sealed, subject.encode())
                except InvalidTag:
                    break
        raise WrappingKeyMissing


class Subjects:
    """Finds and makes pseudonyms, and opens subjects' keys, with a small cache."""

    def __init__(
        self, keys: Keyring | bytes, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._keyring = keys if isinstance(keys, Keyring) else Keyring(keys)
        self._pseudonyms: _Cache[Person, str] = _Cache(monotonic)
        self._opened: _Cache[str, tuple[SubjectKey, str]] = _Cache(monotonic)

    async def pseudonyms(
        self, connection: asyncpg.Connection, persons: Sequence[Person]
    ) -> dict[Person, str]:
        """The pseudonym of each person, made where he is new.

        In the caller's transaction or in none. Rows are added in the order of their keys, so two
        callers that meet the same new people cannot dead-lock.
        """
        known = {person: self._pseudonyms.get(person) for person in persons}
        wanted = sorted(person for person, subject in known.items() if subject is None)
        if wanted:
            found = await self._find(connection, wanted)
            self._pseudonyms.update(found)
            new = [person for person in wanted if person not in found]
            if new:
                await self._add(connection, new)
                added = await self._find(connection, new)
                # What a transaction made may yet be undone: only what is committed is remembered.
                if not connection.is_in_transaction():
                    self._pseudonyms.update(added)
                found |= added
            known |= found
        return {person: subject for person, subject in known.items() if subject is not None}

    async def key(self, connection: asyncpg.Connection, subject: str) -> SubjectKey:
        """The key to seal and open payloads about a subject. Raises `SubjectErased`."""
        return (await self._open(connection, subject))[0]

    async def identity(self, connection: asyncpg.Connection, subject: str) -> str:
        """Who a subject is. Raises `SubjectErased`. For those who may know, and no log."""
        return (await self._open(connection, subject))[1]

    async def _find(
        self, connection: asyncpg.Connection, persons: Sequence[Person]
    ) -> dict[Person, str]:
        sought = [
            (place, person[0], lookup)
            for place, person in enumerate(persons)
            for lookup in self._keyring.lookups(*person)
        ]
        rows = await connection.fetch(_FIND, *map(list, zip(*sought, strict=True)))
        return {persons[row["place"]]: row["subject"] for row in rows}

    async def _add(self, connection: asyncpg.Connection, persons: Sequence[Person]) -> None:
        rows = []
        for entity, identity in persons:
            subject, key = new_pseudonym(), os.urandom(KEY_BYTES)
            sealed = SubjectKey(subject, key).seal(identity.encode(), subject.encode())
            lookup = self._keyring.lookups(entity, identity)[0]
            rows.append((subject, entity, lookup, sealed, self._keyring.wrap(subject, key)))
        rows.sort(key=lambda row: (row[1], row[2]))
        await connection.execute(_ADD, *map(list, zip(*rows, strict=True)))

    async def _open(self, connection: asyncpg.Connection, subject: str) -> tuple[SubjectKey, str]:
        opened = self._opened.get(subject)
        if opened is None:
            row = await connection.fetchrow(_KEY_OF, subject)
            if row is None or row["wrapped_key"] is None:
                raise SubjectErased(subject)
            key = SubjectKey(subject, self._keyring.unwrap(subject, row["wrapped_key"]))
            opened = key, key.open(row["sealed"], subject.encode()).decode()
            self._opened.update({subject: opened})
        return opened


def new_pseudonym() -> str:
    """`sub:` and 80 random bits in base32."""
    return "sub:" + base64.b32encode(os.urandom(10)).decode().lower()


def deployment_key(path: Path) -> bytes:
    """The key of a deployment from its file, made at the first start. See `read_or_make_key`.

    A deployment that keeps its secrets elsewhere gives the 32 bytes to `Keyring` itself.
    """
    text = read_or_make_key(path, lambda: base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
    return base64.b64decode(text)


class _DeploymentKey:
    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a deployment key has {KEY_BYTES} bytes")
        self.id = hashlib.sha256(b"quaestor/audit/key-id\0" + key).digest()[:_KEY_ID_BYTES]
        self.lookup = _derive(key, b"quaestor/audit/lookup")
        self.wrapping = AESGCM(_derive(key, b"quaestor/audit/wrap"))


K = TypeVar("K")


class _Cache(Generic[K, V]):
    """The latest values, each for `_CACHED_S` at most."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        kept = self._kept.get(key)
        if kept is None or self._monotonic() >= kept[0]:
            self._kept.pop(key, None)
            return None
        return kept[1]

    def update(self, values: dict[K, V]) -> None:
        until = self._monotonic() + _CACHED_S
        for key, value in values.items():
            self._kept[key] = until, value
            self._kept.move_to_end(key)
        while len(self._kept) > _CACHED_MAX:
            self._kept.popitem(last=False)


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDFExpand(algorithm=SHA256(), length=32, info=purpose).derive(key)
