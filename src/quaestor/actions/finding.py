"""Finding the document that a person means by the number he has in hand."""

from __future__ import annotations

import msgspec

from quaestor.store import Connection

__all__ = ["DocumentAmbiguous", "DocumentRef", "DocumentUnknown", "find_document"]

# Each way by its own index: joined by `or`, they would read every document.
_FIND = """
select d.id, d.entity, d.type, d.number, d.correlation_id, w.stage, w.outcome, w.parked_code
from quaestor.document d join quaestor.work w on w.document_id = d.id
where d.id in (
    select $2::bigint
    union all (select id from quaestor.document where correlation_id = $1 order by id limit 10)
    union all (select id from quaestor.document where number = $1 order by id limit 10)
    union all (select document_id from quaestor.crossref where external_id = $1
               order by document_id limit 10)
)
order by d.id limit 10
"""
_BIGINT_MAX = 2**63 - 1


class DocumentUnknown(LookupError):
    """Nothing leads from this number to a document."""


class DocumentAmbiguous(LookupError):
    """The number leads to several documents; `found` are they."""

    def __init__(self, found: tuple[DocumentRef, ...]) -> None:
        super().__init__(", ".join(f"{each.id} ({each.type} {each.number})" for each in found))
        self.found = found


class DocumentRef(msgspec.Struct, frozen=True):
    """A document, and how it stands. `outcome` and `parked_code` are `None` while it is open."""

    id: int
    entity: str
    type: str
    number: str
    correlation_id: str
    stage: str
    outcome: str | None
    parked_code: str | None


async def find_document(connection: Connection, asked: str) -> DocumentRef:
    """By our id, the source system's number, the ERP's number, or the correlation id.

    A document whose id it is goes before others whose number happens to be the same. Raises
    `DocumentUnknown` and `DocumentAmbiguous`.
    """
    number = int(asked) if asked.isascii() and asked.isdecimal() else None
    if number is not None and number > _BIGINT_MAX:
        number = None
    found = tuple(DocumentRef(*row) for row in await connection.fetch(_FIND, asked, number))
    exact = [each for each in found if each.id == number]
    if exact:
        return exact[0]
    if not found:
        raise DocumentUnknown(asked)
    if len(found) > 1:
        raise DocumentAmbiguous(found)
    return found[0]
