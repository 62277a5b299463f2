"""Payloads are what their name says, and unreadable without the key of whom they are about."""

from __future__ import annotations

import zlib

import msgspec
import pytest

from quaestor.audit.payload import (
    PAYLOAD_BYTES_MAX,
    PayloadTooLarge,
    PayloadUnreadable,
    Retention,
    SubjectKey,
    make_payload,
    open_payload,
)

JANE = SubjectKey("sub:aaaaaaaaaaaaaaaa", b"j" * 32)
JOHN = SubjectKey("sub:bbbbbbbbbbbbbbbb", b"k" * 32)
PLAIN = b"<order>" + b"x" * 500 + b"</order>"


@pytest.mark.parametrize("key", [None, JANE], ids=["open", "sealed"])
def test_a_payload_is_opened_as_it_was_made(key: SubjectKey | None) -> None:
    payload = make_payload("DE01", Retention.EVIDENCE, PLAIN, key)

    assert open_payload(payload, key) == PLAIN
    assert payload.size == len(PLAIN)


def test_the_same_bytes_have_the_same_reference() -> None:
    first = make_payload("DE01", Retention.WIRE, PLAIN)
    again = make_payload("DE01", Retention.WIRE, PLAIN)

    assert first.reference == again.reference
    assert first.reference.startswith("wire:")


def test_sealed_bytes_tell_nothing_to_whoever_guesses_them() -> None:
    mine = make_payload("DE01", Retention.PERSONAL, b"yes", JANE)
    open_one = make_payload("DE01", Retention.WIRE, b"yes")
    other = make_payload("DE01", Retention.PERSONAL, b"yes", JOHN)

    assert len({mine.hash, open_one.hash, other.hash}) == 3
    assert mine.content != make_payload("DE01", Retention.PERSONAL, b"yes", JANE).content


@pytest.mark.parametrize("key", [None, JOHN])
def test_nobody_elses_key_opens_a_sealed_payload(key: SubjectKey | None) -> None:
    payload = make_payload("DE01", Retention.PERSONAL, PLAIN, JANE)

    with pytest.raises(PayloadUnreadable):
        open_payload(payload, key)


def test_a_key_of_the_same_name_but_other_bytes_opens_nothing() -> None:
    payload = make_payload("DE01", Retention.PERSONAL, PLAIN, JANE)

    with pytest.raises(PayloadUnreadable):
        open_payload(payload, SubjectKey(JANE.subject, b"other" * 6 + b"xx"))


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", zlib.compress(PLAIN)[:-1], zlib.compress(PLAIN + b"x"), zlib.compress(b"")],
)
def test_other_bytes_under_the_name_are_found_out(content: bytes) -> None:
    payload = make_payload("DE01", Retention.WIRE, PLAIN)

    with pytest.raises(PayloadUnreadable):
        open_payload(msgspec.structs.replace(payload, content=content))


def test_stored_bytes_cannot_unpack_into_more_than_the_limit() -> None:
    bomb = zlib.compress(b"\0" * (PAYLOAD_BYTES_MAX + 2))
    payload = make_payload("DE01", Retention.WIRE, PLAIN)

    with pytest.raises(PayloadUnreadable, match="larger"):
        open_payload(msgspec.structs.replace(payload, content=bomb))


def test_personal_bytes_are_never_stored_open() -> None:
    with pytest.raises(ValueError, match="key of a subject"):
        make_payload("DE01", Retention.PERSONAL, PLAIN)


def test_a_payload_over_the_limit_is_refused() -> None:
    with pytest.raises(PayloadTooLarge):
        make_payload("DE01", Retention.DOCUMENT, b"\0" * (PAYLOAD_BYTES_MAX + 1))
