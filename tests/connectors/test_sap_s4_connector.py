"""SAP as a system that creates, finds and cancels: what the suite does not ask of every vendor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace as changed
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from quaestor.connectors.kit.contract import (
    Absent,
    Ambiguous,
    Applied,
    Guarantee,
    Permanent,
    Rejected,
    Several,
    Transient,
)
from quaestor.connectors.kit.faulting import Fault
from quaestor.connectors.kit.rig import Rig
from quaestor.connectors.sap_s4.simulator import SapSimulator
from tests.connectors.orders import KEY, a_cancellation, a_command, a_line, an_order
from tests.connectors.raw_server import Arrived, RawServer, answer
from tests.connectors.sap_orders import CONTRACT
from tests.connectors.subjects import sap


@asynccontextmanager
async def an_sap(
    vendor: type[SapSimulator] = SapSimulator, *, settle_s: float = 0.0, **rules: Any
) -> AsyncIterator[Rig]:
    subject = sap(**rules)
    kind = msgspec.structs.replace(subject.kind, simulator=vendor)
    async with Rig(changed(subject, kind=kind), settle_s=settle_s) as rig:
        yield rig


# --- finding --------------------------------------------------------------------------------------


async def test_two_orders_under_one_reference_are_an_incident_even_if_one_is_ours() -> None:
    async with an_sap() as rig:
        ours = a_command()
        await rig.submit(ours)
        await rig.submit(a_command(an_order([a_line(quantity="9")])))

        found = await rig.find(ours)

        assert found == Several(("4500000000", "4500000001"))


async def test_all_hits_are_counted_over_all_pages() -> None:
    async with an_sap() as rig:
        for _ in range(12):
            await rig.submit(a_command())

        found = await rig.find(a_command())

        assert isinstance(found, Several)
        assert len(found.numbers) == 12


async def test_a_hit_with_other_content_is_shown_with_its_differences() -> None:
    async with an_sap() as rig:
        await rig.submit(a_command(an_order([a_line(quantity="9")])))

        found = await rig.find(a_command())

        assert found == Applied("4500000000", ("lines[1].quantity: 9 instead of 3",))


@pytest.mark.parametrize(
    "elsewhere",
    [
        an_order(company_code="1010"),
        an_order(supplier="17300099"),
    ],
    ids=["company code", "supplier"],
)
async def test_the_look_up_is_narrowed_by_company_code_and_supplier(elsewhere: Any) -> None:
    async with an_sap() as rig:
        await rig.submit(a_command(elsewhere))

        assert await rig.find(a_command()) == Absent()


@pytest.mark.parametrize(("days", "found"), [(0, True), (1, True), (2, False)])
async def test_the_look_up_is_narrowed_to_the_day_before_the_first_decision(
    days: int, found: bool
) -> None:
    async with an_sap() as rig:
        await rig.submit(a_command())
        decided = datetime.now(UTC) + timedelta(days=days)

        answer = await rig.find(a_command(created_at=decided))

        assert isinstance(answer, Applied if found else Absent)


async def test_a_reference_in_other_case_is_not_ours() -> None:
    async with an_sap() as rig:
        await rig.submit(a_command())
        await rig.edit("4500000000", {"CorrespncExternalReference": KEY[:12].upper()})

        assert await rig.find(a_command()) == Absent()


async def test_the_reference_is_looked_for_in_the_configured_field() -> None:
    async with an_sap(reference_field="CorrespncInternalReference") as rig:
        await rig.submit(a_command())
        document = (await rig.documents(a_command()))[0]["document"]

        assert await rig.find(a_command()) == Applied("4500000000")
        assert document["CorrespncExternalReference"] == ""


async def test_an_order_deleted_in_sap_is_shown_and_never_created_again() -> None:
    async with an_sap() as rig:
        await rig.submit(a_command())
        await rig.edit("4500000000", {"items": {"PurchasingDocumentDeletionCode": "L"}})

        found = await rig.find(a_command())

        assert isinstance(found, Applied)
        assert "deletion: the order is marked as deleted" in found.differences


async def test_a_duplicate_that_a_person_deleted_no_longer_counts() -> None:
    async with an_sap() as rig:
        await rig.submit(a_command())
        await rig.submit(a_command())
        await rig.edit("4500000000", {"items": {"PurchasingDocumentDeletionCode": "L"}})

        assert await rig.find(a_command()) == Applied("4500000001")


async def test_an_order_that_waits_for_saps_release_is_ordered_but_not_released() -> None:
    async with an_sap() as rig:
        large = a_command(an_order([a_line(quantity="1000")]))

        submitted = await rig.submit(large)
        found = await rig.find(large)

        assert submitted == found == Applied("4500000000", released=False)


async def test_the_vendors_recorded_answer_is_read_and_is_not_ours() -> None:
    sample = CONTRACT.parent / "samples/sandbox.A_PurchaseOrder.list.json"
    if not sample.exists():
        pytest.skip("../shared/contracts/sap-s4hana/samples is absent")

    async def recorded(request: Arrived) -> bytes:
        return answer(sample.read_bytes())

    async with an_sap() as rig, RawServer(recorded) as server:
        rig.connector = rig.connect(server.url)

        assert await rig.find(a_command()) == Absent()


async def test_a_next_page_is_asked_of_our_own_host_whatever_address_it_names() -> None:
    service = "/sap/opu/odata/sap/API_PURCHASEORDER_PROCESS_SRV/A_PurchaseOrder"
    pages = [
        {"results": [], "__next": f"http://169.254.169.254{service}?$skiptoken=5"},
        {"results": []},
    ]

    async def paged(request: Arrived) -> bytes:
        return answer(msgspec.json.encode({"d": pages.pop(0)}))

    async with an_sap() as rig, RawServer(paged) as server:
        rig.connector = rig.connect(server.url)
        found = await rig.find(a_command())

        assert found == Absent()
        assert server.arrived[1].target == f"{service}?$skiptoken=5"


@pytest.mark.parametrize("following", ["http://h/elsewhere?$skiptoken=1", "file:///etc/passwd"])
async def test_a_next_page_outside_of_the_service_is_not_asked_for(following: str) -> None:
    async def leading_away(request: Arrived) -> bytes:
        return answer(msgspec.json.encode({"d": {"results": [], "__next": following}}))

    async with an_sap() as rig, RawServer(leading_away) as server:
        rig.connector = rig.connect(server.url)
        found = await rig.find(a_command())

        assert isinstance(found, Transient)
        assert len(server.arrived) == 1


async def test_a_look_up_without_end_is_given_up() -> None:
    service = "/sap/opu/odata/sap/API_PURCHASEORDER_PROCESS_SRV/A_PurchaseOrder"

    async def endless(request: Arrived) -> bytes:
        page = {"results": [], "__next": f"http://h{service}?$skiptoken=1"}
        return answer(msgspec.json.encode({"d": page}))

    async with an_sap() as rig, RawServer(endless) as server:
        rig.connector = rig.connect(server.url)
        found = await rig.find(a_command())

        assert isinstance(found, Transient)
        assert len(server.arrived) == 20


# --- creating -------------------------------------------------------------------------------------


class ForgetfulSap(SapSimulator):
    """Takes the order, and drops its last item (F24)."""

    def _document(self, number: str, order: Mapping[str, Any]) -> dict[str, Any]:
        return super()._document(
            number, {**order, "to_PurchaseOrderItem": order["to_PurchaseOrderItem"][:-1]}
        )


async def test_a_line_that_sap_dropped_is_named_in_the_answer_to_the_create() -> None:
    async with an_sap(ForgetfulSap) as rig:
        submitted = await rig.submit(a_command(an_order([a_line(), a_line(2)])))

        assert submitted == Applied("4500000000", ("lines[2]: missing",))


@pytest.mark.parametrize(
    "created",
    [
        {"PurchaseOrder": "4500000000"},
        {"PurchaseOrder": "4500000000", "to_PurchaseOrderItem": {"__deferred": {"uri": "x"}}},
        {"PurchaseOrder": "", "to_PurchaseOrderItem": {"results": [{}]}},
        {"results": []},
    ],
)
async def test_an_answer_that_cannot_be_compared_is_looked_up_instead(
    created: dict[str, Any],
) -> None:
    async def vague(request: Arrived) -> bytes:
        if request.method == "GET":
            return answer(b'{"d": {}}', "200 OK", "x-csrf-token: t", "Set-Cookie: a=b")
        return answer(msgspec.json.encode({"d": created}), "201 Created")

    async with an_sap() as rig, RawServer(vague) as server:
        rig.connector = rig.connect(server.url)

        assert isinstance(await rig.submit(a_command()), Ambiguous)


async def test_a_503_with_retry_after_is_obeyed_only_from_saps_own_application() -> None:
    envelope = b'{"error": {"code": "ICM/503", "message": {"value": "later"}}}'
    bodies = [envelope, b"<html>maintenance</html>"]

    async def unavailable(request: Arrived) -> bytes:
        if request.method == "GET":
            return answer(b'{"d": {}}', "200 OK", "x-csrf-token: t", "Set-Cookie: a=b")
        return answer(bodies.pop(0), "503 Service Unavailable", "Retry-After: 9")

    async with an_sap() as rig, RawServer(unavailable) as server:
        rig.connector = rig.connect(server.url)
        from_sap = await rig.submit(a_command())
        from_elsewhere = await rig.submit(a_command())

        assert isinstance(from_sap, Transient)
        assert from_sap.retry_after_s == 9.0
        assert isinstance(from_elsewhere, Ambiguous)


async def test_a_refusal_carries_saps_code_and_a_masked_bounded_sentence() -> None:
    sentence = "Ask jane.doe@example.com\nabout DE89 3704 0044 0532 0130 00 " + "x" * 500
    envelope = {"error": {"code": "06/436", "message": {"lang": "en", "value": sentence}}}

    async def refusing(request: Arrived) -> bytes:
        if request.method == "GET":
            return answer(b'{"d": {}}', "200 OK", "x-csrf-token: t", "Set-Cookie: a=b")
        return answer(msgspec.json.encode(envelope), "400 Bad Request")

    async with an_sap() as rig, RawServer(refusing) as server:
        rig.connector = rig.connect(server.url)
        submitted = await rig.submit(a_command())

        assert isinstance(submitted, Rejected)
        details = submitted.refusal.details
        assert details["code"] == "06/436"
        assert details["message"].startswith("Ask *** about *** xxx")
        assert len(details["message"]) == 200


async def test_a_gateway_that_never_accepts_a_token_is_an_auth_failure() -> None:
    async def stubborn(request: Arrived) -> bytes:
        if request.method == "GET":
            return answer(b'{"d": {}}', "200 OK", "x-csrf-token: t", "Set-Cookie: a=b")
        return answer(b"CSRF token validation failed", "403 Forbidden", "x-csrf-token: Required")

    async with an_sap() as rig, RawServer(stubborn) as server:
        rig.connector = rig.connect(server.url)
        submitted = await rig.submit(a_command())

        assert isinstance(submitted, Transient)
        assert submitted.code == "connector_auth_failed"
        assert server.methods() == ["GET", "POST", "GET", "POST"]


# --- sessions -------------------------------------------------------------------------------------


async def test_sends_one_after_the_other_share_one_token() -> None:
    async with an_sap() as rig:
        for _ in range(5):
            await rig.submit(a_command())

        assert [each.method for each in rig.exchanges] == ["GET"] + ["POST"] * 5


async def test_each_send_under_way_has_a_session_of_its_own() -> None:
    async with an_sap() as rig:
        await asyncio.gather(*(rig.submit(a_command()) for _ in range(4)))
        await asyncio.gather(*(rig.submit(a_command()) for _ in range(4)))
        fetched = [each for each in rig.exchanges if each.method == "GET"]

        assert len(fetched) == 4
        assert len(await rig.documents(a_command())) == 8


async def test_the_sap_client_is_named_in_every_request() -> None:
    async with an_sap() as rig:
        table = {**sap().system(rig.ready.url, rig.ready.credentials), "client": "100"}
        rig.subject = changed(rig.subject, system=lambda url, credentials: table)
        rig.connector = rig.connect(rig.ready.url)

        await rig.submit(a_command())
        await rig.find(a_command())

        assert len(rig.exchanges) == 3
        assert all("sap-client=100" in each.target for each in rig.exchanges)


# --- cancelling -----------------------------------------------------------------------------------


async def test_cancelling_deletes_every_item_and_may_be_repeated() -> None:
    async with an_sap() as rig:
        await rig.submit(a_command(an_order([a_line(), a_line(2)])))
        cancel = a_cancellation("4500000000")

        before = await rig.find(cancel)
        first = await rig.submit(cancel)
        second = await rig.submit(cancel)
        after = await rig.find(cancel)

        assert before == Absent()
        assert first == second == after == Applied("4500000000")


async def test_a_lost_answer_to_a_cancellation_is_ambiguous_and_repeated() -> None:
    async with an_sap() as rig:
        await rig.submit(a_command())
        cancel = a_cancellation("4500000000")
        rig.simulator.plan.put([Fault("DELETE /", "drop_after_commit")])

        lost = await rig.submit(cancel)
        again = await rig.submit(cancel)

        assert isinstance(lost, Ambiguous)
        assert again == Applied("4500000000")


async def test_an_order_with_follow_on_documents_is_not_cancelled() -> None:
    async with an_sap() as rig:
        await rig.submit(a_command())
        await rig.edit("4500000000", {"items": {"IsFinallyInvoiced": True}})

        submitted = await rig.submit(a_cancellation("4500000000"))

        assert isinstance(submitted, Rejected)
        assert submitted.refusal.details["code"] == "06/116"


async def test_cancelling_an_order_that_is_not_there_is_rejected() -> None:
    async with an_sap() as rig:
        cancel = a_cancellation("4599999999")

        assert isinstance(await rig.submit(cancel), Rejected)
        assert await rig.find(cancel) == Absent()


# --- what is promised -----------------------------------------------------------------------------


async def test_an_installation_states_its_settle_time_and_may_forbid_resending() -> None:
    async with an_sap() as rig:
        table = {**sap().system(rig.ready.url, rig.ready.credentials), "resend": "never"}
        rig.subject = changed(rig.subject, system=lambda url, credentials: table)

        create = rig.connect(rig.ready.url).manifest.actions["create_order"]

        promised = (create.guarantee, create.settle_s, create.resend)
        assert promised == (Guarantee.SEARCH, 0.1, "never")


async def test_an_action_that_sap_does_not_have_is_refused() -> None:
    async with an_sap() as rig:
        command = msgspec.structs.replace(a_command(), action="pay_invoice")

        with pytest.raises(Permanent, match="pay_invoice is not supported"):
            rig.connector.render(command)


async def test_the_check_names_what_to_do_in_sap() -> None:
    async with an_sap() as rig:
        table = dict(sap().system(rig.ready.url, rig.ready.credentials))
        table["auth"] = {"kind": "basic", "user": "STRANGER", "password": "env:SAP_PASSWORD"}
        subject = changed(rig.subject, system=lambda url, credentials: table)
        rig.subject = subject

        probes = await rig.connect(rig.ready.url).check()

        assert [(probe.name, probe.good) for probe in probes] == [
            ("network", True),
            ("credentials", False),
        ]
        assert "SAP_COM_0053" in probes[1].fix
