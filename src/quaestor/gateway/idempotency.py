"""Idempotency-Key, as draft-ietf-httpapi-idempotency-key-header-07 has it.

A request's effect and its answer are committed in one transaction. So there is an answer to
replay exactly where there was an effect; a gateway that dies in the middle leaves neither, and
the next attempt begins afresh. Twins wait for the first one for a moment: inside this process for
its answer, and for another process by a lock that lives as long as its transaction. Who waits too
long is told `request_in_progress`.

A refused request leaves nothing: its key may come back with a corrected body. Exception: what
the budget refused is an answer like any other (rule B2), and the handler returns it as one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec

from quaestor.gateway.operation import Answer
from quaestor.gateway.problems import Problem
from quaestor.store import Connection, Database

__all__ = ["RETENTION", "Keeper", "KeyScope", "forget_expired", "read_key"]

# Published in the OpenAPI document; controls ask for 72 hours at least.
RETENTION = timedelta(days=7)

_POLL_S = 0.05
# Changes leave some of the pool's connections to whoever only asks.
_AT_WORK_MAX = 8
_TURN_S = 2.0
# RFC 8941 text in quotes, or the same without quotes, which is what most clients send.
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE = re.compile(r"[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+")
_KEY_LENGTH_MAX = 255

_LOCK = "select pg_try_advisory_xact_lock(hashtextextended($1, 0))"
_FIND = """
select fingerprint, status, headers, body from quaestor.idempotency
where client = $1 and route = $2 and key = $3 and scope = $4 and expires_at > quaestor.clock()
"""
_FORGET = """
delete from quaestor.idempotency
where client = $1 and route = $2 and key = $3 and scope = $4 and expires_at <= quaestor.clock()
"""
_KEEP = """
insert into quaestor.idempotency
    (client, route, key, scope, entity, fingerprint, status, headers, body, completed_at,
     expires_at)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, now.at, now.at + $10
from (select quaestor.clock() as at) now
"""
_FORGET_EXPIRED = """
delete from quaestor.idempotency where ctid = any (array(
    select ctid from quaestor.idempotency where expires_at <= quaestor.clock() limit 1000))
"""

Work = Callable[[Connection], Awaitable[Answer]]


class KeyScope(msgspec.Struct, frozen=True):
    """Where a key counts: one client, for one set of entities, on one route (I7).

    `fingerprint` is what must come with the key every time.
    """

    client: str
    route: str
    key: str
    entities: tuple[str, ...]
    fingerprint: bytes

    @property
    def columns(self) -> tuple[str, str, str, str]:
        """The primary key."""
        return self.client, self.route, self.key, ",".join(self.entities)


def read_key(given: Sequence[str]) -> str:
    """The key of these header values. Raises `Problem` for none, several or a useless one."""
    if not given:
        raise Problem("idempotency_key_missing")
    if len(given) > 1:
        raise Problem("idempotency_key_invalid")
    text = given[0].strip(" \t")
    quoted = _QUOTED.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    if not 0 < len(key) <= _KEY_LENGTH_MAX or not (quoted or _BARE.fullmatch(key)):
        raise Problem("idempotency_key_invalid")
    return key


class Keeper:
    """Carries requests out once per key. `wait_s` is how long a twin waits for the first."""

    def __init__(self, database: Database, *, wait_s: float = 2.0) -> None:
        self._database = database
        self._wait_s = wait_s
        self._at_work = asyncio.Semaphore(_AT_WORK_MAX)
        self._running: dict[tuple[str, str, str, str], asyncio.Future[tuple[bytes, Answer]]] = {}

    async def once(self, scope: KeyScope, work: Work) -> Answer:
        """The answer of the one execution; `work` is done in its transaction. Raises `Problem`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._wait_s
        while True:
            first = self._running.get(scope.columns)
            if first is not None:
                answer = await _answer_of(first, scope, deadline - loop.time())
            else:
                answer = await self._alone(scope, work)
            if answer is not None:
                return answer
            if loop.time() >= deadline:
                raise Problem("request_in_progress")
            await asyncio.sleep(_POLL_S if first is None else 0)

    async def _alone(self, scope: KeyScope, work: Work) -> Answer | None:
        """Be the first in this process; `None` while another process is at it."""
        own: asyncio.Future[tuple[bytes, Answer]] = asyncio.get_running_loop().create_future()
        self._running[scope.columns] = own

        async def attempt(connection: Connection) -> Answer | None:
            return await _attempt(connection, scope, work)

        try:
            async with self._turn():
                answer = await self._database.run(attempt, entities=scope.entities)
            if answer is not None:
                own.set_result((scope.fingerprint, answer))
            return answer
        finally:
            del self._running[scope.columns]
            own.cancel()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One of the changes that are made at a time. Raises `Problem` where none comes in time."""
        try:
            async with asyncio.timeout(_TURN_S):
                await self._at_work.acquire()
        except TimeoutError:
            raise Problem("overloaded") from None
        try:
            yield
        finally:
            self._at_work.release()


async def _answer_of(
    first: asyncio.Future[tuple[bytes, Answer]], scope: KeyScope, timeout_s: float
) -> Answer | None:
    """What the first one answered; `None` where it left nothing, or is not done yet."""
    done, _ = await asyncio.wait((first,), timeout=max(0.0, timeout_s))
    if not done or first.cancelled():
        return None
    fingerprint, answer = first.result()
    if fingerprint != scope.fingerprint:
        raise Problem("idempotency_key_reused")
    return answer


async def _attempt(connection: Connection, scope: KeyScope, work: Work) -> Answer | None:
    columns = scope.columns
    if not await connection.fetchval(_LOCK, "\0".join(columns).replace("\0", "\x1f")):
        return None
    kept = await connection.fetchrow(_FIND, *columns)
    if kept is not None:
        if kept["fingerprint"] != scope.fingerprint:
            raise Problem("idempotency_key_reused")
        headers = msgspec.json.decode(kept["headers"], type=dict[str, str])
        return Answer(kept["status"], msgspec.Raw(kept["body"]), headers)
    answer = await work(connection)
    await connection.execute(_FORGET, *columns)
    await connection.execute(
        _KEEP,
        *columns,
        scope.entities[0],
        scope.fingerprint,
        answer.status,
        msgspec.json.encode(answer.headers),
        answer.encoded,
        RETENTION,
    )
    return answer


async def forget_expired(database: Database, entities: Sequence[str]) -> None:
    """Delete what is past its time, a thousand at once; asked now and then by each gateway."""
    async with database.transaction(entities=entities) as connection:
        await connection.execute(_FORGET_EXPIRED)
