"""The laws of pulling fail where a connector breaks them: each mistake is planted once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import msgspec
import pytest
from msgspec.structs import replace

from quaestor.connectors.coupa import pulling
from quaestor.connectors.coupa.asked import FIELDS, PATHS
from quaestor.connectors.coupa.client import Refused
from quaestor.connectors.coupa.config import CoupaConfig
from quaestor.connectors.coupa.connector import KIND, CoupaConnector
from quaestor.connectors.kit import pull_suite
from quaestor.connectors.kit.contract import Ambiguous, Delivered, Page, Transient
from quaestor.connectors.kit.pull_suite import PullLaw, PullSubject
from quaestor.connectors.kit.rig import ContractBroken
from quaestor.connectors.kit.wires.http import HttpWire
from tests.connectors.coupa.subjects import coupa_stream


class PagesByOffset(CoupaConnector):
    """Pages a set that moves by offset, and marks as it goes."""

    async def pull(self, stream: str, after: str | None) -> Page:
        offset = int(after or 0)
        query = {"exported": "false", "order_by": "id", "offset": str(offset), "limit": "3"}
        listed = await self._client.listed(PATHS[stream], query, FIELDS[stream])
        assert not isinstance(listed, Refused)
        for row in listed.rows:
            await self._client.mark_exported(f"{PATHS[stream]}/{row.id}", FIELDS[stream])
        items = tuple(pulling._delivered(stream, row) for row in listed.rows)
        return Page(items, str(offset + len(items)), len(items) == 3)


class MarksAtOnce(CoupaConnector):
    """Acknowledges what nobody has recorded yet."""

    async def pull(self, stream: str, after: str | None) -> Page:
        page = await super().pull(stream, after)
        for item in page.items:
            path = f"{PATHS[stream]}/{item.source_id}"
            await self._client.mark_exported(path, FIELDS[stream])
        return page


class NumbersItsDeliveries(CoupaConnector):
    """A new event id for each delivery of one change."""

    def __init__(self, config: CoupaConfig, wire: HttpWire) -> None:
        super().__init__(config, wire)
        self._numbers = count()

    def _numbered(self, item: Delivered) -> Delivered:
        return replace(item, event_id=f"{item.event_id}/{next(self._numbers)}")

    async def pull(self, stream: str, after: str | None) -> Page:
        page = await super().pull(stream, after)
        return replace(page, items=tuple(map(self._numbered, page.items)))


class SeesNoChanges(CoupaConnector):
    """Takes an empty set for the end of all news."""

    async def pull(self, stream: str, after: str | None) -> Page:
        page = await super().pull(stream, after)
        return page if page.more else Page((), page.cursor)


class SwallowsTrouble(CoupaConnector):
    """Takes trouble for the end of the stream."""

    async def pull(self, stream: str, after: str | None) -> Page:
        try:
            return await super().pull(stream, after)
        except Transient:
            return Page((), after or "")


class DoubtsAPull(CoupaConnector):
    """Says that a pull was perhaps applied."""

    async def pull(self, stream: str, after: str | None) -> Page:
        try:
            return await super().pull(stream, after)
        except Transient as error:
            raise Ambiguous(error.reason) from None


class BeginsAnywhere(CoupaConnector):
    """Takes any cursor, and begins anew where it cannot read it."""

    async def pull(self, stream: str, after: str | None) -> Page:
        try:
            msgspec.json.decode(after or "", type=dict)
        except msgspec.DecodeError:
            after = None
        return await super().pull(stream, after)


class NeverEnds(CoupaConnector):
    """Always says that there is more."""

    async def pull(self, stream: str, after: str | None) -> Page:
        return replace(await super().pull(stream, after), more=True)


PLANTED: list[tuple[type[CoupaConnector], PullLaw]] = [
    (PagesByOffset, pull_suite.nothing_is_skipped_when_the_set_moves),
    (PagesByOffset, pull_suite.everything_comes_once_over_all_pages),
    (MarksAtOnce, pull_suite.nothing_is_acknowledged_before_the_cursor_is_asked_with),
    (NumbersItsDeliveries, pull_suite.the_same_change_has_the_same_event_id),
    (SeesNoChanges, pull_suite.a_change_after_delivery_is_another_event),
    (SwallowsTrouble, pull_suite.a_broken_pull_loses_nothing),
    (BeginsAnywhere, pull_suite.a_foreign_cursor_is_refused),
    (NeverEnds, pull_suite.everything_comes_once_over_all_pages),
]


def planted(
    connector: Callable[[CoupaConfig, HttpWire], CoupaConnector], stream: str = "requisitions"
) -> PullSubject:
    subject = coupa_stream(stream)
    return PullSubject(**{**vars(subject), "kind": replace(KIND, build=connector)})


@pytest.mark.parametrize(
    ("mistake", "law"), PLANTED, ids=[f"{one.__name__}-{law.__name__}" for one, law in PLANTED]
)
async def test_a_planted_mistake_is_caught(mistake: type[CoupaConnector], law: PullLaw) -> None:
    subject = planted(mistake)

    with pytest.raises(ContractBroken):
        await law(subject)


async def test_a_pull_that_is_perhaps_applied_is_caught() -> None:
    subject = planted(DoubtsAPull)

    with pytest.raises(Ambiguous):
        await pull_suite.a_broken_pull_loses_nothing(subject)
