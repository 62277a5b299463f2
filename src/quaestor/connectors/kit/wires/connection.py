"""One connection: it carries one exchange at a time, and never sends anything again.

What is cancelled, late, broken or not understood ends the connection with it. Nothing is raised
into the event loop: whatever happens is told to who waits for the answer.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import cast

from quaestor.connectors.kit.classify import Broke
from quaestor.connectors.kit.wires.http1 import AnswerReader, Broken

__all__ = ["Connection", "Told"]

Told = Callable[[], None]


class Connection(asyncio.Protocol):
    """One connection and the exchange that is under way on it, if any.

    `gone` is called when the transport has let go of it; `lost` says that it has.
    """

    def __init__(self, gone: Callable[[Connection], None]) -> None:
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._poll = select.poll()
        self._reader: AnswerReader | None = None
        self._done: asyncio.Future[None] | None = None
        self._flushed: Told | None = None
        self._error: BaseException | None = None
        self._ended = False
        self.lost = False
        self.rested_at = 0.0

    @property
    def open(self) -> bool:
        """Whether another exchange may begin on it, by what the event loop has seen."""
        return not self._ended and self._transport is not None and not self._transport.is_closing()

    @property
    def silent(self) -> bool:
        """Whether nothing lies there unread either: neither its end, nor what nobody asked for."""
        return not self._poll.poll(0)

    async def carry(
        self, request: bytes, reader: AnswerReader, gate: Told, flushed: Told, ends: float
    ) -> None:
        """Send once and read the whole answer until `ends` (of the loop's clock)."""
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        done = self._done = loop.create_future()
        self._reader, self._error, self._flushed = reader, None, flushed
        timer = loop.call_at(ends, self._break, TimeoutError())
        try:
            if self._ended:
                raise Broken(Broke.CONNECT)
            gate()
            self._transport.write(request)
            self._look_whether_flushed()
            await done
            if self._error is not None:
                raise self._error
            if self._flushed is not None:
                # It answered before it had read everything: the rest must not lead the next one.
                self.abort()
        except BaseException:
            self.abort()
            raise
        finally:
            timer.cancel()
            self._done = self._reader = self._flushed = self._error = None

    def abort(self) -> None:
        """End it now, whatever it still holds. What was read so far is no answer."""
        self._ended = True
        if self._reader is not None and not self._reader.complete:
            self._break(Broken(Broke.TRUNCATED if self._reader.begun else Broke.DISCONNECTED))
        if self._transport is not None:
            self._transport.abort()

    def _look_whether_flushed(self) -> None:
        """Tell once that the transport holds nothing back any more."""
        flushed, transport = self._flushed, self._transport
        if flushed is None or transport is None:
            return
        if transport.get_write_buffer_size() > 0:
            transport.set_write_buffer_limits(high=0)
            return
        self._flushed = None
        try:
            flushed()
        except BaseException as error:  # noqa: BLE001 - raised where the exchange is waited for
            self._break(error)

    def _break(self, error: BaseException) -> None:
        if self._done is not None and not self._done.done():
            # Not as the future's own error, which would be reported as lost if nobody read it.
            self._error = error
            self._done.set_result(None)

    def _end(self, error: Exception | None) -> None:
        self._ended = True
        reader = self._reader
        if reader is None or reader.complete:
            return
        if error is not None:
            self._break(Broken(Broke.TRUNCATED) if reader.begun else error)
            return
        try:
            reader.end()
        except Broken as broken:
            self._break(broken)
        else:
            self._settle()

    def _settle(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    # --- called by the transport ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = made = cast(asyncio.Transport, transport)
        self._poll.register(made.get_extra_info("socket").fileno(), select.POLLIN)
        if made.get_extra_info("sslcontext") is None:
            # So that bytes leave at once, and what could not leave is known.
            made.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if reader is None:
            self.abort()
            return
        try:
            reader.feed(data)
        except Exception as error:  # noqa: BLE001 - raised where the exchange is waited for
            self._break(error)
            self.abort()
        else:
            if reader.complete:
                self._settle()

    def resume_writing(self) -> None:
        self._look_whether_flushed()

    def eof_received(self) -> None:
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._end(exc)
        self._gone(self)
