"""Asking a token endpoint for an access token with client credentials (RFC 6749, section 4.4)."""

from __future__ import annotations

import base64
import math
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec

from quaestor.connectors.kit.auth import Granted
from quaestor.connectors.kit.classify import Answer, Voice
from quaestor.connectors.kit.wires.http import HttpRequest, HttpWire
from quaestor.security.secrets import Secret

__all__ = ["OAuthRules", "grant_from", "hear_grant"]

# RFC 6749 only recommends `expires_in`; without it a token is renewed often rather than late.
LIFE_UNKNOWN_S = 300.0


class OAuthRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a system gives access tokens; the client's id and secret stand in its `auth`.

    `token_url` is a path on the system's own host, or a whole address. `scopes` are asked for; an
    empty list leaves them to the vendor. `gap_s` is how long a fresh token is left alone before
    its first use. The client proves itself in the form's body, or by Basic in the header.
    """

    token_url: str = "/oauth2/token"
    scopes: tuple[str, ...] = ()
    gap_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.0
    client_in: Literal["body", "header"] = "body"

    def __post_init__(self) -> None:
        if not self.token_url.startswith(("/", "https://", "http://")):
            raise ValueError("token_url must be a path such as /oauth2/token, or an address")


def grant_from(
    open_wire: Callable[[str], HttpWire],
    base_url: str,
    rules: OAuthRules,
    client_id: Callable[[], str],
    client_secret: Callable[[], Secret],
) -> Callable[[], Awaitable[Granted]]:
    """A function that asks once, over connections of its own to the origin that it is given.

    Raises what a wire raises: `Transient`, with `connector_auth_failed` where the client is
    refused.
    """
    whole = base_url if rules.token_url.startswith("/") else rules.token_url
    parts = urlsplit(whole)
    target = rules.token_url if whole == base_url else whole.split(parts.netloc, 1)[1] or "/"

    async def grant() -> Granted:
        wire = open_wire(f"{parts.scheme}://{parts.netloc}")
        try:
            request = _request(target, rules, client_id(), client_secret())
            answer = await wire.exchange(request, hear_grant)
        finally:
            # Tokens live for hours: nothing is kept open for the next one.
            await wire.close()
        return Granted(Secret(answer.json["access_token"]), _life_s(answer.json.get("expires_in")))

    return grant


def hear_grant(answer: Answer) -> Voice:
    """Whether the token endpoint spoke, and what it said (RFC 6749, sections 5.1 and 5.2)."""
    told = answer.json if isinstance(answer.json, dict) else {}
    if answer.status == 200 and isinstance(told.get("access_token"), str) and told["access_token"]:
        return Voice.DONE
    if answer.status == 429:
        return Voice.BUSY
    # Also what answers 404: a token that cannot be had is a login that fails, for the operator.
    if 400 <= answer.status < 500:
        return Voice.LOGIN
    return Voice.UNSURE


def _request(target: str, rules: OAuthRules, client: str, secret: Secret) -> HttpRequest:
    headers = [
        ("Accept", "application/json"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ]
    form = {"grant_type": "client_credentials"}
    if rules.scopes:
        form["scope"] = " ".join(rules.scopes)
    if rules.client_in == "header":
        # Section 2.3.1: both halves are form-encoded before they are joined.
        pair = f"{quote_plus(client)}:{quote_plus(secret.reveal())}".encode()
        headers.append(("Authorization", f"Basic {base64.b64encode(pair).decode()}"))
    else:
        form |= {"client_id": client, "client_secret": secret.reveal()}
    return HttpRequest("POST", target, tuple(headers), urlencode(form).encode())


def _life_s(expires_in: object) -> float:
    try:
        life_s = float(expires_in)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return LIFE_UNKNOWN_S
    return life_s if math.isfinite(life_s) and life_s > 0 else LIFE_UNKNOWN_S
