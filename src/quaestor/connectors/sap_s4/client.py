"""OData v2 over the wire: CSRF token with its cookies, paging, the error envelope.

SAP answers 403 with `x-csrf-token: Required` where token and session do not belong together;
nothing was executed then, so the same request is sent once more with a fresh pair. Sources: SAP
KBA 3048103 (token and cookies), OData v2 JSON (`d`, `results`, `__next`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from quaestor.connectors.kit.classify import Answer, Voice
from quaestor.connectors.kit.contract import Permanent, Transient
from quaestor.connectors.kit.redact import safe_text
from quaestor.connectors.kit.wires.http import HttpRequest, HttpWire
from quaestor.connectors.sap_s4.config import SapConfig
from quaestor.model.refusal import Refusal, refuse

__all__ = ["Refused", "SapClient", "hear", "literal"]

_TOKEN = "x-csrf-token"
_EXPAND = ",".join(
    f"to_PurchaseOrderItem{path}" for path in ("", "/to_AccountAssignment", "/to_ScheduleLine")
)
# OData's own signs stay readable; SAP takes them as they are.
_PLAIN = "$',/:()"
_CODE = re.compile(r"[0-9A-Za-z_./ -]{1,80}")


class Refused(msgspec.Struct, frozen=True):
    """SAP's own refusal: its status, its message code, and its sentence made safe."""

    status: int
    code: str
    message: str

    def refusal(self) -> Refusal:
        return refuse("erp_rejected", code=self.code, message=self.message)


class _Session(msgspec.Struct):
    """One CSRF token and the cookies that it belongs to; one request at a time uses it."""

    token: str = ""
    cookies: str = ""


def hear(answer: Answer) -> Voice:
    """Did SAP's application speak?

    A 5xx with SAP's envelope is an exception in the middle of its work, not a refusal: business
    errors come with 4xx. It may have committed, so it is looked for.
    """
    status = answer.status
    if status == 429:
        return Voice.BUSY
    if status == 401:
        return Voice.LOGIN
    if status == 403:
        return Voice.STALE if _wants_token(answer) else Voice.LOGIN
    if status == 204 or (200 <= status < 300 and _data_of(answer) is not None):
        return Voice.DONE
    if _error_of(answer) is None:
        return Voice.UNSURE
    if status == 503 and answer.header("Retry-After"):
        return Voice.BUSY
    return Voice.REFUSED if 400 <= status < 500 else Voice.UNSURE


def literal(text: str) -> str:
    """A string in a `$filter` or a key: quotes around it, quotes inside doubled."""
    return "'" + text.replace("'", "''") + "'"


class SapClient:
    """The purchase-order service of one SAP system."""

    def __init__(self, config: SapConfig, wire: HttpWire) -> None:
        self._config = config
        self._wire = wire
        self._service = config.service_path.rstrip("/")
        # As many as sends are under way: each takes one, and a sequence of sends reuses it.
        self._idle: list[_Session] = []

    async def create(self, body: bytes) -> Mapping[str, Any] | Refused:
        """Send the deep insert once. The created order as SAP answers it, or its refusal."""
        answer = await self._change("POST", f"{self._service}/A_PurchaseOrder", body)
        return self._refused(answer) or _data_of(answer) or {}

    async def delete_items(self, number: str) -> Refused | None:
        """Delete all items of the order; `None` where SAP did it."""
        answer = await self._change("DELETE", self._key(number), b"")
        return self._refused(answer)

    async def order(self, number: str) -> Mapping[str, Any] | None:
        """The order with its items, or `None` where SAP has none of that number."""
        answer = await self._get(self._key(number), {"$expand": _EXPAND})
        refused = self._refused(answer)
        if refused is None:
            return _data_of(answer)
        if refused.status == 404:
            return None
        raise Permanent(f"SAP refuses to show an order: {refused.code}", refused.refusal())

    async def orders(self, where: str) -> list[Mapping[str, Any]]:
        """All orders that satisfy the filter, with their items, over all pages."""
        query = {"$filter": where, "$expand": _EXPAND}
        target = self._with_query(f"{self._service}/A_PurchaseOrder", query)
        found: list[Mapping[str, Any]] = []
        for _ in range(self._config.pages_max):
            answer = await self._ask(target)
            refused = self._refused(answer)
            if refused is not None:
                raise Permanent(f"SAP refuses the look-up: {refused.code}", refused.refusal())
            page = _data_of(answer) or {}
            found.extend(_results_of(page))
            following = page.get("__next")
            if not isinstance(following, str) or not following:
                return found
            target = self._following(following)
        raise Transient("the look-up has more pages than the limit", system=False)

    async def document(self) -> Answer:
        """The service document, which a session and its rights are tried on."""
        return await self._get(f"{self._service}/", {})

    async def metadata(self) -> Answer:
        """The service's metadata (EDMX, XML)."""
        headers = self._headers(accept="application/xml")
        target = self._with_query(f"{self._service}/$metadata", {})
        request = HttpRequest("GET", target, headers)
        return await self._wire.exchange(request, _hear_metadata)

    # --- requests -------------------------------------------------------------------------------

    async def _change(self, method: str, target: str, body: bytes) -> Answer:
        """A changing request with a session; once more with a fresh one where SAP wants that."""
        session = self._idle.pop() if self._idle else _Session()
        target = self._with_query(target, {})
        if not session.token:
            await self._fetch(session)
        answer = await self._with_session(method, target, body, session)
        if hear(answer) is Voice.STALE:
            await self._fetch(session)
            answer = await self._with_session(method, target, body, session)
        if hear(answer) is Voice.STALE:
            raise Transient("SAP accepts no CSRF token", code="connector_auth_failed")
        self._idle.append(session)
        return answer

    async def _with_session(
        self, method: str, target: str, body: bytes, session: _Session
    ) -> Answer:
        headers = [*self._headers(), (_TOKEN, session.token)]
        if session.cookies:
            headers.append(("Cookie", session.cookies))
        if body:
            headers.append(("Content-Type", "application/json"))
        request = HttpRequest(method, target, tuple(headers), body, commits=True)
        return await self._wire.exchange(request, hear)

    async def _fetch(self, session: _Session) -> None:
        """A fresh token with the cookies of its session. Nothing is created by it."""
        session.token = session.cookies = ""
        target = self._with_query(f"{self._service}/", {})
        request = HttpRequest("GET", target, (*self._headers(), (_TOKEN, "fetch")))
        answer = await self._wire.exchange(request, hear)
        token = answer.header(_TOKEN)
        if not token or token.lower() == "required":
            raise Transient("SAP gave no CSRF token", code="connector_auth_failed")
        session.cookies = "; ".join(
            cookie.partition(";")[0].strip() for cookie in answer.all_of("Set-Cookie")
        )
        session.token = token

    async def _get(self, target: str, query: Mapping[str, str]) -> Answer:
        return await self._ask(self._with_query(target, query))

    async def _ask(self, target: str) -> Answer:
        return await self._wire.exchange(HttpRequest("GET", target, self._headers()), hear)

    def _headers(self, accept: str = "application/json") -> tuple[tuple[str, str], ...]:
        return (("Accept", accept), ("Accept-Language", self._config.language))

    def _key(self, number: str) -> str:
        return f"{self._service}/A_PurchaseOrder({quote(literal(number), safe=chr(39))})"

    def _with_query(self, target: str, query: Mapping[str, str]) -> str:
        asked = dict(query)
        if self._config.client:
            asked["sap-client"] = self._config.client
        return f"{target}?{urlencode(asked, safe=_PLAIN, quote_via=quote)}" if asked else target

    def _following(self, following: str) -> str:
        """The next page, on our own host whatever address the answer names (I38)."""
        parts = urlsplit(following)
        path = parts.path.removeprefix(self._wire.base_path)
        if not path.startswith(f"{self._service}/"):
            raise Transient("the next page lies outside of the service", system=False)
        return f"{path}?{parts.query}"

    def _refused(self, answer: Answer) -> Refused | None:
        if answer.status < 400:
            return None
        error = _error_of(answer) or {}
        message = error.get("message")
        text = message.get("value") if isinstance(message, Mapping) else message
        code = error.get("code")
        return Refused(
            answer.status,
            code if isinstance(code, str) and _CODE.fullmatch(code) else "",
            self._wire.safe(safe_text(text)) if isinstance(text, str) else "",
        )


def _member(answer: Answer, name: str) -> Mapping[str, Any] | None:
    """The object of that name in the answer's object."""
    value = answer.json.get(name) if isinstance(answer.json, dict) else None
    return value if isinstance(value, dict) else None


def _data_of(answer: Answer) -> Mapping[str, Any] | None:
    return _member(answer, "d")


def _error_of(answer: Answer) -> Mapping[str, Any] | None:
    error = _member(answer, "error")
    return error if error is not None and "code" in error else None


def _results_of(page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    results = page.get("results")
    if not isinstance(results, list):
        raise Transient("the answer to a look-up has no results", system=False)
    return [row for row in results if isinstance(row, dict)]


def _wants_token(answer: Answer) -> bool:
    return answer.header(_TOKEN).lower() == "required"


def _hear_metadata(answer: Answer) -> Voice:
    if answer.status in (401, 403):
        return Voice.LOGIN
    if answer.status == 200 and b"<edmx:Edmx" in answer.body:
        return Voice.DONE
    return Voice.BUSY if answer.status == 429 else Voice.UNSURE
