"""Whoever posts to us proves it: how a delivery authenticates, as `[systems.NAME.webhook]` says.

Sources: RFC 7617 (Basic), RFC 6750 (Bearer), RFC 6749 §4.4 (client credentials), Standard Webhooks
(`webhook-id`, `webhook-timestamp`, `webhook-signature`; the body is signed as it was sent, so a
re-written one is not good any more).
Every comparison takes the same time whether it is good or not.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from typing import Annotated

import msgspec

from quaestor.connectors.kit.contract import Delivery, Receipt
from quaestor.model.refusal import Refusal, refuse
from quaestor.security.secrets import Resolve, is_reference

__all__ = [
    "TOKEN_LIFE_S",
    "TOLERANCE_S",
    "BasicCaller",
    "BearerCaller",
    "ClientCaller",
    "HintReceiver",
    "SignedCaller",
    "WebhookConfig",
    "authenticated",
    "granted",
    "signature_of",
]

# Standard Webhooks: a delivery is of the last five minutes, or of the next by a clock that is fast.
TOLERANCE_S = 300
TOKEN_LIFE_S = 3600
_SIGNATURES_MAX = 10
_ID_LENGTH_MAX = 255

_Reference = Annotated[str, msgspec.Meta(pattern=r"^(env|file|vault):\S")]


class BasicCaller(
    msgspec.Struct, frozen=True, tag="basic", tag_field="kind", forbid_unknown_fields=True
):
    """User and password in every delivery. The user may be a reference, the password is one."""

    user: str
    password: _Reference


class BearerCaller(
    msgspec.Struct, frozen=True, tag="bearer", tag_field="kind", forbid_unknown_fields=True
):
    """A shared secret as bearer token in every delivery."""

    token: _Reference


class SignedCaller(
    msgspec.Struct, frozen=True, tag="signed", tag_field="kind", forbid_unknown_fields=True
):
    """Standard Webhooks, HMAC-SHA256. `next_secret` is as good while it takes the other's place."""

    secret: _Reference
    next_secret: _Reference | None = None


class ClientCaller(
    msgspec.Struct, frozen=True, tag="oauth2", tag_field="kind", forbid_unknown_fields=True
):
    """A client of ours: it asks for an access token with its id and secret (RFC 6749, 4.4) and
    shows that in every delivery. The id may be a reference, the secret is one.
    """

    client_id: str
    client_secret: _Reference


WebhookConfig = BasicCaller | BearerCaller | SignedCaller | ClientCaller


class HintReceiver(msgspec.Struct, frozen=True):
    """A system whose posts say that something happened, whatever they say: `streams` are asked.

    Secrets are read at each delivery, so that a rotated one needs no restart.
    """

    streams: tuple[str, ...]
    config: WebhookConfig
    resolve: Resolve

    def receive(self, delivery: Delivery) -> Receipt | Refusal:
        found = authenticated(self.config, self.resolve, delivery)
        return found if isinstance(found, Refusal) else Receipt(self.streams, event_id=found)

    def grant(self, asked: Delivery) -> Receipt | Refusal:
        return granted(self.config, self.resolve, asked)


def authenticated(config: WebhookConfig, resolve: Resolve, delivery: Delivery) -> str | Refusal:
    """The sender's id of the delivery, empty where the method has none; else why it is refused.

    Raises `SecretUnavailable`.
    """
    match config:
        case BasicCaller(user, password):
            plain = resolve(user).reveal() if is_reference(user) else user
            wanted = f"{plain}:{resolve(password).reveal()}".encode()
            return _same_credentials("basic", wanted, delivery)
        case BearerCaller(token):
            return _same_credentials("bearer", resolve(token).reveal().encode(), delivery)
        case ClientCaller():
            return _token_holds(_client(config, resolve), delivery)
        case SignedCaller(secret, next_secret):
            references = [secret] if next_secret is None else [secret, next_secret]
            return _signed([resolve(one).reveal() for one in references], delivery)


def granted(config: WebhookConfig, resolve: Resolve, asked: Delivery) -> Receipt | Refusal:
    """An access token of an hour for who proves to be the client; `webhook_unknown` where the
    method has no tokens. Nothing is kept: the token says until when it holds, and is signed.

    Raises `SecretUnavailable`.
    """
    if not isinstance(config, ClientCaller):
        return refuse("webhook_unknown")
    client = _client(config, resolve)
    refused = _same_credentials("basic", client, asked)
    if isinstance(refused, Refusal):
        return refused
    ends_at = int(asked.received_at.timestamp()) + TOKEN_LIFE_S
    told = {
        "access_token": f"{ends_at}.{_token_mac(client, str(ends_at))}",
        "token_type": "bearer",
        "expires_in": TOKEN_LIFE_S,
    }
    return Receipt(body=msgspec.json.encode(told))


def signature_of(secret: str, identity: str, timestamp: str, body: bytes) -> bytes:
    """The raw signature of a delivery. `secret` is base64, with or without `whsec_`.

    Raises `ValueError` for what is no base64.
    """
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    return hmac.digest(key, f"{identity}.{timestamp}.".encode() + body, "sha256")


def _same_credentials(scheme: str, wanted: bytes, delivery: Delivery) -> str | Refusal:
    said, _, given = delivery.headers.get("authorization", "").partition(" ")
    raw = given.strip().encode()
    if scheme == "basic":
        # Coupa writes the url-safe alphabet, everybody else the other one.
        padded = raw.translate(bytes.maketrans(b"-_", b"+/")) + b"=" * (-len(raw) % 4)
        try:
            raw = base64.b64decode(padded, validate=True)
        except binascii.Error:
            raw = b""
    good = hmac.compare_digest(raw, wanted)
    return "" if good and said.lower() == scheme else refuse("signature_invalid")


def _client(config: ClientCaller, resolve: Resolve) -> bytes:
    known = config.client_id
    plain = resolve(known).reveal() if is_reference(known) else known
    return f"{plain}:{resolve(config.client_secret).reveal()}".encode()


def _token_mac(client: bytes, ends_at: str) -> str:
    mac = hmac.digest(client, b"quaestor/webhook/token/" + ends_at.encode(), "sha256")
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")


def _token_holds(client: bytes, delivery: Delivery) -> str | Refusal:
    said, _, token = delivery.headers.get("authorization", "").partition(" ")
    ends_at, _, mac = token.strip().partition(".")
    good = hmac.compare_digest(mac.encode(), _token_mac(client, ends_at).encode())
    if not good or said.lower() != "bearer":
        return refuse("signature_invalid")
    # Signed by us, so it is a number; a client whose token ran out asks for another.
    late = delivery.received_at.timestamp() >= int(ends_at)
    return refuse("signature_invalid") if late else ""


def _signed(secrets: Sequence[str], delivery: Delivery) -> str | Refusal:
    headers = delivery.headers
    identity = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not 0 < len(identity) <= _ID_LENGTH_MAX or not identity.isascii():
        return refuse("signature_invalid")
    try:
        wanted = [signature_of(secret, identity, timestamp, delivery.body) for secret in secrets]
    except (ValueError, binascii.Error):
        # Our own secret is not what the method asks for: nobody can sign with it.
        return refuse("signature_invalid")
    given = headers.get("webhook-signature", "").split()[:_SIGNATURES_MAX]
    # Each is compared with each, also after one was good (N69).
    good = [hmac.compare_digest(_raw(one), each) for one in given for each in wanted]
    if not any(good):
        return refuse("signature_invalid")
    # Only what is signed is believed, so the time comes after the signature.
    plain = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12
    if not plain or abs(delivery.received_at.timestamp() - int(timestamp)) > TOLERANCE_S:
        return refuse("timestamp_out_of_range")
    return identity


def _raw(signature: str) -> bytes:
    version, _, text = signature.partition(",")
    try:
        return base64.b64decode(text, validate=True) if version == "v1" else b""
    except (ValueError, binascii.Error):
        return b""
