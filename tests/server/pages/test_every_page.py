"""Every page, for every role and every state of a study: what the API refuses is on no page, and no page fails."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.server.pages.browsing import browser
from tests.serving import PATIENTS, USERS, Place, application, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving import Home

STATES = ("draft", "approved", "suspended", "closed")
SECRET = "PURPOSE-THAT-ONLY-SOME-MAY-KNOW"
ELSEWHERE = {"pages.static", "pages.to_issuer", "pages.from_issuer"}  # files, and pages that lead to the issuer


@pytest.fixture(scope="module")
def states(template: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, dict[str, str]]]:
    """Return an application with a study in each state, and what stands for each name in an address."""
    with application(template.copy(tmp_path_factory.mktemp("states") / "home")) as place:
        for state in STATES:
            place.open_study(state, "clinic", approve=state != "draft", purpose=f"{SECRET}-{state}")
        asked = place.client("ada").good("POST", "/studies/approved/queries", ask(PATIENTS, 0.5, "visits"))
        place.client("dora").good("POST", "/studies/suspended/suspend", {"reason": "a complaint"})
        place.client("admin").good("POST", "/studies/closed/close", {"reason": "it is done"})
        proposal = place.client("admin").good("POST", "/proposals", {"act": "add", "user": "dan", "role": "dpo"})
        names = {
            "release": asked["id"],
            "kind": "csv",
            "dataset": "clinic",
            "user": "ben",
            "token": place.home.tokens["ben"].split("_")[1],
            "proposal": str(proposal["id"]),
            "index": "3",
        }
        yield place, names


def addresses(place: Place, names: dict[str, str], study: str) -> list[str]:
    """Return the address of every page that can be opened, with these names in it."""
    filled = {**names, "study": study, "name": names["dataset"]}
    found = []
    for rule in place.app.url_map.iter_rules():
        if rule.endpoint.startswith("pages.") and "GET" in (rule.methods or ()) and rule.endpoint not in ELSEWHERE:
            missing = {argument for argument in rule.arguments if argument not in filled}
            assert not missing, f"{rule}: say here what stands for {missing}"
            found.append(re.sub(r"<(?:\w+:)?(\w+)>", lambda match: filled[match[1]], rule.rule))
    return found


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", USERS)
def test_no_page_shows_what_the_api_refuses(states: tuple[Place, dict[str, str]], name: str, state: str) -> None:
    """Who may not read a study finds its purpose on no page; nothing is a defect of the server."""
    place, names = states
    here, may_read = browser(place, name), place.client(name).get(f"/studies/{state}").status == 200
    opened = 0
    for address in addresses(place, names, state):
        page = here.get(address)
        assert page.status in (200, 403, 404, 409), (address, page.status, page.words()[:300])
        if page.response.content_type.startswith("text/html"):
            assert may_read or SECRET not in page.text, address
        opened += page.status == 200
    assert opened > 3


@pytest.mark.parametrize("name", USERS)
def test_links_lead_to_no_page_that_is_not_theirs(states: tuple[Place, dict[str, str]], name: str) -> None:
    """The links of every page that a role can open lead to pages that it can open."""
    place, _ = states
    routes = place.app.url_map.bind("localhost")
    here = browser(place, name)
    seen: set[tuple[str, str | None]] = set()
    waiting = ["/"]
    while waiting:
        address = waiting.pop().partition("#")[0].partition("?")[0]
        endpoint, arguments = routes.match(address)
        kind = endpoint, arguments.get("study")
        if kind in seen or endpoint in ELSEWHERE:
            continue
        seen.add(kind)
        page = here.get(address)
        assert page.status == 200, (address, page.status)
        if page.response.content_type.startswith("text/html"):
            waiting += re.findall(r'<a [^>]*?href="(/[^"]*)"', page.text)
    assert len(seen) > 4, seen
