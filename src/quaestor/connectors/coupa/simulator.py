"""Our Coupa: token endpoint, Core API in JSON and its oddities, never kinder than the vendor.

Client credentials with scopes that are enforced, tokens that run out and that are not known
everywhere at once, 25 requests a second with bursts of 20, pages of at most 50 in no promised
order, times in the company's zone, an `exported` flag that only its own request sets and no edit
resets, custom fields that are ignored without a word where nobody set them up, lines with a
repeated number that are dropped without a word, and no uniqueness of integration history records.
"""

from __future__ import annotations

import math
import re
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec

from quaestor.connectors.coupa.config import SCOPES
from quaestor.connectors.coupa.simulator_query import QueryRefused, page_of, picked
from quaestor.connectors.coupa.simulator_rules import ATTRIBUTES, scope_of
from quaestor.connectors.coupa.simulator_store import SimStore, stamp
from quaestor.connectors.kit.kind import SimulatorOptions, SimulatorOptionsInvalid
from quaestor.connectors.kit.pace import Pace
from quaestor.connectors.kit.simulated import SimAnswer, SimRequest, json_answer

__all__ = ["CoupaSimulator", "CoupaSimulatorOptions"]

_RECORDS = "integration_history_records"
_REQUISITION = re.compile(r"/requisitions/([0-9]{1,18})")
_ONE = re.compile(r"/([a-z_]+)/([0-9]{1,18})")
_NEW_RECORD = (f"/{_RECORDS}", f"/{_RECORDS}/create_alert")
_NEW_REQUISITION = {
    "/requisitions": "draft",
    "/requisitions/submit_for_approval": "pending_approval",
}


class CoupaSimulatorOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What this simulator takes besides settle time and seed.

    `requisitions` are files or folders of requisitions as Coupa publishes them, one per file, that
    stand there on the first day, with the status `begun_as` where one is given. `scopes` are what
    the client is registered for. A token lasts `token_life_s` and is known everywhere `token_gap_s`
    after it was given. `custom_fields` are set up on the requisition header. `integrations` are the
    codes of the integrations set up.
    """

    client_id: str = "quaestor-simulated"
    client_secret: str = "simulated-only"
    token_path: str = "/oauth2/token"
    scopes: tuple[str, ...] = SCOPES
    token_life_s: float = 86_399.0
    token_gap_s: float = 0.2
    requests_per_s: float = 25.0
    burst: int = 20
    requisitions: tuple[str, ...] = ()
    begun_as: str = ""
    custom_fields: tuple[str, ...] = ()
    integrations: tuple[str, ...] = ()


class _Token(msgspec.Struct, frozen=True):
    scopes: frozenset[str]
    usable_at: float
    ends_at: float


class Refusal(Exception):
    """Coupa refuses: status, what it is about, and the sentence."""

    def __init__(self, status: int, about: str, message: str) -> None:
        super().__init__(message)
        self.answer = json_answer(status, {"errors": {about: [message]}})


class CoupaSimulator:
    """The vendor's part of the simulator; `Simulator` puts it behind HTTP.

    `now` is monotonic time in seconds, `today` the time of day.
    """

    def __init__(
        self,
        options: SimulatorOptions,
        *,
        now: Callable[[], float] = time.monotonic,
        today: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._options = msgspec.convert(dict(options.extra), CoupaSimulatorOptions)
        self._folder = options.folder
        self._settle_s = options.settle_s
        self._now = now
        self._today = today
        self.reset()

    @property
    def credentials(self) -> Mapping[str, str]:
        return {
            "client_id": self._options.client_id,
            "client_secret": self._options.client_secret,
        }

    def handed_out(self) -> tuple[str, ...]:
        return (self._options.client_secret, *self._handed_out)

    def reset(self) -> None:
        self._tokens: dict[str, _Token] = {}
        self._handed_out: list[str] = []
        self._pace = Pace(self._options.requests_per_s, self._options.burst + 1, now=self._now)
        self._store = SimStore()
        begun_as = {"status": self._options.begun_as} if self._options.begun_as else {}
        for name in self._options.requisitions:
            place = self._folder / name
            for file in sorted(place.glob("*.json")) if place.is_dir() else [place]:
                self._store.take({**_written(file), **begun_as})

    def expire_tokens(self) -> None:
        self._tokens.clear()

    def documents(self, reference: str | None) -> list[dict[str, Any]]:
        """With a reference the records that carry it (as external id); without, all requisitions
        and records, briefly.
        """
        records = [
            {"number": str(one["id"]), "reference": one.get("external-id"), "document": one}
            for one in self._store.of[_RECORDS].every()
        ]
        if reference:
            return [one for one in records if one["reference"] == reference]
        requisitions = [
            {
                "number": str(one["id"]),
                "status": one.get("status"),
                "exported": one.get("exported"),
                "custom_fields": one.get("custom-fields", {}),
            }
            for one in self._store.of["requisitions"].every()
        ]
        return [*requisitions, *records]

    def edit(self, number: str, changes: Mapping[str, Any]) -> bool:
        """A person changes a requisition, or a record, in Coupa's own pages."""
        if not number.isdigit():
            return False
        for resource in ("requisitions", _RECORDS):
            found = self._store.of[resource].get(int(number))
            if found is not None:
                found.update(changes)
                self._touch(found)
                return True
        return False

    # --- streams: what a test lets happen here --------------------------------------------------

    def arrives(self, stream: str, value: Mapping[str, Any]) -> None:
        """An object comes into being; of a requisition also what it refers to."""
        if stream == "requisitions":
            self._store.take(value)
        else:
            self._store.of[stream].put(value)

    def changes(self, stream: str, source_id: str, changes: Mapping[str, Any]) -> None:
        """An object is edited there; its time of change moves."""
        found = self._store.of[stream].get(int(source_id))
        assert found is not None, "there is no such object"
        found.update(changes)
        self._touch(found)

    def acknowledged(self, stream: str) -> frozenset[str]:
        """The ids that are marked as exported."""
        rows = self._store.of[stream].every()
        return frozenset(str(one["id"]) for one in rows if one.get("exported") is True)

    def _touch(self, value: dict[str, Any]) -> None:
        value["updated-at"] = stamp(self._today())

    # --- HTTP -----------------------------------------------------------------------------------

    def busy(self, seconds: float) -> SimAnswer:
        headers = (("Content-Type", "text/html"), ("Retry-After", f"{math.ceil(seconds)}"))
        return SimAnswer(429, b"<html><body>Too Many Requests</body></html>", headers)

    def failed(self) -> SimAnswer:
        return SimAnswer(500, b"<html><body>We're sorry</body></html>", _HTML)

    def handle(self, request: SimRequest) -> SimAnswer:
        try:
            return self._handled(request)
        except Refusal as refusal:
            return refusal.answer
        except QueryRefused as refusal:
            return json_answer(400, {"errors": {"query": [str(refusal)]}})

    def _handled(self, request: SimRequest) -> SimAnswer:
        if request.path == self._options.token_path and request.method == "POST":
            return self._token(request)
        if not request.path.startswith("/api/"):
            return SimAnswer(404, b"<html><body>Not found</body></html>", _HTML)
        if not self._pace.taken():
            return SimAnswer(429, b"<html><body>Too Many Requests</body></html>", _HTML)
        path = request.path.removeprefix("/api")
        self._authorize(request, path)
        return self._worked(request, path)

    def _token(self, request: SimRequest) -> SimAnswer:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        options = self._options
        given = (form.get("client_id"), form.get("client_secret"))
        if given != (options.client_id, options.client_secret):
            return json_answer(401, {"error": "invalid_client"})
        if form.get("grant_type") != "client_credentials":
            return json_answer(400, {"error": "unsupported_grant_type"})
        scopes = frozenset(form.get("scope", "").split())
        if not scopes or not scopes <= frozenset(options.scopes):
            return json_answer(400, {"error": "invalid_scope"})
        # Long: there is no limit to the length of a token, which is a JWT.
        token = f"eyJ{secrets.token_urlsafe(900)}"
        now = self._now()
        self._tokens[token] = _Token(scopes, now + options.token_gap_s, now + options.token_life_s)
        self._handed_out.append(token)
        granted = {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": int(options.token_life_s),
            "scope": " ".join(sorted(scopes)),
        }
        return json_answer(200, granted)

    def _authorize(self, request: SimRequest, path: str) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        token = self._tokens.get(given)
        now = self._now()
        if scheme != "Bearer" or token is None or not token.usable_at <= now < token.ends_at:
            raise Refusal(401, "authentication", "The access token is not valid")
        if scope_of(request.method, path) not in token.scopes:
            raise Refusal(403, "authorization", "The access token lacks a scope for this")

    # --- resources ------------------------------------------------------------------------------

    def _worked(self, request: SimRequest, path: str) -> SimAnswer:
        if "application/json" not in request.headers.get("accept", ""):
            # XML is what Coupa speaks to whoever asks for nothing else.
            return SimAnswer(200, b'<?xml version="1.0"?><objects type="array"/>', _XML)
        match = _REQUISITION.fullmatch(path)
        if request.method == "PUT" and match is not None:
            return self._put_requisition(request, int(match[1]))
        if request.method == "POST" and path in _NEW_RECORD:
            return self._new_record(request)
        if request.method == "POST" and path in _NEW_REQUISITION:
            return self._new_requisition(request, _NEW_REQUISITION[path])
        if request.method == "GET":
            return self._got(request, path)
        raise Refusal(404, "path", "There is no such action")

    def _got(self, request: SimRequest, path: str) -> SimAnswer:
        resource = path.removeprefix("/")
        if resource in ATTRIBUTES:
            rows = self._store.of[resource].seen(self._now())
            return json_answer(200, page_of(rows, request.query, ATTRIBUTES[resource]))
        match = _ONE.fullmatch(path)
        found = None
        if match is not None and match[1] in ATTRIBUTES:
            found = self._store.of[match[1]].get(int(match[2]), self._now())
        if found is None:
            raise Refusal(404, "id", "No results match your search criteria.")
        return json_answer(200, picked(found, request.query))

    def _put_requisition(self, request: SimRequest, identity: int) -> SimAnswer:
        found = self._store.of["requisitions"].get(identity)
        if found is None:
            raise Refusal(404, "id", "No results match your search criteria.")
        if "exported" in request.query:
            # Its own request: whatever else comes with it is ignored.
            found["exported"] = request.query["exported"] == "true"
            if found["exported"]:
                found["last-exported-at"] = stamp(self._today())
        else:
            body = _object(request)
            custom = body.get("custom-fields") or body.get("custom_fields") or {}
            known = {name: value for name, value in custom.items() if self._is_set_up(name)}
            found["custom-fields"] = {**found.get("custom-fields", {}), **known}
        self._touch(found)
        return json_answer(200, picked(found, request.query))

    def _is_set_up(self, name: str) -> bool:
        return name in self._options.custom_fields

    def _new_record(self, request: SimRequest) -> SimAnswer:
        body = _object(request)
        for name in ("contact-alert-type", "document-id", "document-type"):
            if not body.get(name):
                raise Refusal(400, "integration_history_record", f"{name} can't be blank")
        code = (body.get("integration") or {}).get("code")
        if code is not None and code not in self._options.integrations:
            raise Refusal(400, "integration", "Integration must exist")
        if body["document-type"] != "RequisitionHeader" or (
            body["document-id"] not in self._store.of["requisitions"]
        ):
            raise Refusal(400, "integration_history_record", "Document must exist")
        records = self._store.of[_RECORDS]
        at = stamp(self._today())
        record = {
            **{name: body[name] for name in body if name in ATTRIBUTES[_RECORDS]},
            "id": records.next_id(),
            "resolved": False,
            "created-at": at,
            "updated-at": at,
            "creation-method": "api",
            "alerted": request.path.endswith("create_alert"),
        }
        records.put(record, self._now() + self._settle_s)
        return json_answer(201, picked(record, request.query))

    def _new_requisition(self, request: SimRequest, status: str) -> SimAnswer:
        body = _object(request)
        if not body.get("requisition-lines"):
            raise Refusal(400, "requisition_header", "Requisition lines can't be blank")
        requisitions = self._store.of["requisitions"]
        at = stamp(self._today())
        identity = requisitions.next_id()
        own = {"id": identity, "status": status, "created-at": at, "updated-at": at}
        lines = body["requisition-lines"]
        self._store.take({**body, **own, "exported": False, "line-count": len(lines)})
        created = requisitions.get(identity)
        return json_answer(201, picked(created or {}, request.query))


_HTML = (("Content-Type", "text/html"),)
_XML = (("Content-Type", "application/xml"),)


def _written(file: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise SimulatorOptionsInvalid(f"{file} holds no requisition: {error}") from error


def _object(request: SimRequest) -> dict[str, Any]:
    if "application/json" not in request.headers.get("content-type", ""):
        raise Refusal(400, "body", "Accept and Content-Type do not agree")
    try:
        return msgspec.json.decode(request.body, type=dict[str, Any])
    except msgspec.DecodeError:
        raise Refusal(400, "body", "The body is not a JSON object") from None
