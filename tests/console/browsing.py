"""A browser's part over HTTP: forms, cookies, and what a page holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

import aiohttp

from tests.support.gateway import Gateway

__all__ = ["Seen", "Visitor", "entries", "text_of"]


@dataclass
class Seen:
    """A page."""

    status: int
    headers: Mapping[str, str]
    html: str


@dataclass
class Visitor:
    """Somebody at a browser without scripts; keeps the session's cookie and follows nothing."""

    gateway: Gateway
    session: aiohttp.ClientSession
    cookie: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    async def see(self, path: str, method: str = "GET", **form: str) -> Seen:
        """One request; `form` is what a POST carries."""
        sent = {"Cookie": self.cookie, **self.headers}
        data = None
        if method == "POST":
            sent = {"Sec-Fetch-Site": "same-origin", "Origin": self.gateway.url, **sent}
            sent["Content-Type"] = "application/x-www-form-urlencoded"
            data = urlencode(form).encode()
        async with self.session.request(
            method, self.gateway.url + path, data=data, headers=sent, allow_redirects=False
        ) as answer:
            if "Set-Cookie" in answer.headers:
                self.cookie = answer.headers["Set-Cookie"].partition(";")[0]
            return Seen(answer.status, answer.headers, await answer.text())

    async def sign_in(self, token: str, to: str = "/console/") -> Seen:
        """Paste a token."""
        return await self.see("/console/sign-in", "POST", token=token, next=to)


def entries(html: str) -> list[tuple[int, str, str]]:
    """The steps of a page, in their order: entry, effect, outcome."""
    found = re.findall(r'data-entry="(\d+)" data-effect="([^"]*)" data-outcome="([^"]*)"', html)
    return [(int(entry), effect, outcome) for entry, effect, outcome in found]


def text_of(html: str) -> str:
    """What a person reads of it."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())
