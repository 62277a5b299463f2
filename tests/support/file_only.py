"""The example project without its procurement and approval systems.

Documents and decisions come as files or over HTTP, and SAP alone is sent to: for tests of what is
behind the door, which neither pull nor hand anything over. Budgets are our own.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

__all__ = ["EXAMPLE", "file_only", "file_only_example", "file_only_settings", "with_own_budgets"]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "it-hardware"
_SYSTEMS = """\
[systems.coupa]
connector = "coupa"
base_url = "https://acme.coupahost.com"
sends = false
total_timeout_s = 3

[systems.coupa.auth]
client_id = "env:COUPA_CLIENT_ID"
client_secret = "env:COUPA_CLIENT_SECRET"

[systems.coupa.segments]
company = 1
cost_center = 2
gl_account = 3

[systems.workday]
connector = "none"

"""


def file_only_settings() -> str:
    """The example's quaestor.toml, with Coupa and Workday as systems that are only named."""
    text = (EXAMPLE / "quaestor.toml").read_text(encoding="utf-8")
    head, _, rest = text.partition("[systems.coupa]")
    return head + _SYSTEMS + rest[rest.index("[systems.sap]") :]


def file_only(folder: Path) -> Path:
    """A copy of the example made so, as `folder`."""
    shutil.copytree(EXAMPLE, folder)
    (folder / "quaestor.toml").write_text(file_only_settings(), encoding="utf-8")
    with_own_budgets(folder)
    return folder


def with_own_budgets(folder: Path) -> None:
    """In this copy of the example no planning system states the budgets."""
    budgets = folder / "policies" / "budget.yaml"
    lines = budgets.read_text(encoding="utf-8").splitlines(keepends=True)
    ours = [line for line in lines if not line.startswith(("source:", "mode:", "max_age_s:"))]
    budgets.write_text("".join(ours), encoding="utf-8")


@cache
def file_only_example() -> Path:
    """One such copy for all tests that only read it."""
    place = Path(tempfile.mkdtemp(prefix="quaestor-file-only-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return file_only(place / "it-hardware")
