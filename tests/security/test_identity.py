"""Which tokens count (RFC 8725, specs N61 and N62): a row for each that does not."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from quaestor.security.identity import (
    AUDIENCE,
    LAPTOP_ISSUER,
    LEEWAY_S,
    LaptopIssuer,
    TokenInvalid,
    new_signing_key,
    read_issuer,
    verify,
)

NOW = 1_800_000_000
PEM = new_signing_key()
KEY = ECKey.import_key(PEM)
ISSUER = LaptopIssuer(PEM)
KID = KEY.thumbprint()


def good() -> dict[str, Any]:
    return {
        "iss": LAPTOP_ISSUER,
        "aud": AUDIENCE,
        "sub": "ana.berger",
        "client_id": "portal",
        "scope": "requisitions:write traces:read",
        "entities": ["acme-de"],
        "environment": "test",
        "iat": NOW,
        "exp": NOW + 600,
    }


def signed(*without: str, header: dict[str, Any] | None = None, **claims: Any) -> str:
    stated = {name: value for name, value in {**good(), **claims}.items() if name not in without}
    given = {"alg": "ES256", "typ": "at+jwt", "kid": KID, **(header or {})}
    return jwt.encode({n: v for n, v in given.items() if v is not None}, stated, KEY)


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def unsigned() -> str:
    return f"{part({'alg': 'none', 'typ': 'at+jwt', 'kid': KID})}.{part(good())}."


def signed_with_the_public_key() -> str:
    head = part({"alg": "HS256", "typ": "at+jwt", "kid": KID})
    text = f"{head}.{part(good())}"
    digest = hmac.digest(KEY.as_pem(private=False), text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def altered() -> str:
    head, _, signature = signed().split(".")
    return f"{head}.{part({**good(), 'sub': 'gus.adler'})}.{signature}"


REFUSED: list[tuple[str, Callable[[], str]]] = [
    ("no algorithm", unsigned),
    ("a MAC under the public key", signed_with_the_public_key),
    ("a changed claim", altered),
    (
        "another key",
        lambda: LaptopIssuer(new_signing_key()).token(
            subject="a", scopes=["b"], entities=["c"], now_s=NOW, ttl_s=60
        ),
    ),
    ("a key id that is a path", lambda: signed(header={"kid": "../../x"})),
    ("no key id", lambda: signed(header={"kid": None})),
    ("an address of keys", lambda: signed(header={"jku": "https://example.org/jwks"})),
    ("an address of certificates", lambda: signed(header={"x5u": "https://example.org/x"})),
    ("a key in the token", lambda: signed(header={"jwk": KEY.as_dict(private=False)})),
    ("an ID token", lambda: signed(header={"typ": "JWT"})),
    ("no type", lambda: signed(header={"typ": None})),
    ("another issuer", lambda: signed(iss="https://issuer.example.org")),
    ("no issuer", lambda: signed("iss")),
    ("another audience", lambda: signed(aud="payroll")),
    ("no audience", lambda: signed("aud")),
    ("expired", lambda: signed(exp=NOW - LEEWAY_S)),
    ("no expiry", lambda: signed("exp")),
    ("an expiry that is no number", lambda: signed(exp="tomorrow")),
    ("not yet", lambda: signed(nbf=NOW + LEEWAY_S + 1)),
    ("issued tomorrow", lambda: signed(iat=NOW + 86400)),
    ("no subject", lambda: signed("sub")),
    ("a subject of several lines", lambda: signed(sub="ana\nberger")),
    ("an entity with a comma", lambda: signed(entities=["acme-de,acme-us"])),
    ("entities that are one text", lambda: signed(entities="acme-de")),
    ("no token at all", lambda: "a.b.c"),
    ("nothing", lambda: ""),
    ("too long", lambda: signed() + "x" * 8192),
]


@pytest.mark.parametrize(("name", "make"), REFUSED, ids=[name for name, _ in REFUSED])
def test_a_token_that_is_not_ours_for_us_and_now_is_refused(
    name: str, make: Callable[[], str]
) -> None:
    token = make()

    with pytest.raises(TokenInvalid) as refused:
        verify(token, [ISSUER.trusted], now_s=NOW)

    assert token == "" or token not in str(refused.value)


def test_a_good_token_names_the_caller() -> None:
    caller = verify(signed(), [ISSUER.trusted], now_s=NOW)

    assert (caller.subject, caller.client, caller.environment) == ("ana.berger", "portal", "test")
    assert caller.scopes == {"requisitions:write", "traces:read"}
    assert caller.entities == {"acme-de"}


@pytest.mark.parametrize("now_s", [NOW - LEEWAY_S, NOW + 600 + LEEWAY_S - 1])
def test_clocks_may_be_a_little_apart(now_s: int) -> None:
    assert verify(signed(nbf=NOW), [ISSUER.trusted], now_s=now_s).subject == "ana.berger"


def test_the_laptop_issuer_makes_tokens_that_count() -> None:
    token = ISSUER.token(subject="u", scopes=["s:r"], entities=["e"], now_s=NOW, ttl_s=60)

    caller = verify(token, [ISSUER.trusted], now_s=NOW)

    assert (caller.subject, caller.scopes, caller.entities) == ("u", {"s:r"}, {"e"})


def test_an_issuer_is_known_by_its_published_keys() -> None:
    key = RSAKey.generate_key(2048, {"kid": "one", "alg": "PS256"})
    issuer = read_issuer("https://id.example.org", "quaestor", {"keys": [key.as_dict(False)]})
    claims = {**good(), "iss": "https://id.example.org"}
    token = jwt.encode({"alg": "PS256", "typ": "at+jwt", "kid": "one"}, claims, key, ["PS256"])
    weaker = RSAKey.import_key({**key.as_dict(True), "alg": "RS256"})
    other = jwt.encode({"alg": "RS256", "typ": "at+jwt", "kid": "one"}, claims, weaker)

    caller = verify(token, [issuer], now_s=NOW)

    assert caller.client == "portal"
    with pytest.raises(TokenInvalid):
        verify(other, [issuer], now_s=NOW)


@pytest.mark.parametrize(
    "jwks",
    [
        {},
        {"keys": []},
        {"keys": [OctKey.generate_key(256, {"kid": "shared", "alg": "HS256"}).as_dict()]},
        {"keys": [RSAKey.generate_key(2048, {"kid": "vague"}).as_dict(False)]},
    ],
    ids=["nothing", "no keys", "a shared secret", "no algorithm"],
)
def test_keys_that_cannot_pin_an_algorithm_are_refused(jwks: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="key"):
        read_issuer("https://id.example.org", "quaestor", jwks)
