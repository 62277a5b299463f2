"""What a vendor's part of a simulator is: a plain function from request to answer.

Apart from the chassis, which needs a whole HTTP server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec

__all__ = ["SimAnswer", "SimRequest", "Simulated", "json_answer"]


class SimRequest(msgspec.Struct, frozen=True):
    """One request to the simulated system. Header names are lower-case; `path` is decoded."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    origin: str


class SimAnswer(msgspec.Struct, frozen=True):
    """What the simulated system answers, `after_s` seconds later.

    `ends` other than `answer` means that the connection ends without one.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    after_s: float = 0.0
    ends: Literal["answer", "drop", "reset"] = "answer"


class Simulated(Protocol):
    """A vendor's behaviour. Nothing in it waits, so each call is one transaction."""

    @property
    def credentials(self) -> Mapping[str, str]: ...

    def handle(self, request: SimRequest) -> SimAnswer:
        """Do what is asked; what this stores is committed."""
        ...

    def handed_out(self) -> tuple[str, ...]:
        """Every secret value known to it: what must never be shown by a connector."""
        ...

    def busy(self, seconds: float) -> SimAnswer:
        """The vendor's way to say "too many requests"."""
        ...

    def failed(self) -> SimAnswer:
        """The vendor's way to say that it failed while working."""
        ...

    def expire_tokens(self) -> None:
        """Forget every session and token handed out."""
        ...

    def documents(self, reference: str | None) -> list[dict[str, Any]]:
        """All committed documents, or those whose reference is (the beginning of) this key."""
        ...

    def edit(self, number: str, changes: Mapping[str, Any]) -> bool:
        """A person changes a document there. False where there is no such document."""
        ...

    def reset(self) -> None:
        """As on the first day."""
        ...


def json_answer(status: int, value: object, headers: tuple[tuple[str, str], ...] = ()) -> SimAnswer:
    """An answer in JSON."""
    return SimAnswer(
        status, msgspec.json.encode(value), (("Content-Type", "application/json"), *headers)
    )
