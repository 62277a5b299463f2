"""Workday takes a requisition once, says what stands there, and brings its streams."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from quaestor.connectors.kit.attempt import Attempt, Exchange, open_attempt
from quaestor.connectors.kit.contract import (
    Absent,
    AlreadyExists,
    Applied,
    Command,
    Permanent,
    Pulls,
    Rejected,
    Transient,
)
from quaestor.connectors.kit.pull_suite import PULL_LAWS, PullLaw, PullSubject
from quaestor.connectors.kit.rig import CANARY
from quaestor.connectors.workday.connector import KIND
from quaestor.connectors.workday.simulator import INITIATOR
from tests.connectors.workday_requisitions import (
    KEY,
    a_submission,
    a_tenant,
    a_workday_requisition,
)
from tests.support.builders import a_line

NUMBER = KEY[:26]
# The requisition, and the steps of its process.
ANSWERS_OF_A_DECISION = 2


def a_cancellation(number: str = NUMBER) -> Command:
    return Command(
        key=KEY[::-1],
        system="workday",
        action="cancel_requisition",
        entity="acme-de",
        created_at=datetime.now(UTC),
        cancels=number,
    )


# --- submitting and finding -----------------------------------------------------------------------


async def test_a_requisition_stands_under_our_number_and_is_not_taken_twice() -> None:
    async with a_tenant() as tenant:
        first = await tenant.submit(a_submission())
        second = await tenant.submit(a_submission())
        found = await tenant.connector.find(a_submission())

    assert isinstance(first, Applied)
    assert (first.number, len(first.facts["wid"])) == (NUMBER, 32)
    assert second == AlreadyExists(NUMBER)
    assert found == first


async def test_another_version_under_our_number_is_found_with_its_differences() -> None:
    other = a_workday_requisition(lines=[a_line(quantity="4")])

    async with a_tenant() as tenant:
        await tenant.submit(a_submission(other))
        again = await tenant.submit(a_submission())
        found = await tenant.connector.find(a_submission())

    assert again == AlreadyExists(NUMBER)
    assert isinstance(found, Applied)
    assert "lines[1].quantity: 4 instead of 3" in found.differences


async def test_a_refusal_names_every_error_and_where() -> None:
    async with a_tenant() as tenant:
        connector = tenant.connect(requisition={})
        answer = await connector.submit(a_submission(), connector.render(a_submission()))

    assert isinstance(answer, Rejected)
    assert answer.refusal.code == "approval_request_refused"
    assert answer.refusal.details["code"] == "Validation_Fault"
    assert "'ana.berger' is not a valid ID value" in answer.refusal.details["message"]
    assert answer.refusal.details["xpath"] == "/Requisition_Data[1]"


# --- cancelling -----------------------------------------------------------------------------------


async def test_a_cancellation_may_be_said_twice_and_is_found() -> None:
    async with a_tenant() as tenant:
        await tenant.submit(a_submission())
        before = await tenant.connector.find(a_cancellation())
        answers = [await tenant.submit(a_cancellation()) for _ in range(2)]
        after = await tenant.connector.find(a_cancellation())
        found = await tenant.connector.find(a_submission())

    assert before == Absent()
    assert answers == [Applied(NUMBER), Applied(NUMBER)]
    assert after == Applied(NUMBER)
    assert isinstance(found, Applied)
    assert found.differences[0] == "state: the requisition is cancelled"


@pytest.mark.parametrize(
    "steps", [[], [{"by": "manager", "after_ms": 0, "do": "deny", "comment": "No"}]]
)
async def test_what_was_decided_there_cannot_be_cancelled_and_says_that_it_ended(
    steps: list[dict[str, Any]],
) -> None:
    async with a_tenant(routing={"steps": steps}) as tenant:
        await tenant.submit(a_submission())
        answer = await tenant.submit(a_cancellation())

    assert isinstance(answer, Rejected)
    assert answer.refusal.code == "approval_ended_there"
    assert "cannot be canceled" in answer.refusal.details["message"]


async def test_what_is_not_there_cannot_be_cancelled() -> None:
    async with a_tenant() as tenant:
        answer = await tenant.submit(a_cancellation())

    assert isinstance(answer, Rejected)
    assert answer.refusal.code == "approval_request_refused"


@pytest.mark.parametrize("number", ["", "a b", "<x/>", "x" * 65])
async def test_a_number_that_is_none_is_not_sent(number: str) -> None:
    async with a_tenant() as tenant:
        with pytest.raises(Permanent):
            tenant.connector.render(a_cancellation(number))


# --- check ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"initiator": ""}, "decisions"),
        ({"tenant": "other"}, "network"),
        ({"rest_path": "/elsewhere"}, "decisions"),
    ],
)
async def test_the_check_names_what_is_wrong_and_its_fix(change: dict[str, str], name: str) -> None:
    async with a_tenant() as tenant:
        probes = await tenant.connect(**change).check()

    assert [(one.name, bool(one.fix)) for one in probes if not one.good] == [(name, True)]


# --- streams --------------------------------------------------------------------------------------

# Two laws read a member of a JSON body, and ours hold XML; one compares when workers changed, and
# Workday says only when they were read. What they say is proved below instead.
LEFT_OUT = {
    ("decisions", "nothing_is_skipped_when_the_set_moves"),
    ("decisions", "a_change_after_delivery_is_another_event"),
    ("workers", "nothing_is_skipped_when_the_set_moves"),
    ("workers", "a_change_after_delivery_is_another_event"),
    ("workers", "nothing_is_acknowledged_before_the_cursor_is_asked_with"),
}


def a_table(url: str, credentials: Mapping[str, str]) -> Mapping[str, Any]:
    return {
        "connector": "workday",
        "base_url": url,
        "auth": {"kind": "bearer", "token": "env:WORKDAY_TOKEN"},
        "tenant": "acme",
        "initiator": INITIATOR,
        "items_max": 3,
        "workers_page": 3,
    }


def a_stream(stream: str, asks: str) -> PullSubject:
    return PullSubject(
        kind=KIND,
        system=a_table,
        stream=stream,
        an_object=lambda nth: {"id": f"{'abcdefghij'[nth]}" * 26},
        a_change={"status": "Rescinded"},
        asks=asks,
        page=3,
        acknowledges=False,
        options={"token": CANARY, "people": []},
    )


STREAMS = [
    a_stream("decisions", "GET /businessProcess/v1/events"),
    a_stream("workers", "POST /ccx/service/acme/Human_Resources"),
]


KEPT = [
    pytest.param(law, subject, id=f"{subject.stream}-{law.__name__}")
    for subject in STREAMS
    for law in PULL_LAWS
    if (subject.stream, law.__name__) not in LEFT_OUT
]


@pytest.mark.parametrize(("law", "subject"), KEPT)
async def test_the_streams_keep_the_laws_of_pulling(law: PullLaw, subject: PullSubject) -> None:
    await law(subject)


async def test_workers_that_were_not_recorded_come_again() -> None:
    async with a_tenant() as tenant:
        connector = tenant.connect(workers_page=3)
        first = await connector.pull("workers", None)
        again = await connector.pull("workers", None)
        following = await connector.pull("workers", first.cursor)

    ids = [[item.event_id for item in page.items] for page in (first, again, following)]
    assert ids[0] == ids[1]
    assert set(ids[0]).isdisjoint(ids[2])


async def drained(connector: Pulls, stream: str, after: str | None) -> tuple[list[Any], str]:
    items: list[Any] = []
    while True:
        page = await connector.pull(stream, after)
        items += page.items
        after = page.cursor
        if not page.more:
            return items, after


async def test_who_changes_between_the_pages_comes_as_he_is_now() -> None:
    async with a_tenant() as tenant:
        connector = tenant.connect(workers_page=2)
        first = await connector.pull("workers", None)
        tenant.vendor.changes("workers", "21001", {"name": "Ana Weber"})
        tenant.vendor.arrives("workers", {"id": "50001", "name": "Ida Neu"})
        rest, cursor = await drained(connector, "workers", first.cursor)
        changed, cursor = await drained(connector, "workers", cursor)
        nothing, _ = await drained(connector, "workers", cursor)

    assert {"21001", "50001"} == {item.source_id for item in changed}
    assert b"Ana Weber" in next(item.body for item in changed if item.source_id == "21001")
    assert {item.source_id for item in rest} >= {"31001", "10001"}
    assert nothing == []


async def test_what_is_rescinded_on_its_day_is_another_event() -> None:
    async with a_tenant(routing={"steps": []}) as tenant:
        await tenant.submit(a_submission())
        first, cursor = await drained(tenant.connector, "decisions", None)
        tenant.vendor.changes("decisions", NUMBER, {"status": "Rescinded"})
        second, cursor = await drained(tenant.connector, "decisions", cursor)
        third, _ = await drained(tenant.connector, "decisions", cursor)

    assert [item.source_id for item in (*first, *second)] == [NUMBER, NUMBER]
    assert first[0].event_id != second[0].event_id
    assert third == []


async def test_a_page_of_decisions_ends_where_its_time_does() -> None:
    class Short(list[Exchange]):
        """Time is over before the second request about the second decision."""

        def append(self, exchange: Exchange) -> None:
            super().append(exchange)
            if len(self) == 2 + ANSWERS_OF_A_DECISION:
                attempt.send_before = 0.0

    attempt = Attempt(send_before=float("inf"), total_timeout_s=5.0, exchanges=Short())
    async with a_tenant(routing={"steps": []}) as tenant:
        for letter in "bcd":
            await tenant.submit(a_submission(key=letter * len(KEY)))
        with open_attempt(attempt):
            page = await tenant.connector.pull("decisions", None)
        rest, _ = await drained(tenant.connector, "decisions", page.cursor)

    assert (len(page.items), page.more) == (1, True)
    assert len({item.source_id for item in (*page.items, *rest)}) == 3


async def test_decisions_need_the_person_who_submits() -> None:
    async with a_tenant() as tenant:
        with pytest.raises(Permanent, match="initiator"):
            await tenant.connect(initiator="").pull("decisions", None)


async def test_more_processes_than_the_limit_are_not_cut_off_silently() -> None:
    async with a_tenant() as tenant:
        for number in range(101):
            tenant.vendor.arrives("decisions", {"id": f"{number:026d}"})
        with pytest.raises(Transient, match="pages_max"):
            await tenant.connect(pages_max=1).pull("decisions", None)


async def test_an_unknown_stream_is_refused() -> None:
    async with a_tenant() as tenant:
        with pytest.raises(Permanent):
            await tenant.connector.pull("payslips", None)


# --- the simulator is not kinder than the vendor --------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Requisition_Number", b"Requisition_No"),
        (b'<wd:ID wd:type="Employee_ID">21001<', b'<wd:ID wd:type="Employee_ID">1<'),
        (b"<soapenv:Envelope", b"<!DOCTYPE a><soapenv:Envelope"),
        (b"Extended_Amount>400.00<", b"Extended_Amount>401.00<"),
    ],
    ids=["unknown name", "unknown worker", "a document type", "splits that differ"],
)
async def test_the_simulator_refuses_what_is_wrong(old: bytes, new: bytes) -> None:
    async with a_tenant() as tenant:
        rendered = tenant.connector.render(a_submission())
        answer = await tenant.connector.submit(a_submission(), rendered.replace(old, new))
        held = tenant.vendor.documents(None)

    assert old in rendered
    assert isinstance(answer, Rejected)
    assert held == []


async def test_what_is_not_submitted_is_a_draft_that_nobody_decides() -> None:
    async with a_tenant() as tenant:
        rendered = tenant.connector.render(a_submission())
        draft = rendered.replace(b"<wd:Submit>1</wd:Submit>", b"")
        await tenant.connector.submit(a_submission(), draft)
        (held,) = tenant.vendor.documents(None)

    assert draft != rendered
    assert (held["status"], held["awaiting"]) == ("DRAFT", [])


async def test_without_add_only_a_second_submit_is_not_taken_for_ours() -> None:
    async with a_tenant() as tenant:
        rendered = tenant.connector.render(a_submission())
        changing = rendered.replace(b' wd:Add_Only="1"', b"")
        assert changing != rendered
        await tenant.connector.submit(a_submission(), changing)
        again = await tenant.connector.submit(a_submission(), changing)

    assert isinstance(again, Rejected)
