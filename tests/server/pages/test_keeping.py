"""Nothing typed is lost: where the session has ended, where the language is switched, and where a page cannot be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.pages.frame import sessions
from tests.server.pages.browsing import Browser, browser
from tests.serving import FORMALITIES

if TYPE_CHECKING:
    from tests.server.pages.browsing import Page
    from tests.serving import Place

LONG = 'Because <b>they</b> & "we" agreed. \u202e' + "x" * 9_000
DRAFT = {
    "dataset": "rand-hie",
    "epsilon": 1.0,
    "title": "T",
    "purpose": "P",
    "legal_basis": "L",
    "formalities": FORMALITIES,
}
# Fields that some form or other takes, and the buttons of all.
FORM = {"reason": LONG, "name": "new", "user": "ben", "role": "researcher", "act": "add", "token": "x", "sure": "yes"}
ACTS = ("advise", "approve", "suspend", "close", "remove", "add", "budget", "propose", "buy", "save", "open", "pay", "")


def draft(place: Place, name: str) -> str:
    """Open a draft and return the address where it is decided on."""
    place.client("admin").good("POST", "/studies", {**DRAFT, "name": name})
    return f"/studies/{name}/decide"


def without_session(opened: Browser) -> Browser:
    """Take the cookie away, as an hour without a page does."""
    opened.client.delete_cookie(sessions.NAME)
    return opened


def again(opened: Browser, page: Page, **fields: str) -> Page:
    """Send the form that keeps what was typed."""
    return opened.post(page.path, {**page.form('name="_token"'), **fields})


def test_reason_outlives_the_session_in_which_it_was_typed(place: Place) -> None:
    """Nothing is approved; after the sign-in the reason stands in its form, and is sent from there."""
    path = draft(place, "kept")
    vera = browser(place, "vera")
    form = {
        **vera.get(path).form('value="approve"'),
        "do": "approve",
        "reason": LONG,
        "without_advice": "the DPO is away",
    }
    page = without_session(vera).post(path, form)
    assert (page.status, page.path) == (401, path)
    assert "nothing is lost" in page.words()
    page = again(vera, page, _token="rowless_wrong")
    assert page.status == 401
    page = again(vera, page, _token=place.home.tokens["vera"])
    assert page.status == 200
    assert "Nothing was sent yet" in page.words()
    shown = page.form('value="approve"')
    assert (shown["reason"], shown["without_advice"]) == (LONG, "the DPO is away")
    assert place.client("vera").good("GET", "/studies/kept")["state"] == "draft"
    assert "Approved. The members may ask" in vera.post(path, {**shown, "do": "approve"}).words()
    assert place.home.actions().count("study.approve.refuse") == 0


def test_session_that_began_elsewhere_goes_on_with_the_form(place: Place) -> None:
    """Whoever signs in at the issuer does so in another window: the form then needs no token."""
    path = draft(place, "elsewhere")
    vera = browser(place, "vera")
    form = {**vera.get(path).form('value="approve"'), "do": "approve", "reason": LONG}
    page = without_session(vera).post(path, form)
    kept = page.form('name="_token"')
    vera.post("/sign-in", {"token": place.home.tokens["vera"]})
    assert vera.post(path, kept).form('value="approve"')["reason"] == LONG


def test_language_is_switched_after_a_refusal_without_losing_what_was_typed(shared: Place) -> None:
    """The same form is there in the other language, and nothing was done; the switch without a form stays as it was."""
    path = draft(shared, "switched")
    dora = browser(shared, "dora")
    form = {**dora.get(path).form('value="advise"'), "do": "advise", "opinion": "", "reason": LONG}
    page = dora.post(path, form)
    assert page.status == 422
    page = dora.post(path, {**page.form('name="_language"'), "_language": "fr"})
    assert page.status == 200
    assert '<html lang="fr">' in page.text
    assert page.form('value="advise"')["reason"] == LONG
    assert "_again" not in page.form('value="advise"')
    assert shared.client("dora").good("GET", "/studies/switched")["advice"] is None
    page = dora.post(path, {**page.form('value="advise"'), "do": "advise", "opinion": "favourable"})
    assert shared.client("dora").good("GET", "/studies/switched")["advice"]["reason"] == LONG


def test_question_outlives_a_switch_of_the_language(shared: Place) -> None:
    """Without script each change of a question is a form that was sent: it is there in French too, with its price."""
    ada = browser(shared, "ada")
    form = {**ada.get("/studies/flu/ask").form('id="ask"'), "g-0-column": "sex", "epsilon": "0.25", "do": "estimate"}
    page = ada.post("/studies/flu/ask", form)
    page = ada.post("/studies/flu/ask", {**page.form('name="_language"'), "_language": "fr"})
    assert page.form('id="ask"')["g-0-column"] == "sex"
    assert "Continuer vers le prix" in page.words()


def taking_forms(place: Place, **names: str) -> list[str]:
    """Return the address of every page that shows and takes a form, but for the sign-in."""
    rules = [rule for rule in place.app.url_map.iter_rules() if rule.endpoint.startswith("pages.")]
    found = [rule.rule for rule in rules if {"GET", "POST"} <= (rule.methods or set()) and rule.rule != "/sign-in"]
    assert len(found) > 12
    return [rule.replace("<", "{").replace(">", "}").format(**names) for rule in found]


def done(place: Place) -> list[str]:
    """Return what the log says was done, without readings and prices."""
    return [one for one in place.home.actions() if one.rpartition(".")[2] not in ("read", "count", "estimate")]


@pytest.mark.parametrize("name", ["admin", "dora", "vera", "ada"])
def test_form_that_is_shown_again_does_nothing_and_none_is_lost_with_its_session(place: Place, name: str) -> None:
    """Of every page that a role has, with each of its buttons: only readings are in the log, and each form is kept."""
    draft(place, "other")
    opened = browser(place, name)
    about = {"study": "flu" if name == "ada" else "other", "dataset": "rand-hie", "name": "ben", "proposal": "nowhere"}
    theirs = [path for path in taking_forms(place, **about) if opened.get(path).status == 200]
    assert theirs
    before = done(place)
    for path in theirs:
        for do in ACTS:
            shown = opened.post(path, {**FORM, "do": do, "_again": "yes"})
            assert shown.status in (200, 404), (path, do, shown.status)
            assert done(place) == before, (path, do)
        lost = without_session(opened).post(path, FORM)
        assert lost.status == 401
        assert lost.form('name="_token"')["reason"] == LONG, path
        opened.post("/sign-in", {"token": place.home.tokens[name]})


def test_page_that_cannot_be_shown_leads_back_to_the_form(place: Place) -> None:
    """Where the call that a page needs is refused after a form was sent, the page of the refusal keeps the form."""
    path = draft(place, "gone")
    vera = browser(place, "vera")
    form = {**vera.get(path).form('value="approve"'), "do": "approve", "reason": LONG}
    page = vera.post("/studies/nowhere/decide", form)
    assert page.status == 404
    kept = page.form("Back to the form")
    assert kept["reason"] == LONG
    assert vera.post(path, kept).form('value="approve"')["reason"] == LONG
