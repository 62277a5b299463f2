"""A person acts in Workday as himself; each of Workday's codes is a refusal with a name.

Requests and answers are held against
../shared/contracts/workday/openapi/workday-business-processes-eventsteps-api-openapi.yml.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from msgspec.structs import replace

from quaestor.connectors.kit.attempt import Attempt, open_attempt
from quaestor.connectors.kit.config import http_wire
from quaestor.connectors.kit.contract import Ambiguous, Permanent, Rejected
from quaestor.connectors.workday.config import WorkdayConfig
from quaestor.connectors.workday.person import ACT_REFUSALS, Acted, AwaitingStep, WorkdayPerson
from quaestor.connectors.workday.simulator import PEOPLE
from quaestor.connectors.workday.simulator_process import wid
from quaestor.model.refusal import REFUSALS
from quaestor.security.secrets import Secret
from tests.connectors.raw_server import Arrived, RawServer
from tests.connectors.raw_server import answer as raw_answer
from tests.connectors.test_workday_rest import faults
from tests.connectors.workday_requisitions import (
    KEY,
    Tenant,
    a_submission,
    a_tenant,
    contract_file,
)

STEP = "5" * 32
TOKENS = {one.id: f"token-of-{one.id}" for one in PEOPLE}


@asynccontextmanager
async def an_inbox(*, delegations: dict[str, str] | None = None) -> AsyncIterator[Inbox]:
    """A requisition waits for its manager and then for finance."""
    people = [msgspec.to_builtins(replace(one, token=TOKENS[one.id])) for one in PEOPLE]
    routing = {"steps": [{"by": "manager"}, {"by": "finance"}], "delegations": delegations or {}}
    async with a_tenant(routing=routing, options={"people": people}) as tenant:
        inbox = Inbox(tenant)
        await tenant.submit(a_submission())
        with open_attempt(inbox.attempt):
            yield inbox
        await inbox.close()


class Inbox:
    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.attempt = Attempt(send_before=float("inf"), total_timeout_s=1.0)
        self._wires: list[Any] = []

    def of(self, employee: str) -> WorkdayPerson:
        """What this person sees and does, with his own token."""
        return self.by_token(TOKENS[employee])

    def by_token(self, token: str, url: str = "") -> WorkdayPerson:
        table = {
            "connector": "workday",
            "base_url": url or self.tenant.url,
            "auth": {"kind": "bearer", "token": "env:TOKEN"},
            "tenant": "acme",
        }
        config = msgspec.convert(table, WorkdayConfig)
        wire = http_wire(config, lambda reference: Secret(token))
        self._wires.append(wire)
        return WorkdayPerson(config, wire)

    async def fault(self, do: str) -> None:
        async with aiohttp.ClientSession() as http:
            plan = [{"on": "POST /businessProcess", "do": do}]
            async with http.put(f"{self.tenant.control}/faults", json=plan) as answer:
                assert answer.status == 200

    async def close(self) -> None:
        for wire in self._wires:
            await wire.close()


def code_of(result: object) -> tuple[str, str]:
    assert isinstance(result, Rejected), result
    return result.refusal.code, result.refusal.details.get("code", "")


async def test_a_step_waits_for_one_person_and_after_him_for_the_next() -> None:
    async with an_inbox() as inbox:
        ben, carla = inbox.of("21002"), inbox.of("21003")
        (step,) = await ben.awaiting()
        before = await carla.awaiting()
        acted = await ben.approve(step.id, "Needed in Berlin")
        after = await carla.awaiting()
        again = await ben.awaiting()

    assert acted == Acted(step.id, "Approved")
    assert (before, again) == ((), ())
    assert [one.status for one in after] == ["Awaiting Action"]
    assert KEY[:26] in step.process


async def test_every_act_keeps_the_published_contract() -> None:
    other = a_submission(key=KEY[::-1])

    async with an_inbox() as inbox:
        await inbox.tenant.submit(other)
        inbox.attempt.exchanges.clear()
        ben, carla = inbox.of("21002"), inbox.of("21003")
        first, second = await ben.awaiting()
        acts = [await ben.approve(first.id, "Fine")]
        acts.append(await carla.deny(first_of(await carla.awaiting()), "No budget"))
        acts.append(await ben.send_back(second.id, "Which?", wid(second.event, "initiation")))
        await ben.standing(second.id)
        exchanges = inbox.attempt.exchanges

    assert [act.status for act in acts if isinstance(act, Acted)] == [
        "Approved",
        "Denied",
        "Sent Back",
    ]
    assert [one.status for one in exchanges] == [200, 201, 200, 201, 201, 200]
    assert [fault for one in exchanges for fault in faults(one)] == []


def first_of(steps: tuple[AwaitingStep, ...]) -> str:
    return steps[0].id


REFUSED = [
    ("no comment", "21002", lambda ben, step: ben.approve(step, " "), "approval_comment_required"),
    ("not his", "21003", lambda one, step: one.approve(step, "x"), "approval_act_refused"),
    ("his own", "21001", lambda one, step: one.approve(step, "x"), "approval_not_awaiting_you"),
    ("his own", "21001", lambda one, step: one.deny(step, "x"), "approval_denial_unauthorized"),
    (
        "to nowhere",
        "21002",
        lambda ben, step: ben.send_back(step, "x", "0" * 32),
        "approval_return_target_wrong",
    ),
]


@pytest.mark.parametrize(
    ("employee", "act", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
async def test_nobody_acts_but_who_is_waited_for(employee: str, act: Any, code: str) -> None:
    async with an_inbox() as inbox:
        (step,) = await inbox.of("21002").awaiting()
        result = await act(inbox.of(employee), step.id)
        (still,) = await inbox.of("21002").awaiting()

    assert code_of(result)[0] == code
    assert still == step


async def test_a_second_act_is_refused_by_name() -> None:
    async with an_inbox() as inbox:
        (step,) = await inbox.of("21002").awaiting()
        await inbox.of("21002").approve(step.id, "Fine")
        again = await inbox.of("21002").approve(step.id, "Fine")

    assert code_of(again) == ("approval_not_awaiting_you", "A212")


async def test_a_delegate_acts_for_his_delegator() -> None:
    async with an_inbox(delegations={"21002": "31003"}) as inbox:
        (step,) = await inbox.of("31003").awaiting()
        await inbox.of("31003").approve(step.id, "For Ben")
        (held,) = inbox.tenant.vendor.documents(None)

    assert held["votes"] == [{"by": "31003", "for": "21002", "status": "Approved"}]


async def test_a_lost_answer_is_ambiguous_and_the_step_tells() -> None:
    async with an_inbox() as inbox:
        ben = inbox.of("21002")
        (step,) = await ben.awaiting()
        await inbox.fault("drop_after_commit")
        with pytest.raises(Ambiguous):
            await ben.approve(step.id, "Fine")
        standing = await ben.standing(step.id)

    assert standing is not None
    assert (standing.status, bool(standing.completed)) == ("Approved", True)


async def test_a_step_that_is_not_his_to_see_is_not_there() -> None:
    async with an_inbox() as inbox:
        (step,) = await inbox.of("21002").awaiting()

        assert await inbox.of("31001").standing(step.id) is None


@pytest.mark.parametrize("step", ["", "../events", "5" * 31, "G" * 32, "5" * 33])
async def test_a_step_that_is_no_workday_id_is_not_sent(step: str) -> None:
    async with an_inbox() as inbox:
        with pytest.raises(Permanent):
            await inbox.of("21002").approve(step, "Fine")

    assert inbox.attempt.exchanges == []


# --- the codes ------------------------------------------------------------------------------------


def test_every_published_code_of_the_three_acts_has_a_name() -> None:
    name = "openapi/workday-business-processes-eventsteps-api-openapi.yml"
    text = contract_file(name).read_text(encoding="utf-8")
    acts = [
        text.split(f"/eventSteps/{{ID}}/{act}:")[1].split("x-workday-operation-id")[0]
        for act in ("approve", "deny", "sendBack")
    ]

    published = {code for act in acts for code in re.findall(r"\| (A[0-9]+) \|", act)}

    assert published == set(ACT_REFUSALS)
    assert set(ACT_REFUSALS.values()) <= set(REFUSALS)


@pytest.mark.parametrize("code", [*ACT_REFUSALS, "A9999"])
@pytest.mark.parametrize("nested", [True, False], ids=["in errors", "beside the error"])
async def test_each_code_is_a_refusal_with_a_name(code: str, nested: bool) -> None:
    error = {"error": "told", "code": code}
    body = msgspec.json.encode({"error": "told", "errors": [error]} if nested else error)

    async def script(_: Arrived) -> bytes:
        return raw_answer(body, "400 Bad Request")

    async with RawServer(script) as server, an_inbox() as inbox:
        result = await inbox.by_token("t", server.url).approve(STEP, "Fine")

    assert code_of(result) == (ACT_REFUSALS.get(code, "approval_act_refused"), code)
