"""One server for all simulations of a test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation.server import Server, serving

__all__ = ["simulations"]


@pytest.fixture(scope="session")
def simulations() -> Iterator[Server]:
    """Where plans are run."""
    with serving() as server:
        yield server
