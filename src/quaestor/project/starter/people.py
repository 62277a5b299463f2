"""Entities, people, master data, policies of a new project: small, and enough for a first order.

The people have the employee ids that our simulator of Workday knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from quaestor.project.starter.choosing import Chosen

__all__ = ["company_files"]

_ENTITIES = """\
# Legal entities. Where an entity's orders go is said in quaestor.toml, [routing.purchase_order];
# one that moves to another ledger says it here instead, by date:
#     ledgers: [{{system: old, since: 2019-01-01}}, {{system: {erp}, since: 2027-01-01}}]
entities:
  - id: acme-de
    name: Acme Deutschland GmbH
    country: DE
    base_currency: EUR
    time_zone: Europe/Berlin        # an IANA name; budgets go by the day there
    calendar: acme                  # calendars/acme.yaml; `standard` is the calendar year
    company_codes: {{{codes}}}
    purchasing_organisation: emea   # our own codes; crosswalks/ has those of each system
    purchasing_group: it
    plant: berlin
    tax_code: vat-standard
"""
_PEOPLE = """\
# Who asks and who decides. A limit is per document, in the currency beside it, for the entities
# listed; `limit: unlimited` and roles such as finance are known too. `identities` are the logins
# and employee ids in each system.
people:
  - id: ana.berger
    name: Ana Berger
    manager: ben.koch
    identities: {identities[0]}

  - id: ben.koch
    name: Ben Koch
    manager: carla.lindt
    limit: 25000.00
    limit_currency: EUR
    entities: [acme-de]
    identities: {identities[1]}

  - id: carla.lindt
    name: Carla Lindt
    limit: unlimited
    roles: [finance, fallback]
    identities: {identities[2]}
"""
_OWNERSHIP = """\
# The system of record of each kind of object, and the one decider of each decision. With
# `max_age_s` a replica that is older is not relied on.
objects:
  - {{object: supplier, owner: {erp}, mode: replica, steward: carla.lindt}}
  - {{object: cost_center, owner: {erp}, mode: replica}}
  - {{object: account, owner: {erp}, mode: replica}}
  - {{object: employee, owner: {decider}, mode: replica}}
  - {{object: requisition, owner: {source}, mode: live}}
  - {{object: order, owner: {erp}, mode: live}}

# verify: the platform's verdict, held against our minimum. relay: the verdict as it is.
decisions:
  - {{decision: approval, document: requisition, decider: {decider}, mode: verify}}
  - {{decision: budget, document: requisition, decider: quaestor, mode: decide}}
"""
_CALENDAR = """\
# The fiscal year begins in this month.
id: acme
first_month: 1
holidays: [{year}-12-25]
"""
_SUPPLIERS = """\
# A replica of the supplier master: its source, and as of when.
as_of: {at}
source: {erp}
suppliers:
  - id: helio-systems
    name: Helio Systems AG
    country: DE
    entities: [acme-de]
    payment_terms: net-30
  - id: old-iron
    name: Old Iron Computers Ltd
    country: GB
    status: blocked               # an order there is refused as supplier_blocked
    entities: [acme-de]
"""
_COST_CENTERS = """\
as_of: {at}
source: {erp}
cost_centers:
  - {{id: it-de, entity: acme-de, name: IT Germany, owner: ben.koch, open_from: 2024-01-01}}
"""
_ACCOUNTS = """\
as_of: {at}
source: {erp}
accounts:
  - {{id: it-hardware, name: IT hardware below the capitalisation limit}}
"""
_APPROVALS = """\
# Who decides is declared in ownership.yaml. An open request ends as expired after so many days;
# time alone never approves.
expire_after_days: 30
"""
_BUDGET = """\
# One budget per cost center and year, in the base currency of the entity. absolute: nothing beyond
# it. With by_account there is one per cost center and account.
by_account: false
{stated}budgets:
  - entity: acme-de
    fiscal_years: [{year}, {next_year}]
    cost_center: it-de
    amount: 100000.00
    control: absolute
"""
_STATED = """        # asked for the amount each time; the one below only stands until then
max_age_s: 900          # an older answer is not relied on
"""
_VALIDATION = """\
lines_max: 500
units: [EA, HUR]
whole_units: [EA]
"""
_PERSONS = (("aberger", "21001"), ("bkoch", "21002"), ("clindt", "21003"))


def company_files(chosen: Chosen, at: datetime) -> Mapping[str, str]:
    """The files by name. `at` is when the folder is written, with its offset."""
    stated = f"source: {chosen.planning}{_STATED}" if chosen.planning else ""
    words = {
        "stated": stated,
        "at": at.isoformat(timespec="seconds"),
        "year": at.year,
        "next_year": at.year + 1,
        "erp": chosen.erp,
        "source": chosen.source,
        "decider": chosen.decider,
        "codes": ", ".join(f"{name}: {code}" for name, code in _company_codes(chosen)),
        "identities": [_identities(chosen, login, number) for login, number in _PERSONS],
    }
    texts = {
        "entities.yaml": _ENTITIES,
        "ownership.yaml": _OWNERSHIP,
        "calendars/acme.yaml": _CALENDAR,
        "directory/people.yaml": _PEOPLE,
        "masterdata/suppliers.yaml": _SUPPLIERS,
        "masterdata/cost_centers.yaml": _COST_CENTERS,
        "masterdata/accounts.yaml": _ACCOUNTS,
        "policies/approvals.yaml": _APPROVALS,
        "policies/budget.yaml": _BUDGET,
        "policies/validation.yaml": _VALIDATION,
    }
    return {name: text.format(**words) for name, text in texts.items()}


def _company_codes(chosen: Chosen) -> list[tuple[str, str]]:
    codes = [(chosen.erp, "1010")]
    return [*codes, (chosen.procurement, "DE10")] if chosen.procurement else codes


def _identities(chosen: Chosen, login: str, number: str) -> str:
    """His login where requisitions come from, his employee id where is decided."""
    known = {chosen.source: login} | ({chosen.approvals: f'"{number}"'} if chosen.approvals else {})
    return "{" + ", ".join(f"{system}: {name}" for system, name in known.items()) + "}"
