"""The status of a document, as it is written back to the system that the document came from."""

from __future__ import annotations

from typing import Literal

import msgspec

from quaestor.model.refusal import Refusal

__all__ = ["DocumentStatus", "State"]

State = Literal["ordered", "partly_ordered", "refused", "cancelled", "waiting"]


class DocumentStatus(msgspec.Struct, frozen=True):
    """What became of a document, in words that its requester understands.

    `source_id` is the document in the system that is told; `orders` are the numbers of the
    purchase orders in the ledger. `refusal` is given for `refused`.
    """

    source_id: str
    number: str
    state: State
    orders: tuple[str, ...] = ()
    message: str = ""
    refusal: Refusal | None = None
