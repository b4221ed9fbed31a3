"""Signing in with a browser: the cookie, its end, and forms of other sites."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import re
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet

from budgets.database import clock
from server.errors import SettingsError
from server.pages.frame import sessions
from tests.server.pages.browsing import Browser, browser
from tests.serving import application

if TYPE_CHECKING:
    from tests.serving import Home, Place


def cookie_of(opened: Browser) -> str:
    """Return the cookie that a browser keeps."""
    found = opened.client.get_cookie(sessions.NAME)
    assert found is not None
    return found.value


def test_sign_in_leads_to_the_page_that_was_wanted(shared: Place) -> None:
    """Without a session each page leads to the sign-in, and from there back; never to another server."""
    opened = browser(shared)
    asked = opened.get("/studies/flu?x=1")
    assert asked.path == "/sign-in"
    assert asked.response.request.args["next"] == "/studies/flu?x=1"
    token = {"token": shared.home.tokens["ada"]}
    assert opened.post("/sign-in?next=/studies/flu", token).path == "/studies/flu"
    for elsewhere in ("//evil.example", "/\\evil.example", "https://evil.example/", "/\t/evil.example"):
        response = browser(shared).client.post(
            "/sign-in", query_string={"next": elsewhere}, data=token, headers={"Sec-Fetch-Site": "same-origin"}
        )
        assert response.location == "/"


def test_cookie_hides_the_token_from_scripts_and_readers(shared: Place) -> None:
    """It is HttpOnly, SameSite=Lax and encrypted; behind https also Secure, with the prefix that ties it to the host."""
    token = shared.home.tokens["ada"]
    response = shared.app.test_client().post(
        "/sign-in", data={"token": token}, headers={"Sec-Fetch-Site": "same-origin"}
    )
    sent = response.headers["Set-Cookie"]
    assert sent.startswith("rowless=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(sent.split("; "))
    assert token.rpartition("_")[2] not in sent
    with application(shared.home, public_url="https://rowless.example") as behind:
        sent = (
            behind.app.test_client()
            .post("/sign-in", data={"token": token}, headers={"Sec-Fetch-Site": "same-origin"})
            .headers["Set-Cookie"]
        )
        assert sent.startswith("__Host-rowless=")
        assert "Secure" in sent.split("; ")


def test_wrong_token_is_refused_and_counted(place: Place) -> None:
    """It is 401 with the API's words, and a failed sign-in as over HTTP."""
    page = browser(place).post("/sign-in", {"token": "rowless_0000000000000000_" + "x" * 43})
    assert page.status == 401
    assert "A valid token is needed" in page.words()
    place.services.write_what_is_held()
    assert "sign-in.fail" in " ".join(place.home.actions())


@pytest.mark.parametrize(("minutes", "pages", "path"), [(61, 1, "/sign-in"), (59, 1, "/studies"), (50, 15, "/sign-in")])
def test_session_ends_when_idle_and_after_its_longest_time(
    shared: Place, monkeypatch: pytest.MonkeyPatch, minutes: int, pages: int, path: str
) -> None:
    """An hour without a page ends it, and 12 hours in any case."""
    opened, began, seen = browser(shared, "ada"), clock.moment(), None
    for number in range(1, pages + 1):
        later = began + dt.timedelta(minutes=minutes * number)
        monkeypatch.setattr(clock, "moment", lambda later=later: later)
        seen = opened.get("/studies")
    assert seen is not None
    assert seen.path == path


def test_revoked_token_ends_the_session(place: Place) -> None:
    """The next page leads to the sign-in."""
    opened = browser(place, "ada")
    token = place.home.tokens["ada"].split("_")[1]
    place.client("admin").good("DELETE", f"/tokens/{token}")
    page = opened.get("/studies")
    assert page.path == "/sign-in"
    assert "Your session has ended" in page.words()


def test_sign_out_takes_the_cookie_away(shared: Place) -> None:
    """Afterwards pages lead to the sign-in again."""
    opened = browser(shared, "ada")
    assert "You have signed out" in opened.post("/sign-out", {}).words()
    assert opened.get("/studies").path == "/sign-in"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403),
        ({}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost"}, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
    ],
)
def test_forms_of_other_sites_are_refused(shared: Place, headers: dict[str, str], status: int) -> None:
    """A request that changes something has to say that it comes from a page of this server."""
    opened = browser(shared, "ada")
    response = opened.client.post("/sign-out", headers=headers)
    assert response.status_code == status
    assert (opened.get("/studies").path == "/studies") == (status == 403)


@pytest.mark.parametrize(
    ("accepted", "kind"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", "text/html"),
        ("text/html,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7", "text/html"),
        ("*/*", "application/problem+json"),
    ],
    ids=["firefox", "chromium", "curl"],
)
def test_address_that_is_none_is_a_page_for_browsers(shared: Place, accepted: str, kind: str) -> None:
    """What a browser accepts is long, and HTML need not be the most specific of it."""
    page = browser(shared).get("/nowhere", Accept=accepted)
    assert (page.status, page.response.mimetype) == (404, kind)


def test_forged_and_foreign_cookies_are_nobody(shared: Place) -> None:
    """A cookie of another key, a changed one and garbage give no session."""
    opened = browser(shared, "ada")
    cookie = cookie_of(opened)
    foreign = Fernet(Fernet.generate_key()).encrypt(json.dumps({"token": shared.home.tokens["ada"]}).encode()).decode()
    for wrong in (foreign, cookie[:-8] + "AAAAAAA=", "x", ""):
        other = browser(shared)
        other.client.set_cookie(sessions.NAME, wrong)
        assert other.get("/studies").path == "/sign-in"


def test_api_takes_no_cookie(shared: Place) -> None:
    """A session is worth nothing to the API, where no form is checked for its origin."""
    opened = browser(shared, "ada")
    assert opened.client.get("/api/v1/me").status_code == 401
    response = opened.client.get("/api/v1/me", environ_overrides={"HTTP_ROWLESS_SESSION": "ada"})
    assert response.status_code == 401


def test_key_of_a_home_is_private_and_kept(home: Home) -> None:
    """The first server makes it with mode 600; another server of the home reads the same. A damaged one is named."""
    first = sessions.key_of(home.path)
    file = home.path / sessions.FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sessions.key_of(home.path).decrypt(first.encrypt(b"x")) == b"x"
    assert [one.name for one in home.path.iterdir() if "session" in one.name] == [sessions.FILE]
    file.write_text("no key")
    with pytest.raises(SettingsError, match="everybody signs in again"):
        sessions.key_of(home.path)


def test_files_are_kept_by_caches_and_sessions_never(shared: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address of a file has the package's version; its reply has no cookie; pages are not kept at all."""
    opened = browser(shared, "ada")
    page = opened.get("/")
    assert page.response.headers["Cache-Control"] == "no-store"
    (address,) = re.findall(r'href="(/static/rowless.css[^"]*)"', page.text)
    later = clock.moment() + dt.timedelta(minutes=5)  # a page would now send the cookie anew
    monkeypatch.setattr(clock, "moment", lambda: later)
    with opened.client.get("/static/rowless.css?v=0") as unversioned:
        assert "immutable" not in unversioned.headers["Cache-Control"]
        assert "Set-Cookie" not in unversioned.headers
    with opened.client.get(address) as kept:
        whole = kept.data
        assert "Content-Encoding" not in kept.headers
    with opened.client.get(address, headers={"Accept-Encoding": "gzip, br"}) as packed:
        assert gzip.decompress(packed.data) == whole
        assert (packed.headers["Content-Encoding"], packed.headers["Vary"]) == ("gzip", "Accept-Encoding")
        assert len(packed.data) == int(packed.headers["Content-Length"]) < len(whole) / 2
    assert "immutable" in kept.headers["Cache-Control"]
    assert "Set-Cookie" not in kept.headers
    assert kept.headers["Vary"] == "Accept-Encoding"
