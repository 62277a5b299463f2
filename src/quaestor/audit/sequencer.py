"""The sequencer gives each committed entry its leaf: gap-free, in commit-safe order, once.

Entries become visible out of order: a transaction that began early may commit late. So only
entries below the *horizon* are placed, the oldest transaction that is still running. Below it
nothing can appear any more, and a reader that keeps the last leaf it saw misses nothing.

One sequencer works at a time: it holds an advisory lock on a connection of its own, and a fence
that its successor raises. The lock keeps two from working; should it be lost unnoticed, the fence
keeps the first one from writing.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import asyncpg
import msgspec

from quaestor.audit.tree import TreeIncomplete, store_nodes
from quaestor.model.refusal import Refusal, refuse
from quaestor.store.database import Database
from quaestor.store.errors import StoreError

__all__ = [
    "LAG_ENTRIES_MAX",
    "STORE_TROUBLE",
    "Blocker",
    "HorizonLag",
    "Placed",
    "Sequencer",
    "SequencerFenced",
    "measure_lag",
    "wait",
]

# Any number will do that nobody else locks in this database.
_LOCK = 0x5175_6C66
_TAKE_LOCK = "select pg_try_advisory_lock($1)"
_RAISE_FENCE = "update quaestor.audit_sequencer set fence = fence + 1 returning fence"
_IDENTIFIER = "select system_identifier::text from pg_control_system()"
_STATE = """
select next_leaf, last_txid::text as last_txid, last_id, system_identifier,
       exists (select from quaestor.audit_epoch) as inherited
from quaestor.audit_sequencer where fence = $1 for update
"""
# Asked before any lock is taken, so that an idle sequencer costs no transaction id.
_ANYTHING_TO_DO = """
select system_identifier <> (select system_identifier::text from pg_control_system())
    or exists (
        select from quaestor.audit a
        where (a.txid, a.id) > ((select last_txid from quaestor.audit_sequencer),
                                (select last_id from quaestor.audit_sequencer))
          and a.txid < (select pg_snapshot_xmin(pg_current_snapshot())))
from quaestor.audit_sequencer
"""
_PLACE_ALL = """
with scanned as materialized (
    select a.txid, a.id, a.at, a.commitment from quaestor.audit a
    where (a.txid, a.id) > ($1::text::xid8, $2::bigint)
      and a.txid < (select pg_snapshot_xmin(pg_current_snapshot()))
    order by a.txid, a.id limit $3
), unplaced as (
    select s.*, row_number() over (order by s.txid, s.id) as place from scanned s
), placed as (
    insert into quaestor.audit_leaf (leaf, audit_id, at, leaf_hash)
    select $4 + place - 1, id, at, sha256('\\x0001'::bytea || int8send(id) || commitment)
    from unplaced
    returning leaf
)
select (select count(*) from placed) as placed, count(*) over () as scanned,
       s.txid::text as last_txid, s.id as last_id
from scanned s order by s.txid desc, s.id desc limit 1
"""
# What a dump brought along was placed when this cluster was new; its transaction ids mean nothing
# here. Hence the look at the leaves, which only a trail that was ever inherited needs.
_PLACE_UNPLACED = _PLACE_ALL.replace(
    "from scanned s\n)",
    """from scanned s
    where not exists (select from quaestor.audit_leaf l where l.audit_id = s.id)
)""",
)
_INHERIT = """
insert into quaestor.audit_leaf (leaf, audit_id, at, leaf_hash)
select $1 + row_number() over (order by a.txid, a.id) - 1, a.id, a.at,
       sha256('\\x0001'::bytea || int8send(a.id) || a.commitment)
from quaestor.audit a
where not exists (select from quaestor.audit_leaf l where l.audit_id = a.id)
"""
_BEGIN_EPOCH = """
insert into quaestor.audit_epoch (first_leaf, system_identifier, began_at)
values ($1, $2, quaestor.clock()) on conflict do nothing
"""
_ADVANCE = """
update quaestor.audit_sequencer
set next_leaf = $2, last_txid = $3::text::xid8, last_id = $4, system_identifier = $5
where fence = $1
"""
_WAITING = """
select count(*) as entries,
       coalesce(bool_or(txid < pg_snapshot_xmin(pg_current_snapshot())), false) as placeable,
       coalesce(extract(epoch from quaestor.clock() - min(at)), 0)::float8 as waiting_s
from (select a.txid, a.at from quaestor.audit a
      where (a.txid, a.id) > ((select last_txid from quaestor.audit_sequencer),
                              (select last_id from quaestor.audit_sequencer))
      order by a.txid, a.id limit $1) as waiting
"""
_BLOCKER = """
select l.pid, coalesce(a.application_name, '') as application,
       coalesce(a.datname, p.database, '') as database, coalesce(p.gid, '') as prepared,
       extract(epoch from clock_timestamp() - coalesce(a.xact_start, p.prepared))::float8 as age_s
from pg_locks l
left join pg_stat_activity a on a.pid = l.pid
left join pg_prepared_xacts p on p.transaction = l.transactionid
where l.locktype = 'transactionid' and l.granted and l.mode = 'ExclusiveLock'
  and l.pid is distinct from pg_backend_pid()
order by age(l.transactionid) desc limit 1
"""

LAG_ENTRIES_MAX = 10_000

# What a store in trouble raises. A connection that the server ends at an unlucky moment fails as
# an error of the client.
STORE_TROUBLE = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    StoreError,
    OSError,
    TimeoutError,
)


class SequencerFenced(Exception):
    """Another sequencer has taken over; this one has written nothing since."""


class Blocker(msgspec.Struct, frozen=True):
    """The oldest running transaction: which session, of which database, for how long.

    `age_s` is None where the server does not let us look. `prepared` names a transaction left by
    a two-phase commit; it has no session (`pid` is None).
    """

    pid: int | None
    application: str
    database: str
    age_s: float | None
    prepared: str = ""


class HorizonLag(msgspec.Struct, frozen=True):
    """How far the leaves are behind what is committed.

    `entries` wait, `LAG_ENTRIES_MAX` at most are counted, the oldest for `waiting_s` seconds. When
    that is over the limit it is `late`, and `blocker` names who holds the horizon back; without
    one the sequencer itself is behind, or none is running.
    """

    entries: int
    waiting_s: float
    late: bool = False
    blocker: Blocker | None = None

    @property
    def refusal(self) -> Refusal | None:
        """The alarm, where it is late: it names the blocker."""
        if not self.late:
            return None
        waiting_s = f"{self.waiting_s:.1f}"
        if self.blocker is None:
            return refuse("audit_leaves_behind", entries=str(self.entries), waiting_s=waiting_s)
        named = msgspec.structs.asdict(self.blocker)
        return refuse(
            "audit_horizon_blocked",
            waiting_s=waiting_s,
            **{name: str(value) for name, value in named.items() if value not in (None, "")},
        )


class Placed(msgspec.Struct, frozen=True):
    """One batch: leaves `[first_leaf, first_leaf + count)` are new; `more` may wait."""

    first_leaf: int
    count: int
    more: bool


async def measure_lag(connection: asyncpg.Connection, limit_s: float) -> HorizonLag:
    """The lag of the leaves; beyond `limit_s` with whoever holds the horizon back."""
    waiting = await connection.fetchrow(_WAITING, LAG_ENTRIES_MAX)
    assert waiting is not None
    late = waiting["waiting_s"] > limit_s
    blocker = None
    if late and not waiting["placeable"]:
        row = await connection.fetchrow(_BLOCKER)
        blocker = None if row is None else Blocker(**row)
    return HorizonLag(waiting["entries"], waiting["waiting_s"], late, blocker)


class Sequencer:
    """Places entries while it leads; stands by while another one does.

    `batch` entries are placed per transaction. That it cannot place any shows in `measure_lag`,
    which whoever is awake should ask now and then.
    """

    def __init__(
        self,
        database: Database,
        *,
        batch: int = 2000,
        poll_s: float = 0.05,
        idle_poll_s: float = 0.25,
        stand_by_s: float = 1.0,
    ) -> None:
        self._database = database
        self._batch = batch
        self._poll_s = poll_s
        self._idle_poll_s = idle_poll_s
        self._stand_by_s = stand_by_s
        self._fence: int | None = None
        self.next_leaf = 0

    @property
    def leading(self) -> bool:
        """Whether this sequencer is the one at work."""
        return self._fence is not None

    async def run(self, stop: asyncio.Event) -> None:
        """Lead whenever nobody else does, until `stop` is set; wait out trouble of the store."""
        while not stop.is_set():
            with suppress(SequencerFenced, TreeIncomplete, *STORE_TROUBLE):
                async with self._database.connection() as connection:
                    if await self.lead(connection):
                        await self._work(connection, stop)
            self._fence = None
            await wait(stop, self._stand_by_s)

    async def lead(self, connection: asyncpg.Connection) -> bool:
        """Try to become the one sequencer, for as long as this connection lives."""
        if not await connection.fetchval(_TAKE_LOCK, _LOCK):
            return False
        self._fence = await connection.fetchval(_RAISE_FENCE)
        return True

    async def place(self, connection: asyncpg.Connection) -> Placed:
        """Place one batch, in a transaction of its own. Raises `SequencerFenced`."""
        if not await connection.fetchval(_ANYTHING_TO_DO):
            return Placed(self.next_leaf, 0, more=False)
        async with connection.transaction():
            state = await connection.fetchrow(_STATE, self._fence)
            if state is None:
                self._fence = None
                raise SequencerFenced
            identifier = await connection.fetchval(_IDENTIFIER)
            if identifier == state["system_identifier"]:
                placed, last_txid, last_id = await self._place_below_horizon(connection, state)
            else:
                placed, last_txid, last_id = await _inherit(connection, state, identifier)
            first, end = placed.first_leaf, placed.first_leaf + placed.count
            await store_nodes(connection, first, end)
            await connection.execute(_ADVANCE, self._fence, end, last_txid, last_id, identifier)
        self.next_leaf = end
        return placed

    async def _place_below_horizon(
        self, connection: asyncpg.Connection, state: asyncpg.Record
    ) -> tuple[Placed, str, int]:
        first = state["next_leaf"]
        row = await connection.fetchrow(
            _PLACE_UNPLACED if state["inherited"] else _PLACE_ALL,
            state["last_txid"],
            state["last_id"],
            self._batch,
            first,
        )
        if row is None:
            return Placed(first, 0, more=False), state["last_txid"], state["last_id"]
        placed = Placed(first, row["placed"], more=row["scanned"] == self._batch)
        return placed, row["last_txid"], row["last_id"]

    async def _work(self, connection: asyncpg.Connection, stop: asyncio.Event) -> None:
        pause_s = self._poll_s
        while not stop.is_set():
            placed = await self.place(connection)
            if placed.more:
                continue
            pause_s = self._poll_s if placed.count else min(pause_s * 2, self._idle_poll_s)
            await wait(stop, pause_s)


async def _inherit(
    connection: asyncpg.Connection, state: asyncpg.Record, identifier: str
) -> tuple[Placed, str, int]:
    """Take over what a dump brought along: all of it is committed, whatever its transaction ids.

    Writers wait meanwhile, so that what is inherited can be told from what comes next.
    """
    await connection.execute("select quaestor.audit_hold_writers()")
    first = state["next_leaf"]
    done = await connection.execute(_INHERIT, first)
    count = int(done.rsplit(" ", 1)[1])
    await connection.execute(_BEGIN_EPOCH, first + count, identifier)
    last_txid = await connection.fetchval("select pg_current_xact_id()::text")
    return Placed(first, count, more=True), last_txid, 0


async def wait(stop: asyncio.Event, timeout_s: float) -> None:
    """Wait until `stop` is set, `timeout_s` seconds at most."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), timeout_s)
