"""Keeping the trail: what every worker runs beside its work, so that one of them does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import asyncpg

from quaestor.audit.checkpoint import Checkpointer, CheckpointMalformed, TreeRewritten
from quaestor.audit.months import gather, look_outside, make_ahead
from quaestor.audit.sequencer import STORE_TROUBLE, Sequencer, measure_lag, wait
from quaestor.audit.tree import TreeIncomplete
from quaestor.model.refusal import Refusal, refuse
from quaestor.store.database import Database

__all__ = ["Keeper"]

_MONTHS_EVERY_S = 3600.0
# Until somebody leads, or while the store is in trouble.
_LOOK_AGAIN_S = 1.0


class Keeper:
    """Places leaves, signs checkpoints every `checkpoint_every_s`, makes next months' partitions
    and moves into them what came in before they were there.

    `on_alarm` is told what a person has to see, by name: `audit_horizon_blocked` and
    `audit_leaves_behind` once when entries begin to wait longer than `lag_limit_s`, and
    `audit_trail_altered`, `audit_checkpoint_conflict`, `audit_checkpoint_unwritable` at each try;
    `audit_outside_months` every hour.
    """

    def __init__(
        self,
        database: Database,
        checkpointer: Checkpointer,
        *,
        on_alarm: Callable[[Refusal], None],
        checkpoint_every_s: float = 600.0,
        lag_limit_s: float = 10.0,
        lag_every_s: float = 5.0,
        months_ahead: int = 3,
    ) -> None:
        self._database = database
        self._checkpointer = checkpointer
        self._on_alarm = on_alarm
        self._checkpoint_every_s = checkpoint_every_s
        self._months_ahead = months_ahead
        self._lag_limit_s = lag_limit_s
        self._lag_every_s = lag_every_s
        self.sequencer = Sequencer(database)

    async def run(self, stop: asyncio.Event) -> None:
        """Keep until `stop` is set; who led signs what there is once more at the end."""
        async with asyncio.TaskGroup() as group:
            placing = group.create_task(self.sequencer.run(stop))
            group.create_task(self._sign(stop, placing))
            group.create_task(self._watch(stop))
            group.create_task(self._keep_months(stop))

    async def _watch(self, stop: asyncio.Event) -> None:
        """Measure the lag, whoever leads, and also when nobody can."""
        was_late = False
        while not stop.is_set():
            with suppress(*STORE_TROUBLE):
                async with self._database.connection() as connection:
                    lag = await measure_lag(connection, self._lag_limit_s)
                if lag.refusal is not None and not was_late:
                    self._on_alarm(lag.refusal)
                was_late = lag.late
            await wait(stop, self._lag_every_s)

    async def _sign(self, stop: asyncio.Event, placing: asyncio.Task[None]) -> None:
        led = False
        while not stop.is_set():
            signed = self.sequencer.leading and await self._publish()
            led = led or self.sequencer.leading
            await wait(stop, self._checkpoint_every_s if signed else _LOOK_AGAIN_S)
        await placing
        if led:
            await self._publish()

    async def _publish(self) -> bool:
        """Whether the store was well enough to try."""
        try:
            async with self._database.connection() as connection:
                published = await self._checkpointer.publish(connection)
        except (TreeRewritten, TreeIncomplete, CheckpointMalformed) as error:
            self._on_alarm(refuse("audit_trail_altered", reason=str(error)))
            return True
        except STORE_TROUBLE:
            return False
        for failure in published.failures:
            self._on_alarm(refuse(failure.code, reason=str(failure)))
        return True

    async def _keep_months(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            made = False
            with suppress(*STORE_TROUBLE):
                async with self._database.transaction() as connection:
                    await make_ahead(connection, self._months_ahead)
                made = True
                await self._gather()
            await wait(stop, _MONTHS_EVERY_S if made else _LOOK_AGAIN_S)

    async def _gather(self) -> None:
        """Move what stands in no month; what cannot be moved now is told."""
        # Mostly that somebody reads the trail: it is tried again at the next look.
        with suppress(asyncpg.PostgresError):
            async with self._database.transaction() as connection:
                await gather(connection)
        async with self._database.connection() as connection:
            outside = await look_outside(connection)
        if outside.refusal is not None:
            self._on_alarm(outside.refusal)
