"""The end of a seed is one: nobody has anything left to say when the books are closed."""

from __future__ import annotations

import msgspec
import pytest

from tests.simulation.invariants import broken_again
from tests.simulation.people import People
from tests.simulation.plan import Happening, Plan, plan_of
from tests.simulation.server import Server
from tests.simulation.wires import Weather

pytestmark = pytest.mark.slow

# The busy phase and the least of the quiet one take 70 s: whoever looks at the work alone closes
# the books then, and has everything come in again while this vote is still on its way.
VOTES_AFTER_S = 72.0


def one_late_vote() -> Plan:
    """One ordinary requisition in good weather; nothing but its vote takes long."""
    plan = plan_of(12)
    document = next(each for each in plan.documents if each.healthy and each.vote == "approve")
    late = msgspec.structs.replace(
        document, happenings=(Happening(1.0, "submit"),), votes_after_s=VOTES_AFTER_S
    )
    calm = Weather(rate=0.0, until_s=0.0)
    return msgspec.structs.replace(plan, documents=(late,), weather=calm, jumps=())


def test_the_books_are_closed_after_the_last_vote(simulations: Server) -> None:
    plan = one_late_vote()

    ended = simulations.run(plan)

    assert ended.again is not None
    assert [document.outcome for document in ended.books.documents] == ["ordered"]
    assert broken_again(ended.books, ended.again) == []


def test_a_vote_that_falls_between_the_books_is_a_change(
    simulations: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def believed(people: People) -> bool:
        return True

    monkeypatch.setattr(People, "has_spoken", believed)

    ended = simulations.run(one_late_vote())

    assert ended.again is not None
    found = broken_again(ended.books, ended.again)
    assert [line for line in found if line.startswith("I30 ")]
