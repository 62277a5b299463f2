"""The contract suite fails where a connector breaks the contract: each mistake is planted once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as changed
from itertools import count
from typing import Any

import pytest
from msgspec.structs import replace

from quaestor.connectors.bogus.config import BogusConfig
from quaestor.connectors.bogus.connector import BogusConnector
from quaestor.connectors.kit import suite
from quaestor.connectors.kit.contract import (
    Absent,
    Ambiguous,
    Applied,
    Command,
    Found,
    Permanent,
    Rejected,
    Several,
    Submitted,
    Transient,
)
from quaestor.connectors.kit.rig import CANARY, ContractBroken
from quaestor.connectors.kit.suite import Check
from quaestor.connectors.kit.wires.http import HttpWire
from quaestor.model.refusal import refuse
from tests.connectors.subjects import bogus


class TakesSilenceForARefusal(BogusConnector):
    async def submit(self, command: Command, stored: bytes) -> Submitted:
        try:
            return await super().submit(command, stored)
        except Ambiguous:
            return Rejected(refuse("erp_rejected", code="silence"))


class TakesSilenceForNothing(BogusConnector):
    async def submit(self, command: Command, stored: bytes) -> Submitted:
        try:
            return await super().submit(command, stored)
        except Ambiguous as error:
            raise Transient(error.reason) from None


class SendsAgainByItself(BogusConnector):
    async def submit(self, command: Command, stored: bytes) -> Submitted:
        try:
            return await super().submit(command, stored)
        except Ambiguous:
            return await super().submit(command, stored)


class FindsNothing(BogusConnector):
    async def find(self, command: Command) -> Found:
        await super().find(command)
        return Absent()


class PicksOne(BogusConnector):
    async def find(self, command: Command) -> Found:
        found = await super().find(command)
        return Applied(found.numbers[0]) if isinstance(found, Several) else found


class FindsAnything(BogusConnector):
    async def find(self, command: Command) -> Found:
        found = await super().find(command)
        return Applied("B000001") if isinstance(found, Absent) else found


class RendersAtRandom(BogusConnector):
    numbers = count()

    def render(self, command: Command) -> bytes:
        return super().render(command).replace(b"}", b" " * (next(self.numbers) % 7) + b"}")


class RendersWithoutTheReference(BogusConnector):
    def render(self, command: Command) -> bytes:
        return super().render(replace(command, key="always the same"))


class TellsItsToken(BogusConnector):
    async def submit(self, command: Command, stored: bytes) -> Submitted:
        try:
            return await super().submit(command, stored)
        except Ambiguous as error:
            raise Ambiguous(f"{error.reason} with {CANARY}") from None


class StumblesOverWhatIsNew(BogusConnector):
    async def find(self, command: Command) -> Found:
        found = await super().find(command)
        rows = await self._client.orders(f"reference={command.key}")
        if any("ZZ_Unannounced" in row["order"] for row in rows):
            raise Permanent("an unknown field", refuse("connector_refused"))
        return found


class IgnoresTheWishToWait(BogusConnector):
    async def submit(self, command: Command, stored: bytes) -> Submitted:
        try:
            return await super().submit(command, stored)
        except Transient as error:
            raise Transient(error.reason, code=error.code, system=error.system) from None


class HidesTheRefusal(BogusConnector):
    async def submit(self, command: Command, stored: bytes) -> Submitted:
        answer = await super().submit(command, stored)
        return Applied("B000001") if isinstance(answer, Rejected) else answer


class DeclaresWhatItCannot(BogusConnector):
    @property
    def manifest(self) -> Any:
        actions = super().manifest.actions
        return replace(super().manifest, actions={**actions, "pay": actions["create_order"]})


PLANTED: list[tuple[Callable[[BogusConfig, HttpWire], BogusConnector], Check]] = [
    (TakesSilenceForARefusal, suite.a_lost_answer_is_ambiguous_and_then_found),
    (TakesSilenceForARefusal, suite.a_proxys_502_is_ambiguous),
    (TakesSilenceForARefusal, suite.an_answer_cut_anywhere_is_never_taken_for_a_fact),
    (TakesSilenceForNothing, suite.a_500_after_commit_is_ambiguous_and_then_found),
    (TakesSilenceForNothing, suite.a_hang_is_cut_by_the_total_timeout),
    (SendsAgainByItself, suite.a_lost_answer_is_ambiguous_and_then_found),
    (SendsAgainByItself, suite.a_reset_before_commit_is_ambiguous_and_leaves_nothing),
    (FindsNothing, suite.what_was_submitted_is_found),
    (FindsNothing, suite.a_late_commit_is_found_after_a_first_absent),
    (PicksOne, suite.the_claimed_guarantee_is_true),
    (FindsAnything, suite.another_reference_is_not_ours),
    (RendersAtRandom, suite.rendering_is_pure_and_deterministic),
    (RendersWithoutTheReference, suite.rendering_is_pure_and_deterministic),
    (TellsItsToken, suite.no_secret_is_ever_shown),
    (StumblesOverWhatIsNew, suite.unknown_fields_are_tolerated),
    (IgnoresTheWishToWait, suite.a_429_is_obeyed),
    (HidesTheRefusal, suite.a_refusal_is_the_applications_own_word),
    (DeclaresWhatItCannot, suite.the_manifest_agrees_with_the_methods),
]


@pytest.mark.parametrize(("mistake", "check"), PLANTED, ids=lambda one: one.__name__)
async def test_a_planted_mistake_is_caught(
    mistake: Callable[[BogusConfig, HttpWire], BogusConnector], check: Check
) -> None:
    good = bogus("search")
    planted = changed(good, kind=replace(good.kind, build=mistake), found_within_s=0.3)

    with pytest.raises(ContractBroken):
        await check(planted)
