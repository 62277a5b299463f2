"""The gate: nothing is claimed, decided or sent in a database that is not the accepted one (D3).

Upkeep reads every second what was accepted, so a recovery counts at once, also for workers that
run. In between every transaction asks about its own connection: a worker that was connected
anew after a failover finds the gate closed before its first claim there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from quaestor.store import Connection
from quaestor.store.epoch import (
    AcceptedEpoch,
    EpochChanged,
    EpochError,
    read_epoch,
    require_same_epoch,
)

__all__ = ["EpochGate"]

_SESSION_KEY = "epoch"


@dataclass
class EpochGate:
    """The gate of one worker, closed at first. `trouble` says why it is closed."""

    accepted: AcceptedEpoch | None = None
    trouble: str = "The epoch was not read yet."

    @property
    def is_open(self) -> bool:
        """Whether work may go on."""
        return self.accepted is not None

    @property
    def find_first_before(self) -> datetime | None:
        """Until when somebody may have sent what is unknown here; `None` if nothing was lost."""
        recovered = self.lost_since is not None
        return self.accepted.accepted_at if self.accepted is not None and recovered else None

    @property
    def lost_since(self) -> datetime | None:
        """The recovery point: what was recorded before it is known here."""
        return self.accepted.recovery_point if self.accepted is not None else None

    async def look(self, connection: Connection) -> bool:
        """Open where the server is the accepted one, else close; true where that is news."""
        before = (self.is_open, self.trouble)
        try:
            self.accepted, self.trouble = await require_same_epoch(connection), ""
        except EpochError as error:
            self._close(str(error))
        return before != (self.is_open, self.trouble)

    async def require(self, connection: Connection) -> None:
        """Raise `EpochChanged` unless the gate is open and this connection leads where it did.

        A server keeps its epoch for as long as a session lasts, so each one is asked once.
        """
        if self.accepted is None:
            raise EpochChanged(self.trouble)
        session = connection.session
        if _SESSION_KEY not in session:
            session[_SESSION_KEY] = await read_epoch(connection)
        if session[_SESSION_KEY] != self.accepted.epoch:
            changed = EpochChanged(f"It was {self.accepted.epoch} and is {session[_SESSION_KEY]}.")
            self._close(str(changed))
            raise changed

    def _close(self, trouble: str) -> None:
        self.accepted, self.trouble = None, trouble
