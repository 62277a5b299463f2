"""The law can fail: every planted mistake is caught by a schedule, and by the law it breaks."""

from __future__ import annotations

import pytest

from quaestor.connectors.kit.contract import Guarantee
from tests.runtime.posting import plants
from tests.runtime.posting.conduct import Conduct
from tests.runtime.posting.schedules import first_broken, play

SEEDS = range(3_000)

CAUGHT = [
    (plants.RecordsAfterSending(), Guarantee.SEARCH, "second_document"),
    (plants.RecordsAfterSending(), Guarantee.NONE, "second_document"),
    (plants.TrustsAbsenceTooEarly(), Guarantee.SEARCH, "second_document"),
    (plants.ForgetsOnAmbiguous(), Guarantee.SEARCH, "second_document"),
    (plants.ForgetsOnAmbiguous(), Guarantee.NONE, "second_document"),
    (plants.ForgetsOnTransient(), Guarantee.SEARCH, "second_document"),
    (plants.ForgetsOnTransient(), Guarantee.KEY, "second_document"),
    (plants.ForgetsOnTransient(), Guarantee.UNIQUE, "document_nobody_owns"),
    (plants.ShowsADuplicateAsRejected(), Guarantee.UNIQUE, "document_nobody_owns"),
    (plants.BelievesARejectionInDoubt(), Guarantee.UNIQUE, "document_nobody_owns"),
    (plants.AnswersABadGatewayWithRejected(), Guarantee.SEARCH, "document_nobody_owns"),
    (plants.AnswersABadGatewayWithTransient(), Guarantee.SEARCH, "second_document"),
    (plants.ResendsAfterWithdrawal(), Guarantee.KEY, "create_after_withdrawal"),
    (plants.ResendsAfterWithdrawal(), Guarantee.UNIQUE, "create_after_withdrawal"),
    (plants.ForgetsTheWithdrawal(), Guarantee.SEARCH, "create_after_withdrawal"),
    (plants.SettlesFromTheStartOfTheLease(), Guarantee.SEARCH, "second_document"),
]


def _name(value: object) -> str:
    return value if isinstance(value, str) else type(value).__name__


@pytest.mark.parametrize(("conduct", "guarantee", "law"), CAUGHT, ids=_name)
def test_a_planted_mistake_is_caught(conduct: Conduct, guarantee: Guarantee, law: str) -> None:
    caught = next(
        (seed for seed in SEEDS if law in play(guarantee, seed, conduct=conduct).laws),
        None,
    )

    assert caught is not None, f"{type(conduct).__name__} went unnoticed under {guarantee}"
    assert play(guarantee, caught).laws == ()


@pytest.mark.parametrize("kept", [Guarantee.SEARCH, Guarantee.NONE])
def test_a_system_that_falsely_claims_to_remember_keys_is_caught(kept: Guarantee) -> None:
    caught = first_broken(Guarantee.KEY, SEEDS, kept=kept)

    assert caught is not None
    assert "second_document" in caught.laws


def test_the_core_survives_a_connector_that_shows_a_duplicate_as_rejected() -> None:
    conduct = plants.TranslatesADuplicateAsRejected()

    broken = first_broken(Guarantee.UNIQUE, range(500), conduct=conduct)

    assert broken is None, broken
