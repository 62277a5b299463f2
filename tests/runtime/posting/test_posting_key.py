"""The posting key: one business effect, one name, for ever."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quaestor.runtime.posting_key import posting_key, short_reference

PARTS: dict[str, Any] = {
    "deployment": "acme-production",
    "system": "s4",
    "company_code": "1010",
    "source_system": "coupa",
    "source_id": "4711",
    "order_group": "SUP-1/DE01/EUR/1000/",
    "action": "create_order",
    "generation": 1,
}

texts = st.text(st.characters(codec="utf-8"), max_size=12)
parts = st.fixed_dictionaries(
    {name: texts for name in PARTS if name != "generation"} | {"generation": st.integers(1, 10**6)}
)


# Keys that stand in ERPs: computed once, never to change.
@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({}, "3zx2qwl6bpvvb55aw2sanvrns7uweubqldduwerwdher2q5fx2pa"),
        ({"generation": 2}, "gjdvgjxp7ygtn2swwhrybip4oorxfvoq3kbkd3awegu4e6ycxp4a"),
        ({"action": "cancel_order"}, "nvw4vnmf4bc5mzqrzrzlrvokje4reu3myy4qeakjc5fz7dniiksa"),
        ({"source_id": "Bedarf-Ä-7"}, "inwzjo5izht4g3gxgjq7zhuoi4pik3g75mz635odyzrcrq5kyltq"),
        (
            {name: "" for name in PARTS if name != "generation"},
            "iyzcti64k7gfg52cgdvkeeagade7gsnm6akwgh5nmev7ku7eadra",
        ),
    ],
)
def test_known_answers(changes: dict[str, Any], key: str) -> None:
    assert posting_key(**{**PARTS, **changes}) == key


@given(parts)
def test_a_key_is_lower_case_base32_of_a_sha256(given_parts: dict[str, Any]) -> None:
    key = posting_key(**given_parts)

    assert len(key) == 52
    assert set(key) <= set(string.ascii_lowercase + "234567")
    assert posting_key(**given_parts) == key


@given(parts, parts)
def test_different_parts_have_different_keys(first: dict[str, Any], second: dict[str, Any]) -> None:
    same_key = posting_key(**first) == posting_key(**second)

    assert same_key == (first == second)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), st.data())
def test_moving_text_from_one_part_to_the_next_changes_the_key(
    text: str, data: st.DataObject
) -> None:
    names = [name for name in PARTS if name != "generation"]
    number = data.draw(st.integers(0, len(names) - 2))
    left, right = names[number], names[number + 1]

    one = posting_key(**{**PARTS, left: PARTS[left] + text})
    other = posting_key(**{**PARTS, right: text + PARTS[right]})

    assert one != other


@given(parts)
def test_twelve_characters_are_the_first_sixty_bits(given_parts: dict[str, Any]) -> None:
    key = posting_key(**given_parts)

    assert short_reference(key) == key[:12]
    assert len(short_reference(key)) * 5 == 60


def test_a_generation_starts_at_one() -> None:
    with pytest.raises(ValueError, match="generation"):
        posting_key(**{**PARTS, "generation": 0})


def test_text_without_a_utf8_form_has_no_key() -> None:
    with pytest.raises(UnicodeEncodeError):
        posting_key(**{**PARTS, "source_id": "\ud800"})


@pytest.mark.parametrize("length", [0, -1, 53])
def test_a_short_reference_is_a_part_of_the_key(length: int) -> None:
    with pytest.raises(ValueError, match="part of the key"):
        short_reference(posting_key(**PARTS), length)
