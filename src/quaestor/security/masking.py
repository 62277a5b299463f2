"""Masking: what must not be read in logs, traces, errors and the audit trail."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from quaestor.security.secrets import Secret

__all__ = ["MASK", "is_secret_name", "mask_account", "mask_secrets", "mask_values"]

MASK = "***"
SECRET_CHARS_MIN = 4

# Compared without case, dashes and underscores, as the end of a name: `sap_password` is one.
_SECRET_ENDINGS = (
    "apikey",
    "authorization",
    "clientsecret",
    "cookie",
    "credential",
    "credentials",
    "passphrase",
    "password",
    "privatekey",
    "secret",
    "sharedsecret",
    "token",
)
_ACCOUNT_ENDINGS = ("accountnumber", "bankaccount", "iban")


def is_secret_name(name: str) -> bool:
    """Whether a member of this name holds a secret, by its name alone."""
    return _bare(name).endswith(_SECRET_ENDINGS)


def mask_account(number: str) -> str:
    """A bank account number or IBAN as it may be shown: its last four characters."""
    bare = re.sub(r"\s", "", number)
    return MASK + bare[-4:] if len(bare) > 8 else MASK


def mask_secrets(text: str, secrets: Iterable[str]) -> str:
    """The text with each known secret masked, longest first: one may contain another."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SECRET_CHARS_MIN:
            text = text.replace(secret, MASK)
    return text


def mask_values(value: Any) -> Any:
    """A JSON-like value with secrets and account numbers masked by the names of their members.

    What is neither a mapping, a sequence nor a `Secret` is returned as it is.
    """
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, Mapping):
        return {name: _masked(str(name), member) for name, member in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return [mask_values(member) for member in value]
    return value


def _masked(name: str, value: Any) -> Any:
    if is_secret_name(name) and value is not None:
        return MASK
    if _bare(name).endswith(_ACCOUNT_ENDINGS) and isinstance(value, str):
        return mask_account(value)
    return mask_values(value)


def _bare(name: str) -> str:
    return re.sub(r"[-_. ]", "", name).casefold()
