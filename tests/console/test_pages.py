"""The pages over HTTP: who sees what, and what they say."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from quaestor.audit.trace import trace
from quaestor.connectors.kit.contract import Ambiguous, Command
from quaestor.model.refusal import refuse
from tests.audit.builders import append_entries
from tests.console.browsing import Visitor, entries, text_of
from tests.support.database import TestDatabase
from tests.support.engine import FakeErp
from tests.support.gateway import Gateway, a_body, a_line_body, until, worker_on

NEXT_TRANSACTION = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
PAGES = ["/console/", "/console/work", "/console/systems", "/console/systems/sap"]
APPROVAL = {
    "decided_by": "workday",
    "version": 1,
    "decisions": [
        {"approver": "ben.koch", "verdict": "approved", "decided_at": "2026-11-20T09:00:00+01:00"}
    ],
}


async def submitted(gateway: Gateway, source_id: str = "R-1", **changes: object) -> int:
    body = a_body(
        source_id,
        **{"approval": APPROVAL, "lines": [a_line_body(category="it_hardware")], **changes},
    )
    said = await gateway.ask("POST", "/v1/requisitions", body)
    assert said.status == 201, said.json
    return int(said.json["id"])


async def test_a_purchase_is_found_by_every_number_that_leads_to_it(
    database: TestDatabase, gateway: Gateway, visitor: Visitor
) -> None:
    async with worker_on(database, gateway) as pool:
        id_ = await submitted(gateway)
        ordered = "select outcome = 'ordered' from quaestor.work where document_id = $1"
        await until(pool, ordered, id_)
        order, key, correlation = await pool.fetchrow(
            "select i.number, i.key, d.correlation_id from quaestor.intent i"
            " join quaestor.document d on d.id = i.document_id where d.id = $1",
            id_,
        )
    await visitor.sign_in(gateway.token())

    for number in ("R-1", str(id_), order, key, correlation):
        found = await visitor.see(f"/console/?q={number}")
        page = await visitor.see(found.headers["Location"])
        assert (found.status, page.status) == (303, 200)
        assert "Requisition R-1" in text_of(page.html)
        assert order in text_of(page.html)


async def test_the_page_shows_the_steps_that_the_command_line_shows(
    database: TestDatabase, gateway: Gateway, visitor: Visitor
) -> None:
    async with worker_on(database, gateway) as pool:
        id_ = await submitted(gateway)
        ordered = "select outcome = 'ordered' from quaestor.work where document_id = $1"
        await until(pool, ordered, id_)
        async with pool.connection() as connection:
            told = await trace(connection, "R-1")
    await visitor.sign_in(gateway.token())

    page = await visitor.see("/console/trace/R-1")

    assert told is not None
    steps = msgspec.json.decode(told.to_json())["steps"]
    assert len(steps) > 5
    assert entries(page.html) == [(s["entry"], s["effect"], s["outcome"]) for s in steps]
    assert page.html.count('class="mark') == len(steps)


async def test_what_is_parked_stands_once_per_cause_and_its_count_is_its_list(
    database: TestDatabase, gateway: Gateway, visitor: Visitor
) -> None:
    without_code = [a_line_body(category="it_network")]
    async with worker_on(database, gateway) as pool:
        for number in range(3):
            await submitted(gateway, f"R-{number}", lines=without_code)
        await until(pool, "select count(*) = 3 from quaestor.work where parked_at is not null")
    await visitor.sign_in(gateway.token())

    work = await visitor.see("/console/work")
    [count, *_] = re.findall(r'<a class="big" href="([^"]+)"[^>]*>(\d+)</a>', work.html)
    cause = await visitor.see(count[0].replace("&amp;", "&"))

    assert "3 wait, for 1 cause" in text_of(work.html)
    assert "10,800.00 EUR" in text_of(work.html)
    assert count[1] == "3"
    assert len(set(re.findall(r"Requisition (R-\d)", text_of(cause.html)))) == 3
    assert "quaestor retry" in cause.html


async def test_a_lost_answer_is_one_order_and_one_hatched_span(
    database: TestDatabase, gateway: Gateway, visitor: Visitor
) -> None:
    erp = FakeErp()
    erp.after = loses_one_answer(erp)
    async with worker_on(database, gateway, erp=erp) as pool:
        await submitted(gateway)
        await until(pool, "select outcome = 'ordered' from quaestor.work")
    await visitor.sign_in(gateway.token())

    page = await visitor.see("/console/trace/R-1")

    assert erp.sends == 1
    assert len(re.findall('class="order-number"', page.html)) == 1
    assert len(re.findall(r'url\(#hatch\)"', page.html)) == 1
    assert text_of(page.html).count("Perhaps applied in sap") == 2  # picture and caption
    assert "incomplete" not in page.html


def loses_one_answer(erp: FakeErp) -> Callable[[Command], Awaitable[None]]:
    """The order is made, and nobody hears of it."""

    async def after(command: Command) -> None:
        erp.after = None
        raise Ambiguous("the connection ended before the answer")

    return after


async def test_what_could_not_be_taken_in_is_on_the_worklist(
    database: TestDatabase, gateway: Gateway, visitor: Visitor
) -> None:
    worker = await database.connect("quaestor_worker")
    refusals = msgspec.json.encode([refuse("crosswalk_missing", code="it_cloud")])
    async with worker.transaction() as connection:
        for entity, source_id in (("acme-de", "20500"), ("acme-us", "20600"), ("", "20700")):
            await connection.execute(
                "insert into quaestor.inbound_refused (entity, system, stream, event_id,"
                " source_id, owner, code, refusals, body, received_at) values ($1, 'coupa',"
                " 'requisitions', $2, $2, 'finance', 'crosswalk_missing', $3, '',"
                " quaestor.clock())",
                entity,
                source_id,
                refusals,
            )
    await visitor.sign_in(gateway.token())

    page = text_of((await visitor.see("/console/work")).html)
    others = text_of((await visitor.see("/console/work?owner=requester")).html)
    await visitor.sign_in(gateway.token(entities=("acme-de", "acme-us")))
    whole = text_of((await visitor.see("/console/work")).html)

    assert "Not taken in: 1" in page
    assert "coupa 20500" in page
    assert "it_cloud" in page
    assert "20600" not in page
    assert "20700" not in page
    assert "Not taken in: 3" in whole
    assert "coupa 20700" in whole
    assert "Not taken in" not in others


async def test_a_number_that_leads_nowhere_says_what_was_searched_and_what_is_near(
    gateway: Gateway, visitor: Visitor
) -> None:
    await submitted(gateway, "R-2041")
    await visitor.sign_in(gateway.token())

    page = await visitor.see("/console/?q=R-2042")

    assert page.status == 404
    assert "Nothing known under R-2042" in text_of(page.html)
    assert "posting keys" in page.html
    assert "R-2041" in text_of(page.html)


async def test_a_number_of_several_purchases_lists_them(gateway: Gateway, visitor: Visitor) -> None:
    await submitted(gateway, "R-1", number="7")
    await submitted(gateway, "R-2", number="7")
    await visitor.sign_in(gateway.token())

    page = await visitor.see("/console/?q=7")

    assert page.status == 200
    assert "leads to several purchases" in text_of(page.html)


async def test_of_another_entity_there_is_nothing(gateway: Gateway, visitor: Visitor) -> None:
    id_ = await submitted(gateway, "R-secret")
    await visitor.sign_in(gateway.token(entities=("acme-us",)))

    paths = [f"/console/trace/{id_}", "/console/trace/R-secret", "/console/?q=R-secret"]
    pages = [await visitor.see(path) for path in paths]
    home, near = await visitor.see("/console/"), await visitor.see("/console/?q=R-secre")

    assert [page.status for page in pages] == [404, 404, 404]
    assert "R-secret" not in home.html
    assert "R-secret" not in near.html


SCOPES = [
    ("traces:read", [200, 403, 200, 200]),
    ("worklist:read", [200, 200, 200, 403]),
    ("worklist:act", [200, 200, 200, 403]),
    ("reference:read", [200, 403, 403, 403]),
]


@pytest.mark.parametrize(("scope", "statuses"), SCOPES)
async def test_a_page_without_its_scope_says_so_and_is_not_offered(
    gateway: Gateway, visitor: Visitor, scope: str, statuses: list[int]
) -> None:
    await submitted(gateway, "R-1")
    await visitor.sign_in(gateway.token(scopes=(scope,)))
    paths = ["/console/", "/console/work", "/console/systems", "/console/trace/R-1"]

    pages = [await visitor.see(path) for path in paths]

    assert [page.status for page in pages] == statuses
    nav = re.findall(r'<nav aria-label="Pages">.*?</nav>', pages[0].html, re.DOTALL)[0]
    assert ("/console/work" in nav) == (statuses[1] == 200)
    assert ("/console/systems" in nav) == (statuses[2] == 200)
    assert ('name="q"' in pages[0].html) == (statuses[3] == 200)
    assert all(
        "needs the scope" in text_of(page.html)
        for page, status in zip(pages, statuses, strict=True)
        if status == 403
    )


async def test_a_token_for_another_environment_sees_no_page(
    gateway: Gateway, visitor: Visitor
) -> None:
    await visitor.sign_in(gateway.token(environment="production"))

    pages = [await visitor.see(path) for path in PAGES]

    assert {page.status for page in pages} == {403}


async def test_what_is_read_changes_nothing(
    database: TestDatabase, gateway: Gateway, visitor: Visitor
) -> None:
    await submitted(gateway, "R-1")
    await visitor.sign_in(gateway.token())
    owner = await database.connect()
    written = "select sum(n_tup_ins + n_tup_upd + n_tup_del) from pg_stat_xact_user_tables"

    paths = [*PAGES, "/console/trace/R-1", "/console/?q=R-1", "/console/work?cause=x"]
    taken = []
    async with owner.connection() as connection:
        before = await connection.fetchval("select pg_current_xact_id_if_assigned()")
        # The server's own upkeep takes numbers of transactions, too, but not all the time.
        for _ in range(3):
            first = await connection.fetchval(NEXT_TRANSACTION)
            for path in paths:
                for method in ("GET", "HEAD"):
                    await visitor.see(path, method)
            taken.append(await connection.fetchval(NEXT_TRANSACTION) - first)
        assert await connection.fetchval(written) in (None, 0)

    assert before is None
    assert min(taken) == 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_page_takes_nothing(gateway: Gateway, visitor: Visitor, method: str) -> None:
    await visitor.sign_in(gateway.token())

    page = await visitor.see("/console/work", method)

    assert page.status == 405
    assert page.headers["Content-Type"].startswith("text/html")


async def test_every_answer_forbids_scripts_frames_and_foreign_hosts(
    gateway: Gateway, visitor: Visitor
) -> None:
    anonymous = [await visitor.see(path) for path in ("/console/sign-in", "/console/work")]
    await visitor.sign_in(gateway.token())
    pages = [await visitor.see(path) for path in [*PAGES, "/console/nowhere"]]

    for page in [*anonymous, *pages]:
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'; img-src 'self'")
        assert "frame-ancestors 'none'" in policy
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Cache-Control"] == "no-store"
        assert not re.search(r"<script|\sstyle=|\son\w+=|https?://(?!www.w3.org)", page.html)


async def test_a_page_updates_itself_only_for_who_asked_and_can_be_stopped(
    gateway: Gateway, visitor: Visitor
) -> None:
    await visitor.sign_in(gateway.token())

    still = await visitor.see("/console/work?owner=finance")
    moving = await visitor.see("/console/work?owner=finance&every=30")
    odd = await visitor.see("/console/work?every=1")

    assert "Refresh" not in still.headers
    assert moving.headers["Refresh"] == "30"
    assert '<a href="/console/work?owner=finance">Stop</a>' in moving.html
    assert "Refresh" not in odd.headers


async def test_a_trace_of_five_thousand_steps_is_small_and_quick(
    database: TestDatabase, gateway: Gateway, visitor: Visitor
) -> None:
    await submitted(gateway, "R-1")
    worker = await database.connect("quaestor_worker")
    async with worker.transaction() as connection:
        correlation = await connection.fetchval("select correlation_id from quaestor.document")
        await append_entries(
            connection, 4999, correlation_id=correlation, entity="acme-de", system="sap"
        )
    await visitor.sign_in(gateway.token())
    visitor.headers["Accept-Encoding"] = "gzip"

    sizes, seen, cpu_s = [], 0, []
    for first in range(1, 5001, 200):
        began = time.process_time()
        page = await visitor.see(f"/console/trace/R-1?from={first}")
        cpu_s.append(time.process_time() - began)
        sizes.append(int(page.headers["Content-Length"]))
        seen += len(entries(page.html))

    assert seen == 5000
    assert max(sizes) < 100_000
    # Of the processor, which the browser in this process shares: the machine may be busy.
    assert min(cpu_s) < 0.3


async def test_the_style_is_the_same_for_ever_under_its_name(visitor: Visitor) -> None:
    page = await visitor.see("/console/sign-in")
    [style] = re.findall(r'href="(/console/static/[^"]+\.css)"', page.html)

    sheet = await visitor.see(style)

    assert sheet.status == 200
    assert "immutable" in sheet.headers["Cache-Control"]
    assert "url(" not in sheet.html


async def test_the_start_of_the_address_leads_to_the_pages(visitor: Visitor) -> None:
    assert (await visitor.see("/")).headers["Location"] == "/console/"


async def test_the_api_keeps_its_own_problems(visitor: Visitor) -> None:
    unknown = await visitor.see("/consoles")

    assert unknown.headers["Content-Type"] == "application/problem+json"
