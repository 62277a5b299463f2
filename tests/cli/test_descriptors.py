"""A gateway takes more connections than a shell allows for."""

from __future__ import annotations

import subprocess
import sys

SHOW = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
from quaestor.cli.descriptors import allow_connections
allow_connections()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_open_files_are_allowed_as_far_as_the_system_lets_us() -> None:
    said = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True)

    soft, hard = map(int, said.stdout.split())
    assert soft == (min(hard, 65_536) if hard > 0 else 65_536)
