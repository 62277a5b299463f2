"""Coupa over the wire: pulls over moving sets, reports that may be made twice, checks that name
the fix."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from quaestor.connectors.coupa.config import SCOPES, CoupaConfig
from quaestor.connectors.coupa.mapping import read_published
from quaestor.connectors.kit.contract import (
    Absent,
    Ambiguous,
    Applied,
    Permanent,
    Rejected,
    Several,
    Submits,
    Transient,
)
from quaestor.connectors.kit.published import Mapped, Reading
from quaestor.project.load import load_project
from tests.connectors.coupa.installed import Installed, installed
from tests.connectors.coupa.subjects import EXAMPLES, KEY, a_report, refused

STREAM = "requisitions"


async def drained(coupa: Installed, after: str | None = None) -> tuple[list[str], str]:
    """The ids that come until there is no more, and the cursor then."""
    ids: list[str] = []
    while True:
        page = await coupa.connector.pull(STREAM, after)
        ids += [item.source_id for item in page.items]
        after = page.cursor
        if not page.more:
            return ids, after


# --- pulling --------------------------------------------------------------------------------------


async def test_pulled_requisitions_are_mapped_as_those_from_files() -> None:
    project = load_project(EXAMPLES.parent)
    async with installed() as coupa:
        page = await coupa.connector.pull(STREAM, None)

    mapped = [
        read_published(
            project.configs["coupa"],
            item.body,
            Reading(project.crosswalks, project.directory, date(2026, 11, 22)),
        )
        for item in page.items
    ]

    files = sorted(EXAMPLES.glob("*.json"))
    totals = {str(one["id"]): one["total"] for one in map(json.loads, map(_read, files))}
    assert len(mapped) == len(files) > 4
    for result in mapped:
        assert isinstance(result, Mapped), result
        assert str(result.requisition.total) == totals[result.requisition.source_id]
        assert result.loss.of_kind("unknown") == ()


def _read(path: Any) -> str:
    return str(path.read_text(encoding="utf-8"))


async def test_a_requisition_that_is_not_approved_yet_comes_once_it_is() -> None:
    async with installed() as coupa:
        coupa.vendor.edit("20417", {"status": "pending_approval"})
        before, cursor = await drained(coupa)
        coupa.vendor.edit("20417", {"status": "approved"})

        after, _ = await drained(coupa, cursor)

    assert "20417" not in before
    assert after == ["20417"]


async def test_an_edit_between_the_page_and_its_mark_is_not_lost() -> None:
    async with installed() as coupa:
        first = await coupa.connector.pull(STREAM, None)
        coupa.vendor.edit("20417", {"req-title": "Edited before it was marked"})

        ids, cursor = await drained(coupa, first.cursor)
        again, _ = await drained(coupa, cursor)

    assert ids == ["20417"]
    assert again == []


async def test_what_was_withdrawn_after_its_export_comes_as_a_change() -> None:
    async with installed() as coupa:
        _, cursor = await drained(coupa)
        coupa.vendor.edit("20419", {"status": "withdrawn"})

        page = await coupa.connector.pull(STREAM, cursor)

    assert [json.loads(item.body)["status"] for item in page.items] == ["withdrawn"]
    assert coupa.requisition("20419")["exported"] is True


async def test_what_others_exported_before_us_is_not_ours_to_tell() -> None:
    async with installed() as coupa:
        coupa.vendor.edit("20417", {"exported": True})
        coupa.vendor.changes(STREAM, "20417", {"updated-at": None})
        stored = coupa.vendor._store.of[STREAM].get(20417)
        assert stored is not None
        stored["updated-at"] = "2026-01-01T08:00:00+01:00"

        ids, _ = await drained(coupa)

    assert "20417" not in ids


async def test_a_requisition_that_a_person_releases_for_export_again_comes_again() -> None:
    async with installed() as coupa:
        _, cursor = await drained(coupa)
        coupa.vendor.edit("20417", {"exported": False, "req-title": "Once more"})

        ids, _ = await drained(coupa, cursor)

    assert ids == ["20417"]


async def test_a_set_that_does_not_move_is_trouble_and_no_endless_loop() -> None:
    async with installed() as coupa:
        page = await coupa.connector.pull(STREAM, None)
        following = await coupa.connector.pull(STREAM, page.cursor)
        collection = coupa.vendor._store.of[STREAM]
        for one in collection.every():
            one["exported"] = False

        with pytest.raises(Transient, match="not exported") as caught:
            await coupa.connector.pull(STREAM, following.cursor)

    assert caught.value.system is False


async def test_a_requisition_deleted_before_its_mark_holds_nothing_up() -> None:
    async with installed() as coupa:
        page = await coupa.connector.pull(STREAM, None)
        coupa.vendor._store.of[STREAM]._objects.pop(20417)

        following = await coupa.connector.pull(STREAM, page.cursor)

    assert (following.items, following.more) == ((), False)


async def test_an_unknown_stream_is_refused() -> None:
    async with installed() as coupa:
        with pytest.raises(Permanent):
            await coupa.connector.pull("invoices", None)


# --- writing back ---------------------------------------------------------------------------------


async def test_an_order_number_is_written_into_its_fields_and_recorded() -> None:
    fields = ["erp-order-number", "erp-state"]
    rules = {"order_field": fields[0], "state_field": fields[1], "integration": "QUAESTOR"}
    async with installed(custom_fields=fields, integrations=["QUAESTOR"], report=rules) as coupa:
        command = a_report(orders=("4500000001", "4500000002"))

        answer = await coupa.connector.submit(command, coupa.connector.render(command))

        (record,) = coupa.records()
        shown = coupa.requisition("20417")["custom_fields"]
    assert answer == Applied(str(record["id"]))
    assert shown == {"erp-order-number": "4500000001, 4500000002", "erp-state": "ordered"}
    assert (record["external-id"], record["document-id"]) == (KEY, 20417)
    assert (record["status"], record["alerted"]) == ("success", False)


async def test_a_refusal_alerts_with_its_meaning() -> None:
    async with installed() as coupa:
        command = a_report(
            refusal=refused("budget_exceeded", node="it-de/2026"), message="It cannot go on."
        )

        await coupa.connector.submit(command, coupa.connector.render(command))

        (record,) = coupa.records()
    (response,) = record["responses"]
    assert record["alerted"] is True
    assert (record["status"], record["document-status"]) == ("error", "refused")
    assert response["response-code"] == "budget_exceeded"
    assert response["response-message"] == (
        "It cannot go on. The budget has less available than the document needs. node: it-de/2026"
    )


async def test_a_report_sent_twice_says_one_thing() -> None:
    async with installed() as coupa:
        command = a_report()
        stored = coupa.connector.render(command)
        first = await coupa.connector.submit(command, stored)

        second = await coupa.connector.submit(command, stored)

        assert first == second
        assert len(coupa.records()) == 1


async def test_our_own_report_neither_resets_the_flag_nor_comes_back_as_a_change() -> None:
    async with installed(custom_fields=["erp-state"], report={"state_field": "erp-state"}) as coupa:
        _, cursor = await drained(coupa)
        coupa.clock.pass_s(5)
        command = a_report()

        await coupa.connector.submit(command, coupa.connector.render(command))

        ids, _ = await drained(coupa, cursor)
        assert coupa.requisition("20417")["exported"] is True
    assert ids == []


async def test_a_custom_field_that_coupa_does_not_have_is_refused_by_name() -> None:
    async with installed(report={"order_field": "erp-order-number"}) as coupa:
        command = a_report()

        answer = await coupa.connector.submit(command, coupa.connector.render(command))

        assert isinstance(answer, Rejected)
        assert answer.refusal.code == "status_not_reported"
        assert answer.refusal.details["code"] == "custom_field_unknown"
        assert coupa.records() == []


async def test_a_lost_answer_to_a_field_is_ambiguous_and_said_again() -> None:
    async with installed(custom_fields=["erp-state"], report={"state_field": "erp-state"}) as coupa:
        command = a_report()
        stored = coupa.connector.render(command)
        coupa.fault("PUT /api/requisitions", "drop_after_commit")
        with pytest.raises(Ambiguous):
            await coupa.connector.submit(command, stored)
        absent = await coupa.connector.find(command)

        answer = await coupa.connector.submit(command, stored)

        assert isinstance(absent, Absent)
        assert isinstance(answer, Applied)
        assert coupa.requisition("20417")["custom_fields"] == {"erp-state": "ordered"}


async def test_two_records_under_one_key_are_several() -> None:
    async with installed(settle_s=0.05) as coupa:
        command = a_report()
        stored = coupa.connector.render(command)
        for _ in range(2):
            await coupa.connector.submit(command, stored)
        for record in coupa.vendor._store.of["integration_history_records"]._visible_at:
            coupa.vendor._store.of["integration_history_records"]._visible_at[record] = 0.0

        found = await coupa.connector.find(command)

    assert isinstance(found, Several)
    assert len(found.numbers) == 2


@pytest.mark.parametrize("source_id", ["", "REQ-1", "12a"])
async def test_a_report_about_no_requisition_of_coupas_cannot_be_expressed(source_id: str) -> None:
    async with installed() as coupa:
        with pytest.raises(Permanent):
            coupa.connector.render(a_report(source_id=source_id))

    assert isinstance(coupa.connector, Submits)


# --- checking -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lacking",
    [
        "core.requisition.read",
        "core.supplier.read",
        "core.user.read",
        "core.accounting.read",
        "core.integration.read",
    ],
)
async def test_a_scope_that_is_lacking_is_named_with_its_cure(lacking: str) -> None:
    scopes = [scope for scope in SCOPES if scope != lacking]
    async with installed(
        scopes=scopes, table={"oauth": {"gap_s": 0.02, "scopes": scopes}}
    ) as coupa:
        probes = await coupa.connector.check()

    (bad,) = [probe for probe in probes if not probe.good]
    assert bad.name == f"scope {lacking}"
    assert lacking in bad.fix


async def test_a_client_that_is_not_registered_is_named_with_its_cure() -> None:
    async with installed(scopes=["core.user.read"]) as coupa:
        probes = await coupa.connector.check()

    (bad,) = [probe for probe in probes if not probe.good]
    assert bad.name == "token"
    assert "Client credentials" in bad.fix


async def test_the_wrong_token_path_is_named_with_its_cure() -> None:
    async with installed(token_path="/oauth2/access_tokens") as coupa:
        probes = await coupa.connector.check()

    (bad,) = [probe for probe in probes if not probe.good]
    assert (bad.name, "token_url" in bad.fix) == ("token", True)


def test_the_rate_is_coupas_unless_the_installation_says_less() -> None:
    config = CoupaConfig()

    assert (config.requests_per_s, config.burst) == (25.0, 20)
    assert config.oauth.gap_s == 5.0
