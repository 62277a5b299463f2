"""What logs, traces and errors may say."""

from __future__ import annotations

import pytest

from quaestor.security.masking import (
    MASK,
    is_secret_name,
    mask_account,
    mask_secrets,
    mask_values,
)
from quaestor.security.secrets import Secret


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "sap_password",
        "clientSecret",
        "client-secret",
        "Authorization",
        "api_key",
        "X-Api-Key",
        "access_token",
        "private key",
        "Set-Cookie",
    ],
)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["user", "token_url", "number", "cost_center", "keyboard", ""])
def test_other_names_are_no_secrets(name: str) -> None:
    assert not is_secret_name(name)


def test_values_are_masked_at_every_depth_and_the_rest_is_kept() -> None:
    value = {
        "supplier": "helio-systems",
        "remit_to": [{"iban": "DE89 3704 0044 0532 0130 00", "currency": "EUR"}],
        "auth": {"user": "QUAESTOR", "password": "hunter2", "token": None},
        "session": Secret("hunter2"),
        "count": 3,
    }

    masked = mask_values(value)

    assert masked == {
        "supplier": "helio-systems",
        "remit_to": [{"iban": "***3000", "currency": "EUR"}],
        "auth": {"user": "QUAESTOR", "password": MASK, "token": None},
        "session": MASK,
        "count": 3,
    }


@pytest.mark.parametrize(
    ("number", "shown"),
    [("DE89370400440532013000", "***3000"), ("12345678", MASK), ("", MASK)],
)
def test_an_account_number_keeps_its_last_four_characters_if_it_is_long_enough(
    number: str, shown: str
) -> None:
    assert mask_account(number) == shown


def test_a_secret_that_contains_another_is_masked_whole() -> None:
    masked = mask_secrets("Basic aGVsbG8= hello", ["aGVs", "aGVsbG8=", "he"])

    assert masked == f"Basic {MASK} hello"
