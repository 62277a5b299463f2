"""A purchase whose steps have left the database says where they are."""

from __future__ import annotations

from quaestor.audit.trace import Trace
from quaestor.console.completeness import completeness
from tests.console.browsing import Visitor, text_of
from tests.console.steps import a_step
from tests.support.database import TestDatabase
from tests.support.gateway import Gateway, a_body

# The owner alone could do it; no month of a test is old enough to be archived.
LEFT = """
insert into quaestor.audit_archive
select to_char(quaestor.clock() at time zone 'UTC', 'YYYY-MM'), 0, 100, 100, 'a file',
       sha256(''), quaestor.clock(), 'ana.berger'
"""


async def test_the_trace_of_an_archived_purchase_says_where_its_steps_are(
    database: TestDatabase, gateway: Gateway, visitor: Visitor
) -> None:
    said = await gateway.ask("POST", "/v1/requisitions", a_body("R-1"))
    owner = await database.connect()
    async with owner.transaction() as connection:
        await connection.execute("set local session_replication_role = replica")
        await connection.execute("delete from quaestor.audit")
        await connection.execute(LEFT)
    await visitor.sign_in(gateway.token())

    page = await visitor.see("/console/trace/R-1")
    told = await gateway.ask("GET", f"/v1/traces/{said.json['id']}")

    assert (page.status, told.status) == (200, 200)
    assert "archived in part" in text_of(page.html)
    assert "Further steps may be in the files of" in text_of(page.html)
    assert "incomplete" not in text_of(page.html)


def test_a_beginning_that_is_archived_is_not_missing() -> None:
    steps = (
        a_step(0, stage_before="reserving", stage_after="posting"),
        a_step(1, stage_before="done", stage_after="done"),
    )
    trace = Trace("R-1", "number", "c-1", (7,), steps)

    here = completeness(trace)
    archived = completeness(Trace("R-1", "number", "c-1", (7,), steps, archived=("2020-01",)))

    assert (here.state, archived.state) == ("broken", "archived")
    assert "Further steps may be in the files of 2020-01." in archived.remarks
