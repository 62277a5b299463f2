"""The gateway as the demo's people use it: over HTTP, each with a token of his own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import aiohttp
import msgspec

from quaestor.cli.output import Failed
from quaestor.cli.supervise import Supervisor
from quaestor.cli.token import laptop_issuer
from quaestor.security.authorization import Scope

__all__ = ["Door"]

_TOKEN_TTL_S = 600
_ANSWER_TIMEOUT_S = 10.0


class Door:
    """The gateway of this deployment."""

    def __init__(self, supervisor: Supervisor, session: aiohttp.ClientSession) -> None:
        self.url = supervisor.gateway_url
        self._issuer = laptop_issuer(supervisor.place)
        self._entities = tuple(supervisor.project.entities)
        self._session = session

    async def cancel(self, document_id: int, *, by: str, reason: str) -> None:
        """Somebody wants the requisition no more."""
        path = f"/v1/requisitions/{document_id}/cancel"
        await self._ask("POST", path, by, (Scope.REQUISITIONS_WRITE,), {"reason": reason})

    async def steps(self, asked: str, *, by: str) -> int:
        """How many steps somebody is shown who asks for this number."""
        trace = await self._ask("GET", f"/v1/traces/{asked}", by, (Scope.TRACES_READ,))
        return len(trace["steps"])

    async def _ask(
        self, method: str, path: str, by: str, scopes: Sequence[Scope], body: Any = None
    ) -> dict[str, Any]:
        token = self._issuer.token(
            subject=by,
            scopes=[str(scope) for scope in scopes],
            entities=self._entities,
            now_s=int(time.time()),
            ttl_s=_TOKEN_TTL_S,
        )
        headers = {"Authorization": f"Bearer {token}"}
        data = None
        if body is not None:
            data = msgspec.json.encode(body)
            headers |= {"Content-Type": "application/json", "Idempotency-Key": f"demo{path}"}
        timeout = aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT_S)
        async with self._session.request(
            method, self.url + path, data=data, headers=headers, timeout=timeout
        ) as answer:
            said = await answer.read()
            if answer.status >= 400:
                raise Failed(f"The gateway answered {answer.status}: {said.decode()[:300]}")
            found: dict[str, Any] = msgspec.json.decode(said, type=dict[str, Any])
            return found
