"""The project folder of the simulation: four entities, each with a ledger of another guarantee."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from quaestor.connectors.kit.contract import Guarantee

__all__ = [
    "ENTITIES",
    "LATE_MAX_S",
    "LEASE_S",
    "LEDGERS",
    "SETTLE_S",
    "SUPPLIERS",
    "TIGHT_BUDGET",
    "TIMEOUT_S",
    "VISIBLE_MAX_S",
    "Ledger",
    "write_folder",
]

LEASE_S = 12.0
TIMEOUT_S = 3.0
# What the installation promises of each ledger: later than that nothing of a request can appear.
SETTLE_S = 8.0
# What the ledgers keep of it: how late a request may still commit, and how late it may show.
LATE_MAX_S = 4.5
VISIBLE_MAX_S = 2.5
TIGHT_BUDGET = "9000.00"


class Ledger(msgspec.Struct, frozen=True):
    """One entity's ledger. `resets_to` is the connector's kind."""

    system: str
    connector: str
    guarantee: Guarantee
    currency: str
    company_code: str


# SAP and `weak` promise nothing against doubles (`SEARCH`): one of them is in every simulation.
LEDGERS: dict[str, Ledger] = {
    "acme-de": Ledger("sap", "sap_s4", Guarantee.SEARCH, "EUR", "1010"),
    "acme-at": Ledger("weak", "bogus", Guarantee.SEARCH, "EUR", "1020"),
    "acme-us": Ledger("keyed", "bogus", Guarantee.KEY, "USD", "1710"),
    "acme-nl": Ledger("unique", "bogus", Guarantee.UNIQUE, "EUR", "1030"),
}
ENTITIES = tuple(LEDGERS)
SUPPLIERS = ("helio-systems", "brightwire", "kontor-direkt")

_DEPLOYMENT = f"""
[deployment]
name = "simulation"
environment = "test"
lease_s = {LEASE_S:g}
reconcile_every_s = 60
lane_wait_max_s = 21600
shutdown_s = 5

[limits]
send_attempts_max = 6

[systems.portal]
connector = "none"

[systems.desk]
connector = "none"
"""
_SYSTEM = """
[systems.{system}]
connector = "{connector}"
simulate = true
slots = 4
total_timeout_s = {timeout_s:g}
connect_timeout_s = 1
settle_s = {settle_s:g}
{guarantee}
"""
_ENTITY = """
  - id: {entity}
    name: {entity}
    country: {country}
    base_currency: {currency}
    time_zone: Europe/Berlin
    calendar: acme
    company_codes: {{{system}: "{company_code}"}}
    purchasing_organisation: emea
    purchasing_group: it
    plant: berlin
    tax_code: vat-standard
"""
_PEOPLE = """
people:
  - {id: ana.berger, name: Ana Berger, manager: ben.koch}
  - {id: ben.koch, name: Ben Koch, manager: carla.lindt, limit: 100.00, limit_currency: EUR}
  - {id: carla.lindt, name: Carla Lindt, limit: unlimited, roles: [finance, fallback]}
"""
_OWNERSHIP = """
objects:
  - {object: supplier, owner: sap, mode: replica}
  - {object: cost_center, owner: sap, mode: replica}
  - {object: account, owner: sap, mode: replica}
  - {object: requisition, owner: portal, mode: live}
decisions:
  - {decision: approval, document: requisition, decider: desk, mode: verify}
  - {decision: budget, document: requisition, decider: quaestor, mode: decide}
"""
_SUPPLIERS = """
suppliers:
  - id: helio-systems
    name: Helio Systems AG
    country: DE
    entities: [acme-de, acme-at, acme-us, acme-nl]
    payment_terms: net-30
  - id: brightwire
    name: Brightwire Networks BV
    country: NL
    entities: [acme-de, acme-at, acme-us, acme-nl]
    payment_terms: net-30
  - id: kontor-direkt
    name: Kontor Direkt GmbH
    country: DE
    entities: [acme-de, acme-at, acme-us, acme-nl]
    payment_terms: net-30
  - id: no-counterpart
    name: Known here alone
    country: DE
    entities: [acme-de, acme-at, acme-us, acme-nl]
    payment_terms: net-30
  - id: old-iron
    name: Old Iron Computers Ltd
    country: GB
    entities: [acme-de, acme-at, acme-us, acme-nl]
    status: blocked
"""
_CODES = """
supplier,helio-systems,10300001
supplier,brightwire,10300017
supplier,kontor-direkt,10300023
purchasing_organisation,emea,1010
purchasing_group,it,001
plant,berlin,1010
cost_center,roomy,10101301
cost_center,tight,10101602
gl_account,it-hardware,61003000
tax_code,vat-standard,V1
material_group,it_hardware,A001
uom,EA,PC
payment_terms,net-30,0001
"""


def write_folder(folder: Path) -> None:
    """Write the project; it is the same for every seed."""
    as_of = "as_of: 2026-11-16T00:00:00Z\nsource: sap\n"
    files = {
        "quaestor.toml": _DEPLOYMENT + "".join(_systems()) + "".join(_routing()),
        "entities.yaml": "entities:" + "".join(_entities()),
        "ownership.yaml": _OWNERSHIP,
        "directory/people.yaml": _PEOPLE,
        "calendars/acme.yaml": "id: acme\nfirst_month: 1\nholidays: []\n",
        "masterdata/suppliers.yaml": as_of + _SUPPLIERS,
        "masterdata/accounts.yaml": as_of + "accounts:\n  - {id: it-hardware, name: Hardware}\n",
        "masterdata/cost_centers.yaml": as_of + "cost_centers:\n" + "".join(_centers()),
        "crosswalks/ledgers.csv": "system,kind,our_code,their_code,valid_from,valid_to\n"
        + "".join(_crosswalk()),
        "policies/approvals.yaml": "expire_after_days: 30\n",
        "policies/validation.yaml": "lines_max: 500\nunits: [EA]\nwhole_units: [EA]\n",
        "policies/budget.yaml": "by_account: false\nbudgets:\n" + "".join(_budgets()),
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip())


def _systems() -> Iterable[str]:
    for ledger in LEDGERS.values():
        promised = f'guarantee = "{ledger.guarantee}"' if ledger.connector == "bogus" else ""
        yield _SYSTEM.format(
            system=ledger.system,
            connector=ledger.connector,
            timeout_s=TIMEOUT_S,
            settle_s=SETTLE_S,
            guarantee=promised,
        )


def _routing() -> Iterable[str]:
    yield "\n[routing.purchase_order]\n"
    yield from (f'{entity} = "{ledger.system}"\n' for entity, ledger in LEDGERS.items())


def _entities() -> Iterable[str]:
    for entity, ledger in LEDGERS.items():
        yield _ENTITY.format(
            entity=entity,
            country=entity[-2:].upper(),
            currency=ledger.currency,
            system=ledger.system,
            company_code=ledger.company_code,
        )


# A cost center belongs to one entity: each entity has a roomy one and a tight one of its own.
def _centers() -> Iterable[str]:
    for entity in ENTITIES:
        for kind in ("roomy", "tight"):
            yield f"  - {{id: {kind}-{entity}, entity: {entity}, open_from: 2024-01-01}}\n"


def _crosswalk() -> Iterable[str]:
    for entity, ledger in LEDGERS.items():
        for row in _CODES.strip().splitlines():
            kind, ours, theirs = row.split(",")
            code = f"{ours}-{entity}" if kind == "cost_center" else ours
            yield f"{ledger.system},{kind},{code},{theirs},,\n"


def _budgets() -> Iterable[str]:
    for entity in ENTITIES:
        for kind, amount in (("roomy", "9000000.00"), ("tight", TIGHT_BUDGET)):
            yield (
                f"  - {{entity: {entity}, fiscal_years: [2026, 2027], "
                f"cost_center: {kind}-{entity}, amount: {amount}, control: absolute}}\n"
            )
