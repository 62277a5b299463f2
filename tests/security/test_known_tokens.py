"""A token that was good a moment ago is not checked again, and is good no longer for that."""

from __future__ import annotations

import pytest

from quaestor.security.identity import LEEWAY_S, LaptopIssuer, TokenInvalid, new_signing_key
from quaestor.security.known_tokens import KNOWN_MAX, KNOWN_S, KnownTokens

NOW = 1_800_000_000
ISSUER = LaptopIssuer(new_signing_key())


def token(ttl_s: int = 3600, subject: str = "portal") -> str:
    return ISSUER.token(
        subject=subject, scopes=["a:b"], entities=["acme-de"], now_s=NOW, ttl_s=ttl_s
    )


def test_the_caller_is_the_one_that_the_token_names() -> None:
    known, good = KnownTokens([ISSUER.trusted]), token()

    first = known.verify(good, now_s=NOW)

    assert first.subject == "portal"
    assert known.verify(good, now_s=NOW + 1) is first
    assert known.verify(token(subject="other"), now_s=NOW).subject == "other"


def test_whose_token_it_is_is_known_once_it_was_found_good() -> None:
    known, good = KnownTokens([ISSUER.trusted]), token()

    before = known.client_of(good)
    known.verify(good, now_s=NOW)

    assert before is None
    assert known.client_of(good) == "portal"
    assert known.client_of(token(subject="other")) is None


@pytest.mark.parametrize("later_s", [KNOWN_S, KNOWN_S + 1])
def test_an_issuer_who_is_trusted_no_more_is_noticed_soon(later_s: int) -> None:
    trusted, good = [ISSUER.trusted], token()
    known = KnownTokens(trusted)
    known.verify(good, now_s=NOW)

    trusted.clear()

    assert known.verify(good, now_s=NOW + KNOWN_S - 1).subject == "portal"
    with pytest.raises(TokenInvalid):
        known.verify(good, now_s=NOW + later_s)


@pytest.mark.parametrize("at_s", [NOW + 10 + LEEWAY_S, NOW - LEEWAY_S - 1])
def test_a_known_token_is_good_at_its_own_time_only(at_s: int) -> None:
    known, short = KnownTokens([ISSUER.trusted]), token(ttl_s=10)
    known.verify(short, now_s=NOW)

    with pytest.raises(TokenInvalid):
        known.verify(short, now_s=at_s)


def test_a_token_that_was_changed_is_not_the_one_that_is_known() -> None:
    known, good = KnownTokens([ISSUER.trusted]), token()
    known.verify(good, now_s=NOW)
    head, claims, _ = good.split(".")
    foreign = token(subject="other").split(".")[2]

    with pytest.raises(TokenInvalid):
        known.verify(f"{head}.{claims}.{foreign}", now_s=NOW)


def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quaestor.security.known_tokens.KNOWN_MAX", 2)
    trusted = [ISSUER.trusted]
    known = KnownTokens(trusted)
    tokens = [token(subject=subject) for subject in ("one", "two", "three")]
    for each in tokens:
        known.verify(each, now_s=NOW)

    trusted.clear()

    assert KNOWN_MAX >= 1000
    assert [known.verify(each, now_s=NOW).subject for each in tokens[1:]] == ["two", "three"]
    with pytest.raises(TokenInvalid):
        known.verify(tokens[0], now_s=NOW)
