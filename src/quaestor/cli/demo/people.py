"""What people do in the demo: where they work, by the control ports of the simulators.

The requester sends a requisition on in Coupa. In Workday its manager and finance decide by
themselves after a moment, as the project's routing says; while they are `held` they wait until
the story wants them to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from quaestor.cli.demo.facts import System
from quaestor.settings import SystemSettings

__all__ = ["People"]

_SENT_ON = {"status": "approved"}


class People:
    """The people of the example, in its Coupa and its Workday."""

    def __init__(self, coupa: System, workday: System, settings: SystemSettings) -> None:
        self._coupa = coupa
        self._workday = workday
        self._routing: dict[str, Any] = dict(settings.simulator.own.get("routing", {}))

    async def send_on(self, number: str) -> None:
        """The requisition is complete: from now on Coupa shows it to us."""
        await self._coupa.edit(number, _SENT_ON)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """What is handed to Workday meanwhile is decided only by `decide`."""
        steps = [{**step, "after_ms": None} for step in self._routing.get("steps", ())]
        await self._workday.edit("routing", {"steps": steps})
        try:
            yield
        finally:
            await self._workday.edit("routing", self._routing)

    async def decide(self, reference: str) -> None:
        """Everybody whom the requisition of this reference awaits approves it, one by one."""
        while awaited := (await self._workday.documents(reference))[0]["awaiting"]:
            act = {"by": awaited[0], "do": "approve", "comment": "Needed for the team."}
            await self._workday.edit(reference, {"act": act})
