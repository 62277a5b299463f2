"""HTTP/1.1 as bytes: the head of a request, and the reading of an answer. No I/O, no clock.

llhttp (through httptools) knows the grammar; here stand the limits, and what an answer means for
the connection it came over. Errors carry no byte of what was sent or received.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from string import ascii_letters, digits

import httptools

from quaestor.connectors.kit.classify import Answer, Broke

__all__ = ["HEADERS_MAX", "HEAD_BYTES_MAX", "AnswerReader", "Broken", "request_bytes"]

HEAD_BYTES_MAX = 64 * 1024
HEADERS_MAX = 128

_TOKEN = frozenset(ascii_letters + digits + "!#$%&'*+-.^_`|~")
# These are the wire's own: a second one would let two readers see two different messages.
_FRAMING = frozenset({"connection", "content-length", "host", "transfer-encoding", "upgrade"})
_WITHOUT_BODY = frozenset({"GET", "HEAD"})
_DEFAULTS = (("Accept", "*/*"), ("Accept-Encoding", "identity"), ("User-Agent", "quaestor"))
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class Broken(Exception):
    """An exchange gave no whole answer; `where` is the row of the table that it belongs to."""

    def __init__(self, where: Broke, detail: str = "") -> None:
        super().__init__(where.value)
        self.where = where
        self.detail = detail


# --- the request ----------------------------------------------------------------------------------


def request_bytes(
    method: str, host: str, target: str, headers: tuple[tuple[str, str], ...], body: bytes
) -> bytes:
    """A whole request. `host` is as the header says it, with the port where it is not the usual.

    Raises `ValueError` where a part would not stay in its place: a line break, a space, a name
    that frames the message.
    """
    word = method.isascii() and method.isalpha()
    if not word or not target.isascii() or not target.isprintable() or " " in target:
        raise ValueError("a request line that is not three words")
    says_length = body or method not in _WITHOUT_BODY
    length = f"Content-Length: {len(body)}\r\n" if says_length else ""
    head = f"{method} {target} HTTP/1.1\r\n{_headers(host, headers)}{length}\r\n"
    return head.encode() + body


# What a connector says with one request it mostly says with the next.
@lru_cache(maxsize=512)
def _headers(host: str, headers: tuple[tuple[str, str], ...]) -> str:
    given = {_known_name(name) for name, _ in headers}
    defaults = [(name, value) for name, value in _DEFAULTS if name.lower() not in given]
    lines = [f"{name}: {value}" for name, value in (("Host", host), *defaults, *headers)]
    if any(sign in line for line in lines for sign in "\r\n\0"):
        raise ValueError("a line break or NUL in the head of a request")
    return "".join(f"{line}\r\n" for line in lines)


def _known_name(name: str) -> str:
    lower = name.lower()
    if not name or not _TOKEN.issuperset(name) or lower in _FRAMING:
        raise ValueError("a name that no header of a request may have")
    return lower


# --- the answer -----------------------------------------------------------------------------------


class AnswerReader:
    """Reads the answer to one request, however its bytes are cut into pieces.

    `complete` says that `answer` is there; `begun` that its head was; `reusable` that the
    connection may carry another request. `feed` and `end` raise `Broken`.
    """

    __slots__ = (
        "_body",
        "_body_bytes",
        "_broken",
        "_bytes_left",
        "_bytes_max",
        "_encoding",
        "_framed",
        "_head_left",
        "_headers",
        "_method",
        "_parser",
        "_status",
        "answer",
        "begun",
        "complete",
        "reusable",
    )

    def __init__(self, method: str, answer_bytes_max: int) -> None:
        self._method = method
        self._bytes_max = answer_bytes_max
        # The body with its framing: chunks of one byte, extensions, trailers.
        self._bytes_left = 2 * answer_bytes_max + HEAD_BYTES_MAX
        self._head_left = HEAD_BYTES_MAX
        self._body_bytes = 0
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._status = 0
        self._encoding = ""
        self._framed = False
        self._broken: Broken | None = None
        self.begun = self.complete = self.reusable = False
        self.answer: Answer | None = None
        parser = httptools.HttpResponseParser(self)
        # What real servers do and no meaning hangs on: line ends without CR, folded headers.
        parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._parser: httptools.HttpResponseParser | None = parser

    def feed(self, data: bytes) -> None:
        """The next bytes that came."""
        if self._parser is not None:
            self._fed(data, self._parser)
        else:
            # Nobody asked for these.
            self.reusable = False

    def end(self) -> None:
        """No more bytes will come."""
        if self.complete:
            self.reusable = False
        elif not self.begun:
            raise Broken(Broke.DISCONNECTED)
        elif self._framed:
            raise Broken(Broke.TRUNCATED)
        else:
            self._completed()

    def _fed(self, data: bytes, parser: httptools.HttpResponseParser) -> None:
        rest = b""
        if not self.begun:
            # The head is whole within its limit, wherever the pieces were cut.
            data, rest = data[: self._head_left], data[self._head_left :]
            self._head_left -= len(data)
        self._bytes_left -= len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self.complete:
                raise self._broken or Broken(Broke.UNFORESEEN, "not HTTP") from None
            self.reusable = False
        if not self.complete and (self._bytes_left < 0 or not (self.begun or self._head_left)):
            raise Broken(Broke.TOO_LARGE)
        if rest:
            self.feed(rest)

    def _break(self, where: Broke, detail: str = "") -> Broken:
        self._broken = Broken(where, detail)
        return self._broken

    def _completed(self) -> None:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        window = _WINDOWS.get(self._encoding)
        if window is not None and body:
            body = self._decoded(body, window)
        self.answer = Answer(self._status, tuple(self._headers), body)
        self.complete = True
        # Each holds the other; so neither has to wait for the garbage collector.
        self._parser = None

    def _decoded(self, body: bytes, window: int) -> bytes:
        """Decoded although nothing but identity was asked for; never more than the limit."""
        if window == zlib.MAX_WBITS and body[0] & 0x0F != 8:
            # Deflate as some servers understand it: without the header of zlib.
            window = -zlib.MAX_WBITS
        members: list[bytes] = []
        left = self._bytes_max + 1
        while body and left > 0:
            unpacking = zlib.decompressobj(window)
            try:
                members.append(unpacking.decompress(body, left))
            except zlib.error:
                raise self._break(Broke.TRUNCATED, "its encoding") from None
            left -= len(members[-1])
            if left > 0 and not unpacking.eof:
                raise self._break(Broke.TRUNCATED, "its encoding")
            body = unpacking.unused_data
        if left <= 0:
            raise self._break(Broke.TOO_LARGE)
        return b"".join(members)

    # --- called by the parser ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.complete:
            raise self._break(Broke.UNFORESEEN)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.begun:
            # A trailer: nobody reads it, and its bytes count towards the limit.
            return
        if len(self._headers) >= HEADERS_MAX:
            raise self._break(Broke.TOO_LARGE)
        self._headers.append((name.decode("latin-1"), value.decode("latin-1").strip(" \t")))

    def on_headers_complete(self) -> None:
        parser = self._parser
        assert parser is not None
        status = parser.get_status_code()
        if status < 200:
            if status < 100 or status == 101:
                raise self._break(Broke.UNFORESEEN, "not HTTP")
            return
        self._status = status
        self.begun = True
        self.reusable = parser.should_keep_alive()
        for name, value in self._headers:
            match name.lower():
                case "content-length" | "transfer-encoding":
                    self._framed = True
                case "content-encoding":
                    self._encoding = value.lower()
        if self._method == "HEAD" or status in (204, 304):
            self._completed()

    def on_body(self, body: bytes) -> None:
        if self.complete:
            raise self._break(Broke.UNFORESEEN)
        self._body_bytes += len(body)
        if self._body_bytes > self._bytes_max:
            raise self._break(Broke.TOO_LARGE)
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self.complete:
            return
        if self.begun:
            self._completed()
        else:
            # An interim answer (1xx): the real one is still to come.
            self._headers.clear()
