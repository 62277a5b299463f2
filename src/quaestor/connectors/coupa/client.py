"""Coupa's Core API in JSON over the wire: queries with `fields`, changes, the error envelope.

Sources: "API Operators", "Querying Options", "Special Actions and API Notes", "Differences between
XML and JSON in Coupa" (the envelope `{"errors": {...}}`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from typing import Any
from urllib.parse import quote

import msgspec

from quaestor.connectors.coupa.asked import Field, digest_of, fields_text, member
from quaestor.connectors.coupa.config import CoupaConfig
from quaestor.connectors.kit.classify import Answer, Voice
from quaestor.connectors.kit.contract import Ambiguous, Permanent, Transient
from quaestor.connectors.kit.redact import safe_text
from quaestor.connectors.kit.wires.http import HttpRequest, HttpWire
from quaestor.model.refusal import refuse

__all__ = ["CoupaClient", "Listed", "Refused", "Row", "hear"]

_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_ERRORS_SHOWN_MAX = 5


# `:` and `+` in dates must be percent-encoded ("Querying Options"). What is asked for is long, and
# the same each time.
_quoted = lru_cache(maxsize=256)(partial(quote, safe="[],"))


class Refused(msgspec.Struct, frozen=True):
    """Coupa's own refusal: its status, what the error is about, and its sentences made safe."""

    status: int
    about: str
    message: str

    def details(self) -> dict[str, str]:
        return {"code": f"{self.status} {self.about}".strip(), "message": self.message}

    def permanent(self, system: str) -> Permanent:
        refusal = refuse("system_refuses", system=system, **self.details())
        return Permanent(f"Coupa refuses: {self.message}"[:200], refusal)


class Row(msgspec.Struct, frozen=True):
    """One object as Coupa delivered it: its bytes, and what every object has.

    Two states of one second differ in their `digest` alone.
    """

    id: int
    updated_at: datetime
    digest: str
    body: bytes
    value: Mapping[str, Any]


class Listed(msgspec.Struct, frozen=True):
    """The rows of one page, and the server's own time when it answered, if it said so."""

    rows: tuple[Row, ...]
    answered_at: datetime | None


def hear(answer: Answer) -> Voice:
    """Whether Coupa's application spoke, and what it said.

    Coupa documents 400 and 404 with its envelope. A 403 is a scope that the client lacks: a fresh
    token is tried once, since a scope may have been added meanwhile.
    """
    status = answer.status
    if status == 429:
        return Voice.BUSY
    if status in (401, 403):
        return Voice.LOGIN
    if 200 <= status < 300 and isinstance(answer.json, dict | list):
        return Voice.DONE
    if _errors_of(answer) is None:
        return Voice.UNSURE
    if status == 503 and answer.header("Retry-After"):
        return Voice.BUSY
    return Voice.REFUSED if 400 <= status < 500 else Voice.UNSURE


class CoupaClient:
    """The API of one Coupa installation."""

    def __init__(self, config: CoupaConfig, wire: HttpWire) -> None:
        self._config = config
        self._wire = wire
        self._api = config.api_path.rstrip("/")

    async def listed(
        self, path: str, query: Mapping[str, str], fields: Sequence[Field]
    ) -> Listed | Refused:
        """One page of a resource. Raises `Transient` where it is not a list of objects."""
        asked = {**query, "fields": fields_text(tuple(fields))}
        answer = await self._exchange("GET", path, asked)
        if isinstance(answer, Refused):
            return answer
        try:
            raws = _ROWS.decode(answer.body)
        except msgspec.DecodeError:
            raise Transient("the answer to a query is not a list", system=False) from None
        return Listed(tuple(row_of(bytes(raw)) for raw in raws), _date_of(answer))

    async def listed_values(
        self, path: str, query: Mapping[str, str], fields: Sequence[Field]
    ) -> list[Mapping[str, Any]] | Refused:
        """As `listed`, of objects whose time of change is of no interest."""
        answer = await self._exchange("GET", path, {**query, "fields": fields_text(tuple(fields))})
        if isinstance(answer, Refused):
            return answer
        if not isinstance(answer.json, list):
            raise Transient("the answer to a query is not a list", system=False)
        return [one for one in answer.json if isinstance(one, dict)]

    async def mark_exported(self, path: str, fields: Sequence[Field]) -> Row | Refused:
        """Set the object's `exported`, in a request of its own; the object as it stands then.

        It may be done twice, and nothing else hangs on it: its breaking is no ambiguity.
        """
        asked = {"exported": "true", "fields": fields_text(tuple(fields))}
        answer = await self._exchange("PUT", path, asked)
        return answer if isinstance(answer, Refused) else row_of(answer.body)

    async def change(
        self, method: str, path: str, body: bytes, fields: Sequence[Field]
    ) -> Mapping[str, Any] | Refused:
        """Create or change an object; as it stands then."""
        asked = {"fields": fields_text(tuple(fields))}
        answer = await self._exchange(method, path, asked, body, commits=True)
        if isinstance(answer, Refused):
            return answer
        if not isinstance(answer.json, dict):
            raise Ambiguous("Coupa answered without the object")
        return answer.json

    async def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes = b"",
        *,
        commits: bool = False,
    ) -> Answer | Refused:
        headers = [("Accept", "application/json")]
        if body:
            headers.append(("Content-Type", "application/json"))
        asked = "&".join(f"{_quoted(name)}={_quoted(text)}" for name, text in query.items())
        target = f"{self._api}{path}?{asked}"
        request = HttpRequest(method, target, tuple(headers), body, commits)
        answer = await self._wire.exchange(request, hear)
        errors = _errors_of(answer) if answer.status >= 400 else None
        return answer if errors is None else self._refused(answer.status, errors)

    def _refused(self, status: int, errors: Any) -> Refused:
        about, sentences = _flattened(errors)
        message = "; ".join(safe_text(one) for one in sentences[:_ERRORS_SHOWN_MAX])
        return Refused(status, safe_text(about, chars_max=60), self._wire.safe(message))


def row_of(body: bytes) -> Row:
    """The object in these bytes. Raises `Transient` where it has no id or no time of change."""
    try:
        value = msgspec.json.decode(body)
        identity = int(member(value, "id"))
        updated_at = datetime.fromisoformat(member(value, "updated-at"))
    except (msgspec.DecodeError, AttributeError, TypeError, ValueError, RecursionError):
        raise Transient("an object came without id and updated-at", system=False) from None
    if updated_at.tzinfo is None:
        # "Any date specified without a time and timezone" is UTC to Coupa ("Querying Options").
        updated_at = updated_at.replace(tzinfo=UTC)
    return Row(identity, updated_at.astimezone(UTC), digest_of(value), body, value)


def _errors_of(answer: Answer) -> Any:
    errors = answer.json.get("errors") if isinstance(answer.json, dict) else None
    return errors if isinstance(errors, dict | list) and errors else None


def _flattened(errors: Any) -> tuple[str, list[str]]:
    """What the first error is about, and every sentence of `{"account": ["... blank"]}`."""
    if isinstance(errors, dict):
        pairs = [(str(about), told) for about, told in errors.items()]
    else:
        pairs = [("", told) for told in errors]
    sentences: list[str] = []
    for _, told in pairs:
        sentences += [str(one) for one in told] if isinstance(told, list) else [str(told)]
    return pairs[0][0], sentences


def _date_of(answer: Answer) -> datetime | None:
    try:
        return parsedate_to_datetime(answer.header("Date")).astimezone(UTC)
    except (TypeError, ValueError):
        return None
