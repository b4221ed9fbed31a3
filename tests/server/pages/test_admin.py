"""The admin's pages, without script: each act through its form, and what it did as the API shows it."""

from __future__ import annotations

import datetime as dt
import html
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from budgets.database import clock
from budgets.identity import people
from queries.catalog.manifest import read_manifest
from server.runtime.stores import import_manifest
from tests.server.pages.browsing import Browser, browser
from tests.serving import UNADVISED, import_file, write_clinic

if TYPE_CHECKING:
    from tests.server.pages.browsing import Page
    from tests.serving import Client, Place

# Cross-site scripting in all contexts, a mark that turns text around, and a long text.
HOSTILE = "\"'><script>alert(1)</script><b>&amp; \u202eevil" + "x" * 200
FLU = "/admin/studies/flu"
PATHS = (
    *("/admin/datasets", "/admin/datasets/clinic", "/admin/new-study", FLU, f"{FLU}/terms", f"{FLU}/protocol"),
    *("/admin/users", "/admin/users/ada", "/admin/tokens", "/admin/new-token", "/admin/proposals"),
    "/admin/server",
)
NEW = {
    "name": "cold",
    "dataset": "clinic",
    "title": "Colds",
    "purpose": "To know",
    "legal_basis": "Law",
    "starts": "2026-01-01",
    "ends": "",
    "epsilon": "2,5",
    "delta": "",
}


@pytest.fixture(scope="module")
def root(shared: Place) -> Browser:
    """Return the browser of the admin."""
    return browser(shared, "admin")


@pytest.fixture(scope="module")
def api(shared: Place) -> Client:
    """Return the admin's client of the API."""
    return shared.client("admin")


def secret(page: Page) -> str:
    """Return what a page shows once."""
    found = re.search(r'<code id="secret">(.*?)</code>', page.text)
    assert found is not None, page.words()
    return html.unescape(found[1])


def test_pages_are_for_the_admin_alone(shared: Place) -> None:
    """Each page is 403 for every other role, also when a form is sent to it, and nothing of it is shown or done."""
    everyone = {name: browser(shared, name) for name in ("ada", "ben", "dora", "vera")}
    before = shared.home.last_entry()
    for name, opened in everyone.items():
        for path in PATHS:
            for page in (opened.get(path), opened.post(path, {"do": "close", "name": "eve", "role": "admin"})):
                assert page.status in (403, 404, 405), (name, path)
                assert "Your role does not allow this" in page.words() or page.status != 403, (name, path)
                assert "clinic" not in page.words(), (name, path)
                assert 'href="/admin' not in page.text, (name, path)
    assert set(shared.home.actions(before)) <= {"call.refuse", "alert.refusals", "call.repeat"}
    assert "call.refuse" in shared.home.actions(before)
    assert browser(shared).get("/admin/users").path == "/sign-in"
    assert everyone["ada"].get("/guarantee?epsilon=1").status == 403


def test_every_page_is_there_for_the_admin(root: Browser) -> None:
    """They answer, link to each other, and need no script."""
    for path in PATHS:
        page = root.get(path)
        assert page.status == 200, path
        assert 'style="' not in page.text, path
        assert "<script>" not in page.text, path
    assert {"/reports", "/admin/datasets"} <= set(re.findall(r'href="(/[^"]*)"', root.get("/").text))
    assert root.get("/admin/studies/none").status == 404
    assert root.get("/admin/users/none").status == 404
    assert root.get("/admin/datasets/none").status == 404


def test_study_is_opened_with_what_was_typed(root: Browser, api: Client) -> None:
    """A refusal stands at its field and loses nothing; what an epsilon means is on the page; then it is a draft."""
    page = root.post("/admin/new-study", {**NEW, "name": "a b", "epsilon": "much", "do": "open"})
    assert page.status == 422
    assert 'id="epsilon-wrong"' in page.text
    assert page.form("purpose")["epsilon"] == "much"
    page = root.post("/admin/new-study", {**NEW, "name": "a b", "do": "open"})
    assert 'id="name-wrong"' in page.text
    assert page.form("purpose")["purpose"] == "To know"
    shown = root.post("/admin/new-study", {**NEW, "epsilon": "1", "do": "meaning"})
    assert "23.2% that the person is in the data" in shown.words()
    assert "45.1% of a fact about the person" in shown.words()
    page = root.post("/admin/new-study", {**shown.form("purpose"), **NEW, "do": "open"})
    assert page.path == "/admin/studies/cold"
    study = api.good("GET", "/studies/cold")
    assert (study["state"], study["budget"]["epsilon"], study["starts"], study["ends"]) == (
        "draft",
        2.5,
        "2026-01-01",
        None,
    )


def test_meaning_follows_what_is_typed(root: Browser) -> None:
    """The part of a page that script asks for while one types: also with a comma, and words where it is no number."""
    assert "69.1%" in root.get("/guarantee?epsilon=3").words()
    assert "97.9%" in root.get("/guarantee?epsilon=3,0").words()
    assert "excludes little" in root.get("/guarantee?epsilon=10").words()
    for nothing in ("", "x", "0", "-1", "1e400"):
        page = root.get(f"/guarantee?epsilon={nothing}")
        assert page.status == 200
        assert "Type a number" in page.words()


def test_members_come_and_go(shared: Place, root: Browser, api: Client) -> None:
    """The form offers researchers who are no members."""
    shared.open_study("team", "clinic", approve=False)
    page = root.get("/admin/studies/team")
    assert page.form("Add a researcher") == {"user": "ben"}
    page = root.post("/admin/studies/team", {"user": "ben", "do": "add"})
    assert "ben is a member now" in page.words()
    assert api.good("GET", "/studies/team")["members"] == ["ada", "ben"]
    page = root.post("/admin/studies/team", {"user": "ada", "do": "remove"})
    assert api.good("GET", "/studies/team")["members"] == ["ben"]
    assert "is no member" in root.post("/admin/studies/team", {"user": "ada", "do": "remove"}).words()


def test_terms_of_an_approved_study_make_it_a_draft(shared: Place, root: Browser, api: Client) -> None:
    """The page warns before, and says so afterwards; a wrong day stays in its field."""
    shared.open_study("terms", "clinic")
    page = root.get("/admin/studies/terms/terms")
    assert "makes it a draft again" in page.words()
    form = page.form("Legal basis")
    wrong = root.post("/admin/studies/terms/terms", {**form, "ends": "soon"})
    assert 'id="ends-wrong"' in wrong.text
    page = root.post("/admin/studies/terms/terms", {**form, "title": "Other", "ends": "2027-01-31"})
    assert "is a draft again" in page.words()
    study = api.good("GET", "/studies/terms")
    assert (study["title"], study["ends"], study["state"]) == ("Other", "2027-01-31", "draft")


def test_budget_of_an_approved_study_waits_when_it_is_larger(shared: Place, root: Browser, api: Client) -> None:
    """It is proposed with its reason; a smaller one counts at once; a refusal opens the form again."""
    shared.open_study("money", "clinic", epsilon=5.0)
    page = root.post(
        "/admin/studies/money", {"epsilon": "7", "justification": "a test", "reason": "more", "do": "budget"}
    )
    assert "waits for an approver" in page.words()
    assert api.good("GET", "/studies/money")["raise"]["epsilon"] == 7
    root.post("/admin/studies/money", {"epsilon": "4", "justification": "a test", "reason": "less", "do": "budget"})
    assert api.good("GET", "/studies/money")["budget"]["epsilon"] == 4
    page = root.post(
        "/admin/studies/money", {"epsilon": "20000", "justification": "a test", "reason": "much", "do": "budget"}
    )
    assert page.status == 422
    assert page.form("Set or propose it") == {
        "epsilon": "20000",
        "justification": "a test",
        "delta": "",
        "laplace_percent": "",
        "reason": "much",
    }
    page = root.post("/admin/studies/money", {"epsilon": "1", "justification": "a test", "reason": "", "do": "meaning"})
    assert "23.2%" in page.words()
    assert api.good("GET", "/studies/money")["budget"]["epsilon"] == 4


def test_division_of_epsilon_is_typed_where_a_budget_is(shared: Place, root: Browser, api: Client) -> None:
    """The part for Laplace noise and delta: explained, refused at the field, kept there, and what was empty stays."""
    page = root.get("/admin/new-study")
    assert "the ρ that the rest of ε and δ allow" in page.words()
    assert "Left empty, it is that of the dataset." in page.words()
    typed = {**NEW, "name": "shared-out", "epsilon": "2", "delta": "1e-7", "laplace_percent": "170", "do": "open"}
    page = root.post("/admin/new-study", typed)
    assert page.status == 422
    assert 'id="laplace_percent-wrong"' in page.text
    assert "must be from 0 to 100" in page.words()
    assert page.form("purpose")["laplace_percent"] == "170"
    page = root.post("/admin/new-study", {**page.form("purpose"), "laplace_percent": "70", "do": "open"})
    budget = api.good("GET", "/studies/shared-out")["budget"]
    assert (budget["laplace_percent"], budget["delta"]) == (70, 1e-7)
    assert "From 0 to 100. Left empty, it stays 70." in page.words()
    change = {"epsilon": "2", "reason": "more of the other", "laplace_percent": "", "delta": "", "do": "budget"}
    root.post("/admin/studies/shared-out", {**change, "laplace_percent": "30"})
    budget = api.good("GET", "/studies/shared-out")["budget"]
    assert (budget["laplace_percent"], budget["delta"]) == (30, 1e-7)
    root.post("/admin/studies/shared-out", {**change, "epsilon": "1"})
    budget = api.good("GET", "/studies/shared-out")["budget"]
    assert (budget["epsilon"], budget["laplace_percent"], budget["delta"]) == (1, 30, 1e-7)
    assert "30% of ε is for Laplace noise" in browser(shared, "vera").get("/studies/shared-out/decide").words()


def test_division_and_noise_of_a_dataset_are_decided_on(place: Place, tmp_path: Path) -> None:
    """An admin proposes another part for Laplace noise; admin, approver and DPO see it, and the noise of answers."""
    root, api = browser(place, "admin"), place.client("admin")
    form = {"epsilon": "10000", "justification": "a test", "reason": "both kinds", "delta": "0.00001", "do": "propose"}
    page = root.post("/admin/datasets/clinic", {**form, "laplace_percent": "half"})
    assert 'id="laplace_percent-wrong"' in page.text
    root.post("/admin/datasets/clinic", {**form, "laplace_percent": "25"})
    waiting = api.good("GET", "/datasets/clinic")["terms"]["waiting"]
    assert (waiting["laplace_percent"], waiting["delta"], waiting["noise"]) == (25, 1e-5, "both")
    import_file(place.services, write_clinic(tmp_path, **{"epsilon = 10000.0": 'epsilon = 10000.0\nnoise = "laplace"'}))
    assert "Noise of answers either kind" in root.get("/admin/datasets/clinic").words()
    assert "Noise of answers Laplace noise alone" in browser(place, "ada").get("/datasets/clinic").words(), (
        "as far as both allow it"
    )
    for name in ("vera", "dora"):
        words = browser(place, name).get("/datasets/clinic/decide").words()
        assert "Part of ε for Laplace noise (percent) 50 25" in words
        assert "Noise of answers either kind Laplace noise alone" in words
        french = browser(place, name).get("/datasets/clinic/decide", Accept_Language="fr").words()
        assert "Bruit des réponses" in french


def test_study_is_closed_with_a_reason(shared: Place, root: Browser, api: Client) -> None:
    """Without one it is refused at the field; a closed study has no forms left."""
    shared.open_study("over", "clinic", approve=False)
    assert 'id="close-reason-wrong"' in root.post("/admin/studies/over", {"reason": "", "do": "close"}).text
    page = root.post("/admin/studies/over", {"reason": "done", "do": "close"})
    assert api.good("GET", "/studies/over")["state"] == "closed"
    assert "Close this study" not in page.words()
    assert "Change the" not in page.words()


def test_protocol_goes_through_its_form_and_back(shared: Place, root: Browser, api: Client) -> None:
    """Lists, limits and templates in SQL; what the form shows is what was saved; a wrong template keeps its text."""
    shared.open_study("rules", "clinic", approve=False)
    path = "/admin/studies/rules/protocol"
    form = root.post(path, {**root.get(path).form("Templates"), "do": "add"}).form("Templates")
    sql = "SELECT COUNT(DISTINCT person) AS n FROM visits WHERE age > 40"
    form |= {"only-tables": "yes", "tables:visits": "yes", "only-statistics": "yes", "statistics:count": "yes"}
    form |= {"max_epsilon": "0,5", "min_margin": "3", "t-0-name": "older", "t-0-max": "0.25", "strict": "yes"}
    form |= {"code_lists": 'diabetes: E10; E11\n\nodd:["a;b", " c"]'}
    wrong = root.post(path, {**form, "t-0-text": "SELECT * FROM visits", "do": "save"})
    assert 'id="t-0-text-wrong"' in wrong.text
    assert wrong.form("Templates")["t-0-text"] == "SELECT * FROM visits"
    assert root.post(path, {**form, "t-0-text": sql, "do": "save"}).path == "/admin/studies/rules"
    protocol = api.good("GET", "/studies/rules")["protocol"]
    assert (protocol["tables"], protocol["statistics"], protocol["strict"]) == (["visits"], ["count"], True)
    assert (protocol["max_epsilon"], protocol["min_margin"]) == (0.5, 3.0)
    assert protocol["code_lists"] == {"diabetes": ["E10", "E11"], "odd": ["a;b", " c"]}
    shown = root.get(path).form("Templates")
    assert (shown["t-0-name"], shown["t-0-text"], shown["t-0-max"]) == ("older", sql, "0.25")
    root.post(path, {**shown, "do": "save"})
    assert api.good("GET", "/studies/rules")["protocol"] == protocol
    root.post(path, {**root.post(path, {**shown, "do": "drop-0"}).form("Templates"), "strict": "", "do": "add"})
    emptied = {name: text for name, text in shown.items() if name[:2] != "t-" and name != "strict"}
    root.post(path, {**emptied, f"t-{'9' * 5000}-name": "a number that nobody reads", "do": "save"})
    assert "templates" not in api.good("GET", "/studies/rules")["protocol"]


def test_template_with_parameters_stays_json(shared: Place, root: Browser, api: Client) -> None:
    """SQL has no words for a parameter, so that the page shows and takes JSON, and saving changes nothing."""
    shared.open_study("filled", "clinic", approve=False)
    age = {"column": "age", "op": ">=", "value": {"parameter": "from_age", "type": "number", "range": [18, 65]}}
    query = {"from": "visits", "where": age, "select": {"n": {"count": "persons"}}}
    api.good("PATCH", "/studies/filled", {"protocol": {"templates": [{"name": "adults", "query": query}]}})
    before = api.good("GET", "/studies/filled")["protocol"]
    path = "/admin/studies/filled/protocol"
    root.post(path, {**root.get(path).form("Templates"), "do": "save"})
    assert api.good("GET", "/studies/filled")["protocol"] == before
    page = root.post(path, {**root.get(path).form("Templates"), "t-0-text": "{", "do": "save"})
    assert 'id="t-0-query-wrong"' in page.text


def test_token_of_a_new_user_is_shown_once(shared: Place, root: Browser) -> None:
    """It works, and a reload shows it no more and makes no second user. A name that cannot be stays in its field."""
    page = root.post("/admin/users", {"name": "eve", "role": "researcher"})
    assert page.path == "/once"
    token = secret(page)
    reply = shared.app.test_client().get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert b'"eve"' in reply.data
    again = root.get("/once")
    assert token not in again.text
    assert "shown once" in again.words()
    page = root.post("/admin/users", {"name": "e v e", "role": "researcher"})
    assert 'id="name-wrong"' in page.text
    assert page.form("Add and make")["name"] == "e v e"
    assert "This name is taken" in root.post("/admin/users", {"name": "eve", "role": "researcher"}).words()


def test_approver_is_proposed_to_a_second_person(shared: Place, root: Browser, api: Client) -> None:
    """The admin gets the first part of the token; the proposal waits, and can be withdrawn."""
    page = root.post("/admin/users", {"name": "olga", "role": "approver"})
    (waiting,) = api.good("GET", "/proposals")["items"]
    assert (waiting["act"], waiting["user"], waiting["role"]) == ("add", "olga", "approver")
    part = secret(page)
    confirmed = shared.client("dora").good("POST", f"/proposals/{waiting['id']}/confirm")
    whole = part + confirmed["token_part"]
    reply = shared.app.test_client().get("/api/v1/me", headers={"Authorization": f"Bearer {whole}"})
    assert b'"olga"' in reply.data
    assert "was proposed" in root.post("/admin/users/olga", {"do": "remove"}).words()
    page = root.get("/admin/proposals")
    assert "Remove an approver" in page.words()
    page = root.post("/admin/proposals", page.form("Withdraw") | {"do": "withdraw"})
    assert api.good("GET", "/proposals")["items"] == []
    assert "was withdrawn" in page.words()


def test_proposals_are_made_by_their_form(root: Browser, api: Client) -> None:
    """Of each act; what cannot be proposed is said, and keeps what was typed."""
    page = root.post("/admin/proposals", {"act": "token", "user": "dora", "role": "approver", "do": "propose"})
    assert secret(page).startswith("rowless_")
    (made,) = api.good("GET", "/proposals")["items"]
    assert made["act"] == "token"
    page = root.post("/admin/proposals", {"act": "remove", "user": "nobody at all", "role": "dpo", "do": "propose"})
    assert page.status in (404, 422)
    assert page.form("Name of the user")["user"] == "nobody at all"
    api.good("DELETE", f"/proposals/{made['id']}")


def test_tokens_are_made_with_limits_and_revoked(shared: Place, root: Browser, api: Client) -> None:
    """Days, a study and reading alone; an impossible number of days is refused at its field."""
    page = root.post("/admin/new-token", {"user": "ben", "days": "1000", "study": ""})
    assert 'id="days-wrong"' in page.text
    assert page.form("Limited to a study")["user"] == "ben"
    page = root.post("/admin/new-token", {"user": "ben", "days": "3", "study": "flu", "reads_only": "yes"})
    token = secret(page)
    (made,) = [one for one in api.good("GET", "/tokens?user=ben")["items"] if one["study"] == "flu"]
    assert made["reads_only"] is True
    assert made["id"] in token
    page = root.get("/")
    assert "Tokens that end within 14 days" in page.words()
    assert 'href="/admin/users/ben"' in page.text
    page = root.get("/admin/users/ben")
    page = root.post("/admin/tokens", {"token": made["id"], "user": "ben"})
    assert page.path == "/admin/users/ben"
    assert "was revoked" in page.words()
    assert shared.app.test_client().get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_user_is_removed_by_a_form(root: Browser, api: Client) -> None:
    """A researcher at once; nobody themselves."""
    api.good("POST", "/users", {"name": "gone", "role": "researcher"})
    assert "was removed" in root.post("/admin/users/gone", {"do": "remove"}).words()
    assert "gone" not in [one["user"] for one in api.good("GET", "/users")["items"]]
    assert "Nobody removes themselves" in root.get("/admin/users/admin").words()
    assert root.post("/admin/users/admin", {"do": "remove"}).status >= 400


def test_start_page_names_what_waits(place: Place) -> None:
    """Drafts with the advice on them, larger budgets, proposals, datasets that cannot be used; or that nothing waits."""
    root, admin = browser(place, "admin"), place.client("admin")
    assert "Nothing waits" in root.get("/").words()
    place.open_study("draft", "clinic", title="A draft", approve=False)
    admin.good("PUT", "/studies/flu/budget", {"epsilon": 2000.0, "justification": "a test", "reason": "more"})
    admin.good("POST", "/proposals", {"act": "add", "user": "olga", "role": "dpo"})
    place.services.stores.close()
    place.home.store("clinic").rename(place.home.path / "away")
    page = root.get("/")
    for words in ("A draft", "has not advised yet", "from ε 1,000 to ε 2,000", "olga", "its store is missing"):
        assert words in page.words(), words
    assert "cannot be used" in root.get("/admin/server").words()
    page = root.get("/admin/datasets/clinic")
    assert page.status == 200
    assert "is missing" in page.words()


def test_page_of_a_dataset_shows_its_cap_and_losses_to_the_admin(place: Place, tmp_path: Path) -> None:
    """The picture's widths are those of the shares, words say the same, and losses stand by their columns."""
    place.open_study("half", "clinic", epsilon=5000.0)
    import_file(place.services, write_clinic(tmp_path, ["1,female,2020-01-01,cheap,200,true,C"]))
    page = browser(place, "admin").get("/admin/datasets/clinic")
    assert "Of the cap of ε 10,000, ε 5,000 is promised or spent; ε 5,000 is free" in page.words()
    assert '<rect class="left" x="0.000%" y="2" width="50.000%"' in page.text
    assert '<rect class="free" x="50.000%" y="2" width="50.000%"' in page.text
    assert re.search(r"cost 1 0 0 0 \d", page.words())
    assert re.search(r"age 0 0 1 0 \d", page.words())
    assert browser(place, "dora").get("/admin/datasets/clinic").status == 403


def assert_told(page: Page, name: str) -> None:
    """Check that a page has the commands that import anew, with the manifest that the last import read."""
    found = re.findall(r"rowless import (\S+) --as admin( --check)?", page.words())
    assert [check for _, check in found] == [" --check", ""]
    (path,) = {Path(path) for path, _ in found}
    assert (path.name, path.is_file()) == (name, True)


def test_dataset_that_was_imported_waits_for_an_approver(place: Place, tmp_path: Path) -> None:
    """Start page and its own page say so, with what was proposed, until it is approved."""
    file = write_clinic(tmp_path, **{'name = "clinic"': 'name = "ward"', 'title = "A clinic"': 'title = "A ward"'})
    admin = place.client("admin")
    with place.services.database.read() as transaction:
        by = people.user(transaction, "admin")
    manifest = read_manifest(file)
    import_manifest(place.services.settings, place.services.database, manifest, by, lambda _what, _done: None)
    root = browser(place, "admin")
    for path in ("/", "/admin/datasets/ward"):
        page = root.get(path)
        assert "waits for an approver" in page.words(), path
        assert "a cap of ε 10,000, and no further profile" in page.words(), path
    assert "nothing is charged" in page.words()
    assert f"rowless import {file} --as admin --check" in page.words()
    assert_told(root.get("/admin/datasets/clinic"), "clinic.toml")
    report = place.home.store("clinic").parent / "report.json"  # of an edition from before the path was kept
    report.write_text(json.dumps({k: v for k, v in json.loads(report.read_text()).items() if k != "manifest"}))
    assert "rowless import /path/to/clinic.toml --as admin" in root.get("/admin/datasets/clinic").words()
    root.post("/admin/datasets/ward", {"epsilon": "3", "justification": "a test", "reason": "less", "do": "propose"})
    assert admin.good("GET", "/datasets/ward")["terms"]["waiting"]["epsilon"] == 3
    place.client("vera").good("POST", "/datasets/ward/approve", {"reason": "it may", **UNADVISED})
    assert "A ward waits" not in root.get("/").words()
    assert "Nothing waits" in root.get("/").words()


def test_profile_is_proposed_and_bought(place: Place) -> None:
    """What was not approved is refused with the API's words; what was approved is bought from the cap."""
    root, admin = browser(place, "admin"), place.client("admin")
    path = "/admin/datasets/clinic"
    page = root.post(path, {"epsilon": "10000", "profile": "0,25", "reason": "", "do": "propose"})
    assert page.status == 422
    page = root.post(path, {"epsilon": "10000", "profile": "0,25", "reason": "to choose limits", "do": "propose"})
    assert "of which profiles may take ε 0.25" in page.words()
    place.client("vera").good("POST", "/datasets/clinic/approve", {"reason": "it may", **UNADVISED})
    refused = root.post(path, {"epsilon": "0.5", "do": "buy"})
    assert refused.status == 403
    assert refused.form("Price")["epsilon"] == "0.5"
    page = root.post(path, {"epsilon": "0.25", "do": "buy"})
    assert "Bought" in page.words()
    assert admin.good("GET", "/datasets/clinic")["profile"]["cost"]["epsilon"] == pytest.approx(0.25)
    assert '<rect class="profile"' in page.text
    place.home.assert_sound()


def test_hostile_texts_are_shown_as_text(place: Place) -> None:
    """Titles, purposes, reasons and all that is typed into a form that is refused are escaped on every page."""
    root = browser(place, "admin")
    place.open_study("odd", "clinic", title=HOSTILE, purpose=HOSTILE, legal_basis=HOSTILE, approve=False)
    place.client("dora").good("POST", "/studies/odd/advise", {"opinion": "favourable", "reason": HOSTILE})
    typed: dict[str, Any] = dict.fromkeys(("title", "purpose", "legal_basis", "name", "user", "epsilon"), HOSTILE)
    typed |= dict.fromkeys(
        ("starts", "days", "role", "reason", "dataset", "max_epsilon", "t-0-text", "t-0-name"), HOSTILE
    )
    pages = [root.get(path) for path in ("/", *PATHS, "/admin/studies/odd", "/admin/studies/odd/terms")]
    pages += [root.post("/admin/studies/odd", {**typed, "do": do}) for do in ("add", "budget", HOSTILE)]
    pages += [root.post(f"/admin/studies/odd/{name}", {**typed, "do": "save"}) for name in ("terms", "protocol")]
    pages += [root.post(f"/admin/{name}", {**typed, "act": HOSTILE}) for name in ("new-study", "users", "new-token")]
    pages += [
        root.post("/admin/datasets/clinic", {**typed, "do": "propose"}),
        root.get(f"/guarantee?epsilon={HOSTILE}"),
    ]
    for page in pages:
        assert "<script>alert" not in page.text, page.path
        assert "<b>" not in page.text, page.path
        assert page.status < 500, page.path


def test_token_that_ends_later_does_not_wait(shared: Place, root: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token waits from 14 days before its end."""
    shared.client("admin").good("POST", "/users", {"name": "zoe", "role": "researcher", "days": 60})
    assert "/admin/users/zoe" not in root.get("/").text
    later = clock.moment() + dt.timedelta(days=47)
    again = browser(shared, "admin")
    monkeypatch.setattr(clock, "moment", lambda: later)
    again = browser(shared, "admin")
    assert "/admin/users/zoe" in again.get("/").text


def test_page_of_a_dataset_says_how_newer_data_are_imported(shared: Place, root: Browser) -> None:
    """The command is that of whoever reads it, beside what the last import reported; the list of datasets has it too."""
    page = root.get("/admin/datasets/clinic")
    assert_told(page, "clinic.toml")
    assert "kept of" in page.words().partition("Import newer data")[0].rpartition("Imports")[2]
    assert "rowless import /path/to/hospital.toml --as admin" in root.get("/admin/datasets").words()
