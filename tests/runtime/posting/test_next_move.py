"""The one thing that may be done now: a row per guarantee, state and situation, in precedence."""

from __future__ import annotations

import msgspec
import pytest

from quaestor.connectors.kit.contract import Guarantee
from quaestor.flows.kit.dossier import Withdrawn
from quaestor.model.refusal import refuse
from quaestor.runtime.posting import (
    Intent,
    IntentState,
    LookNow,
    Move,
    ParkSend,
    Resolved,
    SendNow,
    WaitUntil,
    next_move,
)
from tests.runtime.posting.builders import (
    APPLIED,
    LIMITS,
    REJECTED,
    at,
    in_doubt,
    in_flight,
    pending,
    promise,
    unsent,
)

KEY, UNIQUE, REPEATABLE = Guarantee.KEY, Guarantee.UNIQUE, Guarantee.REPEATABLE
SEARCH, NONE = Guarantee.SEARCH, Guarantee.NONE
EVERY = tuple(Guarantee)
ASKED = (KEY, UNIQUE, REPEATABLE, SEARCH)
REPEATED = (KEY, UNIQUE, REPEATABLE)

UNKNOWN_1 = ParkSend(refuse("outcome_unknown", attempts="1"))
CONFLICT = ParkSend(refuse("erp_reference_conflict", found="reference taken, no document visible"))
DUPLICATE = refuse("erp_duplicate", numbers="4500000001, 4500000002")


def _resolved(guarantee: Guarantee, outcome: object) -> Intent:
    return unsent(guarantee, state=IntentState.RESOLVED, outcome=outcome)


def _never(guarantee: Guarantee) -> Intent:
    return in_doubt(guarantee, promised=promise(guarantee, resend="never"))


# Each row: what it is about, the intent, the time in seconds after the first send, the move.
ROWS: list[tuple[str, Intent, float, Move]] = [
    # The end comes first.
    *((f"{g} applied", _resolved(g, APPLIED), 0, Resolved(APPLIED)) for g in EVERY),
    *((f"{g} rejected", _resolved(g, REJECTED), 0, Resolved(REJECTED)) for g in EVERY),
    (
        "withdrawn, nothing left",
        _resolved(SEARCH, Withdrawn(None)),
        0,
        Resolved(Withdrawn(None)),
    ),
    # Then what a person has to judge.
    *((f"{g} parked", in_doubt(g, parked=DUPLICATE), 99, ParkSend(DUPLICATE)) for g in EVERY),
    # A send in flight is left alone until its lease is over.
    *((f"{g} in flight", in_flight(g), 1, WaitUntil(at(30))) for g in EVERY),
    *(
        (f"{g} in flight, withdrawn", in_flight(g, withdrawn=True), 1, WaitUntil(at(30)))
        for g in EVERY
    ),
    # Nothing stands there: send, unless a policy or a limit says no.
    *((f"{g} never sent", unsent(g), 0, SendNow()) for g in EVERY),
    *(
        (
            f"{g} resend forbidden",
            unsent(g, attempts=1, forbidden=True, failures=9),
            0,
            ParkSend(refuse("resend_forbidden")),
        )
        for g in EVERY
    ),
    *(
        (
            f"{g} attempts exhausted",
            unsent(g, attempts=5, failures=3, first_sent_at=at(-9_999)),
            0,
            ParkSend(refuse("send_attempts_exhausted", attempts="5")),
        )
        for g in EVERY
    ),
    *(
        (
            f"{g} tried for too long",
            unsent(g, attempts=2, first_sent_at=at(0)),
            3_601,
            ParkSend(refuse("lane_wait_exceeded", attempts="2")),
        )
        for g in EVERY
    ),
    *(
        (
            f"{g} tried for long, but a person wants it tried again",
            unsent(g, attempts=2, first_sent_at=at(0), resumed_at=at(3_500)),
            3_601,
            SendNow(),
        )
        for g in EVERY
    ),
    *(
        (
            f"{g} backs off after the first failure",
            unsent(g, attempts=1, failures=1, first_sent_at=at(0), touched_at=at(5)),
            6,
            WaitUntil(at(7)),
        )
        for g in EVERY
    ),
    *(
        (
            f"{g} backs off longer after the second",
            unsent(g, attempts=2, failures=2, first_sent_at=at(0), touched_at=at(5)),
            6,
            WaitUntil(at(9)),
        )
        for g in EVERY
    ),
    *(
        (
            f"{g} obeys the vendor's own wish",
            unsent(g, attempts=1, first_sent_at=at(0), touched_at=at(5), not_before=at(90)),
            50,
            WaitUntil(at(90)),
        )
        for g in EVERY
    ),
    (
        "a look has used the time since the last send",
        unsent(SEARCH, attempts=1, failures=2, looks=3, touched_at=at(66), absence_trusted=True),
        66,
        SendNow(),
    ),
    # In doubt, and the system neither knows our key nor can be asked.
    ("none in doubt", in_doubt(NONE), 6, UNKNOWN_1),
    ("none in doubt, though it has a search", in_doubt(NONE, findable=True), 6, UNKNOWN_1),
    ("none in doubt and withdrawn", in_doubt(NONE, withdrawn=True), 6, UNKNOWN_1),
    ("none pending", pending(NONE), 6, UNKNOWN_1),
    # In doubt where the same bytes may be sent again.
    *((f"{g} in doubt", in_doubt(g), 8, SendNow()) for g in REPEATED),
    *((f"{g} in doubt, backing off", in_doubt(g), 6, WaitUntil(at(7))) for g in REPEATED),
    *((f"{g} in doubt, not findable", in_doubt(g, findable=False), 8, SendNow()) for g in REPEATED),
    ("the key is still remembered", in_doubt(KEY), 509, SendNow()),
    ("the key may be forgotten on arrival: find", in_doubt(KEY), 510, LookNow()),
    ("and cannot be found", in_doubt(KEY, findable=False), 510, UNKNOWN_1),
    (
        "a key remembered for ever",
        in_doubt(KEY, promised=promise(KEY, remembered_for_s=None)),
        3_000,
        SendNow(),
    ),
    # In doubt where sending again is out of the question: look, or ask a person.
    *((f"{g} in doubt, policy never", _never(g), 8, LookNow()) for g in REPEATED),
    *((f"{g} withdrawn", in_doubt(g, withdrawn=True), 8, LookNow()) for g in ASKED),
    *((f"{g} refused after a doubt", in_doubt(g, rejected=REJECTED), 8, LookNow()) for g in ASKED),
    *((f"{g} already exists", in_doubt(g, exists=True), 5, LookNow()) for g in ASKED),
    *((f"{g} restored: look first", in_doubt(g, look_first=True), 8, LookNow()) for g in ASKED),
    *((f"{g} attempts exhausted in doubt", in_doubt(g, failures=3), 8, LookNow()) for g in ASKED),
    *(
        (f"{g} asked too often, for too long", in_doubt(g, look_failures=4), 9_999, UNKNOWN_1)
        for g in ASKED
    ),
    *(
        (f"{g} withdrawn, not findable", in_doubt(g, withdrawn=True, findable=False), 8, UNKNOWN_1)
        for g in REPEATED
    ),
    *(
        (
            f"{g} refused after a doubt, not findable",
            in_doubt(g, rejected=REJECTED, findable=False),
            8,
            ParkSend(refuse("outcome_unknown", attempts="1", rejected="erp_rejected")),
        )
        for g in REPEATED
    ),
    ("restored, key, not findable", in_doubt(KEY, look_first=True, findable=False), 8, UNKNOWN_1),
    (
        "restored, unique, not findable: the constraint protects",
        in_doubt(UNIQUE, look_first=True, findable=False),
        8,
        SendNow(),
    ),
    # Looking under SEARCH: early looks may hit, the trusted one is not missed by a moment.
    ("an early look", in_doubt(SEARCH), 6, LookNow()),
    ("the next early look backs off", in_doubt(SEARCH, looks=2), 6, WaitUntil(at(9))),
    (
        "and never past the settled instant",
        in_doubt(SEARCH, looks=3, touched_at=at(60)),
        61,
        WaitUntil(at(65)),
    ),
    ("settled", in_doubt(SEARCH, looks=3, touched_at=at(60)), 65, LookNow()),
    (
        "a failed look at the settled instant backs off as any other",
        in_doubt(SEARCH, looks=3, touched_at=at(66)),
        67,
        WaitUntil(at(74)),
    ),
    (
        "the vendor's own wish holds for looks, too",
        in_doubt(SEARCH, not_before=at(100)),
        70,
        WaitUntil(at(100)),
    ),
    ("looks exhausted", in_doubt(SEARCH, look_failures=4), 70, UNKNOWN_1),
    (
        "looks exhausted, though it exists",
        in_doubt(UNIQUE, exists=True, look_failures=4),
        70,
        CONFLICT,
    ),
    ("unknown for too long", in_doubt(SEARCH), 3_601, UNKNOWN_1),
    (
        "long, but not settled yet: a long settle time is no failure",
        in_doubt(SEARCH, settled_at=at(9_000), touched_at=at(8_000), looks=9),
        8_001,
        WaitUntil(at(8_008)),
    ),
    (
        "what exists is looked for at once, then with back-off",
        in_doubt(UNIQUE, exists=True, looks=1),
        6,
        WaitUntil(at(7)),
    ),
    (
        "a look that failed at the very settled instant backs off",
        in_doubt(SEARCH, looks=3, touched_at=at(65)),
        66,
        WaitUntil(at(73)),
    ),
    ("unknown for as long as is allowed", in_doubt(SEARCH), 3_600, LookNow()),
    (
        "just settled, though unknown for long: the trusted look comes first",
        in_doubt(SEARCH, settled_at=at(9_000), touched_at=at(8_999), looks=3),
        9_000,
        LookNow(),
    ),
    # Accepted for later work.
    *((f"{g} pending", pending(g), 6, LookNow()) for g in ASKED),
    *((f"{g} pending, backing off", pending(g, looks=2), 6, WaitUntil(at(9))) for g in ASKED),
    *(
        (f"{g} pending for too long", pending(g), 7_201, ParkSend(refuse("erp_still_pending")))
        for g in ASKED
    ),
    *((f"{g} pending, not findable", pending(g, findable=False), 6, UNKNOWN_1) for g in REPEATED),
]


@pytest.mark.parametrize(
    ("intent", "seconds", "move"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_the_next_move(intent: Intent, seconds: float, move: Move) -> None:
    assert next_move(intent, at(seconds), LIMITS) == move


def test_every_situation_has_one_name() -> None:
    names = [row[0] for row in ROWS]

    assert len(names) == len(set(names))


def test_an_intent_survives_its_way_through_the_store() -> None:
    intents = [row[1] for row in ROWS]

    stored = [msgspec.json.encode(intent) for intent in intents]

    assert [msgspec.json.decode(each, type=Intent) for each in stored] == intents
