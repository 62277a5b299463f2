"""Our SAP S/4HANA: the purchase-order service with its oddities, never kinder than the vendor.

Basic login, CSRF tokens that hold only with their cookies, deep insert, `/Date(ms)/`, decimals
as text, `__next` with `$skiptoken`, a `$filter` that refuses what it does not know, XML unless
JSON is asked for, custom fields that appear unannounced, `LastChangeDateTime` that is sometimes
null, documents that become visible later, and no uniqueness of anything but the number.
"""

from __future__ import annotations

import base64
import math
import random
import re
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

import msgspec

from quaestor.connectors.kit.kind import SimulatorOptions
from quaestor.connectors.kit.simulated import SimAnswer, SimRequest, json_answer
from quaestor.connectors.sap_s4.config import SERVICE_PATH
from quaestor.connectors.sap_s4.simulator_filter import matches, parsed
from quaestor.connectors.sap_s4.simulator_rules import (
    NAVIGATIONS,
    Refusal400,
    blank,
    check_order,
    checked,
    metadata,
)
from quaestor.connectors.sap_s4.simulator_store import REFERENCES, OrderBook, value_of

__all__ = ["SapSimulator", "SapSimulatorOptions"]

NAMESPACE = "API_PURCHASEORDER_PROCESS_SRV"
_KEY = re.compile(r"A_PurchaseOrder\('([^']{1,10})'\)")
_BELOW = ("to_AccountAssignment", "to_ScheduleLine", "to_PurchaseOrderItemNote")


_ONE_SCHEDULE: tuple[dict[str, Any], ...] = ({},)


class SapSimulatorOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What this simulator takes besides settle time and seed.

    Orders worth more than `release_above` wait for SAP's own release. `token_life_s` is how long
    a session lasts, `page_size` how many orders one page has.
    """

    user: str = "QUAESTOR"
    password: str = "simulated-only"
    release_above: str = "100000"
    token_life_s: float = 1800.0
    page_size: int = 5
    first_number: int = 4_500_000_000


class SapSimulator:
    """The vendor's part of the simulator; `Simulator` puts it behind HTTP.

    `now` is monotonic time in seconds.
    """

    def __init__(
        self, options: SimulatorOptions, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._options = msgspec.convert(dict(options.extra), SapSimulatorOptions)
        self._settle_s = options.settle_s
        self._seed = options.seed
        self._now = now
        pair = f"{self._options.user}:{self._options.password}".encode()
        self._authorization = f"Basic {base64.b64encode(pair).decode()}"
        self.reset()

    @property
    def credentials(self) -> Mapping[str, str]:
        return {
            "user": self._options.user,
            "password": self._options.password,
        }

    def handed_out(self) -> tuple[str, ...]:
        return (self._options.password, *self._handed_out)

    def reset(self) -> None:
        self._chance = random.Random(self._seed)
        self._orders = OrderBook()
        self._next_number = self._options.first_number
        self._sessions: dict[str, tuple[str, float]] = {}
        self._handed_out: list[str] = []

    def expire_tokens(self) -> None:
        self._sessions.clear()

    def documents(self, reference: str | None) -> list[dict[str, Any]]:
        return self._orders.counted(reference, self._now())

    def edit(self, number: str, changes: Mapping[str, Any]) -> bool:
        """`items` changes every item's fields, all else the header's."""
        document = self._orders.get(number)
        if document is None:
            return False
        for item in document["to_PurchaseOrderItem"]:
            item.update(changes.get("items") or {})
        header = {name: value for name, value in changes.items() if name != "items"}
        self._orders.change(number, {**document, **header})
        return True

    # --- HTTP -----------------------------------------------------------------------------------

    def handle(self, request: SimRequest) -> SimAnswer:
        try:
            return self._handled(request)
        except Refusal400 as refusal:
            return _error(request, 400, refusal.code, refusal.message)

    def busy(self, seconds: float) -> SimAnswer:
        # API management answers for the application, without its envelope.
        return SimAnswer(
            429,
            b'{"fault":{"faultstring":"Rate limit quota violation"}}',
            (("Content-Type", "application/json"), ("Retry-After", f"{math.ceil(seconds)}")),
        )

    def failed(self) -> SimAnswer:
        return json_answer(500, _envelope("SY/530", "An exception was raised"))

    def _handled(self, request: SimRequest) -> SimAnswer:
        if request.headers.get("authorization") != self._authorization:
            return SimAnswer(
                401,
                b"<html><body>Logon failed</body></html>",
                (("Content-Type", "text/html"), ("WWW-Authenticate", 'Basic realm="SAP"')),
            )
        if not request.path.startswith(SERVICE_PATH):
            return _error(request, 404, "/IWFND/MED/170", "No service found")
        segment = request.path.removeprefix(SERVICE_PATH).strip("/")
        if request.method == "GET":
            return self._with_token(request, self._got(request, segment))
        refusal = self._token_refused(request)
        if refusal is not None:
            return refusal
        match = _KEY.fullmatch(segment)
        if request.method == "POST" and segment == "A_PurchaseOrder":
            return self._created(request)
        if request.method == "DELETE" and match is not None:
            return self._deleted(request, match[1])
        return _error(request, 405, "/IWFND/CM_MGW/096", "Method not allowed for this resource")

    def _got(self, request: SimRequest, segment: str) -> SimAnswer:
        match = _KEY.fullmatch(segment)
        if segment == "":
            return json_answer(200, {"d": {"EntitySets": ["A_PurchaseOrder"]}})
        if segment == "$metadata":
            return SimAnswer(200, metadata(), (("Content-Type", "application/xml"),))
        if segment == "A_PurchaseOrder":
            return self._listed(request)
        if match is not None:
            document = self._orders.get(match[1], self._now())
            if document is None:
                return _error(request, 404, "/IWBEP/CM_MGW_RT/020", "Resource not found")
            return _shown(request, 200, self._entry(request, document))
        return _error(request, 404, "/IWBEP/CM_MGW_RT/021", "Resource not found for the segment")

    def _listed(self, request: SimRequest) -> SimAnswer:
        known = {"$filter", "$expand", "$top", "$skiptoken", "$format", "sap-client"}
        if unknown := set(request.query) - known:
            raise Refusal400(
                "/IWBEP/CM_MGW_RT/176", f"Query option {min(unknown)} is not supported"
            )
        terms = parsed(request.query.get("$filter", ""))
        # Found by the reference that is asked for, as a database with an index would.
        asked = (str(term.value) for term in terms if term.field in REFERENCES and term.value)
        hits = [
            document
            for document in self._orders.seen(next(asked, None), self._now())
            if matches(terms, document)
        ]
        top = _count(request.query.get("$top"), len(hits))
        start = _count(request.query.get("$skiptoken"), 0)
        end = min(start + self._options.page_size, top)
        page: dict[str, Any] = {
            "results": [self._entry(request, document) for document in hits[start:end]]
        }
        if end < min(top, len(hits)):
            page["__next"] = _next_page(request, end)
        return _shown(request, 200, page)

    # --- login and tokens -----------------------------------------------------------------------

    def _with_token(self, request: SimRequest, answer: SimAnswer) -> SimAnswer:
        if request.headers.get("x-csrf-token", "").lower() != "fetch" or answer.status >= 400:
            return answer
        session, token = (
            secrets.token_urlsafe(24),
            base64.b64encode(secrets.token_bytes(16)).decode(),
        )
        self._handed_out += (session, token)
        self._sessions[session] = (token, self._now() + self._options.token_life_s)
        return SimAnswer(
            answer.status,
            answer.body,
            (
                *answer.headers,
                ("x-csrf-token", token),
                ("Set-Cookie", f"SAP_SESSIONID_S4H_100={session}; path=/; HttpOnly"),
                ("Set-Cookie", "sap-usercontext=sap-client=100; path=/"),
            ),
        )

    def _token_refused(self, request: SimRequest) -> SimAnswer | None:
        cookies = dict(
            pair.strip().partition("=")[::2]
            for pair in request.headers.get("cookie", "").split(";")
        )
        token, ends_at = self._sessions.get(
            cookies.get("SAP_SESSIONID_S4H_100", ""), ("", float("-inf"))
        )
        if ends_at > self._now() and token == request.headers.get("x-csrf-token"):
            return None
        return SimAnswer(
            403,
            b"CSRF token validation failed",
            (("Content-Type", "text/plain"), ("x-csrf-token", "Required")),
        )

    # --- orders ---------------------------------------------------------------------------------

    def _created(self, request: SimRequest) -> SimAnswer:
        if not request.headers.get("content-type", "").startswith("application/json"):
            return _error(request, 415, "/IWFND/CM_BEC/026", "Unsupported media type")
        try:
            given = msgspec.json.decode(request.body)
        except msgspec.DecodeError:
            raise Refusal400("005056A509B11ED1B9BF9F46AAF5D5E4", "Malformed JSON") from None
        order = checked("A_PurchaseOrderType", given)
        check_order(order)
        number = str(self._next_number)
        self._next_number += 1
        document = self._document(number, order)
        delay_s = self._settle_s * self._chance.uniform(0.5, 1.0)
        self._orders.put(number, document, self._now() + delay_s)
        everything = "to_PurchaseOrderItem," + ",".join(
            f"to_PurchaseOrderItem/{name}" for name in _BELOW
        )
        entry = self._entry(request, document, everything)
        location = ("Location", f"{request.origin}{SERVICE_PATH}/A_PurchaseOrder('{number}')")
        return _shown(request, 201, entry, (location,))

    def _document(self, number: str, order: Mapping[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC)
        midnight_ms = int(now.timestamp() // 86_400) * 86_400_000
        changed = f"/Date({int(now.timestamp() * 1000)}+0000)/"
        items = [self._item(number, order, item) for item in order["to_PurchaseOrderItem"]]
        above = value_of(items) > Decimal(self._options.release_above)
        return {
            **blank("A_PurchaseOrderType"),
            "PurchaseOrderDate": f"/Date({midnight_ms})/",
            **order,
            "PurchaseOrder": number,
            "PurchasingProcessingStatus": "01" if above else "02",
            "CreatedByUser": self._options.user[:12],
            "CreationDate": f"/Date({midnight_ms})/",
            "LastChangeDateTime": None if self._chance.random() < 0.25 else changed,
            "Language": order.get("Language") or "EN",
            "ExchangeRate": "1.00000",
            "ReleaseIsNotCompleted": above,
            "YY1_HeaderRetention_PDH": "",
            "YY1_RetentionType_PDHF": 3,
            "to_PurchaseOrderItem": items,
        }

    def _item(
        self, number: str, order: Mapping[str, Any], item: Mapping[str, Any]
    ) -> dict[str, Any]:
        currency, position = order["DocumentCurrency"], item["PurchaseOrderItem"].lstrip("0")
        below = {"PurchaseOrder": number, "PurchaseOrderItem": position}
        quantity = Decimal(item["OrderQuantity"])
        return {
            **blank("A_PurchaseOrderItemType"),
            "NetPriceQuantity": "1",
            "GoodsReceiptIsExpected": True,
            "InvoiceIsExpected": True,
            **item,
            **below,
            "DocumentCurrency": currency,
            "OrderQuantity": f"{quantity:f}",
            "NetPriceAmount": f"{Decimal(item['NetPriceAmount']):.3f}",
            "to_AccountAssignment": [
                self._assignment(row, below, currency)
                for row in item.get("to_AccountAssignment", ())
            ],
            "to_ScheduleLine": [
                {
                    **blank("A_PurchaseOrderScheduleLineType"),
                    "ScheduleLine": "1",
                    "ScheduleLineOrderQuantity": f"{quantity:f}",
                    **row,
                    "PurchasingDocument": number,
                    "PurchasingDocumentItem": position,
                    "PurchaseOrderQuantityUnit": item["PurchaseOrderQuantityUnit"],
                }
                for row in item.get("to_ScheduleLine") or _ONE_SCHEDULE
            ],
            "to_PurchaseOrderItemNote": [
                {**blank("A_PurchaseOrderItemNoteType"), **row, **below}
                for row in item.get("to_PurchaseOrderItemNote", ())
            ],
        }

    def _assignment(
        self, row: Mapping[str, Any], below: Mapping[str, str], currency: str
    ) -> dict[str, Any]:
        amount = Decimal(row.get("PurgDocNetAmount", "0"))
        return {
            **blank("A_PurOrdAccountAssignmentType"),
            **row,
            **below,
            "ControllingArea": "A000",
            "DocumentCurrency": currency,
            "PurgDocNetAmount": f"{amount:.3f}",
        }

    def _deleted(self, request: SimRequest, number: str) -> SimAnswer:
        document = self._orders.get(number)
        if document is None:
            return _error(request, 404, "/IWBEP/CM_MGW_RT/020", "Resource not found")
        items = document["to_PurchaseOrderItem"]
        if all(item["PurchasingDocumentDeletionCode"] == "L" for item in items):
            raise Refusal400("06/115", f"Purchase order {number} is already deleted")
        if any(item["IsCompletelyDelivered"] or item["IsFinallyInvoiced"] for item in items):
            raise Refusal400("06/116", f"Purchase order {number} has follow-on documents")
        for item in items:
            item["PurchasingDocumentDeletionCode"] = "L"
        self._orders.change(number, document)
        return SimAnswer(204)

    def _entry(
        self, request: SimRequest, document: Mapping[str, Any], expand: str | None = None
    ) -> dict[str, Any]:
        wanted = request.query.get("$expand", "") if expand is None else expand
        uri = f"{request.origin}{SERVICE_PATH}/A_PurchaseOrder('{document['PurchaseOrder']}')"
        paths = {path.strip() for path in wanted.split(",") if path.strip()}
        return _entity("A_PurchaseOrderType", document, paths, uri)


def _entity(entity: str, row: Mapping[str, Any], paths: set[str], uri: str) -> dict[str, Any]:
    """One entry with its metadata; navigations that were not asked for are deferred."""
    below = NAVIGATIONS.get(entity, {})
    for path in paths:
        if path.partition("/")[0] not in below:
            raise Refusal400("/IWBEP/CM_MGW_RT/074", f"Invalid navigation '{path}' in $expand")
    entry: dict[str, Any] = {
        "__metadata": {"id": uri, "uri": uri, "type": f"{NAMESPACE}.{entity}"},
        **{name: value for name, value in row.items() if name not in below},
    }
    for name, target in below.items():
        deeper = {path.removeprefix(f"{name}/") for path in paths if path.startswith(f"{name}/")}
        if name in paths or deeper:
            rows = row.get(name, ())
            entry[name] = {
                "results": [_entity(target, one, deeper, f"{uri}/{name}") for one in rows]
            }
        else:
            entry[name] = {"__deferred": {"uri": f"{uri}/{name}"}}
    return entry


def _count(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isascii() or not text.isdigit():
        raise Refusal400("/IWBEP/CM_MGW_RT/176", "A count is expected")
    return int(text)


def _next_page(request: SimRequest, start: int) -> str:
    query = {**request.query, "$skiptoken": str(start)}
    pairs = "&".join(f"{name}={quote(value)}" for name, value in query.items())
    return f"{request.origin}{SERVICE_PATH}/A_PurchaseOrder?{pairs}"


def _wants_json(request: SimRequest) -> bool:
    return request.query.get("$format") == "json" or "application/json" in request.headers.get(
        "accept", ""
    )


def _shown(
    request: SimRequest,
    status: int,
    data: object,
    headers: tuple[tuple[str, str], ...] = (),
) -> SimAnswer:
    if _wants_json(request):
        return json_answer(status, {"d": data}, (*headers, ("DataServiceVersion", "2.0")))
    atom = b'<?xml version="1.0"?><entry xmlns="http://www.w3.org/2005/Atom"/>'
    return SimAnswer(status, atom, (("Content-Type", "application/atom+xml"), *headers))


def _envelope(code: str, message: str) -> dict[str, Any]:
    return {
        "error": {
            "code": code,
            "message": {"lang": "en", "value": message},
            "innererror": {
                "transactionid": "0000000000000000",
                "errordetails": [{"code": code, "message": message, "severity": "error"}],
            },
        }
    }


def _error(request: SimRequest, status: int, code: str, message: str) -> SimAnswer:
    if _wants_json(request):
        return json_answer(status, _envelope(code, message))
    text = (
        '<?xml version="1.0" encoding="utf-8"?><error '
        'xmlns="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">'
        f'<code>{escape(code)}</code><message xml:lang="en">{escape(message)}</message></error>'
    )
    return SimAnswer(status, text.encode(), (("Content-Type", "application/xml"),))
