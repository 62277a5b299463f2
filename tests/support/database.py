"""A real PostgreSQL for the tests: one server per test process, one fresh database per test.

The server is the product's own embedded one. A database is a copy of a migrated template, so a
test starts with an empty schema and leaves nothing to the next.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
import pytest_asyncio

from quaestor.store.database import Database
from quaestor.store.embedded import EmbeddedServer, EmbeddedServerError, stop_left_behind
from quaestor.store.embedded.lock import OwnerLock
from quaestor.store.migrate import migrate

__all__ = [
    "TestDatabase",
    "asked",
    "database",
    "database_server",
    "database_template",
    "empty_database",
    "initialised",
    "place",
    "prepared",
    "roomy_memory",
    "session_directory",
    "session_place",
]

T = TypeVar("T")

_MEMORY_BYTES_MIN = 2 * 1024**3
TEMPLATE = "quaestor_template"

# A test's data need not survive a power cut. Everything else is as in production.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "file_copy_method": "clone",
}
_STRATEGY = "strategy file_copy"
_names = (f"test_{number}" for number in itertools.count(1))


class TestDatabase:
    """One database of the test server."""

    __test__ = False

    def __init__(self, server: EmbeddedServer, name: str) -> None:
        self.server = server
        self.name = name
        self.dsn = server.dsn_of(name)
        self._opened: list[Database] = []

    async def connect(self, role: str | None = None, **options: Any) -> Database:
        """A pool on this database, closed with the test; `options` as `Database.connect` has."""
        options = {"application_name": "tests", "min_size": 0, **options}
        opened = await Database.connect(self.dsn, role=role, **options)
        self._opened.append(opened)
        return opened

    async def close(self) -> None:
        """Close all pools at once, also those with connections at work."""
        for opened in self._opened:
            await opened.terminate()


@pytest.fixture(scope="session")
def session_place() -> Iterator[Path]:
    """A directory of this test process that the account of root's servers can pass through.

    (pytest's own temporary directories are closed to it.) It lies in memory where there is room:
    databases come and go there many times faster than on a disk that others use. Whatever is in
    it goes with the session, servers included; what a killed session left goes with the next one.
    """
    with session_directory(roomy_memory() or Path(tempfile.gettempdir())) as directory:
        yield directory


@pytest.fixture
def place(session_place: Path) -> Iterator[Path]:
    """An empty directory for this test alone, below `session_place`."""
    directory = Path(tempfile.mkdtemp(dir=session_place, prefix="place-"))
    directory.chmod(0o711)
    yield directory
    _remove(directory)


@pytest.fixture(scope="session")
def initialised(session_place: Path) -> Path:
    """A data directory with a server's files and no server. To be copied, not used."""
    data_dir = session_place / "initialised"
    EmbeddedServer.start(data_dir, elsewhere=session_place).stop()
    return data_dir


@pytest.fixture
def prepared(place: Path, initialised: Path) -> Path:
    """As `place`, with a `data` in it that has been initialised already; that takes a second."""
    subprocess.run(["cp", "-a", initialised, place / "data"], check=True)
    return place


@pytest.fixture(scope="session")
def database_server(session_place: Path) -> Iterator[EmbeddedServer]:
    """The server of this test process."""
    data_dir = session_place / "server"
    with EmbeddedServer.start(data_dir, settings=_SETTINGS, elsewhere=session_place) as server:
        yield server


@pytest.fixture(scope="session")
def database_template(database_server: EmbeddedServer) -> str:
    """The name of a database with all migrations applied."""
    _in_own_loop(_make_template(database_server))
    return TEMPLATE


@pytest_asyncio.fixture
async def database(
    database_server: EmbeddedServer, database_template: str
) -> AsyncIterator[TestDatabase]:
    """A migrated, empty database for this test alone."""
    async for made in _database(database_server, database_template):
        yield made


@pytest_asyncio.fixture
async def empty_database(database_server: EmbeddedServer) -> AsyncIterator[TestDatabase]:
    """A database without any schema, for this test alone."""
    async for made in _database(database_server, "template1"):
        yield made


async def _database(server: EmbeddedServer, template: str) -> AsyncIterator[TestDatabase]:
    made = TestDatabase(server, next(_names))
    await _execute(server, f"create database {made.name} template {template} {_STRATEGY}")
    try:
        yield made
    finally:
        await made.close()
        await _execute(server, f"drop database {made.name} with (force)")


async def _make_template(server: EmbeddedServer) -> None:
    await _execute(server, f"create database {TEMPLATE}")
    await migrate(server.dsn_of(TEMPLATE))


async def _execute(server: EmbeddedServer, statement: str) -> None:
    connection = await asyncpg.connect(server.dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def asked(dsn: str, query: str) -> Any:
    """The first value that `query` answers, for tests that are plain functions."""

    async def ask() -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return _in_own_loop(ask())


def _in_own_loop(work: Coroutine[Any, Any, T]) -> T:
    # A thread of its own: the loop of the test that asks first is none of our business.
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, work).result()


def roomy_memory() -> Path | None:
    """A file system in memory, if there is one with room. Programs may not run from it."""
    memory = Path("/dev/shm")
    try:
        room = os.statvfs(memory)
    except OSError:
        return None
    roomy = room.f_bavail * room.f_frsize > _MEMORY_BYTES_MIN
    return memory if roomy and os.access(memory, os.W_OK | os.X_OK) else None


@contextmanager
def session_directory(base: Path) -> Iterator[Path]:
    """A directory below `base` that is swept up even after this process was killed."""
    root = base / f"quaestor-tests-{os.geteuid()}"
    root.mkdir(mode=0o711, exist_ok=True)
    _sweep(root)
    directory = Path(tempfile.mkdtemp(dir=root, prefix="session-"))
    directory.chmod(0o711)
    lock = OwnerLock(directory / "session.lock")
    assert lock.acquire(), "a sweeping twin was faster; run the tests again"
    try:
        yield directory
    finally:
        _remove(directory)
        lock.release()


def _sweep(root: Path) -> None:
    """Remove what killed sessions left behind; a living one keeps its lock."""
    for session in root.glob("session-*"):
        lock = OwnerLock(session / "session.lock")
        if (session / "session.lock").exists() and lock.acquire():
            _remove(session)
            lock.release()


def _remove(directory: Path) -> None:
    for lock in directory.rglob("postgres.lock"):
        with suppress(EmbeddedServerError):
            stop_left_behind(lock.parent)
    shutil.rmtree(directory, ignore_errors=True)
