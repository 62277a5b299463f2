"""The README of a new project, and a first requisition to send."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from quaestor.project.starter.choosing import Chosen

__all__ = ["FIRST", "guide_files"]

FIRST = "requisitions/first.json"

_README = """\
# {name}

A Quaestor project: {systems}. It was written by `quaestor init`{how}.

## The next five commands

```
quaestor project check {path}
quaestor up --project {path} --data {path}-data
quaestor token --data {path}-data --entity acme-de --scope requisitions:write approvals:decide
curl http://127.0.0.1:8700/v1/requisitions -H "Authorization: Bearer $TOKEN" \\
     -H "Content-Type: application/json" -H "Idempotency-Key: first" \\
     --data @{path}/requisitions/first.json
quaestor trace {number} --data {path}-data
```

`up` stays; use a second terminal for the others, and put what `token` prints into `TOKEN`. It is
good for requisitions, and for bringing the approval that this one has.{undecided}
`quaestor down --data {path}-data` stops it all.

## What is what

| File | |
|---|---|
| `quaestor.toml` | the systems, with every option there is |
| `entities.yaml` | legal entities |
| `ownership.yaml` | whose each object is, and who decides |
| `directory/people.yaml` | people, managers, limits, logins |
| `masterdata/` | suppliers, cost centers, accounts |
| `crosswalks/` | their codes for ours |
| `policies/` | approvals, budget, validation |
| `calendars/` | fiscal years, holidays |
| `requisitions/first.json` | a requisition that becomes an order |

## To the real systems

1. In `quaestor.toml`, for one system after the other: delete `simulate = true`, give `base_url` and
   `auth`, and `mode = "observe"`: it is read, and nothing is sent to it.
2. Put the secrets where the references say{secrets}.
3. `quaestor connector check --project {path}` says what is missing, and where to switch it on.
4. Watch for a week, then set `mode = "live"`. What was held until then waits for a person.
"""


def guide_files(
    chosen: Chosen, name: str, path: str, at: datetime, *, real: bool
) -> Mapping[str, str]:
    """The files by name; `path` is the folder as it was asked for."""
    titles = [kind.manifest.title for kind in chosen.kinds.values()]
    text = _README.format(
        name=name,
        path=path,
        number=_NUMBER,
        systems="; ".join(titles),
        how=", with a simulator in the place of each system" if not real else "",
        undecided=_UNDECIDED.format(decider=chosen.approvals) if chosen.approvals else "",
        secrets=": environment variables, named in quaestor.toml",
    )
    first = json.dumps(_requisition(chosen, at), indent=2, ensure_ascii=False)
    return {"README.md": text, FIRST: first + "\n"}


_UNDECIDED = """ Without its `approval`,
and with another `source_id` and Idempotency-Key, it is handed to {decider}, which decides."""
_NUMBER = "FIRST-1"


def _requisition(chosen: Chosen, at: datetime) -> object:
    """From a portal of one's own; approved by the manager, whose limit is enough."""
    return {
        "source_system": "portal",
        "source_id": _NUMBER,
        "entity": "acme-de",
        "requester": "ana.berger",
        "title": "Laptops for the service desk",
        "currency": "EUR",
        "total": "3600.00",
        "lines": [
            {
                "number": 1,
                "description": "Laptop 14 inch",
                "supplier": "helio-systems",
                "category": "it_hardware",
                "quantity": "3",
                "uom": "EA",
                "unit_price": "1200.00",
                "amount": "3600.00",
                "splits": [
                    {
                        "coding": {"cost_center": "it-de", "gl_account": "it-hardware"},
                        "amount": "3600.00",
                    }
                ],
            }
        ],
        "approval": {
            "decided_by": chosen.decider,
            "version": 1,
            "decisions": [
                {
                    "approver": "ben.koch",
                    "verdict": "approved",
                    "decided_at": (at - timedelta(minutes=5)).isoformat(timespec="seconds"),
                }
            ],
        },
    }
