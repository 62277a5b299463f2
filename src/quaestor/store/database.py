"""The connection pool: bounded waits, transactions with a time limit, and their retries.

Values cross as they are meant: numeric as `Decimal`, timestamptz as an aware `datetime` in UTC,
json and jsonb as `str` (we encode and decode ourselves).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Literal, Self, TypeVar

import asyncpg

from quaestor.store.errors import (
    CommitOutcomeUnknown,
    ServerTooOld,
    StorageRefused,
    StorageUnavailable,
)
from quaestor.store.guard import TransactionMark

__all__ = ["BY_KEY", "SCHEMA", "SERVER_MAJOR_MIN", "Connection", "Database", "Isolation"]

SCHEMA = "quaestor"
SERVER_MAJOR_MIN = 17

# Our statements ask by keys, in tables that grow from nothing. The server plans them by statistics
# that are as old as its last look, so one planned over an empty table would go on reading the
# whole of it when it has a million rows. Where no index can answer it still does. One plan serves
# every key: to make another one for each execution took the server longer than to carry it out.
BY_KEY = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}

Isolation = Literal["read_committed", "repeatable_read", "serializable"]

T = TypeVar("T")

_ATTEMPTS = 5
_BACKOFF_S = 0.01
_BACKOFF_MAX_S = 0.5
_CONNECT_TIMEOUT_S = 5.0
_RELEASE_TIMEOUT_S = 10.0
_LOOK_UP_PAUSE_S = 0.05
_MAY_BECOME = "select pg_has_role(current_user, oid, 'set') from pg_roles where rolname = $1"
_HAS_ONLY_READ = "has only read"
_LET_THROUGH = "select set_config('quaestor.entities', $1, true)"
_TIMELINE = "left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)"
_TRANSACTION_IDENTITY = (
    f"select pg_current_xact_id_if_assigned()::text as id, {_TIMELINE} as timeline"
)
_TRANSACTION_STATUS = (
    f"select case when {_TIMELINE} = $2 then pg_xact_status($1::text::xid8)"
    " else 'other timeline' end"
)
# serialization_failure and deadlock_detected: nothing happened, and the same work may succeed.
_RETRIED = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
# What says that the server, not the statement, is in trouble.
_UNAVAILABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleSessionTimeoutError,
    ConnectionError,
)


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """A connection of the pool. asyncpg's own interface, plus the role at each return.

    `session` keeps what was learned about this very session of the server, and ends with it.
    """

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.session: dict[str, Any] = {}

    def get_reset_query(self) -> str:
        # After one reading statement there is nothing to make good: no round trip for that.
        if self.session.pop(_HAS_ONLY_READ, False):
            return ""
        # RESET ALL leaves the role alone. The role that the connection began with comes back,
        # whatever a borrower did.
        return f"{super().get_reset_query()}\nRESET ROLE;"


class Database:
    """A pool of connections to one database, all under one role.

    Made by `connect`. A connection is lent out for one piece of work; whoever waits longer than
    `acquire_timeout_s` for one gets `StorageUnavailable`.
    """

    def __init__(
        self, pool: asyncpg.Pool, acquire_timeout_s: float, look_up_timeout_s: float
    ) -> None:
        self._pool = pool
        self._acquire_timeout_s = acquire_timeout_s
        self._look_up_timeout_s = look_up_timeout_s

    @classmethod
    async def connect(
        cls,
        dsn: str,
        *,
        role: str | None,
        application_name: str,
        min_size: int = 1,
        max_size: int = 10,
        command_timeout_s: float = 30.0,
        acquire_timeout_s: float = 1.0,
        transaction_timeout_s: float = 30.0,
        idle_in_transaction_timeout_s: float = 10.0,
        look_up_timeout_s: float = 10.0,
        on_connect: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> Self:
        """Open a pool of `min_size` to `max_size` connections.

        `role` is what statements run as (None: the DSN's own user, for migrations). The server
        ends statements after `command_timeout_s`, transactions after `transaction_timeout_s`
        (D4: the audit trail's horizon waits for the oldest one) and idle ones sooner. A lost
        acknowledgement of a commit is looked up for `look_up_timeout_s` at most. `on_connect` runs
        on each new connection, before its first use. Raises `StorageUnavailable`,
        `StorageRefused` and `ServerTooOld`.
        """
        settings = {
            "application_name": application_name,
            "search_path": SCHEMA,
            "timezone": "UTC",
            **BY_KEY,
            "statement_timeout": _milliseconds(command_timeout_s),
            "transaction_timeout": _milliseconds(transaction_timeout_s),
            "idle_in_transaction_session_timeout": _milliseconds(idle_in_transaction_timeout_s),
        }
        # The role is part of the session from its start: there is no moment without it.
        if role is not None:
            settings["role"] = role
        await _probe(dsn, role)
        try:
            pool = await asyncpg.create_pool(
                dsn,
                min_size=min_size,
                max_size=max_size,
                # The server's limit answers first, with a state that says which one it was.
                command_timeout=command_timeout_s + 1.0,
                connection_class=Connection,
                init=on_connect,
                server_settings=settings,
            )
        except (*_UNAVAILABLE, OSError, TimeoutError) as error:
            raise StorageUnavailable from error
        return cls(pool, acquire_timeout_s, look_up_timeout_s)

    @property
    def lent(self) -> tuple[int, int]:
        """How many connections are in use, and how many there may be."""
        return self._pool.get_size() - self._pool.get_idle_size(), self._pool.get_max_size()

    async def close(self) -> None:
        """Wait for lent connections to come back, then close them all."""
        await self._pool.close()

    async def terminate(self) -> None:
        """Close all connections at once, also those at work."""
        self._pool.terminate()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Borrow a connection, outside of any transaction."""
        with _storage_named():
            try:
                connection = await self._pool.acquire(timeout=self._acquire_timeout_s)
            except TimeoutError as error:
                raise StorageUnavailable("No connection became free in time.") from error
            except OSError as error:
                raise StorageUnavailable from error
        try:
            yield connection
        finally:
            # What was done is done: a connection that cannot be made ready for the next
            # borrower is dropped by the pool, and that is no failure of the work before.
            with suppress(TimeoutError, asyncpg.InterfaceError, *_UNAVAILABLE):
                await self._pool.release(connection, timeout=_RELEASE_TIMEOUT_S)

    @asynccontextmanager
    async def transaction(
        self,
        *,
        isolation: Isolation = "read_committed",
        readonly: bool = False,
        entities: Sequence[str] | None = None,
    ) -> AsyncIterator[Connection]:
        """One transaction; committed when the block is left, rolled back when it raises.

        Nothing is retried. `entities` are the legal entities that row-level security lets through
        for the role of a gateway (setting `quaestor.entities`, separated by commas). No network
        call may be made inside (invariant I10). A commit whose acknowledgement is lost is looked
        up by its transaction id (F11): it counts as done, or raises `StorageUnavailable` when it
        was undone and `CommitOutcomeUnknown` when nobody can say.
        """
        mark = TransactionMark()
        async with self.connection() as connection:
            transaction = connection.transaction(isolation=isolation, readonly=readonly)
            with _storage_named(connection):
                await transaction.start()
            mark.enter()
            try:
                with _storage_named(connection):
                    if entities is not None:
                        await _let_through(connection, entities)
                    yield connection
                    identity = None if readonly else await _identity(connection)
            except BaseException:
                with suppress(asyncpg.InterfaceError, *_UNAVAILABLE):
                    await transaction.rollback()
                raise
            else:
                lost = await _commit(transaction)
            finally:
                mark.leave()
        if lost is not None:
            await self._look_up(identity, lost)

    async def run(
        self,
        work: Callable[[Connection], Awaitable[T]],
        *,
        attempts: int = _ATTEMPTS,
        isolation: Isolation = "read_committed",
        readonly: bool = False,
        entities: Sequence[str] | None = None,
    ) -> T:
        """Do `work` in a transaction; the whole again after a dead-lock or a conflict (F12).

        `work` may run several times and must have no effect outside of the database. After
        `attempts` the last error is raised.
        """
        for attempt in range(1, attempts + 1):
            try:
                async with self.transaction(
                    isolation=isolation, readonly=readonly, entities=entities
                ) as connection:
                    result = await work(connection)
            except _RETRIED:
                if attempt == attempts:
                    raise
                await asyncio.sleep(_backoff_s(attempt))
            else:
                return result
        raise ValueError("at least one attempt is needed")

    async def fetch(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """The rows of one reading statement. What writes belongs into a transaction."""
        async with self._reading() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(query, *values)
            return rows

    async def fetchrow(self, query: str, *values: Any) -> asyncpg.Record | None:
        """The first row of one reading statement, or None."""
        async with self._reading() as connection:
            return await connection.fetchrow(query, *values)

    async def fetchval(self, query: str, *values: Any) -> Any:
        """The first value of the first row of one reading statement, or None."""
        async with self._reading() as connection:
            return await connection.fetchval(query, *values)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Connection]:
        async with self.connection() as connection:
            with _storage_named(connection):
                yield connection
            connection.session[_HAS_ONLY_READ] = True

    async def _look_up(self, identity: tuple[str, str] | None, lost: BaseException) -> None:
        """What became of a commit whose acknowledgement was lost."""
        if identity is None:
            # Nothing was written, so nothing can have been lost.
            return
        transaction, timeline = identity
        deadline = asyncio.get_running_loop().time() + self._look_up_timeout_s
        while True:
            status = None
            with suppress(StorageUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError):
                status = await self.fetchval(_TRANSACTION_STATUS, transaction, timeline)
            if status == "committed":
                return
            if status == "aborted":
                raise StorageUnavailable("The transaction was undone.") from lost
            if status == "other timeline" or asyncio.get_running_loop().time() > deadline:
                raise CommitOutcomeUnknown from lost
            await asyncio.sleep(_LOOK_UP_PAUSE_S)


async def _commit(transaction: asyncpg.transaction.Transaction) -> BaseException | None:
    """Commit. Returns the error that hid the outcome; raises where it surely took no effect."""
    try:
        await transaction.commit()
    except (*_UNAVAILABLE, TimeoutError, asyncpg.InterfaceError) as error:
        return error
    return None


async def _identity(connection: Connection) -> tuple[str, str] | None:
    """The id of the open transaction and the timeline it belongs to; None if nothing is written.

    After a failover the same id may belong to another transaction, so it is worth nothing there.
    """
    row = await connection.fetchrow(_TRANSACTION_IDENTITY)
    return None if row is None or row["id"] is None else (row["id"], row["timeline"])


def entities_setting(entities: Iterable[str]) -> str:
    """What `quaestor.entities` is set to, so that rows of these are seen and of no others."""
    given = list(entities)
    if any("," in entity for entity in given):
        raise ValueError("an entity code holds no comma")
    return ",".join(given)


async def _let_through(connection: Connection, entities: Sequence[str]) -> None:
    await connection.execute(_LET_THROUGH, entities_setting(entities))


async def _probe(dsn: str, role: str | None) -> None:
    """Ask before the pool does: it would say less clearly what is missing."""
    try:
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S)
    except _REFUSED as error:
        raise StorageRefused(f"It said: {error}.") from error
    except (*_UNAVAILABLE, OSError, TimeoutError) as error:
        raise StorageUnavailable from error
    try:
        version = connection.get_server_version()
        if version.major < SERVER_MAJOR_MIN:
            raise ServerTooOld(f"This is {version.major}.{version.minor}.")
        if role is not None and not await connection.fetchval(_MAY_BECOME, role):
            raise StorageRefused(f"We may not work as {role}.")
    finally:
        await connection.close()


@contextmanager
def _storage_named(connection: Connection | None = None) -> Iterator[None]:
    """Give the trouble of a server its name (F13, F14)."""
    try:
        yield
    except _UNAVAILABLE as error:
        raise StorageUnavailable from error
    except asyncpg.InterfaceError as error:
        # A connection that broke while nobody was looking is only found missing at its next use.
        if connection is not None and _is_lost(connection):
            raise StorageUnavailable from error
        raise


def _is_lost(connection: Connection) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        # The pool has taken it back already.
        return True


def _backoff_s(attempt: int) -> float:
    # Full jitter: competitors that met once should not meet again.
    return random.uniform(0, min(_BACKOFF_MAX_S, _BACKOFF_S * 2**attempt))


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
