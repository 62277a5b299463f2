"""What bogus can promise: whatever the installation asks it to."""

from __future__ import annotations

from quaestor.connectors.kit.contract import ActionGuarantee, Guarantee, Manifest

__all__ = ["MANIFEST"]

MANIFEST = Manifest(
    kind="bogus",
    title="Bogus, a vendor of our own for tests and demonstrations",
    actions={
        "create_order": ActionGuarantee(Guarantee.KEY),
        "cancel_order": ActionGuarantee(Guarantee.REPEATABLE),
    },
)
