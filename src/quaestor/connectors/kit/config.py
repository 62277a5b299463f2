"""What every system's table `[systems.NAME]` in quaestor.toml may say."""

from __future__ import annotations

import ssl
from typing import Annotated, Literal

import msgspec

from quaestor.connectors.kit.auth import Auth, BasicAuth, BearerAuth, NoAuth, TokenProvider
from quaestor.connectors.kit.wires.http import HttpWire
from quaestor.security.secrets import Resolve, Secret, is_reference

__all__ = [
    "AuthConfig",
    "BasicConfig",
    "BearerConfig",
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


AuthConfig = NoAuthConfig | BasicConfig | BearerConfig


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
    installation's manifest (DESIGN D3); `total_timeout_s` bounds each request.
    """

    connector: str
    base_url: str
    auth: AuthConfig = NoAuthConfig()
    tls: TlsConfig | None = None
    slots: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 8
    total_timeout_s: _Positive = 30.0
    connect_timeout_s: _Positive = 5.0
    settle_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    resend: Literal["allowed", "never"] = "allowed"


def auth_of(config: AuthConfig, resolve: Resolve) -> Auth:
    """The strategy with its secrets resolved."""
    match config:
        case BasicConfig(user, password):
            return BasicAuth(
                resolve(user).reveal() if is_reference(user) else user, resolve(password)
            )
        case BearerConfig(token):
            return BearerAuth(_constant(resolve, token))
        case NoAuthConfig():
            return NoAuth()


def http_wire(config: SystemConfig, resolve: Resolve) -> HttpWire:
    """The wire that this table describes."""
    return HttpWire(
        config.base_url,
        auth=auth_of(config.auth, resolve),
        slots=config.slots,
        total_timeout_s=config.total_timeout_s,
        connect_timeout_s=config.connect_timeout_s,
        tls=config.tls.context() if config.tls is not None else None,
    )


def _constant(resolve: Resolve, reference: str) -> TokenProvider:
    held = resolve(reference)

    async def token(renew: bool) -> Secret:
        nonlocal held
        if renew:
            # A secret that was rotated since is picked up without a restart.
            held = resolve(reference)
        return held

    return token
