"""Signing in to the pages with an account of the issuer, against a provider that runs as a process of its own."""

from __future__ import annotations

import html
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from server.sign_in import code_flow
from tests.ports import free_port
from tests.server.pages.browsing import SAME_SITE, Browser, Page, browser
from tests.server.sign_in.provider import PAGES, PAGES_SECRET
from tests.server.sign_in.running import RESEARCHER, Provider, settings_of, start
from tests.serving import Home, Place, application

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = "https://rowless.example"
BACK = f"{HERE}/sign-in/issuer/back"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """Run a provider for the module, at which Eve, a researcher, has signed in."""
    running = start()
    running.tell("set", backs=[BACK])
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def _eve(provider: Provider) -> None:
    provider.tell("person", subject="s-eve", claims={"preferred_username": "eve", "roles": [RESEARCHER]})


@pytest.fixture
def place(home: Home, provider: Provider) -> Iterator[Place]:
    """Return an application whose pages sign in by the provider."""
    settings = settings_of(provider.issuer, oidc_pages_client=PAGES, oidc_pages_secret=PAGES_SECRET, public_url=HERE)
    with application(home, **settings) as opened:
        opened.open_study()
        yield opened


def opened(place: Place, name: str | None = None) -> Browser:
    """Return a browser that reaches the server by https."""
    found = Browser(place.app.test_client())
    if name is not None:
        token = {"token": place.home.tokens[name]}
        assert found.client.post("/sign-in", base_url=HERE, data=token, headers=SAME_SITE).location == "/"
    return found


def to_the_issuer(here: Browser, path: str = "/sign-in/issuer") -> str:
    """Go to the issuer, and return with what the browser comes back: path and query string."""
    away = here.client.get(path, base_url=HERE).location
    assert away is not None
    came = httpx.get(away).headers["Location"]
    assert came.startswith(BACK)
    return came.removeprefix(HERE)


def back(here: Browser, path: str) -> Page:
    """Come back from the issuer and go on."""
    return Page(here.client.get(path, base_url=HERE, headers={"Accept": "text/html"}, follow_redirects=True))


def test_own_account_signs_in_and_goes_on(place: Place) -> None:
    """Somebody new with the researcher's role signs in by the issuer alone, and comes to the page that was wanted."""
    here = opened(place)
    assert "Sign in with your own account" in here.client.get("/sign-in", base_url=HERE).text
    page = back(here, to_the_issuer(here, "/sign-in/issuer?next=/studies"))
    assert (page.path, page.status) == ("/studies", 200)
    place.client("admin").good("PUT", "/studies/flu/members/eve")
    assert "T" in back(here, "/studies").words()
    place.client("admin").good("DELETE", "/users/eve")
    assert back(here, "/studies").path == "/sign-in"


def test_code_of_another_browser_signs_nobody_in(place: Place) -> None:
    """A wrong, missing or used state, another issuer's name, or no code: 401 and no session."""
    mine, other = opened(place), opened(place)
    stolen = to_the_issuer(other)
    assert back(mine, stolen).status == 401
    for change in ({"state": "x"}, {"state": ""}, {"iss": "https://other.example"}, {"code": ""}, {"code": "wrong"}):
        came = {name: one for name, (one,) in parse_qs(urlsplit(to_the_issuer(mine)).query).items()} | change
        page = Page(mine.client.get("/sign-in/issuer/back", base_url=HERE, query_string=came))
        assert page.status == 401, change
        assert back(mine, "/studies").path == "/sign-in"
    good = to_the_issuer(mine)
    assert back(mine, good).status == 200
    assert back(opened(place), good).status == 401


def test_account_is_tied_only_by_a_form_of_this_server(place: Place, provider: Provider) -> None:
    """A link on another site ties no account; the form on the page of the account does, and names it."""
    provider.tell("person", subject="s-dora", claims={"preferred_username": "dora.lang"})
    here = opened(place, "dora")
    page = back(here, to_the_issuer(here))
    assert page.status == 401
    assert "user.link" not in place.home.actions()
    here = opened(place, "dora")
    tying = here.client.post("/account/tie", base_url=HERE, headers=SAME_SITE)
    assert "whoever has that account can then act as dora" in Page(tying).words()
    assert back(here, to_the_issuer(here)).status == 401, "it was begun by a link, after the form"
    assert "user.link" not in place.home.actions()
    here = opened(place, "dora")
    tying = here.client.post("/account/tie", base_url=HERE, headers=SAME_SITE)
    (away,) = re.findall(r'href="(http://127[^"]*)"', tying.text)
    came = httpx.get(html.unescape(away)).headers["Location"].removeprefix(HERE)
    assert "dora.lang is tied" in back(here, came).words()
    assert "user.link" in place.home.actions()
    fresh = opened(place)
    assert back(fresh, to_the_issuer(fresh)).status == 200
    assert "data protection officer" in back(fresh, "/account").words()


def test_beginning_sign_ins_does_not_ask_the_issuer(place: Place, provider: Provider) -> None:
    """However many sign-ins anybody begins, the issuer is asked for its document once, and is not needed after that."""
    before = provider.state()["discoveries"]
    away = {opened(place).client.get("/sign-in/issuer", base_url=HERE).location for _ in range(20)}
    assert len(away) == 20
    assert provider.state()["discoveries"] - before <= 1
    provider.tell("set", hidden=True)
    try:
        assert opened(place).client.get("/sign-in/issuer", base_url=HERE).status_code == 303
    finally:
        provider.tell("set", hidden=False)


def test_a_copied_session_asks_for_a_token_once(place: Place, provider: Provider) -> None:
    """A state works once, also with a copy of the cookie from before it was used: then the issuer is not asked."""
    here = opened(place)
    came = to_the_issuer(here)
    cookie = here.client.get_cookie("__Host-rowless", domain="rowless.example")
    assert cookie is not None
    assert back(here, came).status == 200
    before = provider.state()["posts"]
    for _ in range(3):
        copy = opened(place)
        copy.client.set_cookie("__Host-rowless", cookie.value, domain="rowless.example", secure=True)
        page = back(copy, came)
        assert page.status == 401
        assert "not begun in this browser" in page.words()
    assert provider.state()["posts"] == before


def test_more_sign_ins_than_places_are_told_to_come_again(place: Place, provider: Provider) -> None:
    """While as many ask the issuer for tokens as may do so at once, the next is 503 at once, and the issuer not asked."""
    here, arrivals = opened(place), place.app.extensions["rowless"].arrivals
    before = provider.state()["posts"]
    with ExitStack() as held:
        for number in range(code_flow.PLACES):
            held.enter_context(arrivals.one(f"other-{number}"))
        page = back(here, to_the_issuer(here))
        assert (page.status, page.response.headers["Retry-After"]) == (503, "5")
        assert "too many people are signing in" in page.words()
    assert provider.state()["posts"] == before
    assert back(here, to_the_issuer(here)).status == 200


def test_issuer_that_is_down_is_told(home: Home) -> None:
    """503 in words, where the issuer could never be reached."""
    nobody = f"http://127.0.0.1:{free_port()}"
    with application(home, **settings_of(nobody, oidc_pages_client=PAGES, public_url=HERE)) as place:
        page = Page(opened(place).client.get("/sign-in/issuer", base_url=HERE))
    assert (page.status, page.response.headers["Retry-After"]) == (503, "5")
    assert "cannot be reached right now" in page.words()


def test_without_a_client_there_is_no_such_page(shared: Place) -> None:
    """A server that has no issuer does not offer it."""
    here = browser(shared)
    assert here.get("/sign-in/issuer").status == 404
    assert "own account" not in here.get("/sign-in").words()
