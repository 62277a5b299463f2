"""What the console is given by the composition root. Values and a database, no project folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from quaestor.security.identity import TrustedIssuer
from quaestor.store import Database

__all__ = ["ActionFacts", "ConsoleLimits", "ConsoleServices", "SystemFacts"]


class ActionFacts(msgspec.Struct, frozen=True):
    """What a system promises when one action reaches it twice, as this installation has it."""

    action: str
    guarantee: str
    settle_s: float
    resend: str


class SystemFacts(msgspec.Struct, frozen=True):
    """One system of the project: what it is, what is sent there, pulled from it, asked of it.

    Nothing is sent to one that is `observed`.
    """

    name: str
    title: str
    simulated: bool = False
    observed: bool = False
    actions: tuple[ActionFacts, ...] = ()
    streams: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()


class ConsoleLimits(msgspec.Struct, frozen=True):
    """What the console takes at once, how long a session lasts, how much a page shows.

    The worklist adds up amounts of `summed_max` documents and tells `causes_rows_max` of them
    apart by cause.
    """

    at_once_max: int = 32
    bad_tokens_per_minute_max: int = 30
    session_max_s: int = 12 * 3600
    steps_per_page: int = 200
    rows_per_page: int = 50
    wire_chars_per_page: int = 96_000
    causes_rows_max: int = 50_000
    summed_max: int = 2_000


@dataclass(frozen=True)
class ConsoleServices:
    """One console's view of a deployment.

    `database` works as the role `quaestor_gateway`. `session_key` (32 bytes) seals sessions; every
    gateway of the deployment has the same. `zones` has the time zone of each legal entity.
    """

    database: Database
    deployment: str
    environment: str
    trusted: tuple[TrustedIssuer, ...]
    session_key: bytes
    systems: tuple[SystemFacts, ...] = ()
    zones: Mapping[str, str] = field(default_factory=dict)
    limits: ConsoleLimits = field(default_factory=ConsoleLimits)
