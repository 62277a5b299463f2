"""Packing: small windows for small things, and everything reads them."""

from __future__ import annotations

import os
import zlib

import pytest

from quaestor.store.packing import pack

SIZES = [0, 1, 300, 8192, 8193, 100_000]


@pytest.mark.parametrize("size", SIZES)
def test_what_is_packed_is_read_by_zlib(size: int) -> None:
    plain = (b'{"line":' + os.urandom(40).hex().encode() + b"}") * (size // 89 + 1)

    packed = pack(plain[:size])

    assert zlib.decompress(packed) == plain[:size]


def test_a_document_is_packed_as_tightly_as_with_the_usual_window() -> None:
    plain = b'{"description":"Monitor 27 inch, QHD","quantity":"4","amount":"389.90"}' * 40

    packed = pack(plain)

    assert len(packed) <= len(zlib.compress(plain, 1))
