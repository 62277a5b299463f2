"""How runtime and connector conduct themselves: the seam where a test plants a mistake.

`Conduct` is the shipped posting core, and a connector that translates as DESIGN §4 says. The
simulation reaches the core through it alone, so a subclass with one method changed is the whole
system with one mistake in it.
"""

from __future__ import annotations

from datetime import datetime

from quaestor.connectors.kit.contract import Ambiguous, Found, NotKnown, Submitted
from quaestor.runtime import posting
from quaestor.runtime.posting import Intent, Limits, Move

__all__ = ["Conduct"]


class Conduct:
    """The right way."""

    records_before_sending = True

    def next_move(self, intent: Intent, now: datetime, limits: Limits) -> Move:
        return posting.next_move(intent, now, limits)

    def begin_send(self, intent: Intent, now: datetime, lease_until: datetime) -> Intent:
        return posting.begin_send(intent, now, lease_until)

    def send_answered(
        self, intent: Intent, now: datetime, answer: Submitted | NotKnown, last_byte_by: datetime
    ) -> Intent:
        return posting.send_answered(intent, now, answer, last_byte_by)

    def send_lost(self, intent: Intent, lease_until: datetime) -> Intent:
        return posting.send_lost(intent, lease_until)

    def looked(
        self, intent: Intent, started_at: datetime, now: datetime, found: Found | NotKnown
    ) -> Intent:
        return posting.looked(intent, started_at, now, found)

    def withdraw(self, intent: Intent, now: datetime) -> Intent:
        return posting.withdraw(intent, now)

    def bad_gateway(self) -> Submitted | NotKnown:
        """What the connector makes of a 502: a proxy spoke, not the application."""
        return Ambiguous("502 from a proxy", system=True)

    def answered(self, answer: Submitted | NotKnown) -> Submitted | NotKnown:
        """What the connector makes of the application's own answer to a create."""
        return answer
