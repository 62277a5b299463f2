"""A process that owns, or attaches to, an embedded server until its standard input ends.

Run as `python -m tests.support.owner_process DATA ELSEWHERE`. It prints one line of JSON when the
server is ready.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from quaestor.store.embedded import EmbeddedServer, exit_on_termination
from quaestor.store.embedded.postmaster import PidFile

__all__ = ["OwnerProcess", "orphans_come_to_us"]

_ROOT = Path(__file__).parents[2]
# prctl(2): orphaned descendants become our children, not init's.
_PR_SET_CHILD_SUBREAPER = 36


@dataclass
class OwnerProcess:
    """Such a process, seen from a test."""

    process: subprocess.Popen[str]
    attached: bool = False
    dsn: str = ""
    server_pid: int = 0

    @classmethod
    def launch(cls, data_dir: Path, elsewhere: Path) -> Self:
        """Start the process; `ready` waits for it."""
        command = [sys.executable, "-m", __name__, str(data_dir), str(elsewhere)]
        return cls(
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT
            )
        )

    def ready(self) -> Self:
        """Wait until its server is ready."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the process ended with {self.process.wait(10)}"
        for name, value in json.loads(line).items():
            setattr(self, name, value)
        return self

    def let_go(self) -> int:
        """End its standard input and wait for its end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(30)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@contextmanager
def orphans_come_to_us() -> Iterator[None]:
    """Make this process what PID 1 is in many containers: a parent that never reaps. Linux."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0, ctypes.get_errno()
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def main() -> None:
    data_dir, elsewhere = Path(sys.argv[1]), Path(sys.argv[2])
    with exit_on_termination(), EmbeddedServer.start(data_dir, elsewhere=elsewhere) as server:
        claim = PidFile.read(server.cluster)
        ready = {
            "attached": server.attached,
            "dsn": server.dsn,
            "server_pid": claim.pid if claim else 0,
        }
        print(json.dumps(ready), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
