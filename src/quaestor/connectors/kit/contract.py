"""What a connector is: small protocols, outcomes as values, not-knowing as errors.

A connector keeps no state, retries nothing, logs nothing and decides nothing. Facts are
returned; not-knowing is raised, and where it broke decides the error (DESIGN D11 and §4):

    NotKnown
    ├── Transient    surely not applied; the same bytes may be sent again later
    ├── Permanent    surely not applied; somebody must act first
    └── Ambiguous    perhaps applied; look before anything is sent again
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol, runtime_checkable

import msgspec

from quaestor.model.order import PurchaseOrder
from quaestor.model.refusal import Refusal, refuse
from quaestor.model.requisition import Requisition
from quaestor.model.status import DocumentStatus

__all__ = [
    "DEADLINE_PASSED",
    "Absent",
    "ActionGuarantee",
    "AlreadyExists",
    "Ambiguous",
    "Answer",
    "Answers",
    "Applied",
    "Command",
    "Connector",
    "Delivered",
    "Delivery",
    "Found",
    "Guarantee",
    "Manifest",
    "NotKnown",
    "Page",
    "Pending",
    "Permanent",
    "Probe",
    "Pulls",
    "Question",
    "Receipt",
    "Receives",
    "Rejected",
    "Several",
    "Submits",
    "SubmittingConnector",
    "Submitted",
    "Transient",
    "unsupported",
]


# The code of a `Transient` that says: no byte left, because our own time was up before.
DEADLINE_PASSED = "deadline_passed"


class Guarantee(StrEnum):
    """What a system promises when one command reaches it twice (DESIGN §4)."""

    KEY = "key"
    UNIQUE = "unique"
    REPEATABLE = "repeatable"
    SEARCH = "search"
    NONE = "none"


class ActionGuarantee(msgspec.Struct, frozen=True):
    """The guarantee of one action.

    `settle_s` is the time after the last byte was sent until the request can no longer commit
    there and what it committed is visible to `find`, in seconds. `remembered_for_s` is how long
    a `KEY` system remembers our key. `resend="never"` parks instead of sending again.
    """

    guarantee: Guarantee
    settle_s: float = 0.0
    remembered_for_s: float | None = None
    resend: Literal["allowed", "never"] = "allowed"


class Manifest(msgspec.Struct, frozen=True):
    """What a system can do; a test proves that it agrees with the connector's methods."""

    kind: str
    title: str
    actions: Mapping[str, ActionGuarantee] = {}
    streams: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    receives: bool = False


class Command(msgspec.Struct, frozen=True):
    """One thing to be done in one system, once.

    `key` is the posting key (lower-case base32, DESIGN D3). `created_at` is when the intent was
    first decided: look-ups narrow by it, never later than the day before. `order` is given for
    `create_order`, `cancels` (the vendor's number) for `cancel_order`, `status` for
    `report_status`, `requisition` for `submit_requisition`.
    """

    key: str
    system: str
    action: str
    entity: str
    created_at: datetime
    order: PurchaseOrder | None = None
    cancels: str | None = None
    status: DocumentStatus | None = None
    requisition: Requisition | None = None


class Applied(msgspec.Struct, frozen=True, tag="applied"):
    """The document exists there, under the vendor's `number`.

    `differences` names each business field whose value there is not what was commanded
    (`"lines[2].quantity: 5 instead of 3"`); it is empty when the document is the one asked for.
    `released` is false while the vendor still holds it in a release of its own.
    """

    number: str
    differences: tuple[str, ...] = ()
    released: bool = True
    facts: Mapping[str, str] = {}


class Pending(msgspec.Struct, frozen=True, tag="pending"):
    """Accepted for asynchronous work there; `find` will tell. `reference` is the vendor's job."""

    reference: str


class Rejected(msgspec.Struct, frozen=True, tag="rejected"):
    """The application itself refused; nothing was created. Always the application's own word."""

    refusal: Refusal


class AlreadyExists(msgspec.Struct, frozen=True, tag="already_exists"):
    """The application says that our reference is taken there: look what stands under it.

    Never a `Rejected`: an earlier send of ours usually made that document. `number` is the
    vendor's, where the answer names it.
    """

    number: str = ""


class Several(msgspec.Struct, frozen=True, tag="several"):
    """More than one document answers to our reference: an incident for a person."""

    numbers: tuple[str, ...]


class Absent(msgspec.Struct, frozen=True, tag="absent"):
    """Nothing answers to our reference at the moment of the look-up."""


Submitted = Applied | Pending | Rejected | AlreadyExists
Found = Applied | Several | Pending | Absent


class NotKnown(Exception):
    """The system gave no usable fact."""

    def __init__(self, reason: str, *, code: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class Transient(NotKnown):
    """Surely not applied; try again later.

    `system` says that the system, not the document, is in trouble: its circuit opens (D6).
    `retry_after_s` is the vendor's own wish, obeyed.
    """

    def __init__(
        self,
        reason: str,
        *,
        code: str = "",
        system: bool = True,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(reason, code=code)
        self.system = system
        self.retry_after_s = retry_after_s


class Permanent(NotKnown):
    """Surely not applied, and it will not be until somebody acts; `refusal` names what to do."""

    def __init__(self, reason: str, refusal: Refusal) -> None:
        super().__init__(reason, code=refusal.code)
        self.refusal = refusal


def unsupported(command: Command) -> Permanent:
    """The connector has no such action: nothing was sent."""
    why = f"the action {command.action} is not supported"
    return Permanent(why, refuse("connector_refused", system=command.system, why=why))


class Ambiguous(NotKnown):
    """Perhaps applied. `system` as in `Transient`: a dead proxy also opens the circuit."""

    def __init__(self, reason: str, *, code: str = "", system: bool = False) -> None:
        super().__init__(reason, code=code)
        self.system = system


class Probe(msgspec.Struct, frozen=True):
    """One line of `connector check`: what was tried, whether it is good, the vendor-side fix."""

    name: str
    good: bool
    detail: str = ""
    fix: str = ""


@runtime_checkable
class Connector(Protocol):
    """Every system: what it can do, and whether it can be reached as configured."""

    @property
    def manifest(self) -> Manifest: ...

    async def check(self) -> tuple[Probe, ...]: ...


@runtime_checkable
class Submits(Protocol):
    """A system that creates documents on command."""

    def render(self, command: Command) -> bytes:
        """The bytes to store and send; pure. Raises `Permanent` where it cannot be expressed."""
        ...

    async def submit(self, command: Command, stored: bytes) -> Submitted:
        """Send the stored bytes once. Raises `Transient`, `Permanent` or `Ambiguous`."""
        ...

    async def find(self, command: Command) -> Found:
        """What an earlier send left behind. Raises `Transient` or `Permanent`."""
        ...


@runtime_checkable
class SubmittingConnector(Connector, Submits, Protocol):
    """A connector of a system that creates documents on command."""


class Delivered(msgspec.Struct, frozen=True):
    """One thing that a stream brought.

    `event_id` is unique per system and stream: the same change delivered twice has the same.
    `changed_at` is the source's own time of the change; `body` the bytes as published.
    """

    event_id: str
    kind: str
    source_id: str
    changed_at: datetime
    body: bytes


class Page(msgspec.Struct, frozen=True):
    """A page of a stream. `cursor` is opaque to everybody but the connector; `more` says that
    asking again at once is worth it."""

    items: tuple[Delivered, ...]
    cursor: str
    more: bool = False


@runtime_checkable
class Pulls(Protocol):
    """A system that is asked for what changed."""

    async def pull(self, stream: str, after: str | None) -> Page:
        """The next page after a cursor. Asking with a cursor acknowledges all before it.

        Raises `Transient` or `Permanent`.
        """
        ...


class Delivery(msgspec.Struct, frozen=True):
    """What a system posted: header names in lower case, the body's own bytes, database time."""

    headers: Mapping[str, str]
    body: bytes
    received_at: datetime


class Receipt(msgspec.Struct, frozen=True):
    """What to answer the system, and which of its streams to ask now.

    `event_id` is the sender's own id of the delivery, authenticated; empty where there is none.
    """

    streams: tuple[str, ...] = ()
    event_id: str = ""
    body: bytes = b""
    media_type: str = "application/json"
    status: int = 200


@runtime_checkable
class Receives(Protocol):
    """A system that posts to us. It authenticates and translates a delivery, nothing else: what
    it is told is a hint, and the system is asked."""

    def receive(self, delivery: Delivery) -> Receipt | Refusal:
        """The receipt, or `signature_invalid`, or `timestamp_out_of_range`."""
        ...

    def grant(self, asked: Delivery) -> Receipt | Refusal:
        """The answer to a request for an access token, for a system that posts with one;
        `signature_invalid`, or `webhook_unknown` where no token is asked for."""
        ...


class Question(msgspec.Struct, frozen=True):
    """What is asked while a user waits: a name from the manifest, and its facts."""

    name: str
    entity: str
    facts: Mapping[str, str] = {}


class Answer(msgspec.Struct, frozen=True):
    """What the system says, true at `as_of`."""

    value: Mapping[str, str]
    as_of: datetime


@runtime_checkable
class Answers(Protocol):
    """A system that answers while a user waits; asking changes nothing there."""

    async def answer(self, question: Question) -> Answer:
        """Raises `Transient` or `Permanent`."""
        ...
