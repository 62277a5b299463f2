"""What Workday's people decided becomes evidence, and what is not understood never approves."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from lxml import etree

from quaestor.approvals.decide import Approved, Declined, Insufficient
from quaestor.approvals.decide import decide as decide_approval
from quaestor.approvals.snapshot import ApprovalPolicy, ApprovalSnapshot
from quaestor.connectors.kit.published import Decision, NotDecided, NotMapped
from quaestor.connectors.workday.decisions import DecisionItem, DecisionWords, decided
from quaestor.connectors.workday.mapping import RequisitionRules, render_submit
from quaestor.connectors.workday.soap import payload
from quaestor.connectors.workday.xml import child, children, qualified
from quaestor.model.approval import ApprovalDecision
from quaestor.model.canonical import content_hash
from quaestor.model.employee import Directory, Employee
from quaestor.model.rates import Rates
from quaestor.model.requisition import Requisition
from tests.connectors.workday_requisitions import (
    CODES,
    KEY,
    a_submission,
    a_tenant,
    a_workday_requisition,
)

RULES = RequisitionRules(codes=CODES)  # type: ignore[arg-type]
WORDS = DecisionWords()
DAY = "2026-11-20"
AT = datetime(2026, 11, 20, tzinfo=UTC)
BEN, CARLA, GUS, EVE = (letter * 32 for letter in "bcde")
PEOPLE = {BEN: "21002", CARLA: "21003", GUS: "10001"}


def an_employee(name: str, number: str, limit: str = "0") -> Employee:
    return Employee(
        name,
        name,
        limit=Decimal(limit),
        limit_currency="EUR",
        identities={"workday": number},
    )


DIRECTORY = Directory(
    {
        one.id: one
        for one in (
            an_employee("ana.berger", "21001"),
            an_employee("ben.koch", "21002", "25000"),
            an_employee("carla.lindt", "21003", "250000"),
            an_employee("gus.adler", "10001", "1000000"),
            an_employee("fay.nolan", "31003", "100"),
        )
    }
)


def a_step(who: str = BEN, status: str = "Approved", **given: Any) -> dict[str, Any]:
    return {
        "id": "5" * 32,
        "status": {"id": "6" * 32, "descriptor": status},
        "completedDate": DAY,
        "completedByPerson": {"id": who, "descriptor": "Somebody"},
        "awaitingPersons": [],
        **given,
    }


def an_item(
    *steps: dict[str, Any],
    requisition: Requisition | None = None,
    status: str = "Successfully Completed",
    change: Any = None,
    **event: Any,
) -> bytes:
    """One ended process; `change` edits the requisition as it stands in Workday."""
    command = a_submission(requisition)
    data = child(payload(render_submit(command, RULES, "v30.0")), "Requisition_Data")
    assert data is not None
    data.tag = qualified("Requisition_data")
    whole = etree.Element(qualified("Requisition"))
    whole.append(data)
    if change is not None:
        change(data)
    told = {
        "id": "a" * 32,
        "completedDate": DAY,
        "status": {"id": "7" * 32, "descriptor": status},
        **event,
    }
    item = DecisionItem(
        told, steps or (a_step(),), etree.tostring(whole, encoding="unicode"), PEOPLE
    )
    return msgspec.json.encode(item)


def read(body: bytes) -> Decision | NotDecided | NotMapped:
    return decided(body, system="workday", directory=DIRECTORY, rules=RULES, words=WORDS)


def votes(result: object) -> tuple[ApprovalDecision, ...]:
    assert isinstance(result, Decision), result
    return result.evidence.decisions


def judged(result: object, requisition: Requisition) -> object:
    """What our minimum says to the evidence, in mode `verify`."""
    assert isinstance(result, Decision), result
    snapshot = ApprovalSnapshot(
        policy=ApprovalPolicy(decider="workday"),
        entity=requisition.entity,
        base_currency="EUR",
        amount=requisition.total,
        currency="EUR",
        on=date(2026, 11, 20),
        version=requisition.version,
        content_hash=content_hash(requisition),
        interested=frozenset({requisition.requester}),
        directory=DIRECTORY,
        rates=Rates({}),
        evidence=result.evidence,
    )
    return decide_approval(snapshot)


def failed(decision: object) -> str:
    assert isinstance(decision, Insufficient), decision
    return decision.refusal.details["failed"]


# --- reading --------------------------------------------------------------------------------------


def test_a_decision_names_our_document_its_version_and_its_content() -> None:
    requisition = a_workday_requisition(version=3)

    result = read(an_item(a_step(BEN), a_step(CARLA), requisition=requisition))

    assert isinstance(result, Decision)
    assert (result.source_system, result.source_id, result.version) == ("coupa", "20417", 3)
    assert (result.reference, result.event, result.decided_at) == (KEY[:26], "a" * 32, AT)
    assert result.evidence.decided_by == "workday"
    assert result.evidence.content_hash == content_hash(requisition)
    assert result.evidence.version == 3
    assert votes(result) == (
        ApprovalDecision("ben.koch", "approved", AT),
        ApprovalDecision("carla.lindt", "approved", AT),
    )


def test_steps_that_are_no_votes_are_passed_over() -> None:
    result = read(an_item(a_step(status="Submitted"), a_step(), a_step(status="Not Required")))

    assert [vote.approver for vote in votes(result)] == ["ben.koch"]


def test_a_comment_comes_along_in_one_line() -> None:
    step = a_step(comments=[{"comment": "Fine,\n go"}, {"comment": "ahead"}])

    assert votes(read(an_item(step)))[0].comment == "Fine, go ahead"


DELEGATIONS = [
    ("his own step", a_step(awaitingPersons=[{"id": BEN}]), None),
    ("one of several asked", a_step(awaitingPersons=[{"id": BEN}, {"id": CARLA}]), None),
    ("another's step", a_step(awaitingPersons=[{"id": CARLA}]), "carla.lindt"),
    (
        "named in the descriptor",
        a_step(
            completedByPerson={"id": BEN, "descriptor": "Ben Koch (On Behalf of: Carla Lindt)"},
            awaitingPersons=[{"id": CARLA, "descriptor": "Carla Lindt"}, {"id": GUS}],
        ),
        "carla.lindt",
    ),
    (
        "a name without an identity",
        a_step(completedByPerson={"id": BEN, "descriptor": "Ben Koch on behalf of Carla Lindt"}),
        "Carla Lindt",
    ),
    (
        "one of several others",
        a_step(awaitingPersons=[{"id": CARLA}, {"id": GUS}]),
        "one of carla.lindt, gus.adler",
    ),
]


@pytest.mark.parametrize(
    ("step", "holder"), [row[1:] for row in DELEGATIONS], ids=[row[0] for row in DELEGATIONS]
)
def test_a_delegation_known_only_to_workday_is_on_behalf_of(
    step: dict[str, Any], holder: str | None
) -> None:
    assert votes(read(an_item(step)))[0].on_behalf_of == holder


def test_who_is_not_in_the_directory_stays_unknown() -> None:
    result = read(an_item(a_step(EVE)))

    assert votes(result)[0].approver == f"workday:{EVE}"


def test_a_process_that_somebody_cancelled_is_no_decision() -> None:
    result = read(an_item(status="Canceled"))

    assert isinstance(result, NotDecided)
    assert (result.source_id, result.status) == ("20417", "Canceled")


def with_memo(text: str) -> Any:
    def change(data: etree._Element) -> None:
        memo = data.find(qualified("Internal_Memo"))
        assert memo is not None
        memo.text = text.replace("MEMO", memo.text or "")

    return change


UNREADABLE = [
    ("no JSON", b"{", ""),
    ("no requisition", an_item().replace(b"Requisition_data", b"Other"), "no stamp"),
    ("the stamp was deleted", an_item(change=with_memo("")), "no stamp"),
    ("the stamp stands there twice", an_item(change=with_memo("MEMO MEMO")), "no stamp"),
    ("not ended", an_item(completedDate=None), "not ended"),
    ("denied by nobody", an_item(status="Denied"), "no step says by whom"),
    ("approved by nobody", an_item(a_step(status="Submitted")), "nobody voted"),
    ("no actor", an_item(a_step(completedByPerson=None)), "who completed it"),
    ("no day", an_item(a_step(completedDate="soon")), "who completed it"),
    ("too many steps", an_item(*[a_step()] * 501), "more steps"),
]


@pytest.mark.parametrize(
    ("body", "why"), [row[1:] for row in UNREADABLE], ids=[row[0] for row in UNREADABLE]
)
def test_what_cannot_be_read_stands_with_an_operator(body: bytes, why: str) -> None:
    result = read(body)

    assert isinstance(result, NotMapped)
    assert [refusal.code for refusal in result.refusals] == ["source_document_invalid"]
    assert why in result.refusals[0].details["why"]


def test_words_need_their_groups() -> None:
    with pytest.raises(msgspec.ValidationError, match="holder"):
        msgspec.convert({"on_behalf": "for (?P<actor>.*)"}, DecisionWords)


# --- against our minimum --------------------------------------------------------------------------


def test_votes_on_this_content_with_enough_authority_approve() -> None:
    requisition = a_workday_requisition()

    assert isinstance(judged(read(an_item(a_step(BEN))), requisition), Approved)


def set_quantity(data: etree._Element) -> None:
    line = next(children(data, "Item_Request_Line_Data"))
    quantity = line.find(qualified("Quantity"))
    assert quantity is not None
    quantity.text = "5"


def add_service(data: etree._Element) -> None:
    etree.SubElement(data, qualified("Service_Request_Line_Data"))


def set_title(data: etree._Element) -> None:
    with_memo("Something else MEMO")(data)


@pytest.mark.parametrize("change", [set_quantity, add_service, set_title])
def test_a_requisition_edited_on_its_way_is_other_content(change: Any) -> None:
    requisition = a_workday_requisition()

    assert failed(judged(read(an_item(change=change)), requisition)) == "other_content"


def derived(data: etree._Element) -> None:
    """What Workday adds and rewrites by itself."""
    for line in children(data, "Item_Request_Line_Data"):
        for name in ("Quantity", "Unit_Cost", "Extended_Amount"):
            value = line.find(qualified(name))
            assert value is not None
            value.text = f"{Decimal(value.text or '0'):.6f}"
        tag = etree.SubElement(line, qualified("Worktags_Reference"))
        identifier = etree.SubElement(tag, qualified("ID"))
        identifier.text = "NORTH"
        identifier.set(qualified("type"), "Region_Reference_ID")
    etree.SubElement(data, qualified("High_Priority")).text = "0"


def test_what_workday_derives_is_not_other_content() -> None:
    requisition = a_workday_requisition()

    assert isinstance(judged(read(an_item(change=derived)), requisition), Approved)


def test_version_one_approved_after_version_two_is_other_content() -> None:
    second = a_workday_requisition(version=2, requester="dan.moore")

    assert failed(judged(read(an_item(a_step(GUS))), second)) == "other_content"


def test_too_little_authority_is_insufficient() -> None:
    requisition = a_workday_requisition()
    step = a_step("Employee_ID=31003")

    assert failed(judged(read(an_item(step)), requisition)) == "authority_below_amount"


def test_a_step_done_for_another_needs_a_delegation_that_we_know() -> None:
    requisition = a_workday_requisition()
    step = a_step(GUS, awaitingPersons=[{"id": "Employee_ID=31003"}])

    assert failed(judged(read(an_item(step)), requisition)) == "delegation_missing"


def test_votes_before_a_step_back_are_on_unknown_content() -> None:
    requisition = a_workday_requisition()
    body = an_item(a_step(BEN), a_step(CARLA, status="Sent Back"), a_step(GUS))

    assert failed(judged(read(body), requisition)) == "content_unknown"


def test_a_delegator_without_identity_lends_no_authority() -> None:
    requisition = a_workday_requisition()
    step = a_step(completedByPerson={"id": BEN, "descriptor": "Ben Koch on behalf of Carla Lindt"})

    assert failed(judged(read(an_item(step)), requisition)) == "approver_unknown"


def test_a_denial_declines_whatever_else_was_voted() -> None:
    requisition = a_workday_requisition()
    body = an_item(a_step(BEN), a_step(CARLA, status="Denied"), status="Denied")

    assert isinstance(judged(read(body), requisition), Declined)


# --- over the wire, with the simulator's people ---------------------------------------------------

CASES: list[tuple[str, list[dict[str, Any]], str]] = [
    ("manager and finance", [{"by": "manager"}, {"by": "finance"}], "Approved"),
    ("finance denies", [{"by": "manager"}, {"by": "finance", "do": "deny"}], "Declined"),
    ("too little authority", [{"by": "31003"}], "authority_below_amount"),
    ("the requester himself", [{"by": "21001"}], "nobody_independent"),
    ("a delegate of Workday alone", [{"by": "manager", "actor": "21003"}], "delegation_missing"),
    ("on behalf of the requester", [{"by": "21001", "actor": "21003"}], "nobody_independent"),
]


@pytest.mark.parametrize(
    ("steps", "outcome"), [row[1:] for row in CASES], ids=[row[0] for row in CASES]
)
async def test_what_the_people_do_ends_as_our_minimum_says(
    steps: list[dict[str, Any]], outcome: str
) -> None:
    requisition = a_workday_requisition()
    at_once = [{"after_ms": 0, **step} for step in steps]

    async with a_tenant(routing={"steps": at_once}) as tenant:
        await tenant.submit(a_submission(requisition))
        page = await tenant.connector.pull("decisions", None)

    (item,) = page.items
    decision = judged(read(item.body), requisition)
    named = failed(decision) if isinstance(decision, Insufficient) else type(decision).__name__
    assert (item.source_id, item.kind, named) == (KEY[:26], "decision", outcome)


async def test_the_control_port_sets_who_decides_from_then_on() -> None:
    requisition = a_workday_requisition()

    async with a_tenant() as tenant:
        await tenant.told(
            "routing",
            steps=[{"by": "manager", "after_ms": 0}],
            delegations={"21002": "10001"},
        )
        await tenant.submit(a_submission(requisition))
        page = await tenant.connector.pull("decisions", None)

    (vote,) = votes(read(page.items[0].body))
    assert (vote.approver, vote.on_behalf_of) == ("gus.adler", "ben.koch")


async def test_an_approver_who_edits_the_requisition_votes_on_other_content() -> None:
    requisition = a_workday_requisition()

    async with a_tenant() as tenant:
        number = (await tenant.submit(a_submission(requisition))).number
        await tenant.told(number, act={"by": "21002"})
        await tenant.told(number, lines={"1": {"Quantity": "30"}})
        await tenant.told(number, act={"by": "21003"})
        page = await tenant.connector.pull("decisions", None)

    assert failed(judged(read(page.items[0].body), requisition)) == "other_content"


async def test_a_first_vote_is_not_taken_for_the_whole_and_nothing_comes_twice() -> None:
    async with a_tenant() as tenant:
        number = (await tenant.submit(a_submission())).number
        await tenant.told(number, act={"by": "21002"})
        first = await tenant.connector.pull("decisions", None)
        await tenant.told(number, act={"by": "21003"})
        second = await tenant.connector.pull("decisions", first.cursor)
        third = await tenant.connector.pull("decisions", second.cursor)

    assert (first.items, third.items) == ((), ())
    assert [item.source_id for item in second.items] == [number]


async def test_a_full_page_says_that_there_is_more() -> None:
    keys = [KEY[number:] + KEY[:number] for number in range(5)]

    async with a_tenant(routing={"steps": []}) as tenant:
        connector = tenant.connect(items_max=2)
        for key in keys:
            await tenant.submit(a_submission(key=key))
        pages = [await connector.pull("decisions", None)]
        while pages[-1].more:
            pages.append(await connector.pull("decisions", pages[-1].cursor))
        last = await connector.pull("decisions", pages[-1].cursor)

    delivered = [item.source_id for page in pages for item in page.items]
    assert [len(page.items) for page in pages] == [2, 2, 1]
    assert sorted(delivered) == sorted(key[:26] for key in keys)
    assert last.items == ()
