"""What approvers and DPOs decide through their pages, without script, checked in the API and in the log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.pages.browsing import Browser, browser
from tests.serving import FORMALITIES, PATIENTS, ask

if TYPE_CHECKING:
    from tests.server.pages.browsing import Page
    from tests.serving import Place

# Cross-site scripting in all contexts, a mark that turns text around, and the longest text that the API takes.
HOSTILE = "\"'><script>alert(1)</script><b>&amp; {{ 7*7 }} \u202eevil"
LONG = HOSTILE + "x" * (10_000 - len(HOSTILE))
DRAFT = {
    "dataset": "rand-hie",
    "epsilon": 1.0,
    "title": "T",
    "purpose": "P",
    "legal_basis": "L",
    "formalities": FORMALITIES,
}


@pytest.fixture(scope="module")
def dora(shared: Place) -> Browser:
    """Return the browser of the DPO."""
    return browser(shared, "dora")


@pytest.fixture(scope="module")
def vera(shared: Place) -> Browser:
    """Return the browser of the approver."""
    return browser(shared, "vera")


def draft(place: Place, name: str, **terms: Any) -> str:
    """Open a draft and return the address of its page."""
    place.client("admin").good("POST", "/studies", {**DRAFT, "name": name, **terms})
    return f"/studies/{name}/decide"


def last(place: Place, action: str) -> dict[str, Any]:
    """Return the last entry of the log with an action."""
    ((body,),) = place.home.rows(
        "SELECT body FROM audit_entries WHERE action = ? ORDER BY position DESC LIMIT 1", action
    )
    found: dict[str, Any] = json.loads(body)
    return found


def press(opened: Browser, page: Page, do: str, **fields: str) -> Page:
    """Press a button of a decision after filling its form in."""
    return opened.post(page.path, {**page.form(f'value="{do}"'), "do": do, **fields})


def test_dpo_advises_and_the_approver_approves_each_through_a_form(shared: Place, dora: Browser, vera: Browser) -> None:
    """The advice moves the study in the DPO's inbox; the approver sees it beside the bound, and approves."""
    path = draft(shared, "walk", delta=0.0, protocol={"max_epsilon": 0.25, "statistics": ["count"]})
    assert 'href="/studies/walk/decide"' in dora.get("/").text.partition("You have advised")[0]
    page = dora.get(path)
    assert "at most ε 0.25 for one question" in page.words()
    assert "Statistics: counts" in page.words()
    page = press(dora, page, "advise", opinion="conditional", reason="only with a margin")
    assert "Your advice is recorded" in page.words()
    assert 'href="/studies/walk/decide"' in dora.get("/").text.partition("You have advised")[2]
    page = vera.get(path)
    assert "at most: 23.2% that the person is in the data" in page.words()
    assert "in favour, with conditions only with a margin" in page.words()
    assert 'name="without_advice"' not in page.text
    page = press(vera, page, "approve", reason="the committee\r\nagreed")
    assert "Approved. The members may ask from now on." in page.words()
    facts = last(shared, "study.approve")["facts"]
    assert (facts["reason"], facts["advice"]["opinion"]) == ("the committee\nagreed", "conditional")
    assert shared.client("vera").good("GET", "/studies/walk")["state"] == "approved"
    assert 'href="/studies/walk/decide"' not in vera.get("/").text


def test_nothing_is_approved_without_advice_unless_the_approver_says_why(shared: Place, vera: Browser) -> None:
    """The page says that there is no advice and asks for the reason; without one the API's refusal stands there."""
    path = draft(shared, "rushed")
    page = vera.get(path)
    assert "has not advised yet" in page.words()
    page = press(vera, page, "approve", reason="it is urgent")
    assert page.status == 409
    assert "The DPO has not advised on this" in page.words()
    assert page.form('value="approve"')["reason"] == "it is urgent"
    assert shared.client("vera").good("GET", "/studies/rushed")["state"] == "draft"
    page = press(vera, page, "approve", without_advice="the DPO is ill")
    assert page.status == 200
    facts = last(shared, "study.approve")["facts"]
    assert (facts["reason"], facts["advice"], facts["without_advice"]) == ("it is urgent", None, "the DPO is ill")


def test_larger_budget_is_advised_on_and_approved(shared: Place, dora: Browser, vera: Browser) -> None:
    """The page shows what both budgets mean, and the study's own state stays."""
    shared.open_study("grows", "clinic", epsilon=1.0, delta=0.0)
    shared.client("admin").good(
        "PUT", "/studies/grows/budget", {"epsilon": 3.0, "justification": "a test", "reason": "a second season"}
    )
    assert "a larger budget: from ε 1 to ε 3" in vera.get("/").words()
    page = press(dora, dora.get("/studies/grows/decide"), "advise-raise", opinion="unfavourable", reason="too much")
    assert "23.2% that the person is in the data" in page.words()
    assert "69.1% that the person is in the data" in page.words()
    assert "Proposed by admin: a second season" in page.words()
    page = press(vera, vera.get("/studies/grows/decide"), "approve-raise", reason="needed all the same")
    assert "The larger budget is in force" in page.words()
    assert last(shared, "study.budget.approve")["facts"]["advice"]["opinion"] == "unfavourable"
    assert shared.client("vera").good("GET", "/studies/grows/budget")["epsilon"] == 3.0


def test_cap_and_profile_of_a_dataset_are_advised_on_and_approved(shared: Place, dora: Browser, vera: Browser) -> None:
    """What an admin proposed of a dataset is in both inboxes, beside what the cap means for one person."""
    wanted = {"profile": 0.25, "reason": "a second year"}
    shared.client("admin").good("POST", "/datasets/clinic/propose", wanted)
    assert 'href="/datasets/clinic/decide"' in dora.get("/").text
    page = press(dora, dora.get("/datasets/clinic/decide"), "advise", opinion="favourable", reason="")
    assert (page.status, page.form('value="advise"')["opinion"]) == (422, "favourable")
    press(dora, page, "advise", reason="the persons were told")
    page = vera.get("/datasets/clinic/decide")
    assert "This is the most that all studies and profiles together may reveal" in page.words()
    assert "in favour the persons were told" in page.words()
    assert "Proposed by admin : a second year" in page.words()
    page = press(vera, page, "approve", reason="as in the protocol")
    assert "Approved." in page.words()
    assert last(shared, "dataset.approve")["facts"]["advice"]["opinion"] == "favourable"
    assert shared.client("vera").good("GET", "/datasets/clinic")["terms"]["waiting"] is None
    assert 'href="/datasets/clinic/decide"' not in vera.get("/").text
    assert browser(shared, "ada").get("/datasets/clinic/decide").status == 403


@pytest.mark.parametrize(
    ("name", "do", "typed"),
    [
        ("dora", "advise", {"opinion": "favourable", "reason": "as I read it"}),
        ("vera", "approve", {"reason": "as I read it", "without_advice": "it is urgent"}),
    ],
)
def test_nobody_decides_on_a_study_that_changed_after_its_page_was_read(
    shared: Place, name: str, do: str, typed: dict[str, str]
) -> None:
    """The form of an old page is refused; what was typed stays, and the page shows what waits now, to decide on."""
    study = f"moves-{do}"
    path, opened = draft(shared, study), browser(shared, name)
    page = opened.get(path)
    shared.client("admin").good("PATCH", f"/studies/{study}", {"purpose": "Another purpose"})
    page = press(opened, page, do, **typed)
    assert page.status == 409
    assert f"study {study} has changed since you read it" in page.words()
    assert "Another purpose" in page.words()
    assert page.form(f'value="{do}"').items() >= typed.items()
    assert press(opened, page, do, seen="", **typed).status == 422, "a form without a digest"
    found = shared.client("vera").good("GET", f"/studies/{study}")
    assert (found["state"], found["advice"]) == ("draft", None)
    assert press(opened, page, do).status == 200


@pytest.mark.parametrize(
    ("path", "suffix", "propose", "first", "then"),
    [
        (
            "/studies/rises",
            "-raise",
            ("PUT", "/studies/rises/budget"),
            {"epsilon": 2.0},
            {"epsilon": 100.0, "justification": "a test"},
        ),
        ("/datasets/clinic", "", ("POST", "/datasets/clinic/propose"), {"profile": 0.5}, {"profile": 100.0}),
    ],
)
def test_a_larger_limit_is_not_decided_on_from_an_old_page(
    shared: Place,
    dora: Browser,
    vera: Browser,
    path: str,
    suffix: str,
    propose: tuple[str, str],
    first: dict[str, float],
    then: dict[str, Any],
) -> None:
    """A budget or terms of a dataset that were proposed after the page was read are neither advised on nor approved."""
    admin = shared.client("admin")
    if suffix:
        shared.open_study("rises", "clinic", epsilon=1.0)
    admin.good(*propose, {**first, "reason": "as announced"})
    pages = dora.get(f"{path}/decide"), vera.get(f"{path}/decide")
    admin.good(*propose, {**then, "reason": "quietly"})
    page = press(dora, pages[0], f"advise{suffix}", opinion="favourable", reason="r")
    assert (page.status, "has changed since you read it" in page.words()) == (409, True)
    page = press(vera, pages[1], f"approve{suffix}", reason="r", without_advice="w")
    assert (page.status, "has changed since you read it" in page.words()) == (409, True)
    assert page.form("seen")["reason"] == "r"
    assert press(vera, page, f"approve{suffix}").status == 200
    assert 'name="seen"' not in vera.get(f"{path}/decide").text


def test_refusal_is_shown_where_nothing_waits_any_more(shared: Place, vera: Browser) -> None:
    """Somebody else decided meanwhile: the page has no form any more, and still says why and what was typed."""
    page = vera.get(draft(shared, "taken"))
    press(vera, page, "approve", reason="first", without_advice="w")
    page = press(vera, page, "approve", reason="second thoughts", without_advice="it is urgent")
    assert (page.status, 'id="approve"' in page.text) == (409, False)
    for told in ("study taken is approved; approve needs draft", "second thoughts", "it is urgent"):
        assert page.words().count(told) == 1, told
    shared.client("admin").good("POST", "/datasets/rand-hie/propose", {"profile": 0.5, "reason": "r"})
    page = vera.get("/datasets/rand-hie/decide")
    press(vera, page, "approve", reason="first", without_advice="w")
    page = press(vera, page, "approve", reason="second thoughts", without_advice="w")
    assert page.status == 409
    assert "nothing of the dataset rand-hie waits for approval" in page.words()
    assert "second thoughts" in page.words()


def test_dpo_suspends_resumes_and_closes_with_a_reason(shared: Place, dora: Browser) -> None:
    """Each is one form; without a reason it is refused at the field, and a closed study has no form left."""
    shared.open_study("stopped")
    path = "/studies/stopped/decide"
    page = press(dora, dora.get(path), "suspend", reason="")
    assert page.status == 422
    assert 'id="suspend-reason-wrong"' in page.text
    for do, state in (("suspend", "suspended"), ("resume", "approved"), ("close", "closed")):
        page = press(dora, dora.get(path), do, reason=f"I {do}")
        assert shared.client("dora").good("GET", "/studies/stopped")["state"] == state
        assert last(shared, f"study.{do}")["facts"]["reason"] == f"I {do}"
    assert 'name="do"' not in page.text


def test_what_changed_since_the_approval_is_shown_field_by_field(shared: Place, vera: Browser) -> None:
    """Before and after of each field that is not as it was approved, in words."""
    shared.open_study("edited", epsilon=1.0, protocol={"tables": ["years"]})
    assert "Nothing: terms, budget and the cap" in vera.get("/studies/edited/decide").words()
    changed = {"title": "Another", "ends": "2030-06-01", "protocol": {"min_margin": 4, "strict": False}}
    shared.client("admin").good("PATCH", "/studies/edited", changed)
    words = vera.get("/studies/edited/decide").words()
    for line in ("Title T Another", "Last day no end is set 1 Jun 2030", "Tables years all", "count any margin 4"):
        assert line in words


def test_hostile_and_long_texts_are_text_everywhere(shared: Place, dora: Browser, vera: Browser) -> None:
    """Titles, purposes, templates, reasons: nothing is markup, the longest reason is kept, a longer one is refused."""
    path = draft(shared, "odd", title=HOSTILE, purpose=LONG, legal_basis=HOSTILE)
    page = press(dora, dora.get(path), "advise", opinion="favourable", reason=LONG + "y")
    assert page.status == 422
    assert page.form('value="advise"')["reason"] == LONG + "y"
    assert 'id="advise-reason-wrong"' in page.text
    assert dora.get(path).form('value="advise"')["reason"] == ""
    shown = [page, press(dora, page, "advise", reason=LONG), dora.get("/"), vera.get("/"), vera.get(path)]
    shared.client("vera").good("POST", "/studies/odd/approve", {"reason": HOSTILE})
    shared.client("admin").good("PATCH", "/studies/odd", {"title": "New", "purpose": "P"})
    for one in (*shown, vera.get(path)):
        assert "<script>alert" not in one.text
        assert "<b>" not in one.text
    assert "<bdi>&#34;&#39;&gt;&lt;script&gt;" in shown[-1].text
    assert last(shared, "study.advise")["facts"]["reason"] == LONG


def test_who_had_a_hand_in_it_gets_no_form_and_is_refused(place: Place) -> None:
    """An admin who became an approver cannot approve what they opened: the page says so, the API decides."""
    path = draft(place, "own")
    place.home.change("UPDATE users SET role = 'approver' WHERE name = 'admin'")
    opened = browser(place, "admin")
    page = opened.get(path)
    assert "Somebody else has to decide on it" in page.words()
    assert 'value="approve"' not in page.text
    digest = place.client("vera").good("GET", "/studies/own")["digest"]
    page = opened.post(path, {"do": "approve", "reason": "mine", "without_advice": "mine", "seen": digest})
    assert page.status == 403
    assert (
        "nobody can approve a study that they opened" not in place.client("vera").good("GET", "/studies/own")["state"]
    )
    assert place.client("vera").good("GET", "/studies/own")["state"] == "draft"


def test_proposals_are_confirmed_or_refused_and_the_token_part_is_shown_once(
    shared: Place, dora: Browser, vera: Browser
) -> None:
    """The second part is shown after a redirect and once: a reload does nothing more, and shows it no more."""
    admin = shared.client("admin")
    made = admin.good("POST", "/proposals", {"act": "add", "user": "olga", "role": "dpo"})
    path = f"/proposals/{made['id']}"
    assert "Add a data protection officer: olga" in vera.get("/").words()
    page = vera.post(path, {"do": "confirm"})
    assert page.path == "/once"
    part = page.text.partition('<code id="secret">')[2].partition("</code>")[0]
    assert "The second part of a token of olga" in page.words()
    assert part not in vera.get("/once").text
    bearer = {"Authorization": f"Bearer {made['token_part']}{part}"}
    assert b'"olga"' in shared.app.test_client().get("/api/v1/me", headers=bearer).data
    assert vera.get(path).status == 404
    made = admin.good("POST", "/proposals", {"act": "remove", "user": "olga"})
    page = dora.post(f"/proposals/{made['id']}", {"do": "refuse"})
    assert "Nothing was changed" in page.words()
    assert last(shared, "proposal.withdraw")["subject"] == f"proposal:{made['id']}"
    assert admin.good("GET", "/proposals")["items"] == []


@pytest.mark.parametrize("name", ["ada", "ben", "admin"])
def test_pages_for_deciding_are_for_approvers_and_dpos_alone(shared: Place, name: str) -> None:
    """Other roles are refused, before anything of the study is read; nothing is shown and nothing done."""
    opened = browser(shared, name)
    made = shared.client("admin").good("POST", "/proposals", {"act": "token", "user": "vera"})
    for path in ("/studies/flu/decide", f"/proposals/{made['id']}"):
        for page in (opened.get(path), opened.post(path, {"do": "confirm", "reason": "r"})):
            assert page.status == 403
            assert "rand-hie" not in page.text
            assert "vera" not in page.text
    shared.client("admin").good("DELETE", f"/proposals/{made['id']}")


def test_act_that_is_not_the_roles_own_is_the_apis_to_refuse(shared: Place, dora: Browser, vera: Browser) -> None:
    """A form that was made up by hand gets the API's refusal, and changes nothing."""
    path = draft(shared, "forged")
    for opened, do in ((dora, "approve"), (vera, "advise"), (vera, "suspend"), (vera, "close"), (vera, "remove")):
        page = opened.post(path, {"do": do, "reason": "r", "opinion": "favourable", "without_advice": "w"})
        assert page.status in (403, 404), do
    assert shared.client("vera").good("GET", "/studies/forged")["state"] == "draft"
    assert vera.get("/studies/nowhere/decide").status == 404


def conclusion_of(place: Place, study: str) -> Any:
    """Return the conclusion that stands."""
    return place.client("dora").good("GET", f"/studies/{study}")["conclusion"]


def test_approver_reads_the_report_and_signs_a_conclusion(shared: Place, vera: Browser, dora: Browser) -> None:
    """The page has the bounds in words and what was asked beside the form; the conclusion is shown wherever it counts."""
    shared.open_study("ends", "clinic", epsilon=1.0, delta=0.0)
    shared.client("ada").good("POST", "/studies/ends/queries", ask(PATIENTS, 0.5, "visits"))
    path = "/studies/ends/conclude"
    assert f'href="{path}"' in vera.get("/studies/ends/decide").text
    assert f'href="{path}"' in vera.get("/reports").text
    assert f'href="{path}"' not in dora.get("/reports").text
    page = vera.get(path)
    for words in (
        "One release of statistics with noise, on",
        "Epsilon 1: a belief of 10% that a person is in the data can become at most 23.2%.",
        "at most: 23.2% that the person is in the data",
        "Singling out: Can someone be picked out",
        "SELECT COUNT(DISTINCT person) AS patients FROM visits",
        "Empty until an approver signs a conclusion.",
    ):
        assert words in page.words()
    page = press(vera, page, "conclude", text="Not personal\r\nfor its readers.")
    assert "Your conclusion stands in the report" in page.words()
    found = conclusion_of(shared, "ends")
    assert (found["text"], found["by"], found["changed"]) == ("Not personal\nfor its readers.", "vera", [])
    assert last(shared, "study.conclude")["facts"]["conclusion"] == found["text"]
    for opened, shown in ((vera, "decide"), (dora, "decide"), (browser(shared, "ada"), "")):
        assert "Not personal for its readers." in opened.get(f"/studies/ends/{shown}".rstrip("/")).words()
    assert "Not personal for its readers." in dora.get("/reports/studies/ends").words()
    assert "concluded on" in dora.get("/reports").words()
    shared.client("dora").good("POST", "/studies/ends/suspend", {"reason": "a question"})
    for page in (vera.get(path), dora.get("/studies/ends/decide"), dora.get("/reports/studies/ends")):
        assert "The study has changed since: its state. This conclusion is older than the report." in page.words()
    assert "the study has changed since" in dora.get("/reports").words()
    press(vera, vera.get(path), "conclude", text="Still not personal.")
    page = vera.get(path)
    assert "Earlier conclusions Not personal for its readers." in page.words()
    assert conclusion_of(shared, "ends")["text"] == "Still not personal."


def test_nobody_concludes_on_a_report_that_changed_after_the_page_was_read(shared: Place, vera: Browser) -> None:
    """The old page is refused; what was typed stays, and the page shows the report as it is, to conclude on that."""
    shared.open_study("moving", "clinic", epsilon=1.0)
    path = "/studies/moving/conclude"
    page = vera.get(path)
    shared.client("ada").good("POST", "/studies/moving/queries", ask(PATIENTS, 0.25, "visits"))
    page = press(vera, page, "conclude", text="as I read it")
    assert page.status == 409
    assert "the report of study moving has changed since you read it" in page.words()
    assert "One release of statistics" in page.words()
    assert page.form('value="conclude"')["text"] == "as I read it"
    assert press(vera, page, "conclude", seen="").status == 422, "a form without a digest"
    assert conclusion_of(shared, "moving") is None
    assert press(vera, page, "conclude").status == 200
    assert conclusion_of(shared, "moving")["text"] == "as I read it"


def test_hostile_and_long_conclusions_are_text_everywhere(shared: Place, vera: Browser, dora: Browser) -> None:
    """A conclusion is no markup on any page and in no report; one that is too long comes back whole, refused."""
    shared.open_study("spoilt", "clinic")
    path, text = "/studies/spoilt/conclude", LONG[:4_000]
    page = press(vera, vera.get(path), "conclude", text=f"{text}y")
    assert page.status == 422
    assert page.form('value="conclude"')["text"] == f"{text}y"
    assert 'id="conclude-text-wrong"' in page.text
    shown = [page, press(vera, page, "conclude", text=text)]
    entry = last(shared, "study.conclude")
    assert entry["facts"]["conclusion"] == text
    shown += [vera.get(path), vera.get("/studies/spoilt/decide"), vera.get("/studies/spoilt"), dora.get("/reports")]
    shown += [dora.get(f"/reports/{one}") for one in ("studies/spoilt", "datasets/clinic")]
    shown.append(dora.get(f"/log/{entry['index']}"))
    for one in shown:
        assert one.status in (200, 422)
        assert "<script>alert" not in one.text
        assert "<b>&amp;" not in one.text
    for one in shown[1:5]:
        assert "&amp;amp; {{ 7*7 }} \u202eevil" in one.text
        assert "<bdi>&#34;&#39;&gt;&lt;script&gt;" in one.text


def test_who_had_a_hand_in_the_study_gets_no_form_to_conclude(place: Place) -> None:
    """The page says why, and the API refuses all the same. A DPO has no such page."""
    place.home.change("UPDATE users SET role = 'approver' WHERE name = 'admin'")
    opened, path = browser(place, "admin"), "/studies/flu/conclude"
    page = opened.get(path)
    assert "Another approver has to conclude" in page.words()
    assert 'value="conclude"' not in page.text
    digest = place.client("vera").good("GET", "/studies/flu/report")["digest"]
    assert opened.post(path, {"do": "conclude", "text": "mine", "seen": digest}).status == 403
    assert conclusion_of(place, "flu") is None
    assert browser(place, "dora").get(path).status == 403
