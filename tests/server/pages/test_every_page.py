"""Every page, for every role and every state of a study: what the API refuses is on no page, and no page fails."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.server.pages.browsing import browser, browser_of
from tests.serving import PATIENTS, USERS, Place, application, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.server.pages.browsing import Browser, Page
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
def test_names_that_nobody_has_lead_nowhere(states: tuple[Place, dict[str, str]], name: str) -> None:
    """Whichever page has them in its address: they are refused, and nothing is a defect of the server."""
    place, names = states
    here, unknown = browser(place, name), {**dict.fromkeys(names, "nobody"), "index": "9" * 30}
    for address in addresses(place, unknown, "nobody"):
        if "nobody" in address or unknown["index"] in address:
            page = here.get(address)
            assert page.status in (403, 404, 422), (address, page.status)


def walk(place: Place, here: Browser, look: Callable[[Page], None] = lambda _: None) -> set[str]:
    """Follow the links of every page from the start page on, one page of each kind and study, and return the kinds.

    `look` is given each page.
    """
    routes = place.app.url_map.bind("localhost")
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
            look(page)
    assert len(seen) > 4, seen
    return {endpoint for endpoint, _ in seen}


def refusals(place: Place) -> int:
    """Return how many refused calls the log has."""
    return place.home.actions().count("call.refuse")


@pytest.mark.parametrize("name", USERS)
def test_links_lead_to_no_page_that_is_not_theirs(states: tuple[Place, dict[str, str]], name: str) -> None:
    """The links of every page that a role can open lead to pages that it can open."""
    place, _ = states
    before = refusals(place)
    walk(place, browser(place, name))
    assert refusals(place) == before


# user -> what the page that is theirs alone says to a token of one study
LEFT_OUT = {
    "ada": ("/", "It shows no other study."),
    "admin": ("/admin/studies/draft", "Type the name."),
    "vera": ("/studies/draft/decide", "does not show how much of the cap is spent"),
    "dora": ("/reports", "it has no report of the data"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_token_of_one_study_meets_no_refusal_on_the_pages_it_is_led_to(
    states: tuple[Place, dict[str, str]], name: str
) -> None:
    """Nothing that it cannot have is asked of the API, so the log has no refusal. The pages say what they leave out."""
    place, _ = states
    here = browser_of(place, place.new_token(name, study="draft"))
    before = refusals(place)
    kinds = walk(place, here)
    assert "Your token is limited to the study draft" in here.get("/").words()
    path, words = LEFT_OUT[name]
    assert words in here.get(path).words()
    assert refusals(place) == before
    assert not kinds & {"pages.log", "pages.users", "pages.proposal", "pages.admin_dataset", "pages.decide_dataset"}


def test_admin_and_dpo_do_what_a_token_of_one_study_is_for(states: tuple[Place, dict[str, str]]) -> None:
    """The admin adds a member by name, the DPO reads what the budget lets an attacker learn and advises."""
    place, _ = states
    admin = browser_of(place, place.new_token("admin", study="draft"))
    page = admin.post("/admin/studies/draft", {"do": "add", "user": "ben"})
    assert "ben is a member now" in page.words()
    dora = browser_of(place, place.new_token("dora", study="draft"))
    page = dora.get("/studies/draft/decide")
    assert "that the person is in the data" in page.words()
    form = {**page.form('value="advise"'), "do": "advise", "opinion": "favourable", "reason": "fine"}
    assert "Your advice is recorded" in dora.post("/studies/draft/decide", form).words()


@pytest.mark.parametrize("name", LEFT_OUT)
def test_token_that_only_reads_meets_no_refusal_on_the_pages_it_is_led_to(
    states: tuple[Place, dict[str, str]], name: str
) -> None:
    """To open a page asks nothing that such a token may not, and a price is asked by no link."""
    place, _ = states
    here = browser_of(place, place.new_token(name, reads_only=True))
    before = refusals(place)

    def look(page: Page) -> None:
        forms = re.findall(r'<form [^>]*?method="post"[^>]*>', page.text)
        assert all("/sign-out" in one or "/language" in one for one in forms), (page.path, forms)

    kinds = walk(place, here, look)
    assert not kinds & {"pages.ask", "pages.new_study", "pages.new_token", "pages.edit_terms", "pages.edit_protocol"}
    assert "Your token may only read" in here.get("/").words()
    assert name != "ada" or "it asks nothing" in here.get("/studies/approved/ask").words()
    assert refusals(place) == before


def words_for_names(rules: list[str]) -> list[tuple[str, str]]:
    """Return pairs of addresses where one has a fixed word in the place of a name that the other takes."""

    def taken(segment: str) -> str:
        pieces = re.split(r"(<[^>]*>)", segment)
        return "".join(
            ("\\d+" if piece.startswith("<int:") else ".+") if piece.startswith("<") else re.escape(piece)
            for piece in pieces
        )

    def meets(one: str, other: str) -> bool:
        if "<" in one and "<" in other:
            return True
        return bool(re.fullmatch(taken(one), other) if "<" in one else re.fullmatch(taken(other), one))

    split = [(rule, rule.split("/")) for rule in rules]
    return [
        (rule, other)
        for rule, names in split
        for other, words in split
        if len(names) == len(words)
        and all(map(meets, names, words))
        and any("<" in name and "<" not in word for name, word in zip(names, words, strict=True))
    ]


def test_no_name_can_take_the_place_of_a_page(states: tuple[Place, dict[str, str]]) -> None:
    """No address has a fixed word where another has a name: whatever a study or a user is called, it has its page."""
    assert words_for_names(["/a/<name>/b", "/a/new/b", "/log/<int:index>", "/log/verify"]) == [
        ("/a/<name>/b", "/a/new/b")
    ]
    place, _ = states
    assert words_for_names([rule.rule for rule in place.app.url_map.iter_rules()]) == []


@pytest.mark.parametrize("word", ["new", "once", "tokens", "proposals", "compare", "decide", "releases", "static"])
def test_study_and_user_named_as_a_page_have_theirs(states: tuple[Place, dict[str, str]], word: str) -> None:
    """Every page of such a study and of such a user opens as theirs."""
    place, _ = states
    place.open_study(word, "clinic", title=f"The study {word}", approve=False)
    place.client("admin").good("POST", "/users", {"name": word, "role": "researcher"})
    root = browser(place, "admin")
    for path in (f"/admin/studies/{word}", f"/studies/{word}", f"/admin/studies/{word}/terms"):
        assert f"The study {word}" in root.get(path).words(), path
    assert f"<h1><bdi>{word}</bdi></h1>" in root.get(f"/admin/users/{word}").text
