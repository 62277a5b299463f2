"""The common chassis of our simulators: a vendor's behaviour behind HTTP, and a control port.

A simulator is ours and stands for a vendor's system: it must never be kinder than the vendor.
The vendor's part (`Simulated`) is one plain function from request to answer; whatever it stores
is committed when it returns. Faults, latency and the record of requests are the chassis's.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from types import TracebackType
from typing import Any

import msgspec
from aiohttp import web

from quaestor.connectors.kit.faulting import Fault, FaultPlan
from quaestor.connectors.kit.ready import Ready
from quaestor.connectors.kit.redact import masked_headers
from quaestor.connectors.kit.simulated import SimAnswer, SimRequest, Simulated

__all__ = ["Ready", "Simulator"]

REQUESTS_KEPT = 10_000
REQUEST_BYTES_MAX = 8 * 1024 * 1024
LOOPBACK = "127.0.0.1"


class Simulator:
    """A simulated system on loopback. `async with Simulator(vendor) as ready: …`

    `latency_ms` passes before each request is worked on.
    """

    def __init__(
        self,
        vendor: Simulated,
        *,
        latency_ms: float = 0.0,
        port: int = 0,
        control_port: int = 0,
    ) -> None:
        self.vendor = vendor
        self.plan = FaultPlan()
        self._latency_s = latency_ms / 1000.0
        self._ports = (port, control_port)
        self._runners: list[web.ServerRunner] = []
        self._late: set[asyncio.Task[None]] = set()
        self._requests: deque[dict[str, Any]] = deque(maxlen=REQUESTS_KEPT)
        self._received = 0

    async def __aenter__(self) -> Ready:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> Ready:
        """Listen, on the given ports or on free ones."""
        url = await self._listen(self._serve, self._ports[0])
        control = await self._listen(self._control, self._ports[1])
        return Ready(url, control, dict(self.vendor.credentials))

    async def stop(self) -> None:
        """Stop listening, and forget what would have been committed late."""
        for task in self._late:
            task.cancel()
        for runner in reversed(self._runners):
            await runner.cleanup()
        self._runners.clear()

    async def _listen(self, handler: Any, port: int) -> str:
        # A hanging request must not hold the end of the process back.
        runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, LOOPBACK, port, backlog=1024)
        await site.start()
        bound = runner.addresses[-1][1]
        return f"http://{LOOPBACK}:{bound}"

    # --- the vendor's port ----------------------------------------------------------------------

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        started = time.perf_counter()
        if (request.content_length or 0) > REQUEST_BYTES_MAX:
            return web.Response(status=413)
        asked = SimRequest(
            method=request.method,
            path=request.path,
            query=dict(request.query),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.content.read(),
            origin=f"http://{request.host}",
        )
        fault = self.plan.next(asked.method, asked.path)
        entry = self._entered(asked, fault)
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        answer = await self._answered(asked, fault)
        if answer is not None and answer.after_s:
            await asyncio.sleep(answer.after_s)
        entry["elapsed_ms"] = round((time.perf_counter() - started) * 1000.0, 3)
        if answer is None or answer.ends != "answer":
            by_fault = answer is None and fault is not None and fault.do == "reset"
            _cut(request, reset=by_fault or (answer is not None and answer.ends == "reset"))
            return web.Response(status=500)
        entry["status"] = answer.status
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    async def _answered(self, asked: SimRequest, fault: Fault | None) -> SimAnswer | None:
        """The answer, or `None` where the connection ends without one."""
        match fault.do if fault else None:
            case None:
                return self.vendor.handle(asked)
            case "drop_after_commit":
                self.vendor.handle(asked)
                return None
            case "500_after_commit":
                self.vendor.handle(asked)
                return self.vendor.failed()
            case "commit_late":
                assert fault is not None
                self._commit_later(asked, fault.seconds)
                return None
            case "hang":
                assert fault is not None
                await asyncio.sleep(fault.seconds)
                return None
            case "429":
                assert fault is not None
                return self.vendor.busy(fault.seconds)
            case "expire_token":
                self.vendor.expire_tokens()
                return self.vendor.handle(asked)
            case _:
                return None

    def _commit_later(self, asked: SimRequest, seconds: float) -> None:
        async def commit() -> None:
            await asyncio.sleep(seconds)
            self.vendor.handle(asked)

        task = asyncio.create_task(commit())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    def _entered(self, asked: SimRequest, fault: Fault | None) -> dict[str, Any]:
        self._received += 1
        entry: dict[str, Any] = {
            "nth": self._received,
            "at": time.time(),
            "method": asked.method,
            "path": asked.path,
            "query": dict(asked.query),
            "headers": dict(masked_headers(asked.headers.items())),
            "body_bytes": len(asked.body),
            "status": 0,
            "fault": fault.do if fault else None,
            "elapsed_ms": None,
        }
        self._requests.append(entry)
        return entry

    # --- the control port -----------------------------------------------------------------------

    async def _control(self, request: web.BaseRequest) -> web.StreamResponse:
        match (request.method, request.path):
            case ("GET", "/healthz"):
                return _json(200, {"ok": True})
            case ("GET", "/requests"):
                return _json(200, {"count": self._received, "requests": list(self._requests)})
            case ("GET", "/documents"):
                found = self.vendor.documents(request.query.get("reference"))
                return _json(200, {"count": len(found), "documents": found})
            case ("GET", "/faults"):
                return _json(200, {"faults": self.plan.pending()})
            case ("PUT", "/faults"):
                return self._put_faults(await request.read())
            case ("POST", "/reset"):
                self._reset()
                return _json(200, {"ok": True})
            case ("PATCH", path) if path.startswith("/documents/"):
                return self._edit(path.removeprefix("/documents/"), await request.read())
        return _json(404, {"error": "no such control"})

    def _put_faults(self, body: bytes) -> web.Response:
        try:
            faults = msgspec.json.decode(body, type=list[Fault])
        except msgspec.ValidationError as error:
            return _json(400, {"error": str(error)})
        except msgspec.DecodeError:
            return _json(400, {"error": "the body is not JSON"})
        self.plan.put(faults)
        return _json(200, {"faults": self.plan.pending()})

    def _edit(self, number: str, body: bytes) -> web.Response:
        try:
            changes = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError:
            return _json(400, {"error": "the body is not a JSON object"})
        if not self.vendor.edit(number, changes):
            return _json(404, {"error": "no such document"})
        return _json(200, {"ok": True})

    def _reset(self) -> None:
        for task in self._late:
            task.cancel()
        self.vendor.reset()
        self.plan.put([])
        self._requests.clear()
        self._received = 0


def _json(status: int, value: object) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(value), content_type="application/json"
    )


def _cut(request: web.BaseRequest, *, reset: bool) -> None:
    """End the connection without an answer; `reset` makes the peer see RST instead of FIN."""
    transport = request.transport
    if transport is None:
        return
    if reset:
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
