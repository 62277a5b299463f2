"""Coupa passes the contract suite of the kit, and keeps the laws of pulling in every stream."""

from __future__ import annotations

import pytest

from quaestor.connectors.kit.pull_suite import PULL_LAWS, PullLaw
from quaestor.connectors.kit.suite import CHECKS, Check
from tests.connectors.coupa.subjects import coupa, coupa_stream


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_coupa_keeps_the_contract(check: Check) -> None:
    subject = coupa()

    await check(subject)


@pytest.mark.parametrize("stream", ["requisitions", "suppliers", "accounts"])
@pytest.mark.parametrize("law", PULL_LAWS, ids=lambda law: law.__name__)
async def test_coupas_streams_keep_the_laws_of_pulling(law: PullLaw, stream: str) -> None:
    subject = coupa_stream(stream)

    await law(subject)
