"""The bytes of an entry never change: these vectors are for ever."""

from __future__ import annotations

import json
import string
import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quaestor.audit.entry import (
    ENTRY_BYTES_MAX,
    EntryInvalid,
    canonical_bytes,
    commitment,
    decode_entry,
    leaf_hash,
)
from tests.audit.builders import an_entry

FULL = an_entry(
    id=9007199254740991,
    name="order",
    on_behalf_of="sub:aaaaaaaaaaaaaaaa",
    actor="sub:abcdefghijkl2345",
    document_id=4711,
    version=2,
    content_hash="ab" * 32,
    request_id="r-1",
    causation="event:coupa/77",
    system="sap_p1",
    external_ids={"purchase_order": "4500000001", "company_code": "1000"},
    stage_before="posting",
    stage_after="writing_back",
    before={"quantity": "3"},
    after={"quantity": "5"},
    flow="requisition_to_order/3",
    mapping="sap_s4/2",
    policy="approvals/7",
    release="cd" * 32,
    attempt=1,
    refusal="erp_rejected",
    payloads=("wire:" + "ef" * 32,),
    details={"said": 'Menge "fünf"\\\n'},
)


def test_the_smallest_entry_has_these_bytes() -> None:
    assert canonical_bytes(an_entry()) == (
        b'{"actor":"system:quaestor","at":"2026-11-22T10:35:50.470296Z","correlation_id":"c-1",'
        b'"effect":"send","entity":"DE01","format":1,"id":1,"outcome":"applied"}'
    )


def test_a_full_entry_has_these_bytes() -> None:
    assert canonical_bytes(FULL).decode() == (
        '{"actor":"sub:abcdefghijkl2345","after":{"quantity":"5"},'
        '"at":"2026-11-22T10:35:50.470296Z","attempt":1,"before":{"quantity":"3"},'
        '"causation":"event:coupa/77","content_hash":"' + "ab" * 32 + '","correlation_id":"c-1",'
        '"details":{"said":"Menge \\"fünf\\"\\\\\\n"},"document_id":4711,"effect":"send",'
        '"entity":"DE01","external_ids":{"company_code":"1000","purchase_order":"4500000001"},'
        '"flow":"requisition_to_order/3","format":1,"id":9007199254740991,"mapping":"sap_s4/2",'
        '"name":"order","on_behalf_of":"sub:aaaaaaaaaaaaaaaa","outcome":"applied",'
        '"payloads":["wire:' + "ef" * 32 + '"],"policy":"approvals/7","refusal":"erp_rejected",'
        '"release":"' + "cd" * 32 + '","request_id":"r-1","stage_after":"writing_back",'
        '"stage_before":"posting","system":"sap_p1","version":2}'
    )


def test_commitment_and_leaf_of_the_smallest_entry_are_these() -> None:
    # Made with sha256sum from the bytes above and the salt 00 01 .. 0f.
    salt = bytes(range(16))

    committed = commitment(salt, canonical_bytes(an_entry()))

    assert committed.hex() == ("c76927d857ef4f23635f2df1ac331d34d74002a01d8e46a66bedb9158c364fbc")
    assert leaf_hash(1, committed).hex() == (
        "0d44fd4b36fa94c65d8a9e9c3641004ec9e15ab7e0ee02a6c89594dc16875416"
    )


@pytest.mark.parametrize("entry", [an_entry(), FULL], ids=["smallest", "full"])
def test_an_entry_is_read_back_as_it_was(entry: Any) -> None:
    assert decode_entry(canonical_bytes(entry)) == entry


def test_a_full_second_is_written_with_six_digits() -> None:
    entry = an_entry(at=datetime(2026, 1, 1, tzinfo=UTC))

    assert b'"at":"2026-01-01T00:00:00.000000Z"' in canonical_bytes(entry)


def test_another_time_zone_is_written_as_utc() -> None:
    entry = an_entry(at=datetime(2026, 1, 1, 1, 0, 0, 5, tzinfo=timezone(timedelta(hours=1))))

    assert b'"at":"2026-01-01T00:00:00.000005Z"' in canonical_bytes(entry)


def test_decomposed_text_is_composed() -> None:
    decomposed = unicodedata.normalize("NFD", "Müller")

    assert canonical_bytes(an_entry(details={"name_of": decomposed})) == canonical_bytes(
        an_entry(details={"name_of": "Müller"})
    )


@pytest.mark.parametrize("unstorable", ["a\0b", "a\ud800b"])
def test_what_no_store_takes_becomes_the_replacement_character(unstorable: str) -> None:
    entry = an_entry(details={"said": unstorable})

    assert json.loads(canonical_bytes(entry))["details"] == {"said": "a\ufffdb"}


def test_long_texts_are_cut_so_that_the_entry_can_be_recorded() -> None:
    entry = an_entry(details={"said": "x" * 20_000}, stage_after="posting")

    said = json.loads(canonical_bytes(entry))["details"]["said"]

    assert said == "x" * 255 + "…"


def test_the_fast_way_and_the_slow_way_agree() -> None:
    long = an_entry(details={"a": "ä", "b": "y" * ENTRY_BYTES_MAX}, document_id=7)
    short = an_entry(details={"a": "ä", "b": "y" * 255 + "…"}, document_id=7)

    assert canonical_bytes(long) == canonical_bytes(short)


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"format": 2}, "format is 1"),
        ({"at": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001
        ({"id": 0}, "an id"),
        ({"id": 2**53}, "an id"),
        ({"document_id": 0}, "an id"),
        ({"attempt": -1}, "an integer"),
        ({"version": 2**53}, "an integer"),
        ({"actor": "jane.doe@example.com"}, "pseudonym"),
        ({"actor": ""}, "pseudonym"),
        ({"on_behalf_of": "Jane"}, "on behalf of"),
        ({"effect": ""}, "effect and outcome"),
        ({"outcome": ""}, "effect and outcome"),
        ({"entity": ""}, "entity and correlation id"),
        ({"correlation_id": "c\n1"}, "entity and correlation id"),
        ({"correlation_id": "c" * 201}, "entity and correlation id"),
        ({"entity": unicodedata.normalize("NFD", "Zürich")}, "entity and correlation id"),
        ({"causation": "77"}, "causation"),
        ({"payloads": ("wire:77",)}, "payload"),
        ({"details": {"ä": "x"}}, "a name that is none"),
        ({"details": {'a"b': "x"}}, "a name that is none"),
        ({"details": {"": "x"}}, "a name that is none"),
        ({"details": {"key": 1}}, "not a text"),
        ({"details": {f"k{n}": "" for n in range(33)}}, "more than 32"),
    ],
)
def test_what_our_own_code_got_wrong_is_refused(members: dict[str, Any], sentence: str) -> None:
    with pytest.raises(EntryInvalid, match=sentence):
        canonical_bytes(an_entry(**members))


_texts = st.text(max_size=40)
_keys = st.text(string.ascii_letters + string.digits + "_.:/@[]-", min_size=1, max_size=8)


@given(
    details=st.dictionaries(_keys, _texts, max_size=5),
    system=_texts,
    attempt=st.integers(0, 2**53 - 1),
    at=st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)),  # noqa: DTZ001
)
def test_the_bytes_are_what_rfc_8785_says(
    details: dict[str, str], system: str, attempt: int, at: datetime
) -> None:
    entry = an_entry(details=details, system=system, attempt=attempt, at=at)

    encoded = canonical_bytes(entry)

    # For ASCII keys, texts and integers RFC 8785 is what the standard library writes.
    read = json.loads(encoded)
    independent = json.dumps(read, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert encoded == independent.encode()
    assert unicodedata.is_normalized("NFC", encoded.decode())
    assert "" not in read.values()
