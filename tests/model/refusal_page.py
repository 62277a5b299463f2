"""The page docs/refusals.md, from the one table. `python -m tests.model.refusal_page` prints it."""

from __future__ import annotations

from quaestor.model.refusal import REFUSALS

__all__ = ["HEAD", "page"]

HEAD = """# Refusals

Every refusal has a name, and somebody who can act on it. The table is made from
`src/quaestor/model/refusal.py`; nothing else makes codes.

- **requester**: change the document, or ask for something else.
- **finance**: decide, complete master data, or settle it in the ledger.
- **operator**: repair the integration.

| Code | Meaning | Owner |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    rows = (f"| `{kind.code}` | {kind.meaning} | {kind.owner} |" for kind in REFUSALS.values())
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(page(), end="")
