"""Our Coupa is never kinder than the vendor."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
import pytest

from quaestor.connectors.coupa.config import SCOPES
from quaestor.connectors.coupa.simulator import CoupaSimulator
from quaestor.connectors.kit.kind import SimulatorOptions
from quaestor.connectors.kit.simulated import SimAnswer, SimRequest
from tests.connectors.coupa.subjects import EXAMPLES, SEEDED

ALL = " ".join(SCOPES)


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


class Coupa:
    """The vendor's part, spoken to without a wire, at a time that the test sets."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        given = {"token_gap_s": 5.0, "requisitions": [str(EXAMPLES)], **options}
        self.vendor = CoupaSimulator(
            SimulatorOptions(extra=given),
            now=self.clock,
            today=lambda: datetime(2026, 11, 22, 9, tzinfo=UTC),
        )
        self.token = ""

    def ask(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        accept: str = "application/json",
        raw: bytes = b"",
    ) -> SimAnswer:
        parts = urlsplit(target)
        headers = {"accept": accept, "authorization": f"Bearer {self.token}"}
        if body is not None:
            headers["content-type"] = "application/json"
            raw = msgspec.json.encode(body)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return self.vendor.handle(
            SimRequest(method, parts.path, query, headers, raw, "http://127.0.0.1")
        )

    def grant(self, **more: str) -> SimAnswer:
        form = {
            **self.vendor.credentials,
            "grant_type": "client_credentials",
            "scope": ALL,
            **more,
        }
        return self.ask("POST", "/oauth2/token", raw=urlencode(form).encode())

    def login(self, **more: str) -> Coupa:
        self.token = told(self.grant(**more))["access_token"]
        self.clock.at += 5.0
        return self


def told(answer: SimAnswer) -> Any:
    return msgspec.json.decode(answer.body)


def ids(answer: SimAnswer) -> list[int]:
    return [one["id"] for one in told(answer)]


# --- tokens and scopes ----------------------------------------------------------------------------


def test_a_token_is_not_known_everywhere_at_once_and_runs_out() -> None:
    coupa = Coupa(token_life_s=100)
    coupa.token = told(coupa.grant())["access_token"]
    statuses = []

    for at in (4.9, 5.0, 99.9, 100.0):
        coupa.clock.at = 1000.0 + at
        statuses.append(coupa.ask("GET", "/api/users").status)

    assert statuses == [401, 200, 200, 401]


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"scope": "core.requisitions.read"}, 400, "invalid_scope"),
        ({"scope": ""}, 400, "invalid_scope"),
    ],
)
def test_a_wrong_grant_is_refused_by_name(form: Mapping[str, str], status: int, error: str) -> None:
    answer = Coupa().grant(**form)

    assert (answer.status, told(answer)["error"]) == (status, error)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/api/requisitions"),
        ("PUT", f"/api/requisitions/{SEEDED}?exported=true"),
        ("POST", "/api/integration_history_records"),
        ("GET", "/api/invoices"),
    ],
)
def test_what_the_scopes_do_not_cover_is_refused(method: str, target: str) -> None:
    coupa = Coupa().login(scope="core.user.read")

    assert coupa.ask(method, target).status == 403


# --- rate -----------------------------------------------------------------------------------------


def test_more_than_the_rate_and_its_burst_is_429_without_a_hint_when_to_come_again() -> None:
    coupa = Coupa().login()

    answers = [coupa.ask("GET", "/api/users?limit=1") for _ in range(30)]
    coupa.clock.at += 1.0
    later = [coupa.ask("GET", "/api/users?limit=1").status for _ in range(30)]

    assert [answer.status for answer in answers] == [200] * 21 + [429] * 9
    assert not any(name == "Retry-After" for name, _ in answers[-1].headers)
    assert later.count(200) == 21


# --- queries --------------------------------------------------------------------------------------


def with_users(count: int) -> Coupa:
    coupa = Coupa(requisitions=[]).login()
    for number in range(1, count + 1):
        at = f"2026-03-01T09:{number // 60:02d}:{number % 60:02d}+01:00"
        user = {"id": number, "login": f"user{number}", "active": number % 2 == 0}
        coupa.vendor.arrives("users", {**user, "updated-at": at})
    return coupa


QUERIES = [
    ("id=3", [3]),
    ("id[in]=3,5&order_by=id", [3, 5]),
    ("id[gt]=8&order_by=id", [9, 10]),
    ("id[not_in]=1,2,3,4,5,6,7&order_by=id&dir=desc", [10, 9, 8]),
    ("active=true&id[lt]=5&order_by=id", [2, 4]),
    ("login[ends_with]=9", [9]),
    ("login[contains]=r10", [10]),
    ("updated_at[gt]=2026-03-01T09:00:08%2B01:00&order_by=updated_at", [9, 10]),
    ("updated_at[gt_or_eq]=2026-03-01T08:00:09Z&order_by=updated_at", [9, 10]),
    ("updated-at=2026-03-01T08:00:04Z", [4]),
    ("order_by=id&limit=2&offset=4", [5, 6]),
    ("employee_number[blank]=true&id[lt_or_eq]=1", [1]),
]


@pytest.mark.parametrize(("query", "expected"), QUERIES)
def test_a_query_is_answered_as_coupas_pages_say(query: str, expected: list[int]) -> None:
    coupa = with_users(10)

    assert ids(coupa.ask("GET", f"/api/users?{query}")) == expected


@pytest.mark.parametrize(
    "query",
    ["nonsense=1", "order_by=nonsense", "id=x", "limit=x", "updated_at[contains]=2026", "fields={"],
)
def test_a_query_that_it_does_not_know_is_refused(query: str) -> None:
    answer = with_users(3).ask("GET", f"/api/users?{query}")

    assert answer.status == 400
    assert told(answer)["errors"]


def test_a_page_has_fifty_at_most_and_no_promised_order() -> None:
    coupa = with_users(60)

    unordered = ids(coupa.ask("GET", "/api/users?limit=500"))

    assert len(unordered) == 50
    assert unordered != sorted(unordered)


def test_only_asked_fields_come_whatever_their_writing() -> None:
    coupa = Coupa().login()
    fields = '["id",{"requisition_lines":["line-num",{"supplier":["number"]}]}]'

    answer = coupa.ask("GET", f"/api/requisitions?id={SEEDED}&{urlencode({'fields': fields})}")

    (one,) = told(answer)
    assert set(one) == {"id", "requisition-lines"}
    assert set(one["requisition-lines"][0]) == {"line-num", "supplier"}


def test_nothing_found_is_an_empty_list_and_an_unknown_id_is_404() -> None:
    coupa = Coupa().login()

    assert told(coupa.ask("GET", "/api/requisitions?id=1")) == []
    assert coupa.ask("GET", "/api/requisitions/1").status == 404


def test_whoever_does_not_ask_for_json_gets_xml() -> None:
    answer = Coupa().login().ask("GET", "/api/users", accept="*/*")

    assert answer.body.startswith(b"<?xml")


# --- requisitions ---------------------------------------------------------------------------------


def test_only_its_own_request_sets_the_exported_flag_and_no_edit_resets_it() -> None:
    coupa = Coupa(custom_fields=["erp-state"]).login()
    path = f"/api/requisitions/{SEEDED}"
    states = []

    coupa.ask("PUT", path, {"exported": True})
    states.append(told(coupa.ask("GET", path))["exported"])
    coupa.ask("PUT", f"{path}?exported=true", {"custom-fields": {"erp-state": "ignored"}})
    states.append(told(coupa.ask("GET", path))["exported"])
    coupa.ask("PUT", path, {"custom-fields": {"erp-state": "ordered"}})
    coupa.vendor.edit(SEEDED, {"req-title": "Edited"})
    left = told(coupa.ask("GET", path))

    assert [*states, left["exported"]] == [False, True, True]
    assert left["custom-fields"] == {"erp-state": "ordered"}


def test_an_export_moves_the_time_of_change_and_writes_it_in_the_companys_zone() -> None:
    coupa = Coupa().login()

    answer = coupa.ask("PUT", f"/api/requisitions/{SEEDED}?exported=true")

    assert told(answer)["updated-at"] == "2026-11-22T01:00:00-08:00"
    assert told(answer)["last-exported-at"] == "2026-11-22T01:00:00-08:00"


def test_lines_that_repeat_a_number_vanish_without_a_word() -> None:
    coupa = Coupa().login()
    lines = [{"line-num": 1, "description": one} for one in ("kept", "gone")]

    answer = coupa.ask(
        "POST", "/api/requisitions/submit_for_approval", {"requisition-lines": lines}
    )

    created = told(answer)
    assert (answer.status, created["status"]) == (201, "pending_approval")
    assert [line["description"] for line in created["requisition-lines"]] == ["kept"]
    assert created["line-count"] == 2


def test_a_custom_field_that_is_not_set_up_vanishes_without_a_word() -> None:
    coupa = Coupa(custom_fields=["erp-state"]).login()
    body = {"custom-fields": {"erp-state": "ordered", "erp-number": "4500000001"}}

    answer = coupa.ask("PUT", f"/api/requisitions/{SEEDED}", body)

    assert answer.status == 200
    assert told(answer)["custom-fields"] == {"erp-state": "ordered"}


def test_what_coupa_does_not_publish_is_not_taken_from_a_file() -> None:
    coupa = Coupa().login()

    documents = told(coupa.ask("GET", "/api/requisitions"))

    assert len(documents) == len(list(EXAMPLES.glob("*.json")))
    assert not any("approval" in one for one in documents)


def test_master_data_comes_from_the_requisitions_that_refer_to_it() -> None:
    coupa = Coupa().login()

    counts = {
        name: len(told(coupa.ask("GET", f"/api/{name}")))
        for name in ("users", "suppliers", "accounts")
    }

    assert all(count > 1 for count in counts.values()), counts


# --- records --------------------------------------------------------------------------------------


def a_record(**more: Any) -> dict[str, Any]:
    return {
        "document-type": "RequisitionHeader",
        "document-id": int(SEEDED),
        "contact-alert-type": "Technical",
        "external-id": "key",
        **more,
    }


def test_nothing_stops_a_second_record_of_one_external_id() -> None:
    coupa = Coupa().login()

    answers = [coupa.ask("POST", "/api/integration_history_records", a_record()) for _ in "12"]

    assert [answer.status for answer in answers] == [201, 201]
    assert len(coupa.vendor.documents("key")) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"contact-alert-type": ""},
        {"document-id": None},
        {"document-type": ""},
        {"document-id": 1},
        {"integration": {"code": "NOBODY"}},
    ],
)
def test_a_record_that_lacks_something_is_refused_with_the_envelope(wrong: Any) -> None:
    coupa = Coupa().login()

    answer = coupa.ask("POST", "/api/integration_history_records", a_record(**wrong))

    assert answer.status == 400
    assert all(isinstance(one, list) for one in told(answer)["errors"].values())
    assert coupa.vendor.documents("key") == []


def test_a_reset_is_the_first_day_again() -> None:
    coupa = Coupa().login()
    coupa.ask("PUT", f"/api/requisitions/{SEEDED}?exported=true")

    coupa.vendor.reset()

    assert coupa.vendor.acknowledged("requisitions") == frozenset()
    assert coupa.ask("GET", "/api/users").status == 401
