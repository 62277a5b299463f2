"""Identity: who calls, as a bearer token of a trusted issuer says it.

Tokens are JWT access tokens (RFC 9068) read by the rules of RFC 8725: the algorithm is pinned per
issuer, keys come from what the operator gave and never from the token, and type, issuer, audience
and times are all required.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet

__all__ = [
    "AUDIENCE",
    "LAPTOP_ISSUER",
    "LEEWAY_S",
    "Caller",
    "LaptopIssuer",
    "TokenInvalid",
    "TrustedIssuer",
    "bearer_token",
    "new_signing_key",
    "read_issuer",
    "verify",
]

LAPTOP_ISSUER = "urn:quaestor:laptop"
AUDIENCE = "quaestor"
# How far the clocks of an issuer and of ours may be apart.
LEEWAY_S = 30
TOKEN_TYPE = "at+jwt"

_TOKEN_BYTES_MAX = 8192
_LIST_MAX = 500
_TEXT_MAX = 255
# A token that brings or points at its own key, or asks for what we do not know, is refused unread.
_FOREIGN_HEADERS = frozenset({"jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip"})
_ALGORITHMS = frozenset({"ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "EdDSA"})


class TokenInvalid(Exception):
    """The token is not one of a trusted issuer for us, or not now. `str()` is safe to show."""


class Caller(msgspec.Struct, frozen=True):
    """Who calls: `subject` is a person or a system, `client` the program it uses.

    `entities` are the legal entities it may act for, `environment` the kind of deployment that
    the token was made for. `expires_s` is the Unix time until which the token is good.
    """

    subject: str
    client: str
    scopes: frozenset[str]
    entities: frozenset[str]
    environment: str
    expires_s: int


class TrustedIssuer(msgspec.Struct, frozen=True):
    """An issuer whose tokens count: its public keys by id, each with its one algorithm."""

    issuer: str
    audience: str
    keys: Mapping[str, tuple[Key, str]]


def read_issuer(issuer: str, audience: str, jwks: Mapping[str, Any]) -> TrustedIssuer:
    """An issuer from its published key set (RFC 7517). Raises `ValueError` for a useless one.

    A key states its algorithm, or its kind leaves only one; symmetric keys are refused.
    """
    keys: dict[str, tuple[Key, str]] = {}
    try:
        for key in KeySet.import_key_set(jwks):  # type: ignore[arg-type]
            algorithm = key.get("alg") or _only_algorithm(key)
            if algorithm in _ALGORITHMS and key.key_type != "oct":
                keys[key.kid or key.thumbprint()] = key, algorithm
    except (JoseError, KeyError, TypeError) as error:
        raise ValueError(f"not a key set: {type(error).__name__}") from error
    if not keys:
        raise ValueError("the key set holds no key that may sign tokens")
    return TrustedIssuer(issuer, audience, keys)


def bearer_token(authorization: str) -> str:
    """The token of this header (RFC 6750). Raises `TokenInvalid`."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.isascii():
        raise TokenInvalid("There is no bearer token.")
    return token.strip()


def verify(token: str, trusted: Sequence[TrustedIssuer], *, now_s: int) -> Caller:
    """The caller that the token names; `now_s` is Unix time. Raises `TokenInvalid`."""
    if len(token) > _TOKEN_BYTES_MAX:
        raise TokenInvalid("The token is too long.")
    header = _header(token)
    if _FOREIGN_HEADERS & header.keys() or header.get("typ") != TOKEN_TYPE:
        raise TokenInvalid("The token is not an access token that we take.")
    for issuer in trusted:
        known = issuer.keys.get(header["kid"]) if isinstance(header.get("kid"), str) else None
        if known is None or known[1] != header.get("alg"):
            continue
        try:
            claims = jwt.decode(token, known[0], algorithms=[known[1]]).claims
        except (JoseError, ValueError) as error:
            raise TokenInvalid("The token's signature is not good.") from error
        return _caller(claims, issuer, now_s)
    raise TokenInvalid("No trusted issuer has this key.")


class LaptopIssuer:
    """Makes tokens on one machine, for evaluation and tests. Never trusted in production."""

    def __init__(self, pem: bytes) -> None:
        self._key = ECKey.import_key(pem)
        self._kid = self._key.thumbprint()

    @property
    def trusted(self) -> TrustedIssuer:
        """What the gateway needs to check this issuer's tokens."""
        return TrustedIssuer(LAPTOP_ISSUER, AUDIENCE, {self._kid: (self._key, "ES256")})

    def token(
        self,
        *,
        subject: str,
        scopes: Iterable[str],
        entities: Iterable[str],
        now_s: int,
        ttl_s: int,
        client: str = "",
        environment: str = "test",
    ) -> str:
        """A signed token, good from now for `ttl_s` seconds."""
        claims = {
            "iss": LAPTOP_ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "client_id": client or subject,
            "scope": " ".join(sorted(set(scopes))),
            "entities": sorted(set(entities)),
            "environment": environment,
            "iat": now_s,
            "nbf": now_s,
            "exp": now_s + ttl_s,
            "jti": hashlib.sha256(f"{subject}{now_s}{ttl_s}".encode()).hexdigest()[:16],
        }
        header = {"alg": "ES256", "typ": TOKEN_TYPE, "kid": self._kid}
        return jwt.encode(header, claims, self._key)


def new_signing_key() -> bytes:
    """A new private key as PEM, for `LaptopIssuer`."""
    return ECKey.generate_key("P-256").as_pem(private=True)


def _only_algorithm(key: Key) -> str:
    curve = key.get("crv", "")
    return {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}.get(
        str(curve), ""
    )


def _header(token: str) -> dict[str, Any]:
    part = token.split(".", 1)[0]
    try:
        raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise TokenInvalid("The token cannot be read.") from error


def _caller(claims: Mapping[str, Any], issuer: TrustedIssuer, now_s: int) -> Caller:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if claims.get("iss") != issuer.issuer or issuer.audience not in audiences:
        raise TokenInvalid("The token is of another issuer, or for somebody else.")
    expires, begins = claims.get("exp"), claims.get("nbf", claims.get("iat", now_s))
    if not _is_time(expires) or not _is_time(begins):
        raise TokenInvalid("The token does not say when it is good.")
    if now_s >= expires + LEEWAY_S or now_s < begins - LEEWAY_S:
        raise TokenInvalid("The token is not good at this time.")
    subject = _text(claims.get("sub"))
    client = _text(claims.get("client_id", claims.get("azp", subject)))
    scope = claims.get("scope", "")
    scopes = scope.split(" ") if isinstance(scope, str) else scope
    return Caller(
        subject=subject,
        client=client,
        scopes=_texts(scopes),
        entities=_texts(claims.get("entities", [])),
        environment=_text(claims.get("environment", "unknown")),
        expires_s=expires,
    )


def _is_time(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _TEXT_MAX or not value.isprintable():
        raise TokenInvalid("A claim of the token is not a text that we take.")
    return value


def _texts(values: Any) -> frozenset[str]:
    if not isinstance(values, list) or len(values) > _LIST_MAX:
        raise TokenInvalid("A claim of the token is not a list that we take.")
    texts = frozenset(_text(value) for value in values if value != "")
    if any("," in text for text in texts):
        raise TokenInvalid("A claim of the token holds a comma.")
    return texts
