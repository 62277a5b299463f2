"""HTTP: one wire per system, each request sent at most once.

Nothing is ever sent twice unless the connector says so, not even where a kept-alive connection
turns out dead. Redirects are not followed, cookies are the connector's own. Here stands the policy
(credentials, pace, deadline, recording, classification); `connections.py` carries the bytes.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from functools import lru_cache
from urllib.parse import urlsplit

import msgspec
from yarl import URL

from quaestor.connectors.kit.attempt import Attempt, Exchange, current_attempt
from quaestor.connectors.kit.auth import Auth, NoAuth
from quaestor.connectors.kit.classify import (
    Answer,
    Break,
    Broke,
    Hearing,
    Voice,
    known_or_raise,
)
from quaestor.connectors.kit.contract import NotKnown, Transient
from quaestor.connectors.kit.pace import Pace, TurnTooLate
from quaestor.connectors.kit.redact import masked_headers, safe_text, scrubbed
from quaestor.connectors.kit.wires.connections import Connections
from quaestor.connectors.kit.wires.http1 import AnswerReader, Broken, request_bytes
from quaestor.store.guard import assert_outside_transaction

__all__ = ["HttpRequest", "HttpWire"]

RECORDED_BYTES_MAX = 64 * 1024
ANSWER_BYTES_MAX = 8 * 1024 * 1024


# Headers of requests are the same again and again, those of answers are not.
_masked = lru_cache(maxsize=512)(masked_headers)


class HttpRequest(msgspec.Struct, frozen=True):
    """One request. `target` is path and query below the system's base address, percent-encoded.

    `commits` says that it may create or change something there: its breaking is `Ambiguous`,
    and the points `after_send` and `after_answer` are passed.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    commits: bool = False


class _Late(Exception):
    """The deadline passed before the first byte."""


class _Ticket:
    """What is known about one sending: whether bytes may have left, and until when they may."""

    __slots__ = ("attempt", "sent")

    def __init__(self, attempt: Attempt | None) -> None:
        self.attempt = attempt
        self.sent = False

    def open_gate(self) -> None:
        """The last moment at which not sending is still possible."""
        if self.attempt is not None and time.monotonic() >= self.attempt.send_before:
            raise _Late
        self.sent = True

    def flushed(self) -> None:
        """The last byte has left."""
        self.passed("after_send")

    def passed(self, point: str) -> None:
        if self.attempt is not None:
            self.attempt.passed(point)


class HttpWire:
    """The connections to one system.

    The runtime holds at most `slots` sends at a time; the pool is larger, so that a send never
    waits inside the client where no deadline sees it. Times in seconds, sizes in bytes.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: Auth | None = None,
        slots: int = 8,
        total_timeout_s: float = 30.0,
        connect_timeout_s: float = 5.0,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
        tls: ssl.SSLContext | None = None,
        pace: Pace | None = None,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("base_url must be http(s)://host[:port][/path] without credentials")
        if not parts.path.isascii() or " " in parts.path:
            raise ValueError("the path of base_url must be percent-encoded")
        self._base_path = parts.path.rstrip("/")
        self._origin = URL(base_url).origin()
        self._host = self._origin.host_port_subcomponent or ""
        self._auth: Auth = auth or NoAuth()
        self._slots = slots
        self._total_timeout_s = total_timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._answer_bytes_max = answer_bytes_max
        self._tls = tls
        self._pace = pace
        self._connections: Connections | None = None

    @property
    def slots(self) -> int:
        """How many sends the runtime may hold at a time."""
        return self._slots

    @property
    def base_path(self) -> str:
        """The path that stands before every target, without a slash at its end."""
        return self._base_path

    def safe(self, text: str) -> str:
        """The vendor's sentence without our secrets, bounded, fit for a refusal."""
        return safe_text(text, self._auth.secrets())

    async def close(self) -> None:
        """Close all connections. The wire may be used again afterwards."""
        connections, self._connections = self._connections, None
        if connections is not None:
            await connections.close()

    async def exchange(self, request: HttpRequest, hear: Hearing) -> Answer:
        """Send once, and once more only where a fresh token may be accepted.

        Returns answers in which a fact was stated; raises `Transient` or `Ambiguous`.
        """
        answer = await self._send(request, renew=False)
        voice = _heard(hear, answer)
        if voice is Voice.LOGIN and self._auth.renewable:
            answer = await self._send(request, renew=True)
            voice = _heard(hear, answer)
        return known_or_raise(answer, voice, request.commits)

    async def _send(self, request: HttpRequest, *, renew: bool) -> Answer:
        assert_outside_transaction()
        await self._in_turn(request)
        headers = request.headers + await self._credentials(renew)
        ticket = _Ticket(current_attempt())
        started = time.perf_counter()
        broken: Break | None = None
        answer: Answer | None = None
        try:
            answer = await self._carried(request, headers, ticket)
        except asyncio.CancelledError:
            self._record(request, headers, None, started, "cancelled")
            raise
        except Exception as error:  # noqa: BLE001 - the table has a row for the unforeseen
            broken = _break_of(error, ticket.sent)
        self._record(request, headers, answer, started, broken.reason if broken else "")
        # Raised here, outside of the handler: no chained error of the client carries headers on.
        if answer is None:
            raise (broken or Break(Broke.UNFORESEEN, True)).error(request.commits)
        if request.commits:
            ticket.passed("after_answer")
        return answer

    async def _in_turn(self, request: HttpRequest) -> None:
        """Wait for the vendor's rate; a turn that comes too late is our own lateness."""
        if self._pace is None:
            return
        attempt = current_attempt()
        now = time.monotonic()
        until = attempt.send_before if attempt is not None else now + self._total_timeout_s
        try:
            await self._pace.turn(until)
        except TurnTooLate:
            late = Break(Broke.DEADLINE, False).error(request.commits)
        else:
            return
        raise late

    async def _credentials(self, renew: bool) -> tuple[tuple[str, str], ...]:
        at_hand = None if renew else self._auth.at_hand()
        if at_hand is not None:
            return tuple(at_hand.items())
        try:
            async with asyncio.timeout(self._timeout_s() + self._auth.patience_s):
                return tuple((await self._auth.headers(renew=renew)).items())
        except NotKnown:
            raise
        except Exception:  # noqa: BLE001 - whatever a token service does, nothing was sent to ours
            name = "connector_auth_failed"
        raise Transient("no access token could be obtained", code=name)

    def _timeout_s(self) -> float:
        attempt = current_attempt()
        return attempt.total_timeout_s if attempt is not None else self._total_timeout_s

    async def _carried(
        self, request: HttpRequest, headers: tuple[tuple[str, str], ...], ticket: _Ticket
    ) -> Answer:
        target = self._base_path + request.target
        if not target.startswith("/"):
            target = f"/{target}"
        return await self._opened().carry(
            request_bytes(request.method, self._host, target, headers, request.body),
            AnswerReader(request.method, self._answer_bytes_max),
            gate=ticket.open_gate,
            flushed=ticket.flushed if request.commits else _nothing,
            timeout_s=self._timeout_s(),
        )

    def _opened(self) -> Connections:
        if self._connections is None:
            self._connections = Connections(
                self._origin,
                most=2 * self._slots + 4,
                connect_timeout_s=self._connect_timeout_s,
                tls=self._tls,
            )
        return self._connections

    def _record(
        self,
        request: HttpRequest,
        headers: tuple[tuple[str, str], ...],
        answer: Answer | None,
        started: float,
        broke: str,
    ) -> None:
        attempt = current_attempt()
        if attempt is None:
            return
        secrets = self._auth.secrets()
        attempt.exchanges.append(
            Exchange(
                method=request.method,
                target=self._base_path + request.target,
                request_headers=_masked(headers),
                request_body=scrubbed(request.body, secrets, RECORDED_BYTES_MAX),
                status=answer.status if answer else 0,
                response_headers=masked_headers(answer.headers) if answer else (),
                response_body=scrubbed(answer.body, secrets, RECORDED_BYTES_MAX) if answer else b"",
                elapsed_ms=(time.perf_counter() - started) * 1000.0,
                broke=broke,
            )
        )


def _heard(hear: Hearing, answer: Answer) -> Voice:
    try:
        return hear(answer)
    except Exception:  # noqa: BLE001 - an answer that breaks its reader was not understood
        return Voice.UNSURE


def _break_of(error: Exception, sent: bool) -> Break:
    """Which row of the table an error belongs to. Its own text is not used."""
    if isinstance(error, _Late):
        return Break(Broke.DEADLINE, False)
    if isinstance(error, Broken):
        return Break(error.where, sent, error.detail)
    if isinstance(error, TimeoutError):
        return Break(Broke.TIMEOUT if sent else Broke.CONNECT_TIMEOUT, sent)
    if isinstance(error, OSError):
        return Break(Broke.RESET, sent)
    return Break(Broke.UNFORESEEN, sent, type(error).__name__)


def _nothing() -> None:
    """No point is passed."""
