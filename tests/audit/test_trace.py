"""One number in hand leads to every step, in order, with what went over the wire."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from quaestor.audit.erasure import erase_entry, erase_payloads
from quaestor.audit.exchange import BODY_CHARS_MAX, MASK, read_exchange
from quaestor.audit.payload import Payload, Retention, make_payload
from quaestor.audit.subjects import Subjects
from quaestor.audit.trace import Trace, trace
from quaestor.connectors.kit.attempt import Exchange
from quaestor.store.database import Database
from tests.audit.builders import append_entries, place_all
from tests.support.database import TestDatabase

SUBJECTS = Subjects(b"d" * 32)


def an_exchange(**members: Any) -> Exchange:
    defaults: dict[str, Any] = {
        "method": "POST",
        "target": "/A_PurchaseOrder",
        "request_headers": (("Content-Type", "application/json"),),
        "request_body": b'{"Supplier":"100"}',
        "status": 201,
        "response_headers": (),
        "response_body": b'{"PurchaseOrder":"4500000001"}',
        "elapsed_ms": 150.5,
    }
    return Exchange(**{**defaults, **members})


def a_payload(exchange: Exchange, entity: str = "DE01") -> Payload:
    return make_payload(entity, Retention.WIRE, msgspec.json.encode(exchange))


async def a_document(pool: Database, correlation_id: str, number: str, order: str) -> int:
    """A requisition that became an order; returns its id."""
    async with pool.transaction() as connection:
        document: int = await connection.fetchval(
            "insert into quaestor.document (entity, type, source_system, source_id, number,"
            " correlation_id, version, content_hash, changed_at, created_at) values ('DE01',"
            " 'requisition', 'coupa', $1, $1, $2, 1, '', quaestor.clock(), quaestor.clock())"
            " returning id",
            number,
            correlation_id,
        )
        await connection.execute(
            "insert into quaestor.intent (key, entity, document_id, name, system, action,"
            " generation, lane, state, core, command, payload, created_at) values ('key-' || $2,"
            " 'DE01', $1, 'order', 'sap_p1', 'create_order', 1, 'l', 's', '', '', '',"
            " quaestor.clock())",
            document,
            number,
        )
        await connection.execute(
            "insert into quaestor.crossref (system, kind, external_id, entity, document_id, at)"
            " values ('sap_p1', 'order', $2, 'DE01', $1, quaestor.clock())",
            document,
            order,
        )
    return document


async def traced(pool: Database, asked: str, **options: Any) -> Trace:
    async with pool.connection() as connection:
        found = await trace(connection, asked, **options)
    assert found is not None
    return found


async def test_every_number_leads_to_the_same_trace(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    document = await a_document(worker, "c-1", "REQ-7", "4500000001")
    await a_document(worker, "c-2", "REQ-8", "4500000002")
    async with worker.transaction() as connection:
        await append_entries(connection, 2, correlation_id="c-1", document_id=document)

    asked = ["c-1", str(document), "key-REQ-7", "REQ-7", "4500000001"]
    found = [await traced(worker, text) for text in asked]

    assert {item.correlation_id for item in found} == {"c-1"}
    assert {item.document_ids for item in found} == {(document,)}
    assert [item.matched for item in found] == [
        "correlation id",
        "document id",
        "posting key",
        "number in the source system",
        "order in sap_p1",
    ]


async def test_a_number_of_two_documents_names_both(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    await a_document(worker, "c-1", "REQ-7", "4500000001")
    await a_document(worker, "c-2", "REQ-8", "4500000001")

    found = await traced(worker, "4500000001")

    assert (found.correlation_id, found.others) == ("c-2", ("c-1",))


@pytest.mark.parametrize("asked", ["nowhere", "99999999999999999999999", "0", ""])
async def test_what_leads_nowhere_is_nothing(database: TestDatabase, asked: str) -> None:
    worker = await database.connect("quaestor_worker")
    async with worker.connection() as connection:
        assert await trace(connection, asked) is None


async def test_steps_stand_in_the_order_of_their_commits(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    for stage in ("validating", "reserving", "posting"):
        async with worker.transaction() as connection:
            await append_entries(connection, 1, stage_after=stage)
    await place_all(worker)
    async with worker.transaction() as connection:
        await append_entries(connection, 1, stage_after="done", refusal="erp_rejected")

    found = await traced(worker, "c-1")

    assert [step.stage_after for step in found.steps] == [
        "validating",
        "reserving",
        "posting",
        "done",
    ]
    assert [step.leaf for step in found.steps] == [0, 1, 2, None]


async def test_a_step_shows_what_went_over_the_wire(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    payload = a_payload(an_exchange())
    async with worker.transaction() as connection:
        await append_entries(
            connection,
            1,
            (payload,),
            payloads=(payload.reference,),
            attempt=2,
            system="sap_p1",
            external_ids={"order": "4500000001"},
        )

    [step] = json.loads((await traced(worker, "c-1")).to_json())["steps"]

    assert step["attempt"] == 2
    assert step["external_ids"] == {"order": "4500000001"}
    [wire] = step["wire"]
    assert wire["state"] == "read"
    assert wire["exchange"] == {
        "method": "POST",
        "target": "/A_PurchaseOrder",
        "status": 201,
        "elapsed_ms": 150.5,
        "request_headers": [["Content-Type", "application/json"]],
        "request": '{"Supplier":"100"}',
        "response": '{"PurchaseOrder":"4500000001"}',
    }


async def test_people_are_named_only_for_who_may_see_them(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    async with worker.transaction() as connection:
        known = await SUBJECTS.pseudonyms(connection, [("DE01", "jane"), ("DE01", "john")])
        jane, john = known["DE01", "jane"], known["DE01", "john"]
        vote = make_payload(
            "DE01", Retention.PERSONAL, b"yes", await SUBJECTS.key(connection, jane)
        )
        await append_entries(
            connection, 1, (vote,), actor=jane, on_behalf_of=john, payloads=(vote.reference,)
        )

    [masked] = (await traced(worker, "c-1")).steps
    [named] = (await traced(worker, "c-1", subjects=SUBJECTS)).steps
    [other] = (await traced(worker, "c-1", subjects=Subjects(b"o" * 32))).steps

    assert (masked.actor, masked.actor_name, masked.on_behalf_of_name) == (jane, "", "")
    assert (named.actor_name, named.on_behalf_of_name) == ("jane", "john")
    assert other.actor_name == ""
    assert [step.wire[0].state for step in (masked, named, other)] == [
        "sealed",
        "read",
        "unreadable",
    ]


async def test_what_was_erased_is_shown_as_erased(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    payload = a_payload(an_exchange())
    async with worker.transaction() as connection:
        [first, _] = await append_entries(
            connection, 2, (payload,), payloads=(payload.reference, "wire:" + "00" * 32)
        )
        later = await connection.fetchval("select quaestor.clock() + interval '1 hour'")
        await erase_entry(connection, first, actor="system:operator", reason="a name in it")
        await erase_payloads(
            connection,
            "DE01",
            Retention.WIRE,
            before=later,
            actor="system:operator",
            reason="period is over",
        )

    steps = (await traced(worker, "c-1")).steps

    assert [step.erased for step in steps] == [True, False]
    assert [item.state for item in steps[1].wire] == ["erased", "missing"]


async def test_a_reader_traces_only_its_own_entities(database: TestDatabase) -> None:
    worker = await database.connect("quaestor_worker")
    reader = await database.connect("quaestor_reader")
    async with worker.transaction() as connection:
        await append_entries(connection, 1, entity="DE01")
        await append_entries(connection, 1, entity="FR01", correlation_id="c-2")

    async with reader.transaction(entities=["FR01"]) as connection:
        mine = await trace(connection, "c-2")
        other = await trace(connection, "c-1")

    assert mine is not None
    assert len(mine.steps) == 1
    assert other is None


def test_secrets_in_headers_are_masked_once_more() -> None:
    exchange = an_exchange(
        request_headers=(
            ("Authorization", "Basic c2VjcmV0"),
            ("X-CSRF-Token", "Fetch"),
            ("Cookie", "sid=1"),
            ("Accept", "application/json"),
        ),
        response_headers=(("x-csrf-token", "abc"), ("Set-Cookie", "sid=1")),
    )

    shown = read_exchange(msgspec.json.encode(exchange))

    assert shown is not None
    assert [value for _, value in shown.request_headers] == [
        MASK,
        "Fetch",
        MASK,
        "application/json",
    ]
    assert [value for _, value in shown.response_headers] == [MASK, MASK]


def test_bytes_that_are_no_text_are_shown_in_base64() -> None:
    shown = read_exchange(msgspec.json.encode(an_exchange(request_body=b"\xff\xfe")))

    assert shown is not None
    assert base64.b64decode(shown.request_base64) == b"\xff\xfe"
    assert shown.request == ""


def test_a_long_body_is_cut() -> None:
    shown = read_exchange(msgspec.json.encode(an_exchange(response_body=b"x" * 200_000)))

    assert shown is not None
    assert len(shown.response) == BODY_CHARS_MAX


@pytest.mark.parametrize("plain", [b"", b"<order/>", b"\xff", b'{"method":"GET"}', b"[]"])
def test_a_payload_that_is_no_exchange_is_none(plain: bytes) -> None:
    assert read_exchange(plain) is None
