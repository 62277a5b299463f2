"""HTTP/1.1 as bytes: what is sent stays in its place, and an answer is read whole or not at all."""

from __future__ import annotations

import gzip
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quaestor.connectors.kit.classify import Answer, Broke
from quaestor.connectors.kit.wires.http1 import (
    HEAD_BYTES_MAX,
    HEADERS_MAX,
    AnswerReader,
    Broken,
    request_bytes,
)
from tests.connectors.raw_server import answer

LIMIT = 1000

# --- the request ----------------------------------------------------------------------------------


def test_a_request_says_where_it_goes_who_asks_and_how_long_it_is() -> None:
    sent = request_bytes("POST", "erp:8080", "/a%20b?c=%2F", (("X-Key", "ä"),), b"{}")

    assert (
        sent
        == (
            "POST /a%20b?c=%2F HTTP/1.1\r\nHost: erp:8080\r\nAccept: */*\r\n"
            "Accept-Encoding: identity\r\nUser-Agent: quaestor\r\nX-Key: ä\r\n"
            "Content-Length: 2\r\n\r\n{}"
        ).encode()
    )


@pytest.mark.parametrize(
    ("method", "says"), [("GET", False), ("HEAD", False), ("POST", True), ("DELETE", True)]
)
def test_a_request_without_a_body_says_so_where_one_could_be(method: str, says: bool) -> None:
    sent = request_bytes(method, "erp", "/", (), b"")

    assert (b"\r\nContent-Length: 0\r\n" in sent) is says


def test_what_the_connector_says_itself_is_not_said_twice() -> None:
    given = (("accept", "text/xml"), ("USER-AGENT", "mine"), ("Accept-encoding", "gzip"))

    sent = request_bytes("GET", "erp", "/", given, b"").lower()

    assert [sent.count(name) for name in (b"\r\naccept:", b"user-agent", b"accept-encoding")] == [
        1,
        1,
        1,
    ]


@pytest.mark.parametrize("inject", ["\r\nX: y", "\n", "\r", "\0"])
def test_no_line_break_and_no_nul_gets_into_a_head(inject: str) -> None:
    with pytest.raises(ValueError, match="request"):
        request_bytes("GET", "erp", f"/a{inject}", (), b"")
    with pytest.raises(ValueError, match="request"):
        request_bytes("GET", "erp", "/a", (("X", f"b{inject}"),), b"")
    with pytest.raises(ValueError, match="request"):
        request_bytes("GET", "erp", "/a", ((f"X{inject}", "b"),), b"")
    with pytest.raises(ValueError, match="request"):
        request_bytes(f"GET{inject}", "erp", "/a", (), b"")


@pytest.mark.parametrize(
    ("method", "target", "name"),
    [
        ("GET", "/a b", "X"),
        ("GET", "/ä", "X"),
        ("", "/", "X"),
        ("G(T", "/", "X"),
        ("GET", "/", ""),
        ("GET", "/", "X Y"),
        ("GET", "/", "X:"),
        ("GET", "/", "content-length"),
        ("GET", "/", "Transfer-Encoding"),
        ("GET", "/", "Host"),
        ("GET", "/", "Connection"),
    ],
)
def test_what_would_make_another_message_of_it_is_refused(
    method: str, target: str, name: str
) -> None:
    with pytest.raises(ValueError, match="request"):
        request_bytes(method, "erp", target, ((name, "b"),), b"")


# --- whole answers --------------------------------------------------------------------------------


def read(
    pieces: list[bytes], *, method: str = "GET", ends: bool = False
) -> tuple[Answer | None, bool]:
    """What was read, and whether the connection may be used again."""
    reader = AnswerReader(method, LIMIT)
    for piece in pieces:
        reader.feed(piece)
    if ends and not reader.complete:
        reader.end()
    return reader.answer, reader.reusable


def said(status: int, body: bytes, *headers: tuple[str, str]) -> Answer:
    return Answer(status, headers, body)


GZIPPED = gzip.compress(b"hello") + gzip.compress(b" world")
RAW = zlib.compressobj(wbits=-15)
RAW_DEFLATED = RAW.compress(b"hello") + RAW.flush()

# Name, bytes, method, whether the connection ends after them, the answer, whether it is reusable.
WHOLE: list[tuple[str, bytes, str, bool, Answer, bool]] = [
    (
        "by length",
        b"HTTP/1.1 200 OK\r\nA:  b \r\nContent-Length: 2\r\n\r\nhi",
        "GET",
        False,
        said(200, b"hi", ("A", "b"), ("Content-Length", "2")),
        True,
    ),
    (
        "in chunks with extension and trailer",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2;x=y\r\nhi\r\n3\r\n ho\r\n0\r\nT: u\r\n\r\n",
        "GET",
        False,
        said(200, b"hi ho", ("Transfer-Encoding", "chunked")),
        True,
    ),
    ("until the end", b"HTTP/1.1 200 OK\r\n\r\nhi", "GET", True, said(200, b"hi"), False),
    ("nothing until the end", b"HTTP/1.1 200 OK\r\n\r\n", "GET", True, said(200, b""), False),
    (
        "after interim answers",
        b"HTTP/1.1 100 Continue\r\nB: c\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n"
        b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
        "POST",
        False,
        said(201, b"", ("Content-Length", "0")),
        True,
    ),
    ("no content", b"HTTP/1.1 204 No Content\r\n\r\n", "PUT", False, said(204, b""), True),
    (
        "not modified",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        "GET",
        False,
        said(304, b"", ("Content-Length", "5")),
        True,
    ),
    (
        "to HEAD",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "HEAD",
        False,
        said(200, b"", ("Content-Length", "5")),
        True,
    ),
    (
        "asked to close",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        "GET",
        False,
        said(200, b"hi", ("Connection", "close"), ("Content-Length", "2")),
        False,
    ),
    (
        "version 1.0",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "GET",
        False,
        said(200, b"hi", ("Content-Length", "2")),
        False,
    ),
    (
        "version 1.0 kept alive",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
        "GET",
        False,
        said(200, b"hi", ("Connection", "keep-alive"), ("Content-Length", "2")),
        True,
    ),
    (
        "lines without carriage return, a folded header",
        b"HTTP/1.1 200 OK\nA: b\n c\nContent-Length: 2\n\nhi",
        "GET",
        False,
        said(200, b"hi", ("A", "b c"), ("Content-Length", "2")),
        True,
    ),
    (
        "in gzip, of two members",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: GZIP\r\nContent-Length: %d\r\n\r\n%b"
        % (len(GZIPPED), GZIPPED),
        "GET",
        False,
        said(
            200,
            b"hello world",
            ("Content-Encoding", "GZIP"),
            ("Content-Length", str(len(GZIPPED))),
        ),
        True,
    ),
    (
        "in deflate",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n" + zlib.compress(b"hello"),
        "GET",
        True,
        said(200, b"hello", ("Content-Encoding", "deflate")),
        False,
    ),
    (
        "in deflate without the header of zlib",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n" + RAW_DEFLATED,
        "GET",
        True,
        said(200, b"hello", ("Content-Encoding", "deflate")),
        False,
    ),
    (
        "in an encoding that nobody knows",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: rot13\r\nContent-Length: 2\r\n\r\nuv",
        "GET",
        False,
        said(200, b"uv", ("Content-Encoding", "rot13"), ("Content-Length", "2")),
        True,
    ),
]
CASES = pytest.mark.parametrize(
    ("data", "method", "ends", "expected", "reusable"),
    [case[1:] for case in WHOLE],
    ids=[case[0] for case in WHOLE],
)


@CASES
@given(cuts=st.lists(st.integers(0, 200), max_size=12))
def test_an_answer_is_the_same_however_its_bytes_are_cut(
    data: bytes, method: str, ends: bool, expected: Answer, reusable: bool, cuts: list[int]
) -> None:
    edges = sorted({0, *(min(cut, len(data)) for cut in cuts), len(data)})
    pieces = [data[start:end] for start, end in pairwise(edges)]

    assert read(pieces, method=method, ends=ends) == (expected, reusable)


@CASES
def test_an_answer_is_the_same_byte_by_byte(
    data: bytes, method: str, ends: bool, expected: Answer, reusable: bool
) -> None:
    pieces = [data[at : at + 1] for at in range(len(data))]

    assert read(pieces, method=method, ends=ends) == (expected, reusable)


@CASES
def test_no_part_of_an_answer_counts_as_the_whole(
    data: bytes, method: str, ends: bool, expected: Answer, reusable: bool
) -> None:
    if ends:
        # Without a length nobody can tell; only its encoding and its head can be cut visibly.
        head = data.index(b"\r\n\r\n") + 4
        parts = [data[:at] for at in range(head)]
    else:
        parts = [data[:at] for at in range(len(data))]

    for part in parts:
        with pytest.raises(Broken) as broken:
            read([part], method=method, ends=True)
        assert broken.value.where in (Broke.DISCONNECTED, Broke.TRUNCATED)


@pytest.mark.parametrize("more", [b"x", b"HTTP/1.1 200 OK\r\n\r\n", b"\0" * 100_000])
@pytest.mark.parametrize("apart", [True, False])
def test_bytes_after_an_answer_end_the_connection_and_change_nothing(
    more: bytes, apart: bool
) -> None:
    whole = answer(b"{}")

    received, reusable = read([whole, more] if apart else [whole + more])

    assert (received is not None and received.body, reusable) == (b"{}", False)


# --- what is not one ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"NOT HTTP AT ALL\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
)
def test_what_is_not_http_is_unforeseen(data: bytes) -> None:
    with pytest.raises(Broken) as broken:
        read([data])

    assert (broken.value.where, broken.value.detail) == (Broke.UNFORESEEN, "not HTTP")
    assert broken.value.__cause__ is None


def bomb(size: int) -> bytes:
    # Without the second of its making: it names tests, which have one name in every process.
    return gzip.compress(b"x" * size, mtime=0)


LARGE = {
    "a body": answer(b"x" * (LIMIT + 1)),
    "a body without a length": b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (LIMIT + 1),
    "a body when it is unpacked": answer(bomb(LIMIT + 1), "200 OK", "Content-Encoding: gzip"),
    "a head": b"HTTP/1.1 200 OK\r\nA: " + b"x" * HEAD_BYTES_MAX,
    "interim heads": b"HTTP/1.1 100 Continue\r\n\r\n" * HEAD_BYTES_MAX,
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * (HEADERS_MAX + 1) + b"\r\n",
    "a trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: "
    + b"x" * 2 * HEAD_BYTES_MAX,
}


@pytest.mark.parametrize("size", [1_000_000, 997])
@pytest.mark.parametrize("data", LARGE.values(), ids=LARGE.keys())
def test_what_passes_a_limit_is_not_read_on(data: bytes, size: int) -> None:
    with pytest.raises(Broken) as broken:
        read([data[at : at + size] for at in range(0, len(data), size)])

    assert broken.value.where is Broke.TOO_LARGE


def test_a_body_of_the_limit_is_read_also_when_it_is_unpacked() -> None:
    plain, _ = read([answer(b"x" * LIMIT)])
    packed, _ = read([answer(bomb(LIMIT), "200 OK", "Content-Encoding: gzip")])

    assert [each and len(each.body) for each in (plain, packed)] == [LIMIT, LIMIT]


@pytest.mark.parametrize("body", [b"no gzip", bomb(10)[:-4], bomb(10) + b"rest"])
def test_a_body_that_cannot_be_unpacked_was_cut(body: bytes) -> None:
    with pytest.raises(Broken) as broken:
        read([answer(body, "200 OK", "Content-Encoding: gzip")])

    assert broken.value.where is Broke.TRUNCATED
