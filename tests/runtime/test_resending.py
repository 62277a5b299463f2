"""What is sent a second time, after a person has let it."""

from __future__ import annotations

from datetime import UTC, datetime

from quaestor.connectors.kit.contract import Command, Rejected, Submitted
from quaestor.model.event import Retry
from quaestor.model.refusal import refuse
from tests.support.database import TestDatabase
from tests.support.engine import FakeErp, bench_on, running


class ChoosyErp(FakeErp):
    """Refuses what is worded otherwise than it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.wording = b"as it was"
        self.received: list[bytes] = []

    def render(self, command: Command) -> bytes:
        return self.wording

    async def submit(self, command: Command, stored: bytes) -> Submitted:
        self.received.append(stored)
        if stored != b"corrected":
            return Rejected(refuse("erp_rejected", code="06/001", message="cost center locked"))
        return await super().submit(command, stored)


async def test_a_refused_order_that_may_be_tried_again_is_sent_and_kept_as_it_is_written_now(
    database: TestDatabase,
) -> None:
    erp = ChoosyErp()
    bench = await bench_on(database, erp)
    (document_id,) = await bench.take_in(1)

    async with running(bench.engine()):
        await bench.until_parked("erp_rejected")
        erp.wording = b"corrected"
        await bench.tell(document_id, Retry("r1", datetime(2026, 11, 2, tzinfo=UTC), "system:desk"))
        await bench.until({"ordered": 1})

    kept = await bench.database.fetchval("select payload from quaestor.intent")
    assert erp.received == [b"as it was", b"corrected"]
    assert kept == b"corrected"
