"""Bogus over HTTP: JSON both ways, a bearer token, an envelope for its refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from quaestor.connectors.kit.classify import Answer, Voice
from quaestor.connectors.kit.contract import Permanent
from quaestor.connectors.kit.wires.http import HttpRequest, HttpWire
from quaestor.model.refusal import Refusal, refuse

__all__ = ["BogusClient", "hear", "said"]


def hear(answer: Answer) -> Voice:
    """Did bogus itself speak? Its every answer is `{"bogus": …}`."""
    said = _said(answer)
    if answer.status == 429 or (answer.status == 503 and said is not None):
        return Voice.BUSY
    if answer.status in (401, 403):
        return Voice.LOGIN
    if said is None or answer.status >= 500:
        return Voice.UNSURE
    return Voice.DONE if answer.status < 400 else Voice.REFUSED


class BogusClient:
    """The orders of one bogus system."""

    def __init__(self, wire: HttpWire) -> None:
        self._wire = wire

    async def create(self, key: str, body: bytes, *, keyed: bool) -> Answer:
        """POST; with `keyed` it carries our key to be remembered."""
        headers = (("Idempotency-Key", key),) if keyed else ()
        return await self._change("POST", "/orders", body, headers)

    async def put(self, key: str, body: bytes) -> Answer:
        """Set the one order of this key."""
        return await self._change("PUT", f"/orders/{quote(key, safe='')}", body, ())

    async def cancel(self, number: str) -> Answer:
        """Cancel; cancelling twice is no error."""
        return await self._change("DELETE", f"/orders/{quote(number, safe='')}", b"", ())

    async def orders(self, query: str) -> list[Mapping[str, Any]]:
        """What answers to the query. Raises `Permanent` where bogus refuses to be asked."""
        answer = await self._wire.exchange(HttpRequest("GET", f"/orders?{query}"), hear)
        if answer.status >= 400:
            raise Permanent("bogus refuses the look-up", self.refusal(answer))
        found = said(answer).get("orders")
        return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []

    def refusal(self, answer: Answer) -> Refusal:
        """Bogus's own refusal, made safe."""
        spoken = said(answer)
        return refuse(
            "erp_rejected",
            code=self._wire.safe(str(spoken.get("code", ""))),
            message=self._wire.safe(str(spoken.get("message", ""))),
        )

    async def _change(
        self, method: str, target: str, body: bytes, headers: tuple[tuple[str, str], ...]
    ) -> Answer:
        typed = (("Content-Type", "application/json"), *headers)
        request = HttpRequest(method, target, typed, body, commits=True)
        return await self._wire.exchange(request, hear)


def said(answer: Answer) -> Mapping[str, Any]:
    """What bogus said; empty where it did not speak."""
    return _said(answer) or {}


def _said(answer: Answer) -> Mapping[str, Any] | None:
    spoken = answer.json.get("bogus") if isinstance(answer.json, dict) else None
    return spoken if isinstance(spoken, dict) else None
