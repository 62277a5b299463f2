"""The invariants of the controls that whole flows can break, each a function of the books.

Numbers and words are those of the catalogue of controls; what is checked is the simulated
systems' own books first, and our tables against them. The table at the end is the list; what is
not in it is proved elsewhere (docs/simulation.md says where).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

import msgspec

from quaestor.model.refusal import REFUSALS
from tests.simulation.books import Books, Document, Order
from tests.simulation.folder import LEDGERS, SETTLE_S
from tests.simulation.plan import Planned
from tests.simulation.wires import Sent

__all__ = ["INVARIANTS", "Invariant", "broken", "broken_again", "sent_unseen"]

Check = Callable[[Books], Iterator[str]]
_ENDS = frozenset({"ordered", "cancelled", "rejected"})


class Invariant(msgspec.Struct, frozen=True):
    """One row: its number in the catalogue, what it says, and the check."""

    name: str
    says: str
    check: Check


# --- what stands in the vendors' books ------------------------------------------------------------


def one_order_per_key(books: Books) -> Iterator[str]:
    """I1. Also: no order stands there that none of our intents made."""
    for (system, reference), many in Counter(
        (order.system, order.reference) for order in books.orders
    ).items():
        if many > 1:
            yield f"{system} has {many} orders of {reference}"
    creates = [row.key for row in books.intents if row.action == "create_order"]
    for order in books.orders:
        if not any(key.startswith(order.reference) for key in creates):
            yield f"{order.system} {order.number} belongs to nobody"


def ordered_or_owned(books: Books) -> Iterator[str]:
    """I2, safety: what we believe of a document is what its vendor's books say."""
    for document in books.documents:
        standing = [order for order in books.orders_of(document) if not order.cancelled]
        match document.outcome:
            case "ordered":
                yield from _not_as_approved(books, document, standing)
            case "cancelled" | "rejected":
                for order in standing:
                    yield f"{document.number} is {document.outcome}, yet {order.number} stands"
            case None if document.parked_code is not None:
                row = REFUSALS.get(document.parked_code)
                if row is None or not document.parked_owner:
                    yield f"{document.number} is parked as {document.parked_code} with nobody"
            case None:
                # Only a decision may still be awaited, of people who will never vote.
                silent = _planned(books, document).vote == "never"
                if document.stage != "deciding" or standing or not silent:
                    yield f"{document.number} stands silently in {document.stage}"
            case other:
                yield f"{document.number} ended as {other}"


def _not_as_approved(books: Books, document: Document, standing: list[Order]) -> Iterator[str]:
    wanted = sorted(_groups(_planned(books, document), document.version).values())
    found = sorted(order.value for order in standing)
    if wanted != found:
        yield f"{document.number} is ordered: {wanted} approved, {found} ordered"


def all_work_ended(books: Books) -> Iterator[str]:
    """I2, liveness: in the quiet everything comes to rest, and what nothing hindered is ordered."""
    if not books.at_rest:
        restless = [each.number for each in books.documents if not each.idle]
        yield f"no rest after {books.elapsed_s:.0f} s: {restless}"
    taken_in = {document.number: document for document in books.documents}
    for planned in books.plan.documents:
        document = taken_in.get(planned.number)
        if document is None:
            yield f"{planned.number} was lost at the door"
        elif planned.healthy and document.outcome != "ordered":
            yield f"{planned.number} is {document.parked_code or document.stage}, though healthy"


def no_blind_second_create(books: Books) -> Iterator[str]:
    """I3. Under `SEARCH`, after a create in doubt, none leaves before a look that found nothing
    and began when the settle time had passed; on the lines, not in our tables."""
    weak = {each.system for each in LEDGERS.values() if each.guarantee == "search"}
    for row in books.intents:
        if row.action != "create_order" or row.system not in weak:
            continue
        for sent in sent_unseen(_of_key(books, row.key, row.system)):
            yield f"{row.key[:12]} left {row.system} again at {sent.at:.1f} s unseen"


def sent_unseen(requests: Iterable[Sent]) -> Iterator[Sent]:
    """Of one key's requests, in their order, the creates that a doubt without such a look forbids.

    Also one that then found no connection: that it never left is no merit of whoever sent it.
    """
    settled_at: float | None = None
    looked = False
    for sent in requests:
        if not sent.commits:
            looked = looked or (settled_at is not None and _tells(sent, settled_at))
            continue
        if settled_at is not None and not looked:
            yield sent
        # What never left changes nothing over there: what the look told still holds.
        if sent.left:
            # A fact, once it is told, ends the doubt.
            settled_at = sent.at + SETTLE_S if _in_doubt(sent) else None
            looked = False


def _tells(look: Sent, settled_at: float) -> bool:
    """Whether this look may be trusted: late enough, and its answer came whole."""
    heard = 200 <= look.status < 300 and look.fault != "cut"
    return heard and look.at >= settled_at - _JUMPS_S


# What the database's clock may have jumped ahead, so that it saw the settle time pass earlier.
_JUMPS_S = 1.0


def _in_doubt(sent: Sent) -> bool:
    return sent.unsure or sent.status == 0 or sent.status >= 500


def same_key_same_bytes(books: Books) -> Iterator[str]:
    """I4. One key, and after a doubt the very same bytes."""
    for row in books.intents:
        if row.action != "create_order":
            continue
        doubtful: Sent | None = None
        for sent in _of_key(books, row.key, row.system):
            if not sent.commits or not sent.left:
                continue
            if doubtful is not None and sent.body != doubtful.body:
                yield f"{row.key[:12]} went to {row.system} with other bytes"
            doubtful = sent if sent.unsure else None


def _of_key(books: Books, key: str, system: str) -> list[Sent]:
    known = key[:12].encode()
    return [
        sent
        for sent in books.sent
        if sent.system == system and (known in sent.body or known in sent.target.encode())
    ]


# --- our own books --------------------------------------------------------------------------------


def state_and_trail_agree(books: Books) -> Iterator[str]:
    """I8. The last entry of a document says where it stands."""
    last = {entry.document_id: entry for entry in books.entries if entry.document_id}
    for document in books.documents:
        entry = last.get(document.id)
        if entry is None:
            yield f"{document.number} has no entry"
        elif document.parked_code is not None:
            told = [e for e in books.entries if e.document_id == document.id and e.refusal]
            if not told or told[-1].refusal != document.parked_code:
                yield f"{document.number} is parked as {document.parked_code}, untold"
        elif document.outcome is not None and not any(
            e.document_id == document.id and e.outcome == f"done:{document.outcome}"
            for e in books.entries
        ):
            yield f"{document.number} is {document.outcome}, untold"
        elif entry.stage_after not in ("", document.stage):
            yield f"{document.number} is in {document.stage}, told {entry.stage_after}"


def never_overspent(books: Books) -> Iterator[str]:
    """I11."""
    for row in books.balances:
        left = row.budget - row.pre - row.enc - row.act
        if left < 0:
            yield f"{row.node} is overspent by {-left}"


def balances_are_their_entries(books: Books) -> Iterator[str]:
    """I12. And no document holds less than nothing."""
    for row in books.balances:
        if (row.pre, row.enc, row.act) != row.entered:
            yield f"{row.node} keeps {(row.pre, row.enc, row.act)}, entered are {row.entered}"
    for document_id, held in books.held.items():
        if held.pre < 0 or held.enc < 0:
            yield f"document {document_id} holds {held}"


def reservations_end(books: Books) -> Iterator[str]:
    """I13. What has ended reserves nothing and encumbers what stands in the vendor's books."""
    for document in books.documents:
        held = books.held.get(document.id)
        if document.outcome not in _ENDS or held is None:
            continue
        standing = [order for order in books.orders_of(document) if not order.cancelled]
        owed = sum((order.value for order in standing), Decimal(0))
        if held.pre != 0:
            yield f"{document.number} is {document.outcome} and still reserves {held.pre}"
        if held.enc != owed:
            yield f"{document.number} encumbers {held.enc}, ordered are {owed}"


def approved_by_who_may(books: Books) -> Iterator[str]:
    """I15 to I18. Nothing was ever sent without the vote of somebody who may, on that version."""
    said = {
        (each.number, each.version)
        for each in books.approved
        if each.verdict == "approved" and each.by == "carla.lindt"
    }
    for document in books.documents:
        planned = _planned(books, document)
        for order in books.orders_of(document):
            versions = [
                version
                for version in range(1, len(planned.versions) + 1)
                if order.value in _groups(planned, version).values()
            ]
            if not any((document.number, version) in said for version in versions):
                yield f"{document.number}: nobody approved what {order.number} orders"


def posted_is_approved(books: Books) -> Iterator[str]:
    """I20. The value of each order is that of one group of one version."""
    for document in books.documents:
        planned = _planned(books, document)
        known = {
            amount
            for version in range(1, len(planned.versions) + 1)
            for amount in _groups(planned, version).values()
        }
        for order in books.orders_of(document):
            if order.value not in known:
                yield f"{document.number}: {order.number} is worth {order.value}, not {known}"


def trail_verifies(books: Books) -> Iterator[str]:
    """I25."""
    found = msgspec.json.decode(books.trail)
    if not found.get("good", found.get("ok")):
        yield f"the trail does not verify: {books.trail[:300]}"


def entries_are_complete(books: Books) -> Iterator[str]:
    """I26. Who, when, which document; and no secret anywhere."""
    for entry in books.entries:
        if not (entry.actor and entry.correlation_id and entry.entity):
            yield f"entry {entry.id} names no {'actor' if not entry.actor else 'document'}"
    text = b"".join(msgspec.json.encode(entry) for entry in books.entries)
    for secret in books.secrets:
        if secret.encode() in text or any(secret.encode() in each for each in books.payloads):
            yield f"a secret of {len(secret)} characters stands in the trail"


def retries_are_bounded(books: Books) -> Iterator[str]:
    """I28. While a system cannot be reached, each worker knocks, it does not storm."""
    for system, windows in books.plan.weather.outages.items():
        for start, end in windows:
            knocks = Counter(
                sent.worker
                for sent in books.sent
                if sent.system == system and start <= sent.at < end
            )
            # What was under way when it began, then one probe at a time, each later than the last.
            most = 3 * 4 + 2 * (end - start)
            for worker, many in knocks.items():
                if many > most:
                    yield f"{worker} asked {system} {many} times in {end - start:.0f} s of outage"


def poison_stays_alone(books: Books) -> Iterator[str]:
    """I29. What cannot go on is parked by name, and only it."""
    reasons: dict[str, set[str]] = defaultdict(set)
    for document in books.documents:
        if document.parked_code in ("supplier_blocked", "crosswalk_missing", "erp_rejected"):
            reasons[document.parked_code].add(document.number)
    for planned in books.plan.documents:
        for code, numbers in reasons.items():
            if planned.healthy and planned.number in numbers:
                yield f"{planned.number} is parked as {code}, which is another document's trouble"


# --- what was planned -----------------------------------------------------------------------------


def _planned(books: Books, document: Document) -> Planned:
    return next(each for each in books.plan.documents if each.number == document.number)


def _groups(planned: Planned, version: int) -> dict[str, Decimal]:
    """What each supplier's order is worth by the source's own words."""
    amounts: dict[str, Decimal] = defaultdict(Decimal)
    for line in planned.versions[version - 1].lines:
        amounts[line.supplier] += line.amount
    return dict(amounts)


INVARIANTS: tuple[Invariant, ...] = (
    Invariant("I1", "at most one order per posting key", one_order_per_key),
    Invariant("I2", "ordered as approved, or with somebody by name", ordered_or_owned),
    Invariant("I2 liveness", "all work ends, what is healthy is ordered", all_work_ended),
    Invariant("I3", "no blind second create", no_blind_second_create),
    Invariant("I4", "the same key and the same bytes after a doubt", same_key_same_bytes),
    Invariant("I8", "state and trail agree", state_and_trail_agree),
    Invariant("I11", "no budget is overspent", never_overspent),
    Invariant("I12", "balances are the sum of their entries", balances_are_their_entries),
    Invariant("I13", "reservations end", reservations_end),
    Invariant("I15-I18", "approved by who may, never by time", approved_by_who_may),
    Invariant("I20", "what is posted is what was approved", posted_is_approved),
    Invariant("I25", "the trail verifies", trail_verifies),
    Invariant("I26", "entries are complete and hold no secret", entries_are_complete),
    Invariant("I28", "retries are bounded", retries_are_bounded),
    Invariant("I29", "a poisoned document stays alone", poison_stays_alone),
)


def broken(books: Books) -> list[str]:
    """Every invariant that does not hold, by number, with what was found."""
    return [
        f"{invariant.name} {invariant.says}: {found}"
        for invariant in INVARIANTS
        for found in invariant.check(books)
    ]


def broken_again(before: Books, after: Books) -> list[str]:
    """I30. Everything came in once more, and nothing changed."""
    found = broken(after)
    if after.state != before.state:
        changed = [
            f"{was.number}: {_stands(was)} became {_stands(now)}"
            for was, now in zip(before.documents, after.documents, strict=False)
            if (was.stage, was.outcome, was.parked_code)
            != (now.stage, now.outcome, now.parked_code)
        ]
        found.append(f"I30 everything again changes nothing: {changed or 'books differ'}")
    if len(after.orders) != len(before.orders):
        found.append(f"I30 everything again made {len(after.orders) - len(before.orders)} orders")
    return found


def _stands(document: Document) -> str:
    return f"{document.stage}/{document.outcome or document.parked_code}"
