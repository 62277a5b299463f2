"""Finding a purchase by any number that a person has in hand; the start page.

One hit is gone to at once. Where a number leads nowhere, what was searched is said, and what
stands nearest to it.
"""

from __future__ import annotations

from quaestor.audit.trace import Lead, leads
from quaestor.console.asking import Ask, Go, Page, Reply, may
from quaestor.console.counting import parked_by_owner
from quaestor.console.reading import documents_by_id, troubled_systems
from quaestor.console.wording import segment
from quaestor.security.authorization import Scope
from quaestor.store import Connection

__all__ = ["HOME", "SEARCHED", "nearest", "nothing_known"]

SEARCHED = (
    "correlation ids",
    "document ids",
    "posting keys",
    "numbers in the source systems",
    "numbers in every other system",
)

_ASKED_CHARS_MAX = 200
_LATEST = 12
_NEAREST = 5
_LATEST_IDS = f"select id from quaestor.document order by id desc limit {_LATEST}"
# Neighbours in the order of the index, so that no table is read through; those that share a
# beginning with what was asked are worth showing.
_NEAR = f"""
(select number from quaestor.document where number >= $1 order by number limit {_NEAREST})
union
(select number from quaestor.document where number < $1 order by number desc limit {_NEAREST})
union
(select external_id from quaestor.crossref where external_id >= $1
 order by external_id limit {_NEAREST})
union
(select external_id from quaestor.crossref where external_id < $1
 order by external_id desc limit {_NEAREST})
"""


async def _home(ask: Ask, connection: Connection) -> Reply | Go:
    asked = ask.query.get("q", "").strip()
    if asked and may(ask.caller, Scope.TRACES_READ):
        return await _find(ask, connection, asked[:_ASKED_CHARS_MAX])
    documents = []
    if may(ask.caller, Scope.TRACES_READ):
        ids = [row["id"] for row in await connection.fetch(_LATEST_IDS)]
        documents = await documents_by_id(connection, ids)
    parked: dict[str, int] = {}
    if may(ask.caller, Scope.WORKLIST_READ, Scope.WORKLIST_ACT):
        parked = await parked_by_owner(connection)
    shows = {
        "documents": documents,
        "parked": parked,
        "parked_count": sum(parked.values()),
        "troubles": await troubled_systems(connection),
        "searched": SEARCHED,
    }
    return Reply("home.html", shows, refreshable=True)


async def _find(ask: Ask, connection: Connection, asked: str) -> Reply | Go:
    found = await leads(connection, asked)
    purchases = dict.fromkeys(lead.correlation_id for lead in found)
    if len(purchases) == 1:
        # The way in stays visible, unless it is the id itself or no segment of a path.
        way = asked if "/" not in asked and asked.isprintable() else next(iter(purchases))
        return Go(f"/console/trace/{segment(way)}")
    if not found:
        return await nothing_known(connection, asked)
    documents = await documents_by_id(connection, _documents(found))
    hows = {lead.document_id: lead.how for lead in found}
    return Reply("several.html", {"asked": asked, "documents": documents, "hows": hows})


def _documents(found: tuple[Lead, ...]) -> list[int]:
    ids = (lead.document_id for lead in found if lead.document_id is not None)
    return list(dict.fromkeys(ids))


async def nothing_known(connection: Connection, asked: str) -> Reply:
    """The page of a number that leads nowhere."""
    shows = {"asked": asked, "searched": SEARCHED, "nearest": await nearest(connection, asked)}
    return Reply("nothing.html", shows, status=404)


async def nearest(connection: Connection, asked: str) -> list[str]:
    """Numbers that share a beginning with what was asked, the longest beginning first."""
    rows = await connection.fetch(_NEAR, asked)
    shared = {row[0]: _shared(row[0], asked) for row in rows}
    near = [number for number, chars in shared.items() if chars >= min(2, len(asked))]
    return sorted(near, key=lambda number: (-shared[number], number))[:_NEAREST]


def _shared(one: str, other: str) -> int:
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


HOME = Page("/console/", _home, (), query=("q",))
