"""What we ask Coupa for: the `fields` of each resource, and nothing beside them.

Without `fields` Coupa delivers whole objects with all they refer to, several hundred kilobytes for
a requisition ("API Return Formats"). Names are dashed, as in Coupa's own playbooks and answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from quaestor.connectors.coupa.fields import ACCOUNT, ALLOCATION, HEADER, LINE, REFERENCES
from quaestor.connectors.coupa.manifest import ACCOUNTS, REQUISITIONS, SUPPLIERS, USERS
from quaestor.connectors.kit.loss import Disposition

__all__ = ["BOOKKEEPING", "FIELDS", "PATHS", "Field", "digest_of", "fields_text", "member"]

Field = str | Mapping[str, tuple["Field", ...]]

# Moves by itself, also when nothing of the document's own did.
BOOKKEEPING = ("exported", "last-exported-at", "updated-at", "updated-by")

# Taken in by Coupa under this name, given out under another ("Requisitions API", Elements).
_GIVEN_IN_ONLY = frozenset({"requester"})

# A code in one release and an object in another; asked for as a whole.
_WHOLE = frozenset({"currency"})


def _of(table: Mapping[str, Disposition], below: Mapping[str, tuple[Field, ...]]) -> list[Field]:
    """The mapped members of one object, those of its parts from `below` and `REFERENCES`."""
    parts: dict[str, tuple[Field, ...]] = {**REFERENCES, **below}
    names = [
        name
        for name, disposition in table.items()
        if disposition.kind == "mapped" and name not in _GIVEN_IN_ONLY
    ]
    return [{name: parts[name]} if name in parts and name not in _WHOLE else name for name in names]


_ACCOUNT: tuple[Field, ...] = ("id", *_of(ACCOUNT, {}))
_ALLOCATION = tuple(_of(ALLOCATION, {"account": _ACCOUNT}))
_LINE = ("id", *_of(LINE, {"account": _ACCOUNT, "account-allocations": _ALLOCATION}))
_REQUISITION = (*_of(HEADER, {"requisition-lines": _LINE}), "exported", "updated-at")

PATHS = {name: f"/{name}" for name in (REQUISITIONS, SUPPLIERS, USERS, ACCOUNTS)}

FIELDS: Mapping[str, tuple[Field, ...]] = {
    REQUISITIONS: _REQUISITION,
    SUPPLIERS: (
        "id",
        "name",
        "display-name",
        "number",
        "status",
        "on-hold",
        "buyer-hold",
        "one-time-supplier",
        {"payment-term": ("code",)},
        "updated-at",
    ),
    USERS: (
        "id",
        "login",
        "email",
        "employee-number",
        "firstname",
        "lastname",
        "active",
        {"manager": ("login",)},
        {"department": ("name",)},
        "updated-at",
    ),
    ACCOUNTS: (
        "id",
        "name",
        "code",
        "active",
        {"account-type": ("id", "name")},
        *(f"segment-{number}" for number in range(1, 21)),
        "updated-at",
    ),
}


def fields_text(fields: tuple[Field, ...]) -> str:
    """The value of the `fields` parameter, not percent-encoded yet."""
    return msgspec.json.encode(fields).decode()


def member(value: Mapping[str, Any], name: str) -> Any:
    """The member under its dashed or its underscored name; `None` where it is not given."""
    found = value.get(name)
    return value.get(name.replace("-", "_")) if found is None else found


def digest_of(value: Any) -> str:
    """Of an object without what moves by itself: the same for dashed and underscored names."""
    plain = _plain(value)
    own = {name: one for name, one in plain.items() if name not in BOOKKEEPING}
    return hashlib.sha256(msgspec.json.encode(own, order="deterministic")).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name.replace("_", "-"): _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value
