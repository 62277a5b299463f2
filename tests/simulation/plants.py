"""Mistakes to plant: each is one that an invariant exists for, and must be caught by it.

Some are made in the world while it runs, the others in its books at the end, where the product's
own guards would not let them come about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from quaestor.connectors.kit.contract import ActionGuarantee, Guarantee
from quaestor.runtime.engine import Engine
from tests.simulation.books import Books
from tests.simulation.plan import Plan
from tests.simulation.wires import Weather
from tests.simulation.world import Conduct, World

__all__ = ["IN_BOOKS", "IN_THE_WORLD", "Planted", "stormy"]


class Planted(msgspec.Struct, frozen=True):
    """A mistake, and the invariant that has to catch it."""

    caught_by: str
    plan: Callable[[Plan], Plan] = lambda plan: plan
    conduct: Conduct = Conduct(again=False)


def stormy(plan: Plan, **changes: Any) -> Plan:
    """The plan with ordinary documents for the weak vendors only, in bad weather."""
    weather = msgspec.structs.replace(plan.weather, rate=0.5, outages={}, **changes)
    return msgspec.structs.replace(
        plan,
        documents=tuple(each for each in plan.documents if each.entity in ("acme-de", "acme-at")),
        weather=weather,
        jumps=(),
    )


def _never_looks(engine: Engine) -> None:
    """Look before resend is off: the weak are believed to remember our key."""
    targets = {
        name: replace(
            target,
            guarantees={
                **target.guarantees,
                "create_order": ActionGuarantee(Guarantee.KEY, settle_s=8.0),
            },
        )
        for name, target in engine.advance.world.targets.items()
    }
    wrong = replace(engine.advance, world=replace(engine.advance.world, targets=targets))
    engine.advance = wrong
    engine.outcomes.advance = wrong


def _trusts_at_once(engine: Engine) -> None:
    """The settle time is believed to be nothing: the first look that finds nothing is trusted."""
    targets = {
        name: replace(
            target,
            guarantees={
                **target.guarantees,
                "create_order": ActionGuarantee(Guarantee.SEARCH, settle_s=0.0),
            },
        )
        for name, target in engine.advance.world.targets.items()
    }
    wrong = replace(engine.advance, world=replace(engine.advance.world, targets=targets))
    engine.advance = wrong
    engine.outcomes.advance = wrong


def _in_database(*script: str) -> Conduct:
    def plant(world: World) -> None:
        for statement in script:
            world.loop.monitor.do(statement)

    return Conduct(before_books=plant, again=False)


def _edited_there(world: World) -> None:
    """Somebody changes a price in the vendor's own system."""
    for system in ("weak", "keyed", "unique"):
        vendor = world.lines[system].vendor
        for row in vendor.documents(None):
            vendor.edit(row["number"], {"total": "1.23"})


def _cancelled_there(world: World) -> None:
    """Orders are gone in the vendor's own system, and nobody told us."""
    vendor: Any = world.lines["weak"].vendor
    for row in vendor.documents(None):
        vendor._cancelled(row["number"])


def _nobody_dies(plan: Plan) -> Plan:
    calm = Weather(rate=0.0, until_s=0.0)
    return msgspec.structs.replace(plan, weather=calm, jumps=())


IN_THE_WORLD: Mapping[str, Planted] = {
    "the line carries every request twice": Planted("I1", lambda plan: stormy(plan, doubled=True)),
    "nobody looks before sending again": Planted(
        "I3", stormy, Conduct(tune=_never_looks, again=False)
    ),
    "an early look that finds nothing is trusted": Planted(
        "I3", stormy, Conduct(tune=_trusts_at_once, again=False)
    ),
    "a vendor commits later than it promised": Planted(
        "I1", lambda plan: stormy(plan, late_max_s=40.0, kinds=("late",))
    ),
    "an order is changed in the vendor's system": Planted(
        "I20", _nobody_dies, Conduct(before_books=_edited_there, again=False)
    ),
    "an order is cancelled in the vendor's system": Planted(
        "I2", _nobody_dies, Conduct(before_books=_cancelled_there, again=False)
    ),
    "a document stands silently": Planted(
        "I2",
        _nobody_dies,
        _in_database(
            "update quaestor.work set outcome = null, due_at = null, stage = 'answering' "
            "where outcome = 'ordered'"
        ),
    ),
    "a vote was cast, and the document waits for it": Planted(
        "I2",
        _nobody_dies,
        _in_database(
            "update quaestor.work set outcome = null, due_at = null, stage = 'deciding' "
            "where outcome = 'cancelled'"
        ),
    ),
    "a document never comes to rest": Planted(
        "I2 liveness",
        _nobody_dies,
        _in_database("delete from quaestor.work where outcome = 'ordered'"),
    ),
    "the stage is not the one that the trail tells": Planted(
        "I8",
        _nobody_dies,
        _in_database("update quaestor.work set outcome = 'rejected' where outcome = 'ordered'"),
    ),
    "a budget is overspent": Planted(
        "I11", _nobody_dies, _in_database("update quaestor.budget_balance set budget = -1")
    ),
    "a balance is not what was entered": Planted(
        "I12", _nobody_dies, _in_database("update quaestor.budget_balance set enc = enc + 1")
    ),
    "a reservation outlives its document": Planted(
        "I13",
        _nobody_dies,
        _in_database(
            "insert into quaestor.budget_entry (at, entity, node, document_id, effect, kind, pre) "
            "select quaestor.clock(), b.entity, b.node, w.document_id, 'planted', 'reserve', 1 "
            "from quaestor.work w, quaestor.budget_balance b "
            "where w.outcome = 'ordered' and b.node like '%2026/roomy%'"
        ),
    ),
    "an entry of the trail is changed": Planted(
        "I25",
        _nobody_dies,
        _in_database(
            "set session_replication_role = replica",
            "update quaestor.audit set canonical = canonical || ' '::bytea "
            "where id = (select min(id) from quaestor.audit)",
        ),
    ),
}


def _without_votes(books: Books) -> Books:
    return msgspec.structs.replace(books, approved=())


def _other_bytes(books: Books) -> Books:
    """Each create in doubt was followed by another one of the same key, with other bytes."""
    again = []
    for sent in books.sent:
        again.append(sent)
        if sent.commits and sent.left:
            again.append(replace(sent, status=0, fault="lost"))
            again.append(replace(sent, body=sent.body + b" "))
    return msgspec.structs.replace(books, sent=tuple(again))


def _knocking(books: Books) -> Books:
    weather = msgspec.structs.replace(books.plan.weather, outages={"weak": ((10.0, 20.0),)})
    knock = replace(books.sent[0], system="weak", at=12.0, worker="worker-0.0", left=False)
    return msgspec.structs.replace(
        books,
        plan=msgspec.structs.replace(books.plan, weather=weather),
        sent=(*books.sent, *(knock for _ in range(100))),
    )


def _telling_secrets(books: Books) -> Books:
    return msgspec.structs.replace(books, payloads=(b"Bearer " + books.secrets[0].encode(),))


def _spreading_poison(books: Books) -> Books:
    healthy = {each.number for each in books.plan.documents if each.healthy}
    sick = [
        msgspec.structs.replace(each, outcome=None, parked_code="erp_rejected")
        if each.number in healthy
        else each
        for each in books.documents
    ]
    return msgspec.structs.replace(books, documents=tuple(sick))


IN_BOOKS: Mapping[str, tuple[str, Callable[[Books], Books]]] = {
    "nobody voted": ("I15-I18", _without_votes),
    "other bytes under the same key": ("I4", _other_bytes),
    "a worker storms a system that is down": ("I28", _knocking),
    "a secret stands in a payload": ("I26", _telling_secrets),
    "a healthy document is parked for another's trouble": ("I29", _spreading_poison),
}
