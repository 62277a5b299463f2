"""What a browser says about itself and its form: read strictly, pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

__all__ = ["is_loopback", "is_own_form", "read_form", "safe_return"]

HOME = "/console/"

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_FIELDS_MAX = 8


def is_own_form(headers: Mapping[str, str]) -> bool:
    """Whether a POST came from a page of this origin, as the browser itself says.

    `Sec-Fetch-Site` decides where it is sent; over plain HTTP browsers send only `Origin`, which
    then names our host. Who sends neither is no browser that we know.
    """
    site = headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = headers.get("origin")
    if origin is None:
        return site is not None
    return bool(headers.get("host")) and urlsplit(origin).netloc == headers["host"]


def is_loopback(host: str) -> bool:
    """Whether the browser reached us on its own machine, by the `Host` header."""
    try:
        return urlsplit(f"//{host}").hostname in _LOOPBACK
    except ValueError:
        return False


def safe_return(path: str) -> str:
    """Where to go after the sign-in: a page of the console, or its home."""
    odd = not path.isprintable() or "\\" in path or "//" in path.partition("?")[0]
    return HOME if odd or not path.startswith(HOME) or len(path) > 1000 else path


def read_form(body: bytes) -> dict[str, str]:
    """The fields of a form, the first of each name; nothing of one that is not a form."""
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=_FIELDS_MAX, errors="strict"
        )
    except ValueError:
        return {}
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found
