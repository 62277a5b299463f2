"""The laws of pulling: what every system that is asked for changes keeps (DESIGN §4, `Pulls`).

As in `suite`, each check is a sentence and an async function of a subject:

    @pytest.mark.parametrize("law", PULL_LAWS, ids=lambda law: law.__name__)
    async def test_the_law_holds(law): await law(SUBJECT)
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, cast

import msgspec

from quaestor.connectors.kit.config import http_wire
from quaestor.connectors.kit.contract import Delivered, Page, Permanent, Pulls, Transient
from quaestor.connectors.kit.faulting import Fault
from quaestor.connectors.kit.kind import ConnectorKind, SimulatorOptions
from quaestor.connectors.kit.rig import CANARY, require
from quaestor.connectors.kit.simulator import Simulator
from quaestor.security.secrets import Secret

__all__ = ["PULL_LAWS", "PullLaw", "PullRig", "PullSubject", "Streaming"]

PAGES_MAX = 60


class Streaming(Protocol):
    """What the simulator of a system with streams offers to a test beside its HTTP."""

    def arrives(self, stream: str, value: Mapping[str, Any]) -> None:
        """An object comes into being."""
        ...

    def changes(self, stream: str, source_id: str, changes: Mapping[str, Any]) -> None:
        """An object is edited there, and its time of change moves."""
        ...

    def acknowledged(self, stream: str) -> frozenset[str]:
        """The source ids whose delivery the system takes for confirmed."""
        ...


@dataclass(frozen=True)
class PullSubject:
    """One stream of one vendor.

    `system` is as in `Subject`; it must make pages of `page` items. `an_object` makes the n-th
    object of the stream, `source_id` says its id; `a_change` is an edit that the stream must
    bring. `asks` is how the stream's request begins (`GET /items`). `acknowledges` says that the
    system keeps a mark for what was confirmed.
    """

    kind: ConnectorKind
    system: Callable[[str, Mapping[str, str]], Mapping[str, Any]]
    stream: str
    an_object: Callable[[int], Mapping[str, Any]]
    a_change: Mapping[str, Any]
    asks: str
    page: int
    acknowledges: bool
    options: Mapping[str, Any] = field(default_factory=dict)

    def source_id(self, nth: int) -> str:
        return str(self.an_object(nth)["id"])


PullLaw = Callable[[PullSubject], Awaitable[None]]


class PullRig:
    """Simulator, wire and connector of one stream, with `objects` in it, for one law."""

    def __init__(self, subject: PullSubject, objects: int) -> None:
        self.subject = subject
        self._objects = objects
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> PullRig:
        subject = self.subject
        assert subject.kind.simulator is not None
        vendor = subject.kind.simulator(SimulatorOptions(seed=7, extra=subject.options))
        self.simulator = Simulator(vendor)
        self.streaming = cast(Streaming, vendor)
        ready = await self._stack.enter_async_context(self.simulator)
        table = dict(subject.system(ready.url, ready.credentials))
        config = msgspec.convert(table, subject.kind.config_type)
        wire = http_wire(config, lambda reference: Secret(CANARY))
        self._stack.push_async_callback(wire.close)
        connector = subject.kind.build(config, wire)
        require(isinstance(connector, Pulls), "it has `pull`")
        self.connector = cast(Pulls, connector)
        for nth in range(self._objects):
            self.arrive(nth)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def arrive(self, nth: int) -> None:
        self.streaming.arrives(self.subject.stream, self.subject.an_object(nth))

    def change(self, nth: int) -> None:
        source_id = self.subject.source_id(nth)
        self.streaming.changes(self.subject.stream, source_id, self.subject.a_change)

    async def pull(self, after: str | None) -> Page:
        return await self.connector.pull(self.subject.stream, after)

    async def drain(
        self, after: str | None = None, between: Callable[[int], None] = lambda page: None
    ) -> tuple[list[Delivered], str]:
        """Every item from a cursor on until there is no more; `between` is called with the number
        of pages so far, after each.
        """
        items: list[Delivered] = []
        for count in range(1, PAGES_MAX + 1):
            page = await self.pull(after)
            items += page.items
            after = page.cursor
            between(count)
            if not page.more:
                return items, after
        require(False, f"{PAGES_MAX} pages, and still more")
        raise AssertionError

    def fault(self, on: str, do: str) -> None:
        self.simulator.plan.put([msgspec.convert({"on": on, "do": do}, Fault)])


async def the_streams_agree_with_the_methods(subject: PullSubject) -> None:
    """The manifest names the stream, and `pull` is async."""
    async with PullRig(subject, 0) as rig:
        require(subject.stream in subject.kind.manifest.streams, "the manifest names the stream")
        require(inspect.iscoroutinefunction(rig.connector.pull), "pull is async")
        empty = await rig.pull(None)
        require(empty.items == () and not empty.more, "an empty stream brings nothing, at once")


async def everything_comes_once_over_all_pages(subject: PullSubject) -> None:
    """Several pages, the last one short: each object once, each event under its own id."""
    count = 2 * subject.page + 1
    async with PullRig(subject, count) as rig:
        items, cursor = await rig.drain()
        again, _ = await rig.drain(cursor)
        ids = [item.source_id for item in items]
        require(sorted(ids) == sorted(map(subject.source_id, range(count))), f"each once: {ids}")
        require(len({item.event_id for item in items}) == count, "every event has its own id")
        require(again == [], f"nothing comes again: {again}")


async def nothing_is_skipped_when_the_set_moves(subject: PullSubject) -> None:
    """Objects arrive and change between the pages: the last state of each is delivered."""
    count = 2 * subject.page + 1
    async with PullRig(subject, count) as rig:

        def move(pages: int) -> None:
            if pages <= 2:
                rig.arrive(count + pages)
                # One that was delivered, and one that is still to come.
                rig.change(pages - 1)
                rig.change(count - pages)

        items, _ = await rig.drain(between=move)
        expected = {subject.source_id(nth) for nth in (*range(count), count + 1, count + 2)}
        require({item.source_id for item in items} == expected, "every object came")
        last = {item.source_id: item.body for item in items}
        stale = [nth for nth in (0, 1, count - 1, count - 2) if not _shows(subject, last, nth)]
        require(stale == [], f"the last state of each came, but not of {stale}")


def _shows(subject: PullSubject, last: Mapping[str, bytes], nth: int) -> bool:
    body: dict[str, Any] = msgspec.json.decode(last[subject.source_id(nth)])
    return all(body.get(name) == value for name, value in subject.a_change.items())


async def nothing_is_acknowledged_before_the_cursor_is_asked_with(subject: PullSubject) -> None:
    """What was delivered and not recorded here comes again; what was recorded does not."""
    async with PullRig(subject, subject.page + 1) as rig:
        first = await rig.pull(None)
        again = await rig.pull(None)
        before = rig.streaming.acknowledged(subject.stream)
        require(again.items == first.items, "not recorded, so delivered again")
        require(before == frozenset(), f"nothing is acknowledged yet: {before}")
        following = await rig.pull(first.cursor)
        after = rig.streaming.acknowledged(subject.stream)
        delivered = {item.source_id for item in first.items}
        require(not delivered & {item.source_id for item in following.items}, "the next page")
        if subject.acknowledges:
            require(after == delivered, f"the first page is acknowledged, and no more: {after}")


async def the_same_change_has_the_same_event_id(subject: PullSubject) -> None:
    """Asked twice with one cursor, the same events under the same ids come."""
    async with PullRig(subject, subject.page + 2) as rig:
        first = await rig.pull(None)
        once = await rig.pull(first.cursor)
        twice = await rig.pull(first.cursor)
        require(bool(once.items), "the second page has items")
        require(
            [item.event_id for item in once.items] == [item.event_id for item in twice.items],
            "the same ids",
        )


async def a_change_after_delivery_is_another_event(subject: PullSubject) -> None:
    """An edit of what was delivered and acknowledged comes, once, under an id of its own."""
    async with PullRig(subject, 2) as rig:
        items, cursor = await rig.drain()
        rig.change(0)
        changed, cursor = await rig.drain(cursor)
        again, _ = await rig.drain(cursor)
        ids = [item.source_id for item in changed]
        require(ids == [subject.source_id(0)], f"the changed one came: {ids}")
        require(changed[0].event_id not in {item.event_id for item in items}, "as another event")
        require(_shows(subject, {changed[0].source_id: changed[0].body}, 0), "as it is now")
        require(again == [], "and only once")


async def a_broken_pull_loses_nothing(subject: PullSubject) -> None:
    """Whatever breaks is Transient; the same cursor then brings what it would have brought."""
    count = subject.page + 2
    async with PullRig(subject, count) as rig:
        first = await rig.pull(None)
        for do in ("reset", "drop_after_commit", "500_after_commit", "429"):
            for on in (subject.asks, "PUT /*" if subject.acknowledges else subject.asks):
                rig.fault(on, do)
                try:
                    page = await rig.pull(first.cursor)
                except Transient:
                    continue
                # A mark that was made before is not made again: then the fault met nothing.
                require(on.startswith("PUT"), f"{do} is Transient, not {page!r}")
        rig.simulator.plan.put([])
        rest, _ = await rig.drain(first.cursor)
        ids = {item.source_id for item in (*first.items, *rest)}
        require(ids == {subject.source_id(nth) for nth in range(count)}, f"all came: {ids}")


async def an_expired_token_does_not_stop_a_pull(subject: PullSubject) -> None:
    """A token that ran out is renewed within the pull, or the login is named."""
    async with PullRig(subject, 1) as rig:
        rig.fault(subject.asks, "expire_token")
        try:
            page = await rig.pull(None)
        except Transient as error:
            require(error.code == "connector_auth_failed", f"named, not {error.code}")
        else:
            require(len(page.items) == 1, "renewed, and the object came")


async def a_foreign_cursor_is_refused(subject: PullSubject) -> None:
    """A cursor that the connector did not make is no place to begin at."""
    async with PullRig(subject, 1) as rig:
        for foreign in ("", "12", '{"place": 3}', "[]"):
            try:
                await rig.pull(foreign)
            except Permanent as error:
                require(error.refusal.code == "cursor_unreadable", f"named, not {error.code}")
            else:
                require(False, f"the cursor {foreign!r} was taken")


PULL_LAWS: tuple[PullLaw, ...] = (
    the_streams_agree_with_the_methods,
    everything_comes_once_over_all_pages,
    nothing_is_skipped_when_the_set_moves,
    nothing_is_acknowledged_before_the_cursor_is_asked_with,
    the_same_change_has_the_same_event_id,
    a_change_after_delivery_is_another_event,
    a_broken_pull_loses_nothing,
    an_expired_token_does_not_stop_a_pull,
    a_foreign_cursor_is_refused,
)
