"""What every system's table `[systems.NAME]` in quaestor.toml may say."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from quaestor.connectors.kit.auth import (
    Auth,
    BasicAuth,
    BearerAuth,
    ClientCredentialsAuth,
    NoAuth,
    TokenProvider,
)
from quaestor.connectors.kit.oauth import OAuthRules, grant_from
from quaestor.connectors.kit.pace import Pace
from quaestor.connectors.kit.webhooks import WebhookConfig
from quaestor.connectors.kit.wires.http import HttpWire
from quaestor.security.secrets import Resolve, Secret, is_reference

__all__ = [
    "AuthConfig",
    "BasicConfig",
    "BearerConfig",
    "ClientConfig",
    "NoAuthConfig",
    "SystemConfig",
    "TlsConfig",
    "auth_of",
    "http_wire",
]


_Positive = Annotated[float, msgspec.Meta(gt=0)]


class NoAuthConfig(msgspec.Struct, frozen=True, tag="none", tag_field="kind"):
    """The system asks for no credentials."""


class BasicConfig(msgspec.Struct, frozen=True, tag="basic", tag_field="kind"):
    """User and password. Both may be references; the password must be one."""

    user: str
    password: str


class BearerConfig(msgspec.Struct, frozen=True, tag="bearer", tag_field="kind"):
    """A long-lived access token, by reference."""

    token: str


class ClientConfig(msgspec.Struct, frozen=True, tag="oauth2", tag_field="kind"):
    """A client of the system's own OAuth 2.0 server. Both may be references; the secret must be.

    They are read when a token is asked for, so that a rotated secret needs no restart.
    """

    client_id: str
    client_secret: str


AuthConfig = NoAuthConfig | BasicConfig | BearerConfig | ClientConfig


class TlsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Paths of PEM files: who signs the system's certificate, and our own certificate and key.

    The system's certificate is always verified (fault F26).
    """

    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None

    def context(self) -> ssl.SSLContext:
        """The client's context. Raises `OSError` where a file cannot be read."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.certificate_file is not None:
            context.load_cert_chain(self.certificate_file, self.key_file)
        return context


class SystemConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part that all systems share. Times in seconds.

    `slots` is how many sends may be under way at a time. `settle_s` and `resend` stand in the
    installation's manifest (DESIGN D3); `total_timeout_s` bounds each request. At most
    `requests_per_s` are sent in the long run, `burst` at once: the vendor's limit, divided by the
    number of workers. Its streams are asked every `pull_every_s`. `oauth` says how access tokens
    are given. Without `sends` the system is only read: nothing is ever sent to it. So it is in
    mode `observe`, which shows what would have been sent, and marks nothing there as taken.
    `webhook` says how its own posts to us authenticate; without it none is taken.

    `system` is the table's own NAME, and `logins` has the login there of each person of our
    directory: both are given by the loader and not written into the table.
    """

    system: str = ""
    logins: Mapping[str, str] = {}
    connector: str
    base_url: str
    auth: AuthConfig = NoAuthConfig()
    tls: TlsConfig | None = None
    slots: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 8
    total_timeout_s: _Positive = 30.0
    connect_timeout_s: _Positive = 5.0
    settle_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    resend: Literal["allowed", "never"] = "allowed"
    requests_per_s: _Positive | None = None
    burst: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    pull_every_s: Annotated[float, msgspec.Meta(ge=0.1, le=86_400)] = 5.0
    oauth: OAuthRules = OAuthRules()
    sends: bool = True
    mode: Literal["live", "observe"] = "live"
    webhook: WebhookConfig | None = None


def auth_of(config: SystemConfig, resolve: Resolve) -> Auth:
    """The strategy with its secrets resolved, or to be resolved when they are needed."""
    match config.auth:
        case BasicConfig(user, password):
            return BasicAuth(_plain(resolve, user), resolve(password))
        case BearerConfig(token):
            return BearerAuth(_constant(resolve, token))
        case ClientConfig(client_id, client_secret):
            return _client(config, resolve, client_id, client_secret)
        case NoAuthConfig():
            return NoAuth()


def http_wire(config: SystemConfig, resolve: Resolve) -> HttpWire:
    """The wire that this table describes."""
    rate = config.requests_per_s
    return HttpWire(
        config.base_url,
        auth=auth_of(config, resolve),
        slots=config.slots,
        total_timeout_s=config.total_timeout_s,
        connect_timeout_s=config.connect_timeout_s,
        tls=config.tls.context() if config.tls is not None else None,
        pace=Pace(rate, config.burst) if rate is not None else None,
    )


def _client(
    config: SystemConfig, resolve: Resolve, client_id: str, client_secret: str
) -> ClientCredentialsAuth:
    def open_wire(origin: str) -> HttpWire:
        return HttpWire(
            origin,
            total_timeout_s=config.total_timeout_s,
            connect_timeout_s=config.connect_timeout_s,
            tls=config.tls.context() if config.tls is not None else None,
        )

    def secret() -> Secret:
        return resolve(client_secret)

    grant = grant_from(
        open_wire, config.base_url, config.oauth, lambda: _plain(resolve, client_id), secret
    )
    return ClientCredentialsAuth(grant, secret, gap_s=config.oauth.gap_s)


def _plain(resolve: Resolve, text: str) -> str:
    return resolve(text).reveal() if is_reference(text) else text


def _constant(resolve: Resolve, reference: str) -> TokenProvider:
    held = resolve(reference)

    async def token(renew: bool) -> Secret:
        nonlocal held
        if renew:
            # A secret that was rotated since is picked up without a restart.
            held = resolve(reference)
        return held

    return token
