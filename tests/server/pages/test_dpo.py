"""What a DPO does through the pages, without script: alerts, the log and its proofs, spending, reports, names."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING

import pytest

from budgets.verify import export
from server.pages.dpo import facts
from tests.server.pages.browsing import browser
from tests.serving import PATIENTS, application, ask

if TYPE_CHECKING:
    from tests.server.pages.browsing import Browser
    from tests.serving import Home, Place

HOSTILE = "\"'><script>alert(1)</script><b>&amp; \u202eevil"
PAGES = (
    *("/log", "/log/0", "/log/verify", "/log/export.zip", "/log/download.csv", "/log/checkpoint.txt"),
    *("/alerts", "/names"),
)


@pytest.fixture(scope="module")
def dora(shared: Place) -> Browser:
    """Return the browser of the DPO, after a hostile reason, a question, a refusal and a proposal."""
    admin, ada = shared.client("admin"), shared.client("ada")
    ada.good("POST", "/studies/flu/queries", ask(PATIENTS, 0.5))
    ada.post("/studies/flu/queries", ask(PATIENTS, 5000.0))
    admin.good(
        "PUT", "/studies/flu/budget", {"epsilon": 2000.0, "justification": "a test", "reason": HOSTILE + "x" * 9000}
    )
    admin.good("POST", "/proposals", {"act": "token", "user": "vera"})
    return browser(shared, "dora")


def test_log_is_listed_newest_first_and_by_filters(shared: Place, dora: Browser) -> None:
    """Lines with who and why; filters are the API's, a wrong one is told and stays in its field."""
    page = dora.get("/log?study=flu")
    assert page.words().index("a larger budget of study flu waits") < page.words().index("study flu was opened")
    assert "<code>audit.read" not in page.text
    only = dora.get("/log?action=study.approve&actor=vera&from=2020-01-01").words()
    assert "study flu went from draft to approved" in only
    assert "it may" in only
    assert "No entry fits" in dora.get("/log?actor=nobody").words()
    wrong = dora.get("/log?from=yesterday")
    assert wrong.status == 422
    assert 'value="yesterday"' in wrong.text
    last = shared.home.last_entry()
    older = dora.get(f"/log?cursor={last}")
    assert f'href="/log/{last}"' in older.text


def test_entry_has_its_facts_as_a_table_and_its_proof(shared: Place, dora: Browser) -> None:
    """Nested facts by their path, amounts beside what was hashed, the hashes of the API's proof."""
    ((index, leaf),) = shared.home.rows(
        "SELECT position, leaf_hash FROM audit_entries WHERE action = 'study.approve' ORDER BY position LIMIT 1"
    )
    page = dora.get(f"/log/{index}")
    assert "budget / epsilon_nano 1,000 (1,000,000,000,000)" in page.words()
    assert "terms / purpose P" in page.words()
    assert leaf in page.text
    proof = shared.client("dora").good("GET", f"/audit/proofs/inclusion?index={index}")
    assert proof["hashes"][0] in page.text
    assert dora.get("/log/99999").status == 404
    assert dora.get(f"/log/{2**70}").status in (404, 422)


def test_facts_of_any_shape_are_rows() -> None:
    """Lists, empty objects and what is deep inside are told too, and only whole amounts are converted."""
    found = facts.rows({"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}, "l": ["x", 1], "o": {}, "epsilon_nano": None})
    assert [(one.name, one.value, one.amount) for one in found] == [
        ("a / b / c / d / e", '{\n  "f": 1\n}', None),
        ("l", "x, 1", None),
        ("o", "{}", None),
        ("epsilon_nano", None, None),
    ]
    assert facts.rows({"delta_atto": 10**12})[0].amount == 1e-6


def test_log_is_verified_in_the_page_by_what_the_dpo_kept(shared: Place, dora: Browser) -> None:
    """With key and checkpoint it is sound; a checkpoint of another log fails; the page says what this does not prove."""
    key = shared.client("dora").good("GET", "/audit/checkpoint")["key"]
    kept = dora.get("/log/checkpoint.txt").response.data
    page = dora.get("/log/verify")
    assert "proves less than a check on your own machine" in page.words()
    assert "rowless audit verify log.jsonl" in page.words()
    page = dora.post("/log/verify", {"key": key, "older": (io.BytesIO(kept), "kept.checkpoint")})  # type: ignore[dict-item]
    assert "The log is sound." in page.words()
    assert "You gave no key" not in page.words()
    assert "study flu 0.5 1,000" in page.words()
    assert "You gave no key" in dora.post("/log/verify", {"key": ""}).words()
    page = dora.post("/log/verify", {"key": HOSTILE})
    assert "The log failed the check" in page.words()
    assert "<script>alert" not in page.text


def test_downloads_are_what_the_api_sends_and_the_export_verifies(
    shared: Place, dora: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of several pages are one table, one log; the packed log passes the independent check."""
    monkeypatch.setattr("server.pages.dpo.log.WHOLE_PAGE", 3)
    sent = dora.get("/log/export.zip")
    assert sent.response.headers["Content-Disposition"].startswith("attachment")
    assert sent.response.headers["Cache-Control"] == "no-store"
    with zipfile.ZipFile(io.BytesIO(sent.response.data)) as packed:
        lines, note = packed.read("log.jsonl"), packed.read("log.jsonl.checkpoint").decode()
    key = shared.client("dora").good("GET", "/audit/checkpoint")["key"]
    assert export.verify(lines.splitlines(keepends=True), key=key, covering=note).verdict == "ok"
    api = shared.client("dora").get("/audit/entries?study=flu", Accept="text/csv")
    assert dora.get("/log/download.csv?study=flu").response.data == api.body
    api = shared.client("dora").get("/audit/entries?study=flu", Accept="application/jsonl")
    assert dora.get("/log/download.jsonl?study=flu").response.data == api.body
    assert len(api.body.splitlines()) > 6
    assert dora.get("/log/download.exe").status == 404


def test_download_of_the_log_does_not_stop_at_the_rate(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pages it has, a download is complete, and leaves the DPO their rate. Calls are counted as before."""
    monkeypatch.setattr("server.pages.dpo.log.WHOLE_PAGE", 1)
    with application(home, token_rate="8/minute") as place:
        dora = browser(place, "dora")
        sent = dora.get("/log/export.zip")
        assert sent.status == 200
        with zipfile.ZipFile(io.BytesIO(sent.response.data)) as packed:
            assert len(packed.read("log.jsonl").splitlines()) > 8
        assert [dora.get("/log").status for _ in range(8)][::7] == [200, 429]


def test_one_download_of_the_log_at_a_time(shared: Place, dora: Browser) -> None:
    """While somebody downloads the log, another download is told at once to come again; the log is read as ever."""
    with shared.services.gates.export.entered(("user", "another")):
        assert [dora.get(f"/log/{file}").status for file in ("export.zip", "download.csv")] == [503, 503]
        assert dora.get("/log").status == 200
    assert dora.get("/log/download.csv").status == 200


def test_alerts_are_listed_by_filters(dora: Browser) -> None:
    """The newest first, by kind and study, also on the start page."""
    page = dora.get("/alerts?kind=privileges")
    assert "a token for a user of the role approver was proposed" in page.words()
    assert "No alert fits" in dora.get("/alerts?kind=clock").words()
    assert dora.get("/alerts?kind=none").status == 422
    assert "a token for a user of the role approver was proposed" in dora.get("/").words()


def test_spending_is_drawn_and_told_in_tables(shared: Place, dora: Browser) -> None:
    """The sums are those of the API; the drawing has a title and a description."""
    words = dora.get("/spending?dataset=rand-hie").words()
    shares = shared.client("dora").good("GET", "/datasets/rand-hie/shares")
    assert f"all, of a cap of ε 10,000 {shares['budget']['spent']['epsilon']:g}" in words
    page = browser(shared, "vera").get("/spending?dataset=rand-hie")
    assert "<desc" in page.text
    assert 'href="/studies/flu/releases"' in page.text
    assert dora.get("/spending").status == 200
    assert dora.get("/spending?dataset=nowhere").status == 404


def test_spending_of_more_charges_than_are_read_has_the_last_ones(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last charges are the newest, the drawing begins at what was spent before, and the page says both."""
    for part in ("PAGE", "PAGES_MAX"):
        monkeypatch.setattr(f"server.pages.dpo.spending.{part}", 1)
    for epsilon in (0.375, 0.125):
        place.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS, epsilon))
    page = browser(place, "dora").get("/spending?dataset=rand-hie")
    charges = page.words().partition("The last charges")[2]
    assert "0.125" in charges
    assert "0.375" not in charges
    assert "The last 1 of more than 1." in charges
    assert "its line begins at what was spent before them" in page.words()


def test_reports_are_read_as_the_api_prints_them(shared: Place, dora: Browser) -> None:
    """The page of the API with its own policy, and JSON as a file; the approver reads them too."""
    assert 'href="/reports/studies/flu"' in dora.get("/reports").text
    page = browser(shared, "vera").get("/reports/studies/flu")
    assert "Anonymity report" in page.text
    assert "style-src 'sha256-" in page.response.headers["Content-Security-Policy"]
    sent = dora.get("/reports/datasets/rand-hie?as=json")
    assert json.loads(sent.response.data)["name"] == "rand-hie"
    assert dora.get("/reports/users/flu").status == 404
    assert shared.home.actions()[-1] == "report.read"


def test_names_that_are_due_are_erased_after_a_confirmation(home: Home) -> None:
    """Nothing is erased without the tick; with it, those that were shown are, and no others."""
    past, kept = "ab" * 32, "cd" * 32
    for commitment, day in ((past, "2020-01-01T00:00:00.000Z"), (kept, "2999-01-01T00:00:00.000Z")):
        home.change("INSERT INTO identities VALUES (?, 'ff', 'ada', ?, ?)", commitment, day, day)
    with application(home) as place:
        dora = browser(place, "dora")
        form = dora.get("/names").form("commitment")
        assert form["commitment"] == past
        refused = dora.post("/names", form)
        assert (refused.status, refused.form("commitment")["commitment"]) == (422, past)
        assert "Tick that you are sure" in refused.words()
        assert dora.post("/names", {"commitment": kept, "sure": "yes"}).status == 409
        assert home.rows("SELECT count(*) FROM identities WHERE salt = 'ff'") == [(2,)]
        page = dora.post("/names", {**form, "sure": "yes"})
        assert "Names erased, for good: 1." in page.words()
        assert home.rows("SELECT commitment FROM identities WHERE salt = 'ff'") == [(kept,)]
        assert "No name is due" in page.words()
        assert "identity.erase" in home.actions()


@pytest.mark.parametrize("name", ["ada", "admin", "vera"])
def test_pages_of_the_dpo_are_for_nobody_else(shared: Place, dora: Browser, name: str) -> None:
    """They are refused before anything of the log is read, and show nothing of it."""
    before = shared.home.actions().count("audit.read")
    opened = browser(shared, name)
    for path in PAGES:
        page = opened.get(path)
        assert page.status == 403, path
        assert "dora" not in page.text
    for path in ("/log/verify", "/names"):
        assert opened.post(path, {"sure": "yes", "commitment": "a" * 64}).status == 403
    assert shared.home.actions().count("audit.read") == before
    expected = 200 if name == "vera" else 403
    if name != "admin":
        assert opened.get("/reports").status == opened.get("/spending").status == expected
        assert opened.get("/reports/studies/flu").status == expected


def test_hostile_texts_of_the_log_are_text(dora: Browser) -> None:
    """A reason with markup and 9,000 characters is shortened in the list, whole in the entry, and text in both."""
    page = dora.get("/log?action=study.budget.ask")
    index = page.text.partition('href="/log/')[2].partition('"')[0]
    for one in (page, dora.get(f"/log/{index}"), dora.get(f"/log?study={HOSTILE}&actor={HOSTILE}")):
        assert "<script>alert" not in one.text
        assert "<b>" not in one.text
    assert "x" * 9000 in dora.get(f"/log/{index}").text
    assert "x" * 400 not in page.text
