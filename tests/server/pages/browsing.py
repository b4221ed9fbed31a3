"""A browser without script for the tests of the pages: it keeps cookies, follows redirects and sends forms."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from tests.serving import Place

SAME_SITE = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}


@dataclass
class Fields(HTMLParser):
    """The fields that a form would send."""

    found: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._select: str | None = None
        self._area: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name")
        match tag:
            case "input" if name and given.get("type") in ("radio", "checkbox"):
                if "checked" in given:
                    self.found[name] = given.get("value") or "on"
            case "input" if name:
                self.found[name] = given.get("value") or ""
            case "select" if name:
                self._select = name
            case "option" if self._select and ("selected" in given or self._select not in self.found):
                self.found[self._select] = given.get("value") or ""
            case "textarea" if name:
                self._area, self.found[name] = name, ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = None
        if tag == "textarea" and self._area:
            self.found[self._area] = self.found[self._area].removeprefix("\n")  # as browsers do
            self._area = None

    def handle_data(self, data: str) -> None:
        if self._area:
            self.found[self._area] += data


@dataclass
class Page:
    """A page that came back."""

    response: TestResponse

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def text(self) -> str:
        return self.response.text

    @property
    def path(self) -> str:
        """Return the address without host, after all redirects."""
        return self.response.request.path

    def words(self) -> str:
        """Return what a person reads, with single spaces."""
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", self.text)).split())

    def form(self, marker: str) -> dict[str, str]:
        """Return the fields of the form whose tag or content has a text: of the page, or of its foot (`_language`)."""
        area = self.text if "_language" in marker else self.text.partition("<footer>")[0]
        (body,) = [one for one in re.findall(r"<form.*?</form>", area, re.DOTALL) if marker in one]
        parser = Fields()
        parser.feed(body)
        return parser.found


@dataclass
class Browser:
    """One person's browser."""

    client: FlaskClient

    def get(self, path: str, **headers: str) -> Page:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        # Buffered, because a server closes what it has sent, such as a file.
        sent = {"Accept": "text/html", **named}
        return Page(self.client.get(path, headers=sent, follow_redirects=True, buffered=True))

    def post(self, path: str, form: Mapping[str, str], **headers: str) -> Page:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Page(self.client.post(path, data=form, headers={**SAME_SITE, **named}, follow_redirects=True))


def browser(place: Place, name: str | None = None) -> Browser:
    """Return a browser in which a user has signed in, or nobody."""
    return Browser(place.app.test_client()) if name is None else browser_of(place, place.home.tokens[name])


def browser_of(place: Place, token: str) -> Browser:
    """Return a browser in which somebody has signed in with a token, perhaps a limited one."""
    opened = Browser(place.app.test_client())
    assert opened.post("/sign-in", {"token": token}).path == "/"
    return opened
