"""The pages in a real browser: nothing from elsewhere, no script needed, legible for everybody."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.console.test_pages import submitted
from tests.support.database import TestDatabase
from tests.support.gateway import Gateway, a_line_body, until, worker_on

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the path"),
]

PATHS = (
    "/console/",
    "/console/?q=R-9",
    "/console/trace/R-1",
    "/console/work",
    "/console/systems",
    "/console/systems/sap",
    "/console/nowhere",
)
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
LOOKS = [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]
_TARGETS = """
() => [...document.querySelectorAll('a, button, input, textarea, summary')]
    .map(each => [each, each.getBoundingClientRect()])
    .filter(([each, box]) => box.width && box.height && !each.closest('.skip'))
    .filter(([each, box]) => box.height < 24 || box.width < 24)
    .filter(([each]) => getComputedStyle(each).display !== 'inline')
    .map(([each, box]) => `${each.outerHTML.slice(0, 80)}: ${box.width} x ${box.height}`)
"""


@dataclass
class Window:
    """A page in a browser, and what it asked for and complained of."""

    page: Page
    url: str
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    async def open(self, path: str) -> None:
        await self.page.goto(self.url + path)

    async def paths(self) -> list[str]:
        """Every page there is, with one of each kind that is led to."""
        found = list(PATHS)
        for path, link in (("/console/work", "a.big"), ("/console/trace/R-1", ".more p a")):
            await self.open(path)
            found.append(str(await self.page.locator(link).first.get_attribute("href")))
        return found

    async def sign_in(self, token: str, path: str = "/console/") -> None:
        """As a person does it."""
        await self.open(path)
        await self.page.get_by_label("Your token").fill(token)
        async with self.page.expect_navigation(url=lambda url: "sign-in" not in url):
            await self.page.get_by_role("button", name="Sign in").click()


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture
async def purchases(database: TestDatabase, gateway: Gateway) -> None:
    """One that is ordered, and one that waits for finance."""
    async with worker_on(database, gateway) as pool:
        await submitted(gateway, "R-1")
        await submitted(gateway, "R-2", lines=[a_line_body(category="it_network")])
        await until(pool, "select count(*) = 1 from quaestor.work where outcome = 'ordered'")
        await until(pool, "select count(*) = 1 from quaestor.work where parked_at is not null")


async def window(browser: Browser, gateway: Gateway, **options: Any) -> Window:
    """A window of its own, with nothing remembered."""
    context: BrowserContext = await browser.new_context(**options)
    opened = Window(await context.new_page(), gateway.url)
    opened.page.on("request", lambda request: opened.asked.append(request.url))
    opened.page.on("console", lambda message: opened.said.append(message.text))
    opened.page.on("pageerror", lambda error: opened.said.append(str(error)))
    return opened


@pytest.mark.usefixtures("purchases")
async def test_a_person_signs_in_finds_a_purchase_and_reads_its_way(
    chromium: Browser, gateway: Gateway
) -> None:
    seen = await window(chromium, gateway, java_script_enabled=False)
    await seen.sign_in(gateway.token())

    await seen.page.get_by_label("Find a purchase by any number").fill("R-1")
    await seen.page.keyboard.press("Enter")
    await seen.page.wait_for_url("**/console/trace/R-1")
    heading = await seen.page.get_by_role("heading", level=1).inner_text()
    steps = await seen.page.locator("ol.steps > li.step").count()
    await seen.page.locator("li.step summary", has_text="→ 4").first.click()
    request = await seen.page.locator("li.step[data-outcome='applied'] .more").first.is_visible()

    assert heading == "Requisition R-1"
    assert steps > 5
    assert request
    assert seen.page.url.endswith("/console/trace/R-1")


@pytest.mark.usefixtures("purchases")
async def test_a_count_leads_to_its_list_and_on_to_the_trace(
    chromium: Browser, gateway: Gateway
) -> None:
    seen = await window(chromium, gateway, java_script_enabled=False)
    await seen.sign_in(gateway.token(), "/console/work")

    await seen.page.get_by_role("link", name="1 document waits").click()
    await seen.page.get_by_role("link", name="Requisition R-2").click()

    assert await seen.page.get_by_text("crosswalk_missing").first.is_visible()
    assert await seen.page.get_by_role("heading", level=1).inner_text() == "Requisition R-2"


@pytest.mark.usefixtures("purchases")
async def test_no_page_asks_another_host_or_breaks_its_own_policy(
    chromium: Browser, gateway: Gateway
) -> None:
    seen = await window(chromium, gateway)
    await seen.sign_in(gateway.token())

    for path in await seen.paths():
        await seen.open(path)

    assert len(seen.asked) > len(PATHS)
    assert [url for url in seen.asked if not url.startswith(gateway.url + "/")] == []
    refused = "the server responded with a status of 404"
    assert [said for said in seen.said if refused not in said] == []


@pytest.mark.usefixtures("purchases")
@pytest.mark.parametrize(("scheme", "width"), LOOKS)
async def test_every_page_can_be_read_by_everybody(
    chromium: Browser, gateway: Gateway, scheme: str, width: int
) -> None:
    # The checker is a script, which the pages' own policy would not let in.
    seen = await window(
        chromium,
        gateway,
        bypass_csp=True,
        color_scheme=scheme,
        viewport={"width": width, "height": 844},
    )
    await seen.open("/console/sign-in")
    found = {"/console/sign-in": await violations(seen.page)}
    await seen.sign_in(gateway.token())
    for path in await seen.paths():
        await seen.open(path)
        await seen.page.eval_on_selector_all(
            "li.step:nth-of-type(8) details, .gate details",
            "all => all.forEach(e => e.open = true)",
        )
        found[path] = await violations(seen.page)

    assert len(found) == len(PATHS) + 3
    assert {path: faults for path, faults in found.items() if faults} == {}


async def violations(page: Page) -> list[str]:
    """What the checker finds, each as a line."""
    results = await Axe().run(page, options=RULES)
    return [
        f"{each['id']}: {node['html'][:100]}"
        for each in results.response["violations"]
        for node in each["nodes"]
    ]


@pytest.mark.usefixtures("purchases")
@pytest.mark.parametrize("width", [320, 390])
async def test_no_page_is_wider_than_a_phone(
    chromium: Browser, gateway: Gateway, width: int
) -> None:
    seen = await window(chromium, gateway, viewport={"width": width, "height": 844})
    await seen.sign_in(gateway.token())

    wide, small = {}, {}
    for path in await seen.paths():
        await seen.open(path)
        await seen.page.eval_on_selector_all("details", "all => all.forEach(e => e.open = true)")
        wide[path] = await seen.page.evaluate("document.documentElement.scrollWidth")
        small[path] = await seen.page.evaluate(_TARGETS)

    assert set(wide.values()) == {width}
    assert {path: targets for path, targets in small.items() if targets} == {}


@pytest.mark.usefixtures("purchases")
async def test_every_page_is_reached_by_keyboard_alone(chromium: Browser, gateway: Gateway) -> None:
    seen = await window(chromium, gateway)
    await seen.sign_in(gateway.token(), "/console/trace/R-1")
    reached = []

    for _ in range(40):
        await seen.page.keyboard.press("Tab")
        reached.append(await seen.page.evaluate("document.activeElement.outerHTML.slice(0, 60)"))

    assert reached[0].startswith('<a class="skip"')
    assert sum("<summary" in each for each in reached) > 5


async def test_a_form_of_another_site_opens_no_session(chromium: Browser, gateway: Gateway) -> None:
    seen = await window(chromium, gateway)
    form = (
        f'<form method="post" action="{gateway.url}/console/sign-in">'
        f'<input name="token" value="{gateway.token()}"><button>Go</button></form>'
    )
    await seen.page.route(
        "http://evil.test/", lambda route: route.fulfill(body=form, content_type="text/html")
    )
    await seen.page.goto("http://evil.test/")

    await seen.page.get_by_role("button").click()

    assert await seen.page.get_by_text("form_foreign").is_visible()
    assert await seen.page.context.cookies() == []
