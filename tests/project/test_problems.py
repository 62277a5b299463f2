"""Every fault of a project folder is named with its file, its place and its cure, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from quaestor.project.load import load_project
from quaestor.project.problems import ProjectError
from tests.project.folders import a_copy, change, problems_of

TOML, ENTITIES, PEOPLE = "quaestor.toml", "entities.yaml", "directory/people.yaml"
BUDGET, OWNERSHIP, SAP = "policies/budget.yaml", "ownership.yaml", "crosswalks/sap.csv"
CENTERS, SUPPLIERS = "masterdata/cost_centers.yaml", "masterdata/suppliers.yaml"

FINANCE, START = "roles: [finance]", "2026-12-21T00:00:00+01:00"


def lending(to: str = "ben.koch", end: str = "2027-01-04T00:00:00+01:00") -> str:
    return f"{FINANCE}\n    delegations:\n      - {{to: {to}, start: {START}, end: {end}}}"


# file, what is replaced (nothing: appended), by what; then code, key, and a word of the cure.
PLANTED = [
    (TOML, "lease_s = 5 ", "lease_s = 3 ", "lease_too_short", "deployment.lease_s", "at least 4"),
    (TOML, "lease_s = 5 ", "lease_s = 0 ", "value_invalid", "deployment.lease_s", "above 0"),
    (TOML, "lease_s = 5 ", "lease = 5 ", "key_unknown", "deployment.lease", "lease_s"),
    (TOML, 'name = "acme-demo"', "", "key_missing", "deployment.name", "a text"),
    (TOML, '"acme-demo"', '"Acme Demo"', "value_invalid", "deployment.name", "of the form"),
    (TOML, '"test"', '"prod"', "value_invalid", "deployment.environment", "test, production"),
    (TOML, '"test"', '"production"', "simulator_in_production", "systems.sap.simulate", "false"),
    (TOML, '"sap_s4"', '"sap_s5"', "connector_unknown", "systems.sap.connector", "sap_s4"),
    (TOML, "simulate = true", "simulate = false", "key_missing", "systems.sap.base_url", "address"),
    (TOML, "slots = 8", "slots = 0", "value_invalid", "systems.sap.slots", "at least 1"),
    (TOML, "slots = 8", "slot = 8", "key_unknown", "systems.sap.slot", "slots"),
    (TOML, "slots = 8", "simulate = true", "file_malformed", "", ""),
    (TOML, "company = 1", "compny = 1", "key_unknown", "systems.coupa.segments.compny", "company"),
    (TOML, "[limits]", "[limit]", "key_unknown", "limit", "limits"),
    (
        TOML,
        '"env:COUPA_CLIENT_SECRET"',
        '"hunter2-canary"',
        "secret_in_the_open",
        "systems.coupa.auth.client_secret",
        "env:NAME",
    ),
    (
        TOML,
        "slots = 8",
        'password = "hunter2-canary"',
        "secret_in_the_open",
        "systems.sap.password",
        "[systems.sap.auth]",
    ),
    (
        TOML,
        "connect_timeout_s = 1",
        "connect_timeout_s = 4",
        "timeout_longer_than_total",
        "systems.sap.connect_timeout_s",
        "at most 3",
    ),
    (TOML, '"*" = "sap"', '"*" = "oracle"', "system_unknown", "routing.purchase_order.*", "sap"),
    (
        TOML,
        '"*" = "sap"',
        '"acme-fr" = "sap"',
        "entity_unknown",
        "routing.purchase_order.acme-fr",
        "acme-de",
    ),
    (TOML, '"*" = "sap"', '"acme-us" = "sap"', "ledger_missing", "acme-de", "acme-de ="),
    (ENTITIES, "Europe/Berlin", "Europe/Bonn", "time_zone_unknown", "acme-de.time_zone", "IANA"),
    (ENTITIES, "currency: EUR", "currency: DEM", "unknown_currency", "acme-de.base_currency", ""),
    (ENTITIES, "calendar: acme", "calendar: x", "calendar_unknown", "acme-de.calendar", "standard"),
    (ENTITIES, "sap: 1010", "SAP: 1010", "system_unknown", "acme-de.company_codes.SAP", "sap"),
    (ENTITIES, "id: acme-us", "id: acme-de", "id_repeated", "entities.2", "another id"),
    (ENTITIES, "country: US", "country: US\n    country: CA", "key_repeated", "", ""),
    (
        ENTITIES,
        "plant: berlin",
        "ledgers:\n      - {system: sap, since: 2026-02-30}",
        "value_invalid",
        "entities.1.ledgers.1.since",
        "a date such as",
    ),
    (
        ENTITIES,
        "plant: berlin",
        "ledgers: [{system: sap, since: 2026-01-01}, {system: coupa, since: 2026-01-01}]",
        "ledger_ambiguous",
        "acme-de.ledgers",
        "",
    ),
    (PEOPLE, "limit: 25000.00", "limit: 25.000,00", "value_invalid", "people.2.limit", "1000.00"),
    (PEOPLE, "limit: 25000.00", "limit:", "value_invalid", "people.2.limit", "unlimited"),
    (PEOPLE, "manager: ben.koch", "manager: nobody", "person_unknown", "ana.berger.manager", ""),
    (PEOPLE, "[acme-de]", "[acme-at]", "entity_unknown", "ben.koch.entities", "acme-de"),
    (PEOPLE, "limit: unlimited", "manager: ben.koch", "hierarchy_cycle", "ben.koch.manager", ""),
    (PEOPLE, 'workday: "21002"', 'workday: "21001"', "identity_repeated", "ben.koch.", "the login"),
    (PEOPLE, "coupa: aberger", "copa: aberger", "system_unknown", "ana.berger.identities", "coupa"),
    (PEOPLE, "roles: [cfo", "active: perhaps\n    roles: [cfo", "value_invalid", "active", "true"),
    (PEOPLE, FINANCE, lending("nobody"), "person_unknown", "carla.lindt.delegations", ""),
    (
        PEOPLE,
        FINANCE,
        lending("carla.lindt"),
        "value_invalid",
        "carla.lindt.delegations",
        "another",
    ),
    (PEOPLE, FINANCE, lending(end=START), "value_invalid", "carla.lindt.delegations", "an end"),
    (PEOPLE, FINANCE, lending(end="2027-01-04"), "value_invalid", "people.3.delegations", ""),
    (BUDGET, "cost_center: sales-de", "cost_center: it-de", "id_repeated", "budgets", ""),
    (BUDGET, "amount: 2000000.00", "amount: -1", "value_invalid", "budgets", "0 or more"),
    (
        BUDGET,
        "control: absolute",
        "control: hard",
        "value_invalid",
        "budgets.1.control",
        "advisory",
    ),
    (BUDGET, "control: absolute", "parent: all", "budget_unknown", "budgets", ""),
    (BUDGET, "    amount: 2000000.00\n", "", "value_missing", "budgets", "amount"),
    (BUDGET, "by_account: false", "source: sap", "system_unknown", "source", "none is declared"),
    (BUDGET, "by_account: false", "mode: net", "mode_unsupported", "mode", "gross"),
    (BUDGET, "by_account: false", "max_age_s: 0", "value_invalid", "max_age_s", "above 0"),
    (OWNERSHIP, "owner: workday", "owner: oracle", "system_unknown", "objects.employee", "workday"),
    (OWNERSHIP, "mode: verify", "mode: decide", "mode_unsupported", "approval", "verify or relay"),
    (OWNERSHIP, "decider: workday", "decider: slack", "system_unknown", "approval", "workday"),
    (OWNERSHIP, "steward: carla.lindt", "steward: x", "person_unknown", "supplier.steward", ""),
    (SAP, "", "sap,plant,berlin,1011,,\n", "crosswalk_overlap", "plant", "valid_to"),
    (SAP, "", "sap,plnt,berlin,1011,,\n", "value_invalid", "kind", "plant"),
    (SAP, "", "sp,plant,bonn,1011,,\n", "system_unknown", "system", "sap"),
    (SAP, "", "sap,plant,bonn,,,\n", "value_invalid", "their_code", "a text"),
    (SAP, "", "sap,plant,bonn\n", "columns_differ", "", ""),
    (SAP, "", "sap,plant,bonn,1,2026-13-01,\n", "value_invalid", "valid_from", "2026-01-31"),
    (SAP, "", "sap,plant,bonn,1,2026-02-01,2026-01-31\n", "dates_reversed", "valid_to", "later"),
    (SAP, "", "sap,company_code,acme-de,9,,\n", "crosswalk_overlap", "company_code", "valid_to"),
    (SAP, "kind,our_code", "kind,ours", "columns_differ", "", "system,kind,our_code"),
    (CENTERS, "entity: acme-us", "entity: acme-fr", "entity_unknown", "it-us.entity", "acme-us"),
    (CENTERS, "owner: ben.koch", "owner: x", "person_unknown", "it-de.owner", ""),
    (CENTERS, "owner: ben.koch", "accounts: [x]", "account_unknown", "it-de.accounts", "it-hard"),
    (SUPPLIERS, "+01:00", "", "value_invalid", "as_of", "+01:00"),
    (SUPPLIERS, "status: blocked", "status: block", "value_invalid", "status", "active, blocked"),
    (SUPPLIERS, "suppliers:", "suppliers: {", "file_malformed", "", ""),
    ("policies/aprovals.yaml", "", "a: 1\n", "file_unknown", "", "policies/approvals.yaml"),
    ("policies/validation.yaml", "lines_max: 500", "lines_max: many", "value_invalid", "", "whole"),
    ("rates/ecb.csv", "", "from,to,on,rate\nUSD,EUR,2026-01-05,0\n", "value_invalid", "rate", ""),
    (
        "rates/ecb.csv",
        "",
        "from,to,on,rate\nUSD,EUR,2026-01-05,x\n",
        "value_invalid",
        "rate",
        "1000",
    ),
    ("calendars/acme.yaml", "first_month: 1", "first: 1", "key_unknown", "first", "first_month"),
    (TOML, "latency_ms = 60", "latency = 60", "key_unknown", "sap.simulator.latency", "latency_ms"),
    (TOML, "latency_ms = 60", "page_size = x", "file_malformed", "", ""),
    (TOML, "latency_ms = 60", 'page_size = "x"', "value_invalid", "simulator.page_size", "whole"),
    ("connectors/Bad-Name/connector.py", "", "KIND = 1\n", "connector_invalid", "", ""),
]


@pytest.mark.parametrize(("file", "old", "new", "code", "key", "cure"), PLANTED)
def test_a_planted_fault_is_named_with_its_place_and_its_cure(
    tmp_path: Path, file: str, old: str, new: str, code: str, key: str, cure: str
) -> None:
    project = a_copy(tmp_path)
    change(project, file, old, new)

    problems = problems_of(project)

    found = [problem for problem in problems if problem.code == code]
    assert found, [str(problem) for problem in problems]
    assert key in found[0].key
    assert cure in found[0].instead


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        (TOML, "slots = 8", "slot = 8", 34),
        (ENTITIES, "Europe/Berlin", "Europe/Bonn", None),
        (PEOPLE, "limit: 25000.00", "limit: x", 11),
        (SAP, "", "sap,plant,berlin,1011,,\n", 27),
        ("policies/validation.yaml", "lines_max: 500", "lines_max: many", 1),
    ],
)
def test_a_fault_in_one_place_is_named_with_its_line(
    tmp_path: Path, file: str, old: str, new: str, line: int | None
) -> None:
    project = a_copy(tmp_path)
    change(project, file, old, new)

    problems = problems_of(project)

    assert [(problem.file, problem.line) for problem in problems] == [(file, line)]


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    project = a_copy(tmp_path)
    change(project, TOML, "slots = 8", "slot = 8")
    change(project, ENTITIES, "base_currency: EUR", "base_currncy: EUR")
    change(project, PEOPLE, "limit: 25000.00", "limit: x")
    change(project, SAP, "", "sap,plant,berlin,1011,,\n")
    (project / "policies" / "budget.yaml").write_bytes(b"budgets: \xff\n")

    problems = problems_of(project)

    assert {problem.file for problem in problems} >= {
        TOML,
        ENTITIES,
        PEOPLE,
        SAP,
        "policies/budget.yaml",
    }


def test_a_secret_written_into_a_project_is_not_repeated(tmp_path: Path) -> None:
    project = a_copy(tmp_path)
    change(project, TOML, '"env:COUPA_CLIENT_SECRET"', '"hunter2-canary"')

    with pytest.raises(ProjectError) as caught:
        load_project(project)

    assert "hunter2-canary" not in str(caught.value)


def test_a_problem_reads_as_one_sentence_with_its_place(tmp_path: Path) -> None:
    project = a_copy(tmp_path)
    change(project, PEOPLE, "limit: 25000.00", "limit: 25.000")
    change(project, PEOPLE, "manager: gus.adler", "manger: gus.adler")

    with pytest.raises(ProjectError) as caught:
        load_project(project)

    assert str(caught.value) == (
        "1 problem in the project folder:\n"
        "directory/people.yaml:10: people.2.manger: there is no such key; write manager "
        "[key_unknown]"
    )


@pytest.mark.parametrize("missing", [TOML, ENTITIES, PEOPLE])
def test_a_file_that_nobody_can_do_without_is_missed(tmp_path: Path, missing: str) -> None:
    project = a_copy(tmp_path)
    (project / missing).unlink()

    problems = problems_of(project)

    assert (missing, "file_missing") in {(problem.file, problem.code) for problem in problems}


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    problems = problems_of(tmp_path / "nowhere")

    assert [problem.code for problem in problems] == ["folder_missing"]
