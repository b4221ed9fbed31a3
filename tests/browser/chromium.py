"""The machine's Chromium: where it is, and a page in it that watches what must never happen."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from axe_playwright_python.sync_playwright import Axe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, Request

    from tests.serving import Server

MISSING = "Chromium is missing: apt-get install chromium"
NAMES = ("chromium", "chromium-browser", "google-chrome")
WEIGHT_MAX = 150 * 1024
SERIOUS = ("serious", "critical")
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOCALES = {"en": "en-GB", "fr": "fr-FR"}


def program() -> str | None:
    """Return the path of Chromium, or None where it is not installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Visit:
    """One person's browser window on a server. `page` is Playwright's, and `faults` what went wrong in it."""

    server: Server
    page: Page
    faults: list[str] = field(default_factory=list)
    weights: dict[str, int] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Return the server's address."""
        return f"http://127.0.0.1:{self.server.port}"

    def open(self, path: str) -> None:
        """Go to a page of the server, and wait until it is quiet."""
        self.page.goto(f"{self.address}{path}")
        self.settle()

    def sign_in(self, name: str) -> None:
        """Sign in by the link that the demonstration prints, which fills the token in, or by typing it without script."""
        self.open(f"/sign-in#token={self.server.home.tokens[name]}")
        if not self.has_script:
            self.page.fill("#token", self.server.home.tokens[name])
        self.page.click("#sign-in button")
        self.page.wait_for_url(f"{self.address}/")
        self.settle()

    def settle(self) -> None:
        """Wait until nothing is being loaded."""
        self.page.wait_for_load_state("networkidle")

    def click(self, what: str) -> None:
        """Click on something and wait."""
        self.page.click(what)
        self.settle()

    def choose(self, field_: str, value: str) -> None:
        """Choose a value of a list, and wait until the page has followed, where scripts are on."""
        if not self.has_script:
            self.page.select_option(field_, value)
            return
        with self.page.expect_response(lambda response: response.request.method == "POST"):
            self.page.select_option(field_, value)
        self.settle()

    @property
    def has_script(self) -> bool:
        """Return whether the script of the pages runs."""
        return bool(self.page.evaluate("'htmx' in window"))

    def assert_sound(self) -> None:
        """Check what holds for every page: no error, nothing wider than the window, light, nothing serious for axe."""
        assert self.faults == []
        wide, window = self.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide <= window, (self.page.url, wide, window)
        if self.has_script:  # axe is a script; without any the page is the same
            found = Axe().run(self.page, options={"runOnly": WCAG}).response["violations"]
            serious = [(one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in SERIOUS]
            assert serious == [], f"{self.page.url}: {serious}"
        assert sum(self.weights.values()) <= WEIGHT_MAX, (self.page.url, self.weights)


@contextmanager
def visiting(browser: Browser, server: Server, language: str = "en", **options: Any) -> Iterator[Visit]:
    """Open a window. `options` are Playwright's: viewport, color_scheme, java_script_enabled and so on."""
    context = browser.new_context(locale=LOCALES[language], **options)
    context.set_default_timeout(60_000)
    visit = Visit(server, context.new_page())

    def finished(request: Request) -> None:
        if request.is_navigation_request():  # files of the package are fetched once and kept, but weigh the same
            visit.weights = {url: size for url, size in visit.weights.items() if "/static/" in url}
        size = request.sizes()["responseBodySize"] + request.sizes()["responseHeadersSize"]
        visit.weights[request.url] = max(size, visit.weights.get(request.url, 0))
        if not request.url.startswith(visit.address):
            visit.faults.append(f"fetched from elsewhere: {request.url}")

    visit.page.on("requestfinished", finished)
    visit.page.on("pageerror", lambda error: visit.faults.append(str(error)))
    visit.page.on(
        "console",
        lambda message: visit.faults.append(message.text) if message.type in ("error", "warning") else None,
    )
    try:
        yield visit
    finally:
        context.close()
