"""What went over the wire, as a trace shows it: readable, short enough, and masked once more."""

from __future__ import annotations

import base64
import re

import msgspec

__all__ = ["BODY_CHARS_MAX", "MASK", "WireExchange", "read_exchange"]

BODY_CHARS_MAX = 64 * 1024
MASK = "***"

# The wires mask before they record. A header of this kind is masked again, because a trace is
# shown to more people than a wire log ever was.
_SECRET_HEADER = re.compile(
    r"authorization|cookie|token|secret|password|api-?key|signature|credential", re.IGNORECASE
).search


class _Stored(msgspec.Struct, frozen=True):
    """The JSON in a payload of the class `wire`; unknown members are ignored."""

    method: str
    target: str
    request_headers: tuple[tuple[str, str], ...] = ()
    request_body: bytes = b""
    status: int = 0
    response_headers: tuple[tuple[str, str], ...] = ()
    response_body: bytes = b""
    elapsed_ms: float = 0.0
    broke: str = ""


class WireExchange(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request and its answer. A body that is not text is shown in base64, as its member says.

    `status` is 0 where no answer came; `broke` then says where. Bodies over `BODY_CHARS_MAX`
    characters are cut.
    """

    method: str
    target: str
    status: int
    elapsed_ms: float
    broke: str = ""
    request_headers: tuple[tuple[str, str], ...] = ()
    request: str = ""
    request_base64: str = ""
    response_headers: tuple[tuple[str, str], ...] = ()
    response: str = ""
    response_base64: str = ""


_decoder = msgspec.json.Decoder(_Stored)


def read_exchange(plain: bytes) -> WireExchange | None:
    """The exchange that a payload holds; None where it holds something else."""
    try:
        stored = _decoder.decode(plain)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    request, request_base64 = _shown(stored.request_body)
    response, response_base64 = _shown(stored.response_body)
    return WireExchange(
        stored.method,
        stored.target,
        stored.status,
        stored.elapsed_ms,
        stored.broke,
        _masked(stored.request_headers),
        request,
        request_base64,
        _masked(stored.response_headers),
        response,
        response_base64,
    )


def _masked(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    # A CSRF token that is asked for, and not given, is no secret and explains the dialogue.
    return tuple(
        (name, value if value.lower() == "fetch" or not _SECRET_HEADER(name) else MASK)
        for name, value in headers
    )


def _shown(body: bytes) -> tuple[str, str]:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return "", _cut(base64.b64encode(body).decode())
    return _cut(text), ""


def _cut(text: str) -> str:
    return text if len(text) <= BODY_CHARS_MAX else text[: BODY_CHARS_MAX - 1] + "…"
