"""The engine: one worker. Claims what is due, makes the calls, has the outcomes committed.

Three loops share one event loop: claiming, committing outcomes, and upkeep (heartbeat, documents
of dead workers, waits that are too long, the epoch). Every call runs in a task of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from quaestor.observability.meters import Meters
from quaestor.runtime.advancing import Advance, Batch
from quaestor.runtime.case import Case
from quaestor.runtime.crash import no_crash
from quaestor.runtime.dispatch import Dispatch
from quaestor.runtime.lanes import NO_SYSTEM
from quaestor.runtime.outcomes import OutcomeWriter
from quaestor.runtime.reconciling import Reconciler
from quaestor.runtime.sending import Call, make_call
from quaestor.runtime.upkeep import Upkeep
from quaestor.store import Connection, Database, StorageUnavailable, is_storage_trouble

__all__ = ["Engine", "EngineOptions"]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class EngineOptions:
    """Limits of one worker. Times in seconds.

    `batch_max` documents per claim that need no slot yet. With `unrecorded_max` answers that wait
    for their commit nothing more is claimed; calls under way do not count, as each has a slot of
    its system, and a slow one holds up no other. A claim that found nothing is followed by the
    next after `idle_min_s`, doubling up to `idle_max_s`. `shutdown_s` is what a stop may take for
    calls under way to come back.
    """

    batch_max: int = 80
    unrecorded_max: int = 400
    idle_min_s: float = 0.005
    idle_max_s: float = 0.25
    shutdown_s: float = 10.0


@dataclass
class Engine:
    """One worker process's engine. `run` returns after `stop`."""

    database: Database
    dispatch: Dispatch
    advance: Advance
    upkeep: Upkeep
    options: EngineOptions = field(default_factory=EngineOptions)
    at: Callable[[str], None] = no_crash
    meters: Meters = field(default_factory=Meters)

    def __post_init__(self) -> None:
        self.outcomes = OutcomeWriter(
            self.database, self.advance, self._launch, self._finished, self.at, self.meters
        )
        self.reconciler = Reconciler(
            self.database, self.dispatch, self.advance.links, self.advance.reconcile_every_s
        )
        self._saw_dead = False
        self._found = False
        self._in_flight: set[int] = set()
        self._calls: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._nudged = asyncio.Event()

    # --- life -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until `stop` is called; then let calls under way come back and be recorded."""
        await self.upkeep.begin(self.advance.gate)
        loops = [
            asyncio.create_task(self._guard(self.outcomes.run), name="outcomes"),
            asyncio.create_task(self._guard(self._upkeep_loop), name="upkeep"),
        ]
        try:
            await self._claim_loop()
            await self._drain()
        finally:
            for loop in loops:
                loop.cancel()
            for call in self._calls:
                call.cancel()
            await asyncio.gather(*loops, *self._calls, return_exceptions=True)
            await self.upkeep.end()

    def stop(self) -> None:
        """Claim nothing more; `run` returns when what is under way has come back."""
        self._stopping.set()
        self._nudged.set()

    async def _guard(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await loop()
            except Exception as error:  # noqa: BLE001 - see the next line
                # A loop that dies would leave the worker half alive: it is begun again, loudly.
                if is_storage_trouble(error):
                    _log.warning("storage_unavailable", reason=type(error).__name__)
                else:
                    _log.exception("loop_failed", loop=loop.__qualname__)
                await asyncio.sleep(self.options.idle_max_s)

    async def _drain(self) -> None:
        """A document on the wire at the end is not lost: its lease ends, and it is looked for."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.options.shutdown_s):
                # What comes back may have been followed by the next send of the same document.
                while self._calls or not self.outcomes.is_idle:
                    if self._calls:
                        await asyncio.wait(self._calls)
                    await self.outcomes.idle()

    # --- claiming -------------------------------------------------------------------------------

    async def _claim_loop(self) -> None:
        idle_s = self.options.idle_min_s
        while not self._stopping.is_set():
            taken = 0
            try:
                if self.advance.gate.is_open and self._room() > 0:
                    taken = await self._claim()
            except Exception as error:  # noqa: BLE001 - the documents own it, not the worker
                if is_storage_trouble(error):
                    _log.warning("storage_unavailable", reason=type(error).__name__)
                else:
                    _log.exception("claim_failed")
                idle_s = self.options.idle_max_s
            idle_s = self.options.idle_min_s if taken else min(self.options.idle_max_s, idle_s * 2)
            if not taken:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._nudged.wait(), idle_s)
                self._nudged.clear()

    async def _claim(self) -> int:
        """One claim: locks, reads, decides, saves; the calls begin once it is committed.

        After one that found nothing, a look says first whether the next is worth its transaction.
        """
        lanes = self._shares(time.monotonic())
        count = 0
        if self._found or await self._is_any_due(lanes):
            count = await self._claim_some(lanes, suspects=False)
        if self.upkeep.suspects:
            count += await self._claim_some(lanes, suspects=True)
        self._found = count > 0
        return count

    async def _is_any_due(self, lanes: Mapping[str, int]) -> bool:
        return await self.dispatch.is_any_due(
            self.database,
            lanes,
            woken_max=self.options.batch_max,
            in_flight=sorted(self._in_flight),
        )

    async def _claim_some(self, lanes: Mapping[str, int], *, suspects: bool) -> int:
        claimed_monotonic = time.monotonic()
        free = self.advance.lanes.free_slots(claimed_monotonic)
        batches: list[Batch] = []

        async def work(connection: Connection) -> list[Case]:
            while batches:
                self.advance.give_back(batches.pop())
            claimed = await self.dispatch.claim(
                connection,
                lanes,
                woken_max=self.options.batch_max,
                in_flight=sorted(self._in_flight),
                suspects=suspects,
            )
            # Written outside of this transaction: if a stage kills the process, it stays.
            left = await self.upkeep.declare([each.document_id for each in claimed])
            if left:
                self._saw_dead = True
                claimed = [each for each in claimed if each.document_id not in left]
                await self.upkeep.declare([each.document_id for each in claimed])
            if not claimed:
                return []
            cases = await self.dispatch.load(connection, claimed)
            if not suspects:
                self.advance.lanes.saw_work(case.lane for case in cases)
            batch = Batch(cases, claimed[0].now, claimed_monotonic, dict(free))
            batches.append(batch)
            kept = await self.advance.run(connection, batch)
            if any(call.attempts for call in batch.calls):
                self.at("before_intent")
            return kept

        try:
            kept = await self.database.run(work)
        except BaseException as error:
            failed = [case.document.id for batch in batches for case in batch.cases]
            while batches:
                self.advance.give_back(batches.pop())
            if failed and isinstance(error, Exception) and not is_storage_trouble(error):
                # One of them cannot be saved. Each is claimed alone from now on, so that it
                # does not hold up the others, and is parked when it fails alone.
                await self.upkeep.suspect(failed)
            if isinstance(error, Exception):
                with suppress(StorageUnavailable):
                    await self.upkeep.declare([])
            raise
        if self._saw_dead:
            self._saw_dead = False
            await self.upkeep.bury_the_dead()
        if not batches:
            return 0
        if any(call.attempts for call in batches[-1].calls):
            self.at("after_intent")
        self._launch(batches[-1].calls, claimed_monotonic)
        self.meters.claims.add(time.monotonic() - claimed_monotonic, len(kept))
        self.meters.saved(case.outcome for case in kept)
        await self.upkeep.declare([])
        return len(kept)

    def _shares(self, now: float) -> dict[str, int]:
        room = max(1, min(self.options.batch_max, self._room()))
        lanes = self.advance.lanes.shares(now, room=room)
        # What has no lane that we know is seen all the same: it is refused by name.
        lanes[NO_SYSTEM] = room
        return lanes

    def _room(self) -> int:
        """How many more answers may wait for their commit."""
        return self.options.unrecorded_max - len(self._in_flight) + self.advance.lanes.taken()

    # --- calling --------------------------------------------------------------------------------

    def _launch(self, calls: Sequence[Call], claimed_monotonic: float) -> None:
        for call in calls:
            self._in_flight.add(call.case.document.id)
            task = asyncio.create_task(self._call(call, claimed_monotonic))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    async def _call(self, call: Call, claimed_monotonic: float) -> None:
        outcome = await make_call(call, claimed_monotonic, self.at)
        self.meters.called(call.link.name, call.kind, outcome.answer, outcome.elapsed_ms / 1000)
        self.outcomes.put(outcome)

    def _finished(self, cases: Sequence[Case]) -> None:
        """These documents are on the wire no more; their next step may be due at once."""
        for case in cases:
            self._in_flight.discard(case.document.id)
        self._nudged.set()

    # --- upkeep ---------------------------------------------------------------------------------

    async def _upkeep_loop(self) -> None:
        while True:
            await self.upkeep.once(self.advance)
            if self.advance.gate.is_open:
                await self.reconciler.once(self.advance)
            await asyncio.sleep(self.upkeep.every_s)
