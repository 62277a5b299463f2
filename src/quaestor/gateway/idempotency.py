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
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import msgspec

from quaestor.gateway.operation import Answer, Call, Operation
from quaestor.gateway.problems import Problem
from quaestor.gateway.together import Together
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

_LOCK = """
select place, pg_try_advisory_xact_lock(hashtextextended(name, 0)) as is_ours
from unnest($1::text[]) with ordinality u(name, place)
"""
_FIND = """
select u.place, i.fingerprint, i.status, i.headers, i.body,
       i.expires_at <= (select quaestor.clock()) as expired
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality
     u(client, route, key, scope, place)
join quaestor.idempotency i using (client, route, key, scope)
"""
_FORGET = """
delete from quaestor.idempotency i
using unnest($1::text[], $2::text[], $3::text[], $4::text[]) u(client, route, key, scope)
where (i.client, i.route, i.key, i.scope) = (u.client, u.route, u.key, u.scope)
  and i.expires_at <= quaestor.clock()
"""
_KEEP = """
insert into quaestor.idempotency
    (client, route, key, scope, entity, fingerprint, status, headers, body, completed_at,
     expires_at)
select u.*, now.at, now.at + $10
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[],
            $7::smallint[], $8::bytea[], $9::bytea[]) u, (select quaestor.clock() as at) now
"""
_FORGET_EXPIRED = """
delete from quaestor.idempotency where ctid = any (array(
    select ctid from quaestor.idempotency where expires_at <= quaestor.clock() limit 1000))
"""


_Columns = tuple[str, str, str, str]
# Method and template of the path, and the entities of the caller: what one transaction is for.
_Kind = tuple[str, tuple[str, ...]]


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
    def columns(self) -> _Columns:
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


class Attempt(msgspec.Struct, frozen=True):
    """One request to carry out, unless it was carried out before."""

    scope: KeyScope
    operation: Operation
    call: Call


class Keeper:
    """Carries requests out once per key. `wait_s` is how long a twin waits for the first.

    Requests of an operation that is carried out `together` share a transaction with others of the
    same entities. Each has its own answer; one that is refused takes no other with it.
    """

    def __init__(self, database: Database, *, wait_s: float = 2.0) -> None:
        self._database = database
        self._wait_s = wait_s
        self._at_work = asyncio.Semaphore(_AT_WORK_MAX)
        self._running: dict[_Columns, asyncio.Future[tuple[bytes, Answer]]] = {}
        self._groups: Together[_Kind, Attempt, Answer | None] = Together(self._carry_out)

    async def once(self, scope: KeyScope, operation: Operation, call: Call) -> Answer:
        """The answer of the one execution. Raises `Problem`, and what the operation raises."""
        attempt = Attempt(scope, operation, call)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._wait_s
        while True:
            first = self._running.get(scope.columns)
            if first is not None:
                answer = await _answer_of(first, scope, deadline - loop.time())
            else:
                answer = await self._alone(attempt)
            if answer is not None:
                return answer
            if loop.time() >= deadline:
                raise Problem("request_in_progress")
            await asyncio.sleep(_POLL_S if first is None else 0)

    async def _alone(self, attempt: Attempt) -> Answer | None:
        """Be the first in this process; `None` while another process is at it."""
        scope = attempt.scope
        kind = scope.route, scope.entities
        own: asyncio.Future[tuple[bytes, Answer]] = asyncio.get_running_loop().create_future()
        self._running[scope.columns] = own
        try:
            answer: Answer | Exception | None
            if attempt.operation.together:
                answer = await self._groups.ask(kind, attempt)
            else:
                (answer,) = await self._carry_out(kind, [attempt])
            if isinstance(answer, Exception):
                raise answer
            if answer is not None:
                own.set_result((scope.fingerprint, answer))
            return answer
        finally:
            del self._running[scope.columns]
            own.cancel()

    async def _carry_out(
        self, kind: _Kind, attempts: Sequence[Attempt]
    ) -> list[Answer | Exception | None]:
        async def work(connection: Connection) -> list[Answer | Exception | None]:
            return await _execute(connection, attempts)

        async with self._turn():
            return await self._database.run(work, entities=kind[1])

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


async def _execute(
    connection: Connection, attempts: Sequence[Attempt]
) -> list[Answer | Exception | None]:
    """Each one's answer, as kept or as made; `None` while another process is at it."""
    columns = [list(column) for column in zip(*(a.scope.columns for a in attempts), strict=True)]
    names = ["\x1f".join(attempt.scope.columns) for attempt in attempts]
    locks = {row["place"]: row["is_ours"] for row in await connection.fetch(_LOCK, names)}
    # In a statement of its own: what the lock was waited for is seen only from here on.
    kept = {row["place"]: row for row in await connection.fetch(_FIND, *columns)}
    answers: list[Answer | Exception | None] = [None] * len(attempts)
    new: list[int] = []
    for place, attempt in enumerate(attempts):
        row = kept.get(place + 1)
        if not locks[place + 1]:
            continue
        if row is None or row["expired"]:
            new.append(place)
        else:
            answers[place] = _replayed(row, attempt.scope)
    if any(row["expired"] for row in kept.values()):
        await connection.execute(_FORGET, *columns)
    made = await _answers(connection, [attempts[place] for place in new])
    for place, answer in zip(new, made, strict=True):
        answers[place] = answer
    done = [
        (attempts[place].scope, answer)
        for place, answer in zip(new, made, strict=True)
        if isinstance(answer, Answer)
    ]
    if done:
        await _keep(connection, done)
    return answers


def _replayed(row: asyncpg.Record, scope: KeyScope) -> Answer | Problem:
    if row["fingerprint"] != scope.fingerprint:
        return Problem("idempotency_key_reused")
    headers = msgspec.json.decode(row["headers"], type=dict[str, str])
    return Answer(row["status"], msgspec.Raw(row["body"]), headers)


async def _answers(
    connection: Connection, attempts: Sequence[Attempt]
) -> Sequence[Answer | Exception]:
    """What the operation of these attempts makes of them."""
    if not attempts:
        return []
    handler, calls = attempts[0].operation.handler, [attempt.call for attempt in attempts]
    if attempts[0].operation.together:
        answers: Sequence[Answer | Exception] = await handler(calls, connection)
        return answers
    return [await handler(calls[0], connection)]


async def _keep(connection: Connection, done: Sequence[tuple[KeyScope, Answer]]) -> None:
    columns = [list(column) for column in zip(*(scope.columns for scope, _ in done), strict=True)]
    await connection.execute(
        _KEEP,
        *columns,
        [scope.entities[0] for scope, _ in done],
        [scope.fingerprint for scope, _ in done],
        [answer.status for _, answer in done],
        [msgspec.json.encode(answer.headers) for _, answer in done],
        [answer.encoded for _, answer in done],
        RETENTION,
    )


async def forget_expired(database: Database, entities: Sequence[str]) -> None:
    """Delete what is past its time, a thousand at once; asked now and then by each gateway."""
    async with database.transaction(entities=entities) as connection:
        await connection.execute(_FORGET_EXPIRED)
