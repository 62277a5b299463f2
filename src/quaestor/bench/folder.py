"""The project folder of the benchmark, and its requisitions in Coupa's JSON form.

One entity (where asked for, a second one with a ledger of its own), `CENTERS` cost centers with a
budget each, an approval that came with the document and is held against our minimum, one order
group in SAP; where asked for, a planning service that states the budgets and a Coupa that is told
the number. The texts are as long as real ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec

__all__ = ["CENTERS", "ENTITY", "OTHER_ENTITY", "Requisitions", "write_folder"]

ENTITY = "acme-de"
CENTERS = 320
OTHER_ENTITY = "acme-at"
_OTHER_CENTERS = 8
_FIRST_CENTER = {ENTITY: 4000, OTHER_ENTITY: 9000}
_COMPANY = {ENTITY: "DE10", OTHER_ENTITY: "AT10"}

_SETTINGS = """
[deployment]
name = "bench"
lease_s = 30
shutdown_s = 20

[systems.coupa]
connector = "coupa"
base_url = "{coupa_url}"
sends = {told}
slots = {slots}
requests_per_s = 100_000
pull_every_s = 86_400
total_timeout_s = 10
[systems.coupa.segments]
company = 1
cost_center = 2
gl_account = 3

[systems.workday]
connector = "none"

[systems.sap]
connector = "sap_s4"
base_url = "{base_url}"
slots = {slots}
total_timeout_s = 10
settle_s = 1

[routing.purchase_order]
"*" = "sap"
"""
_PLANNING = """
[systems.planning]
connector = "planning"
base_url = "{base_url}"
slots = {slots}
total_timeout_s = 10
"""
_OTHER_SETTINGS = """acme-at = "sap_at"

[systems.sap_at]
connector = "sap_s4"
base_url = "{base_url}"
slots = {slots}
total_timeout_s = 60
settle_s = 1
"""
_ENTITIES = """
entities:
  - id: acme-de
    name: Acme Deutschland GmbH
    country: DE
    base_currency: EUR
    time_zone: Europe/Berlin
    calendar: acme
    company_codes: {sap: 1010, coupa: DE10}
    purchasing_organisation: emea
    purchasing_group: it
    plant: berlin
    tax_code: vat-standard
"""
_OTHER_ENTITIES = """  - id: acme-at
    name: Acme Österreich GmbH
    country: AT
    base_currency: EUR
    time_zone: Europe/Vienna
    calendar: acme
    company_codes: {sap_at: 2010, coupa: AT10}
    purchasing_organisation: emea
    purchasing_group: it
    plant: berlin
    tax_code: vat-standard
"""
_PEOPLE = """
people:
  - id: ana.berger
    name: Ana Berger
    manager: ben.koch
    identities: {coupa: aberger, workday: "21001"}
  - id: ben.koch
    name: Ben Koch
    manager: carla.lindt
    limit: 25000.00
    limit_currency: EUR
    identities: {coupa: bkoch, workday: "21002"}
  - id: carla.lindt
    name: Carla Lindt
    limit: unlimited
    roles: [finance, fallback]
    identities: {coupa: clindt, workday: "21003"}
"""
_OWNERSHIP = """
objects:
  - {object: supplier, owner: sap, mode: replica}
  - {object: cost_center, owner: sap, mode: replica}
  - {object: account, owner: sap, mode: replica}
  - {object: requisition, owner: coupa, mode: live}
decisions:
  - {decision: approval, document: requisition, decider: workday, mode: verify}
  - {decision: budget, document: requisition, decider: quaestor, mode: decide}
"""
_CROSSWALK_HEADER = "system,kind,our_code,their_code,valid_from,valid_to"
_COUPA = """
supplier,helio-systems,SUP-1001
gl_account,it-hardware,6810
gl_account,it-accessories,6815
material_group,it_hardware,IT Hardware
uom,EA,EA
plant,berlin,BER-1
"""
_SAP = """
supplier,helio-systems,10300001
purchasing_organisation,emea,1010
purchasing_group,it,001
plant,berlin,1010
gl_account,it-hardware,61003000
gl_account,it-accessories,61005000
tax_code,vat-standard,V1
material_group,it_hardware,A001
uom,EA,PC
payment_terms,net-30,0001
"""
_ASKED = "source: planning\nmode: gross\nmax_age_s: 900\n"
_LINES = (
    ("Laptop Helio Book 14, 32 GB, 1 TB", "2.0", "1849.00", "3698.00", "6810"),
    ("Docking station USB-C, 96 W", "2.0", "219.50", "439.00", "6815"),
    ("Monitor 27 inch, QHD, height adjustable", "4.0", "389.90", "1559.60", "6810"),
)
_TOTAL = "5696.60"


def write_folder(
    folder: Path,
    *,
    base_url: str,
    slots: int,
    on: date,
    other_url: str | None = None,
    whole: bool = False,
) -> None:
    """Write the project. SAP is at `base_url` and takes `slots` sends at a time; `on` is today.

    With `other_url` there is `OTHER_ENTITY` as well, whose SAP is there and may be slow. A `whole`
    flow asks planning for the budget first and tells Coupa the number last, both at `base_url` too.
    """
    settings, entities = _settings(base_url, slots, whole=whole), _ENTITIES
    centers = {_center(ENTITY, number): ENTITY for number in range(CENTERS)}
    ledgers = ["sap"]
    if other_url is not None:
        settings = settings.replace("lease_s = 30", "lease_s = 90")
        settings += _OTHER_SETTINGS.format(base_url=other_url, slots=slots)
        entities += _OTHER_ENTITIES
        centers |= {_center(OTHER_ENTITY, number): OTHER_ENTITY for number in range(_OTHER_CENTERS)}
        ledgers.append("sap_at")
    files = {
        "quaestor.toml": settings,
        "entities.yaml": entities,
        "ownership.yaml": _OWNERSHIP,
        "directory/people.yaml": _PEOPLE,
        "calendars/acme.yaml": "id: acme\nfirst_month: 1\nholidays: []\n",
        "masterdata/suppliers.yaml": _dated(on, "suppliers", _suppliers(set(centers.values()))),
        "masterdata/accounts.yaml": _dated(on, "accounts", _accounts()),
        "masterdata/cost_centers.yaml": _dated(
            on,
            "cost_centers",
            [
                f"{{id: {each}, entity: {of}, open_from: 2024-01-01}}"
                for each, of in centers.items()
            ],
        ),
        "crosswalks/coupa.csv": _crosswalk(
            "coupa", _COUPA, (f"cost_center,{each},{_code(each)}" for each in centers)
        ),
        **{
            f"crosswalks/{ledger}.csv": _crosswalk(
                ledger, _SAP, (f"cost_center,{each},1010{_code(each)}" for each in centers)
            )
            for ledger in ledgers
        },
        "policies/approvals.yaml": "expire_after_days: 30\n",
        "policies/validation.yaml": "lines_max: 500\nunits: [EA]\nwhole_units: [EA]\n",
        "policies/budget.yaml": (_ASKED if whole else "") + _budgets(centers, on),
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip())


def _settings(base_url: str, slots: int, *, whole: bool) -> str:
    coupa_url = base_url if whole else "https://coupa.invalid"
    told = "true" if whole else "false"
    text = _SETTINGS.format(base_url=base_url, slots=slots, coupa_url=coupa_url, told=told)
    if not whole:
        return text
    planning = _PLANNING.format(base_url=base_url, slots=slots)
    return text.replace("\n[routing.", f"{planning}\n[routing.")


def _center(entity: str, number: int) -> str:
    return f"center-{_FIRST_CENTER[entity] + number}"


def _code(center: str) -> str:
    return center.removeprefix("center-")


def _suppliers(entities: Collection[str]) -> list[str]:
    name = "name: Helio Systems AG, country: DE"
    named = ", ".join(sorted(entities))
    return [f"{{id: helio-systems, {name}, entities: [{named}], payment_terms: net-30}}"]


def _accounts() -> list[str]:
    return ["{id: it-hardware, name: IT hardware}", "{id: it-accessories, name: IT accessories}"]


def _dated(on: date, name: str, rows: Iterable[str]) -> str:
    listed = "".join(f"  - {row}\n" for row in rows)
    return f"as_of: {on.isoformat()}T00:00:00Z\nsource: sap\n{name}:\n{listed}"


def _crosswalk(system: str, rows: str, more: Iterable[str]) -> str:
    lines = [f"{system},{row},," for row in (*rows.split("\n"), *more) if row]
    return "\n".join([_CROSSWALK_HEADER, *lines, ""])


def _budgets(centers: Mapping[str, str], on: date) -> str:
    # The neighbouring years as well: a run may begin shortly before midnight of a year's end.
    years = [on.year - 1, on.year, on.year + 1]
    rows = "".join(
        f"  - {{entity: {of}, fiscal_years: {years}, cost_center: {each},"
        " amount: 1000000000.00, control: absolute}\n"
        for each, of in centers.items()
    )
    return f"by_account: false\nbudgets:\n{rows}"


class Requisitions:
    """Coupa's bytes of one requisition after the other, alike but for id and cost center.

    Numbers of two entities must not meet: they are one source's.
    """

    _ID, _CENTER = "900000001", "$center$"

    def __init__(self, now: datetime, entity: str = ENTITY) -> None:
        self._entity = entity
        text = msgspec.json.encode(_requisition(now, int(self._ID), self._CENTER))
        self._text = text.replace(_COMPANY[ENTITY].encode(), _COMPANY[entity].encode())

    def numbered(self, number: int) -> bytes:
        """Requisition `number`, from 1; cost centers take turns."""
        centers = CENTERS if self._entity == ENTITY else _OTHER_CENTERS
        center = _code(_center(self._entity, number % centers))
        text = self._text.replace(self._ID.encode(), str(number).encode())
        return text.replace(self._CENTER.encode(), center.encode())


def _requisition(now: datetime, identity: int, center: str) -> dict[str, object]:
    """The fields as Coupa publishes them; 5 kB."""
    stamp = now.replace(microsecond=0).isoformat()
    person = {
        "id": 701,
        "login": "aberger",
        "email": "aberger@acme.example",
        "employee-number": "20701",
        "firstname": "Ana",
        "lastname": "Berger",
        "fullname": "Ana Berger",
    }
    return {
        "id": identity,
        "created-at": stamp,
        "updated-at": stamp,
        "submitted-at": stamp,
        "status": "approved",
        "exported": False,
        "req-title": "Equipment for new colleagues",
        "justification": "Three colleagues begin next month.",
        "currency": {"id": 2, "code": "EUR", "decimals": 2},
        "total": _TOTAL,
        "mobile-total": _TOTAL,
        "line-count": len(_LINES),
        "requested-by": person,
        "created-by": person,
        "updated-by": person,
        "department": {"id": 5, "name": "Information Technology", "active": True},
        "ship-to-address": {"id": 61, "name": "Berlin office", "location-code": "BER-1"},
        "ship-to-attention": "IT stock room",
        "attachments": [],
        "requisition-lines": [
            _line(number, line, identity, center, now)
            for number, line in enumerate(_LINES, start=1)
        ],
        "approval": {
            "decided_by": "workday",
            "version": 1,
            "decisions": [
                {
                    "approver": approver,
                    "verdict": "approved",
                    "decided_at": stamp,
                    "comment": "Needed for the new team.",
                }
                for approver in ("21002", "21003")
            ],
        },
    }


def _line(
    number: int, line: tuple[str, str, str, str, str], identity: int, center: str, now: datetime
) -> dict[str, object]:
    description, quantity, unit_price, total, account = line
    code = f"DE10-{center}-{account}"
    stamp = now.replace(microsecond=0).isoformat()
    return {
        "id": identity * 10 + number,
        "created-at": stamp,
        "updated-at": stamp,
        "line-num": number,
        "line-type": "RequisitionQuantityLine",
        "description": description,
        "quantity": quantity,
        "uom": {"id": 1, "code": "EA", "name": "Each", "allowable-precision": 0, "active": True},
        "unit-price": unit_price,
        "total": total,
        "currency": {"id": 2, "code": "EUR", "decimals": 2},
        "commodity": {"id": 31, "name": "IT Hardware", "active": True},
        "supplier": {
            "id": 41,
            "name": "Helio Systems AG",
            "number": "SUP-1001",
            "status": "active",
        },
        "need-by-date": (now + timedelta(days=21)).date().isoformat() + "T00:00:00+01:00",
        "receipt-required": True,
        "source-part-num": None,
        "source-type": "Non-Catalog Request",
        "status": "approved",
        "payment-term": {"id": 3, "code": "Net 30", "active": True},
        "account": {
            "id": 410010,
            "name": code,
            "code": code,
            "active": True,
            "segment-1": "DE10",
            "segment-2": center,
            "segment-3": account,
            "segment-4": None,
            "account-type": {"id": 9, "name": "Acme Germany", "active": True},
        },
        "account-allocations": [],
    }
