"""A server that lacks what our transactions rely on is refused by name."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from quaestor.store.database import Database
from quaestor.store.embedded import wheel_binaries
from quaestor.store.embedded.account import Account
from quaestor.store.embedded.cluster import server_environment
from quaestor.store.errors import ServerTooOld
from tests.support.accounts import NOBODY, is_root

pytestmark = pytest.mark.slow


@pytest.fixture
def postgresql_16(place: Path) -> Iterator[str]:
    """The DSN of a running PostgreSQL 16, which the wheel brings along."""
    binaries = wheel_binaries().parents[1] / "pginstall" / "bin"
    if not binaries.exists():
        pytest.skip("the wheel brings no PostgreSQL 16 along")
    account = Account(NOBODY, NOBODY) if is_root else Account(os.geteuid(), os.getegid())
    home = place / "old"
    home.mkdir(mode=0o700)
    os.chown(home, account.uid, account.gid)
    common = {"env": server_environment(), "stdout": subprocess.DEVNULL, **account.switch}
    initdb = [binaries / "initdb", "-D", home / "data", "-U", "postgres", "-A", "trust"]
    subprocess.run(initdb, check=True, **common)
    start = ["-D", home / "data", "-c", "listen_addresses=", "-k", home]
    with subprocess.Popen(
        [binaries / "postgres", *start], stderr=subprocess.DEVNULL, **common
    ) as server:
        deadline = time.monotonic() + 30
        while "ready" not in read_if_there(home / "data" / "postmaster.pid"):
            assert time.monotonic() < deadline, "PostgreSQL 16 did not start"
        yield f"postgresql://postgres@/postgres?host={quote(str(home), safe='')}"
        server.terminate()


def read_if_there(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def test_a_server_older_than_17_is_refused(postgresql_16: str) -> None:
    with pytest.raises(ServerTooOld, match=r"This is 16\."):
        await Database.connect(postgresql_16, role=None, application_name="tests")
