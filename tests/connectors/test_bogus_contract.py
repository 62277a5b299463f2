"""Bogus passes the contract suite with every guarantee, and is caught when it lies."""

from __future__ import annotations

import pytest

from quaestor.connectors.kit.rig import ContractBroken
from quaestor.connectors.kit.suite import CHECKS, Check, the_claimed_guarantee_is_true
from tests.connectors.subjects import bogus

GUARANTEES = ("key", "unique", "search", "repeatable", "none")


@pytest.mark.parametrize("guarantee", GUARANTEES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_bogus_keeps_the_contract(check: Check, guarantee: str) -> None:
    subject = bogus(guarantee)

    await check(subject)


@pytest.mark.parametrize("claimed", ["key", "unique"])
async def test_a_falsely_claimed_guarantee_is_caught(claimed: str) -> None:
    liar = bogus(claimed, kept="search")

    with pytest.raises(ContractBroken, match=f"{claimed.upper()} is claimed, and 2 documents"):
        await the_claimed_guarantee_is_true(liar)
