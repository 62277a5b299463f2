"""Pulling: ask systems for what changed, take each item in once, keep what is not understood.

Asking with a cursor acknowledges everything before it (DESIGN §4). So a cursor is stored in the
transaction that took its items in, and the system is asked with it only afterwards: what was
delivered and not recorded is delivered again.

A pull is a call like any other: it has a deadline, takes a slot of its system, and opens or closes
its circuit. What the system asked for with `Retry-After` is obeyed, by the stream's own `due_at`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec
import structlog
from msgspec.structs import replace

from quaestor.connectors.kit.attempt import Attempt, Exchange, open_attempt
from quaestor.connectors.kit.contract import (
    DEADLINE_PASSED,
    Ambiguous,
    Delivered,
    NotKnown,
    Page,
    Pulls,
    Transient,
)
from quaestor.flows.kit.flow import Flow
from quaestor.model.event import Event
from quaestor.model.refusal import Refusal
from quaestor.model.replica import PersonRow, ReplicaRow, SupplierRow
from quaestor.runtime.lanes import Lanes
from quaestor.runtime.receiving import Inbound, take_in, tell_document
from quaestor.runtime.recording import Recorder
from quaestor.runtime.replicating import begin_reading, take_in_rows
from quaestor.store import Connection, Database, is_storage_trouble

__all__ = ["ForDocument", "NotUnderstood", "Puller", "Stream", "Translated"]

T = TypeVar("T")

_BEGIN = """
insert into quaestor.stream (system, name, due_at) values ($1, $2, quaestor.clock())
on conflict (system, name) do nothing
"""
_DUE = """
select system, name from quaestor.stream
where due_at <= quaestor.clock() and lease_until < quaestor.clock()
"""
_CLAIM = """
update quaestor.stream
set lease_until = quaestor.clock() + $3::interval, fence = fence + 1, asked_at = quaestor.clock()
where system = $1 and name = $2 and due_at <= quaestor.clock()
  and lease_until < quaestor.clock()
returning cursor, fence, failures, asked_at
"""
_MOVE = """
update quaestor.stream
set cursor = $4, lease_until = '-infinity', answered_at = quaestor.clock(), trouble = '',
    failures = 0,
    -- A hint that came while we asked may be of something later than the answer.
    due_at = quaestor.clock() + case when hinted_at >= asked_at then '0' else $5::interval end
where system = $1 and name = $2 and fence = $3
returning true
"""
_TROUBLE = """
update quaestor.stream
set due_at = quaestor.clock() + $4::interval, lease_until = '-infinity', trouble = $5,
    failures = failures + 1
where system = $1 and name = $2 and fence = $3
"""
_ANEW = """
update quaestor.stream
set cursor = null, due_at = quaestor.clock() + $3::interval, trouble = $4, failures = $5::int + 1
where system = $1 and name = $2
"""
_REFUSED = """
insert into quaestor.inbound_refused
    (entity, system, stream, event_id, source_id, owner, code, refusals, body, received_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, quaestor.clock())
on conflict (system, stream, event_id) do update
set times = inbound_refused.times + 1, refusals = excluded.refusals, code = excluded.code,
    owner = excluded.owner, cleared_at = null
"""
_UNDERSTOOD = """
update quaestor.inbound_refused set cleared_at = quaestor.clock()
where system = $1 and stream = $2 and source_id = $3 and cleared_at is null
"""
_DOCUMENT = """
select id from quaestor.document where type = $1 and source_system = $2 and source_id = $3
"""

# A system that does not answer is asked again a little later, and later each time.
TROUBLE_PAUSE_S = 10.0
TROUBLE_PAUSE_MAX_S = 300.0
# Beyond this a `Retry-After` is taken for a mistake.
RETRY_AFTER_MAX_S = 3600.0
# Requests of one page that are told with each of its documents.
_REQUESTS_TOLD_MAX = 8
_TARGET_TOLD_CHARS = 200
# Stands for a whole reading where one is refused.
_WHOLE = "the whole list"

_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger(__name__)


class ForDocument(msgspec.Struct, frozen=True):
    """An item that is an event of a document we have."""

    document_type: str
    source_system: str
    source_id: str
    event: Event


class NotUnderstood(msgspec.Struct, frozen=True):
    """No mapping makes anything of the item; every reason at once."""

    refusals: tuple[Refusal, ...]
    entity: str = ""


Translated = Inbound | ForDocument | NotUnderstood | ReplicaRow | None


@dataclass(frozen=True)
class Stream:
    """One stream of a system. `translate` is pure; `None` says that the item concerns nobody.

    A stream with `replica` feeds the list of that kind with rows; everything is read again after
    `whole_every_s`. A first page is asked for at once, further ones every `every_s`;
    `total_timeout_s` bounds each request of it. A system that is only `observed` marks nothing as
    taken, so its place in the stream is another than in earnest: it is kept apart, and work in
    earnest begins at the beginning.
    """

    system: str
    name: str
    source: Pulls
    translate: Callable[[Delivered], Translated]
    flow: Flow | None = None
    every_s: float = 5.0
    total_timeout_s: float = 30.0
    replica: str = ""
    whole_every_s: float = 86_400.0
    observed: bool = False

    @property
    def place(self) -> str:
        """The name under which its cursor is kept."""
        return f"{self.name}, observed" if self.observed else self.name


class _Claimed(msgspec.Struct, frozen=True):
    """A stream as it was taken: with which cursor to ask, and since when."""

    cursor: str | None
    fence: int
    failures: int
    asked_at: datetime


@dataclass
class Puller:
    """Asks the streams of one deployment; any number of workers may run one each.

    `may_ask` is false while the epoch is in doubt: asking with a cursor acknowledges. `lease_s`
    bounds what asking for one page may take. `lanes` are those of the sends: slots and circuits
    of a system are shared. `chance` is from [0, 1), so that many do not come back at one instant.
    `taken` counts items taken in.
    """

    database: Database
    recorder: Recorder
    streams: Sequence[Stream]
    release: Callable[[], str]
    lanes: Lanes
    chance: Callable[[], float]
    may_ask: Callable[[], bool] = lambda: True
    lease_s: float = 60.0
    poll_s: float = 0.5
    taken: int = 0
    refused: int = 0
    _begun: set[tuple[str, str]] = field(default_factory=set)

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until stopped."""
        while not stop.is_set():
            busy = False
            for stream in await _unless_in_trouble(self._due()) or ():
                busy = await _unless_in_trouble(self.once(stream)) or busy
            if not busy:
                waiting = asyncio.create_task(stop.wait())
                await asyncio.wait([waiting], timeout=self.poll_s)
                waiting.cancel()

    async def _due(self) -> list[Stream]:
        """One look for all, as most of the time nothing is due."""
        if not self.streams or not self.may_ask():
            return []
        due = {(row["system"], row["name"]) for row in await self.database.fetch(_DUE)}
        known = self._begun - due
        return [each for each in self.streams if (each.system, each.place) not in known]

    async def once(self, stream: Stream) -> bool:
        """Ask for one page if it is time and nobody else does; true when there is more."""
        if not self.lanes.take(stream.system, time.monotonic()):
            # No slot is free, or the circuit is open and somebody else is the probe.
            return False
        try:
            claimed = await self._claim(stream)
            if claimed is None:
                return False
            answer, exchanges = await self._ask(stream, claimed.cursor)
        finally:
            self.lanes.give_back(stream.system)
        self._heard(stream, answer)
        if isinstance(answer, NotKnown):
            await self._note_trouble(stream, claimed, answer)
            return False
        if answer.items:
            _log.info(
                "stream_page",
                system=stream.system,
                stream=stream.name,
                items=len(answer.items),
                requests=[_told(one) for one in exchanges[:_REQUESTS_TOLD_MAX]],
            )
        return await self._take_in(stream, claimed, answer, exchanges)

    async def _ask(
        self, stream: Stream, cursor: str | None
    ) -> tuple[Page | NotKnown, Sequence[Exchange]]:
        """The page, or why there is none, and what went over the wire for it."""
        attempt = Attempt(
            send_before=time.monotonic() + max(1.0, self.lease_s - stream.total_timeout_s),
            total_timeout_s=stream.total_timeout_s,
        )
        try:
            with open_attempt(attempt):
                async with asyncio.timeout(self.lease_s):
                    return await stream.source.pull(stream.name, cursor), attempt.exchanges
        except NotKnown as error:
            return error, attempt.exchanges
        except TimeoutError:
            return Transient("no page in time", system=False), attempt.exchanges

    def _heard(self, stream: Stream, answer: Page | NotKnown) -> None:
        """What the answer says about the system, as for a send (DESIGN D6)."""
        circuit = self.lanes.circuit(stream.system)
        match answer:
            # Our own lateness, or a right to this stream alone that is missing: sends will tell.
            case Transient(code=code) if code in (DEADLINE_PASSED, "connector_auth_failed"):
                return
            case Transient(system=True, retry_after_s=wait_s):
                pass
            case Ambiguous(system=True):
                wait_s = None
            case NotKnown():
                return
            case _:
                if circuit.spoke():
                    _log.info("circuit_closed", system=stream.system)
                return
        reason, chance = answer.reason, self.chance()
        if circuit.trouble(time.monotonic(), reason, wait_s=wait_s, jitter=chance):
            _log.warning("circuit_opened", system=stream.system, reason=reason)

    async def _claim(self, stream: Stream) -> _Claimed | None:
        async def work(connection: Connection) -> _Claimed | None:
            if (stream.system, stream.place) not in self._begun:
                await connection.execute(_BEGIN, stream.system, stream.place)
            # A page that outlasts the lease finds its fence moved and takes nothing in.
            lease = timedelta(seconds=2 * self.lease_s)
            row = await connection.fetchrow(_CLAIM, stream.system, stream.place, lease)
            if row is None:
                return None
            cursor = row["cursor"]
            if stream.replica:
                whole = timedelta(seconds=stream.whole_every_s)
                cursor = await begin_reading(
                    connection, stream.system, stream.replica, cursor, whole
                )
            return _Claimed(cursor, row["fence"], row["failures"], row["asked_at"])

        claimed = await self.database.run(work)
        self._begun.add((stream.system, stream.place))
        return claimed

    async def _note_trouble(self, stream: Stream, claimed: _Claimed, error: NotKnown) -> None:
        asked = error.retry_after_s if isinstance(error, Transient) else None
        pause = _pause(stream, asked, claimed.failures, self.chance())
        _log.warning(
            "stream_trouble",
            system=stream.system,
            stream=stream.name,
            reason=error.reason,
            again_in_s=round(pause.total_seconds()),
        )

        async def work(connection: Connection) -> None:
            await connection.execute(
                _TROUBLE, stream.system, stream.place, claimed.fence, pause, error.reason[:300]
            )

        await self.database.run(work)

    async def _take_in(
        self, stream: Stream, claimed: _Claimed, page: Page, exchanges: Sequence[Exchange]
    ) -> bool:
        translated = [(item, stream.translate(item)) for item in page.items]
        # Of the wire the trail has the requests alone: an answer holds what is others' as well.
        facts = {"asked": "\n".join(_told(one) for one in exchanges[:_REQUESTS_TOLD_MAX])}

        async def work(connection: Connection) -> tuple[int, int] | None:
            pause = timedelta(seconds=0 if page.more else stream.every_s)
            moved = await connection.fetchval(
                _MOVE, stream.system, stream.place, claimed.fence, page.cursor, pause
            )
            if moved is None:
                return None
            refused = 0
            for item, meaning in translated:
                if isinstance(meaning, Inbound) and exchanges:
                    meaning = replace(meaning, facts={**meaning.facts, **facts})
                refused += not await self._take(connection, stream, item, meaning)
            if stream.replica:
                rows = [meaning for _, meaning in translated if isinstance(meaning, ReplicaRow)]
                refused += await self._replicate(connection, stream, claimed, rows, page)
            return len(translated) - refused, refused

        counted = await self.database.run(work)
        if counted is None:
            return False
        self.taken += counted[0]
        self.refused += counted[1]
        return page.more

    async def _replicate(
        self,
        connection: Connection,
        stream: Stream,
        claimed: _Claimed,
        rows: Sequence[ReplicaRow],
        page: Page,
    ) -> bool:
        """Stage the rows; true where the whole reading was refused, and is begun anew."""
        refusal = await take_in_rows(
            connection,
            stream.system,
            stream.replica,
            rows,
            first=claimed.cursor is None,
            last=not page.more,
            asked_at=claimed.asked_at,
        )
        if refusal is None:
            if not page.more:
                await connection.execute(_UNDERSTOOD, stream.system, stream.name, _WHOLE)
            return False
        _log.error(refusal.code, system=stream.system, kind=stream.replica, **refusal.details)
        pause = _pause(stream, None, claimed.failures + 3, self.chance())
        await connection.execute(
            _ANEW, stream.system, stream.place, pause, refusal.code, claimed.failures
        )
        whole = Delivered(_WHOLE, stream.replica, _WHOLE, claimed.asked_at, b"")
        await self._take(connection, stream, whole, NotUnderstood((refusal,)))
        return True

    async def _take(
        self, connection: Connection, stream: Stream, item: Delivered, meaning: Translated
    ) -> bool:
        match meaning:
            case None | PersonRow() | SupplierRow():
                return True
            case Inbound():
                assert stream.flow is not None
                await take_in(connection, self.recorder, stream.flow, self.release(), meaning)
                await connection.execute(_UNDERSTOOD, stream.system, stream.name, item.source_id)
                return True
            case ForDocument(document_type, source_system, source_id, event):
                document = await connection.fetchval(
                    _DOCUMENT, document_type, source_system, source_id
                )
                # An event of a document that is not ours to know: somebody works there too.
                if document is not None:
                    await tell_document(connection, document, stream.system, event)
                return True
            case NotUnderstood(refusals, entity):
                first = refusals[0]
                await connection.execute(
                    _REFUSED,
                    entity,
                    stream.system,
                    stream.name,
                    item.event_id,
                    item.source_id,
                    first.owner,
                    first.code,
                    _encode(refusals),
                    item.body,
                )
                return False


async def _unless_in_trouble(work: Awaitable[T]) -> T | None:
    """What comes of it, or nothing while the database is in trouble."""
    try:
        return await work
    except Exception as error:
        if not is_storage_trouble(error):
            raise
        _log.warning("storage_unavailable", reason=type(error).__name__)
        return None


def _pause(stream: Stream, asked_s: float | None, failures: int, chance: float) -> timedelta:
    """Until the system is asked again: as long as it says, else longer each time."""
    backoff_s = min(TROUBLE_PAUSE_MAX_S, TROUBLE_PAUSE_S * 2 ** min(failures, 10))
    pause_s = backoff_s * (0.5 + 0.5 * chance)
    if asked_s is not None:
        # Never before, and not all of us at once.
        pause_s = min(asked_s, RETRY_AFTER_MAX_S) + chance
    return timedelta(seconds=max(pause_s, stream.every_s))


def _told(exchange: Exchange) -> str:
    """One request in a line: what was asked, what was answered, how long it took."""
    heard = exchange.broke or exchange.status
    target = exchange.target[:_TARGET_TOLD_CHARS]
    return f"{exchange.method} {target} → {heard}, {exchange.elapsed_ms:.0f} ms"
