"""The researcher's way through the pages, without script: from a study to an answer that was paid once."""

from __future__ import annotations

import json
import re
import shlex
from contextlib import ExitStack
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from flask import render_template_string

from server.pages.researcher import builder, snippets
from server.pages.researcher.asked import offered
from server.pages.researcher.asking import Draft
from server.pages.researcher.drawing import rows_shown
from server.pages.researcher.form.lines import Line
from server.views.table import Cell, Column, Row, Table
from tests.server.charts import drawn
from tests.server.pages.browsing import Browser, browser
from tests.serving import FORMALITIES, PATIENTS, application, ask, import_file, write_demo_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.pages.browsing import Page
    from tests.serving import Place

ASK = "/studies/flu/ask"
# Cross-site scripting in all contexts, a mark that turns text around, and a long text.
HOSTILE = "\"'><script>alert(1)</script><b>&amp; \u202eevil" + "x" * 200


@pytest.fixture
def ada(place: Place) -> Browser:
    """Return the browser of a member of flu."""
    return browser(place, "ada")


def send(opened: Browser, page: Page, do: str, **fields: str) -> Page:
    """Press a button of the form for asking, after changing some fields."""
    form = page.form('name="do"') | {name.replace("_", "-"): value for name, value in fields.items() if name[1] == "_"}
    form |= {name: value for name, value in fields.items() if name[1] != "_"}
    return opened.post(ASK, {**form, "do": do})


def answered(opened: Browser, **fields: str) -> Page:
    """Return the page of the answer to the first question, with some fields changed, after its price was confirmed."""
    review = opened.post(ASK, {**opened.get(ASK).form('name="do"'), **fields, "do": "review"})
    return opened.post(ASK, {**review.form('name="do"'), "do": "pay"})


def test_question_is_asked_by_clicking_alone(place: Place, ada: Browser) -> None:
    """Start page, study, form, price, answer: every state is a page, and the answer is charged once."""
    assert "T" in ada.get("/").words()
    page = ada.get(ASK)
    assert "ε 0.1" in page.words()
    page = send(ada, page, "add-g")
    page = send(ada, page, "estimate", g_0_column="sex")
    assert page.form('name="do"')["sql"] == "SELECT sex, COUNT(DISTINCT person) AS persons FROM years GROUP BY sex"
    review = send(ada, page, "review")
    assert "The price is final" in review.words()
    paying = review.form('name="do"')
    answer = ada.post(ASK, {**paying, "do": "pay"})
    assert answer.path.startswith("/studies/flu/releases/")
    assert answer.status == 200
    assert {"female", "male"} <= set(answer.words().split())
    again = ada.post(ASK, {**paying, "do": "pay"})
    assert again.path == answer.path
    assert [kind for kind, _ in place.home.charges("flu")] == ["reserve", "settle"]
    place.home.assert_sound()


def test_question_that_was_asked_before_is_free_with_nothing_left(place: Place, ada: Browser) -> None:
    """When the budget is used up, the form still leads to answers that were paid: it says that they are free."""
    limit = place.client("ada").good("GET", "/studies/flu/budget")["epsilon"]
    first = answered(ada, epsilon=str(limit))
    page = send(ada, ada.get(ASK), "estimate", epsilon=str(limit))
    assert "asked before: the same answer again is free" in page.words()
    review = send(ada, page, "review")
    assert "Read the answer again, free" in review.words()
    assert "The price is final" not in review.words()
    assert ada.post(ASK, {**review.form('name="do"'), "do": "pay"}).path == first.path
    assert "disabled" in send(ada, page, "estimate", epsilon="0.1").text


def test_each_side_shows_the_other(ada: Browser) -> None:
    """SQL fills the form, the form fills the SQL; what the form cannot show stays SQL, and nothing typed is lost."""
    page = send(ada, ada.get(ASK), "from-sql", sql="SELECT sex, AVG(age) AS mean_age FROM years GROUP BY sex")
    form = page.form('name="do"')
    assert (form["side"], form["s-0-what"], form["s-0-column"], form["g-0-column"]) == ("form", "mean", "age", "sex")
    beyond = "SELECT COUNT(*) FILTER (WHERE age > 40) AS older FROM years"
    page = send(ada, page, "from-sql", sql=beyond)
    form = page.form('name="do"')
    assert (form["side"], form["sql"]) == ("sql", beyond)
    assert "parts that the form cannot show" in page.words()
    page = send(ada, page, "from-form")
    assert page.form('name="do"')["s-0-what"] == "mean"


def test_answer_is_shown_as_the_sql_says(place: Place, ada: Browser) -> None:
    """ORDER BY and LIMIT go with the question to the page of its answer, to its files, and from there to others."""
    tail = "ORDER BY patients DESC LIMIT 3"
    sql = f"SELECT site, COUNT(DISTINCT person) AS patients FROM years GROUP BY site {tail}"
    page = send(ada, ada.get(ASK), "from-sql", sql=sql)
    assert page.form('name="do"')["side"] == "sql"
    assert "free" in page.words()
    review = ada.post(ASK, {**page.form('name="do"'), "do": "review"})
    answer = ada.post(ASK, {**review.form('name="do"'), "do": "pay"})
    assert "shown are 3 of" in answer.words()
    assert f'value="{tail}"' in answer.text
    path = answer.path.partition("?")[0]
    lines = ada.get(f"{path}.csv?{urlencode({'show': tail})}").text.splitlines()
    assert len([line for line in lines if not line.startswith("#")]) == 1 + 3
    other = ada.get(f"{path}?{urlencode({'show': 'HAVING patients > 999999'})}")
    assert "shown are 0 of" in other.words()
    wrong = ada.get(f"{path}?{urlencode({'show': 'ORDER BY nothing'})}")
    assert (wrong.status, "no column nothing" in wrong.words()) == (422, True)
    assert [kind for kind, _ in place.home.charges("flu")] == ["reserve", "settle"]


def test_slopes_and_comparisons_of_columns_are_asked_in_the_form(ada: Browser) -> None:
    """By choosing the other column, and from the SQL back into the form; a value that was typed is left aside."""
    page = send(ada, send(ada, ada.get(ASK), "add-f"), "estimate", s_0_what="slope", f_0_column="visits", f_0_op=">")
    assert "over the column" in page.words()
    assert "or the column" in page.words()
    chosen = {"s_0_column": "visits", "s_0_other": "age", "f_0_with": "year", "f_0_value": "3"}
    page = send(ada, page, "estimate", **chosen)
    expected = "SELECT REGR_SLOPE(visits, age) AS slope_visits FROM years WHERE visits > year"
    assert page.form('name="do"')["sql"] == expected
    again = send(ada, ada.get(ASK), "from-sql", sql=expected).form('name="do"')
    assert (again["side"], again["s-0-what"], again["s-0-other"]) == ("form", "slope", "age")
    assert (again["f-0-column"], again["f-0-op"], again["f-0-with"]) == ("visits", ">", "year")


def test_names_of_bins_go_with_the_question_in_words(place: Place, ada: Browser) -> None:
    """To the page of its answer, which has them as names and no JSON in its field; unticked, the bins have their own."""
    case = "CASE WHEN age < 18 THEN 'child' WHEN age >= 18 THEN 'adult' END"
    tail = "ORDER BY patients DESC LIMIT 2"
    sql = f"SELECT {case} AS age, COUNT(DISTINCT person) AS patients FROM years GROUP BY age {tail}"
    page = send(ada, ada.get(ASK), "from-sql", sql=sql)
    review = ada.post(ASK, {**page.form('name="do"'), "do": "review"})
    answer = ada.post(ASK, {**review.form('name="do"'), "do": "pay"})
    assert {"child", "adult"} <= set(answer.words().split())
    form = answer.form('name="show"')
    assert form["show"] == tail
    assert json.loads(form["labels"]) == {"age": ["child", "adult"]}
    assert "child, adult" in answer.words()
    path = answer.path.partition("?")[0]
    again = ada.get(f"{path}?{urlencode({**form, 'show': ''})}")
    assert again.form('name="show"')["show"] == ""
    assert {"child", "adult"} <= set(again.words().split())
    assert "child" not in ada.get(f"{path}?{urlencode({'show': tail})}").words()
    both = json.dumps({"sql": tail, "labels": {"age": ["child", "adult"]}})  # as links of an earlier version have it
    assert ada.get(f"{path}?{urlencode({'show': both})}").form('name="show"') == form
    (csv,) = re.findall(r'href="([^"]+\.csv[^"]*)"', answer.text)
    assert "child" in ada.get(unescape(csv)).text


def test_refusal_stands_at_its_line_and_nothing_is_lost(place: Place, ada: Browser) -> None:
    """A wrong value keeps what was typed, and tells at the line what is wrong; nothing is charged."""
    page = send(ada, ada.get(ASK), "add-f")
    page = send(ada, page, "estimate", f_0_column="age", f_0_op=">", f_0_value="many")
    assert page.form('name="do"')["f-0-value"] == "many"
    assert 'id="f-0-wrong"' in page.text
    page = send(ada, ada.get(ASK), "from-sql", sql="SELECT * FROM years")
    assert page.form('name="do"')["sql"] == "SELECT * FROM years"
    assert 'role="alert"' in page.text
    page = answered(ada, epsilon="5000")
    assert "budget does not allow this" in page.words()
    assert place.home.charges("flu") == []


def test_only_what_was_priced_is_paid(place: Place, ada: Browser) -> None:
    """Another price, another edition, or no review at all: nothing is charged, and the page shows the new price."""
    review = send(ada, ada.get(ASK), "review").form('name="do"')
    for changed in ({"epsilon": "0.7"}, {"s-0-what": "events"}, {"question": ""}, {"question": "2-" + "0" * 64}):
        page = ada.post(ASK, {**review, **changed, "do": "pay"})
        assert "not the question that was priced" in page.words(), changed
    import_file(place.services, write_demo_manifest(place.home.path.parent))
    assert "not the question that was priced" in ada.post(ASK, {**review, "do": "pay"}).words()
    assert place.home.charges("flu") == []
    assert ada.post(ASK, {**send(ada, ada.get(ASK), "review").form('name="do"'), "do": "pay"}).path != ASK


def test_drowning_is_told_before_paying(ada: Browser) -> None:
    """A question whose numbers are mostly noise has a loud warning beside its price."""
    page = ada.get(ASK)
    for number, column in enumerate(("site", "plan")):
        page = send(ada, page, "add-g")
        page = send(ada, page, "estimate", **{f"g_{number}_column": column}, epsilon="0.001")
    assert "Most of this answer would be noise" in page.words()
    assert "Most of this answer would be noise" in send(ada, page, "review").words()


def test_rehearsal_is_free_and_says_that_it_is_made_up(place: Place, ada: Browser) -> None:
    """It shows the shape of the answer below the form."""
    page = send(ada, ada.get(ASK), "rehearse")
    assert "of made-up data" in page.words()
    assert place.home.charges("flu") == []


def test_downloads_are_what_the_api_sends(place: Place, ada: Browser) -> None:
    """CSV, JSON, charts and the certificate come as files; another ending is no page."""
    answer = answered(ada)
    release = answer.path.rpartition("/")[2]
    for kind, accept in (("csv", "text/csv"), ("json", "application/json"), ("svg", "image/svg+xml")):
        sent = ada.get(f"{answer.path}.{kind}")
        api = place.client("ada").get(f"/studies/flu/releases/{release}", Accept=accept)
        assert sent.response.data == api.body
        assert sent.response.headers["Content-Disposition"].startswith("attachment")
    certificate = place.client("ada").get(f"/studies/flu/releases/{release}/certificate").body
    assert ada.get(f"{answer.path}.certificate").response.data == certificate
    assert ada.get(f"{answer.path}.exe").status == 404


def test_answer_has_its_charts(ada: Browser) -> None:
    """Each statistic has one, wide and narrow, with numbers as the reader's language writes them."""
    shown = answered(ada, **{"g-0-column": "sex"})
    french = ada.get(shown.path, Accept_Language="fr")
    for page, mark in ((shown, ","), (french, "\u202f")):
        drawings = [drawn.read(svg) for svg in re.findall(r"<svg[^>]* role=.*?</svg>", page.text, re.DOTALL)]
        assert [root.get("class") for root in drawings] == ["chart chart-wide", "chart chart-narrow"]
        tips = [drawn.tips(root) for root in drawings]
        assert tips[0] == tips[1]
        assert len(tips[0]) == 2
        assert all(re.search(rf"male: \d{mark}\d{{3}} ± ", tip) for tip in tips[0])


def test_page_shows_the_first_rows_of_a_large_answer(place: Place) -> None:
    """A thousand rows, fewer of an answer with many columns, and where the rest is; a small answer is shown whole."""
    template = '{% import "parts.html" as parts with context %}{% include "researcher/answer_table.html" %}'

    def table(rows: int, columns: int) -> Table:
        cells = (Cell(1, 0, 2),) * columns
        rows_of = tuple(Row((f"row {number}",), cells) for number in range(rows))
        return Table(("k",), tuple(Column(f"s{number}") for number in range(columns)), rows_of)

    with place.app.test_request_context("/"):
        shown = render_template_string(template, table=table(3000, 1))
        small = render_template_string(template, table=table(1000, 1))
    assert shown.count("<tr>") == 1001
    assert "The first 1,000 rows of 3,000 are shown. The CSV" in shown
    assert small.count("<tr>") == 1001
    assert "The CSV" not in small
    assert len(rows_shown(table(300, 100))) == 200


def test_name_in_a_program_in_r_ends_where_it_ends() -> None:
    """Weights are named by values of a key, which may have whatever R takes for the end of a name."""
    weights = {"statistic": "n", "by": "k", "weights": {"plain": 1, "a`b\\c": 2}}
    release = {"study": "flu", "query": {}, "bounds": {}, "privacy": {"epsilon": 1}, "sql": "SELECT"}
    program = snippets.of({**release, "show": {"standardise": weights}}, "http://localhost")["R"]
    assert r"list(plain = 1, `a\`b\\c` = 2)" in program


def test_condition_that_is_not_whole_has_no_price(ada: Browser) -> None:
    """Its line says what is missing, and no button leads to the price of another question."""
    page = send(ada, ada.get(ASK), "add-f")
    for column in ("sex", "age"):
        page = send(ada, page, "estimate", f_0_column=column, f_0_value="")
        assert "is missing: say what the column is compared with" in page.words()
        assert "the words beside it say why" in page.words()
        assert "Continue to the price" not in page.words()
    assert "Continue to the price" in send(ada, page, "estimate", f_0_value="40").words()


@pytest.mark.parametrize(
    ("language", "words"), [("en", "0.7200 [0.7154 – 0.7247]"), ("fr", "0,7200 [0,7154 – 0,7247]")]
)
def test_interval_on_a_page_covers_the_whole_one(place: Place, language: str, words: str) -> None:
    """Its ends are rounded outwards, and the number has as many digits as they have."""
    with place.app.test_request_context("/", headers={"Accept-Language": language}):
        shown = render_template_string("{{ cell|value }} {{ cell|interval }}", cell=Cell(0.72, 0.71548, 0.72462))
        assert shown == words
        assert render_template_string("{{ 1920|bound }} {{ 9999.5|bound }}").startswith("1920 9")


@pytest.mark.parametrize(("count", "kind"), [(200, "select"), (201, "input")])
def test_one_of_many_declared_values_is_typed(place: Place, count: int, kind: str) -> None:
    """A select of all values in each line would make the page as large as lines times values."""
    values = [f"v{number}" for number in range(count)]
    template = (
        '{% import "researcher/lines.html" as lines with context %}{{ lines.comparison("f-0-", line, draft.columns) }}'
    )
    with place.app.test_request_context("/"):
        columns = {"c": {"type": "category", "declared": True, "values": values}}
        draft = Draft({"table": "t"}, {}, {"t": {"columns": columns}})
        line = Line(0, {"column": "c", "value": "v7"})
        shown = render_template_string(template, draft=draft, line=line, builder=builder)
    (tag,) = re.findall(r"<(\w+) [^>]*name=\"f-0-value\"", shown)
    assert tag == kind
    assert shown.count("v7") >= 1


def test_page_of_a_wide_table_stays_small(place: Place, ada: Browser, tmp_path: Path) -> None:
    """Two hundred columns are listed once and not in each line; they are typed or chosen, and a wrong one is told."""
    names = [f"measured_value_{number}" for number in range(200)]
    (tmp_path / "wide.csv").write_text(f"person,{','.join(names)}\n1,{','.join('1' for _ in names)}\n")
    about = (
        f'[tables.t.columns.{name}]\ntype = "integer"\nbounds = [0, 9]\ntitle = "{name} {"x" * 40}"' for name in names
    )
    head = '[dataset]\nname = "wide"\ntitle = "W"\nepsilon = 2.0\npersons_max = 10\nprofile = false\n[person]\nid = "person"\n'
    manifest = tmp_path / "wide.toml"
    manifest.write_text("\n".join([head, '[tables.t]\nsource = "wide.csv"', *about]))
    import_file(place.services, manifest)
    place.open_study("wide", "wide", epsilon=1.0)
    path = "/studies/wide/ask"
    lines = {f"s-{number}-{part}": value for number in range(20) for part, value in (("what", "mean"), ("column", ""))}
    page = ada.post(path, {"table": "t", **lines, "epsilon": "0.1", "do": "estimate"})
    assert page.text.count(names[77]) == 2  # its name and its title
    assert len(page.response.data) < 60_000
    chosen = {"table": "t", "s-0-what": "mean", "s-0-column": names[77], "epsilon": "0.1"}
    page = ada.post(path, {**chosen, "do": "estimate"})
    assert f"SELECT AVG({names[77]})" in page.form('id="ask"')["sql"]
    page = ada.post(path, {**chosen, "s-0-column": "mesured", "do": "estimate"})
    assert "mesured" in page.form('id="ask"')["s-0-column"]
    assert 'id="s-0-wrong"' in page.text


def test_form_with_too_many_fields_is_refused_before_it_is_read(ada: Browser) -> None:
    """A page in words, 413, whatever the form is; a thousand fields are taken."""
    form = ada.get(ASK).form('name="do"')
    fitting = form | {f"x-{number}": "" for number in range(1000 - len(form))}
    assert ada.post(ASK, fitting).status == 200
    for path in (ASK, "/sign-in"):
        page = ada.post(path, {**fitting, "one": "more"})
        assert page.status == 413, path
    assert "The form has more than 1,000 fields" in page.words()


def test_pages_of_answers_are_made_one_at_a_time_for_a_user(place: Place, ada: Browser) -> None:
    """Beyond a user's share and what may wait, an answer, a comparison and a rehearsal are 429, in words."""
    form = ada.get(ASK).form('name="do"')
    answer = answered(ada).path
    release, gate = answer.rpartition("/")[2], place.services.gates.rendering
    with ExitStack() as held:
        for _ in range(gate.limits.share + gate.limits.waiting):
            held.enter_context(gate.entered(("user", "ada")))
        refused = [
            ada.get(answer),
            ada.get(f"/studies/flu/compare?release={release}&release={release}"),
            ada.post(ASK, {**form, "do": "rehearse"}),
        ]
        assert ada.get(f"{answer}.csv").status == 200
    assert [page.status for page in refused] == [429] * 3
    assert "Your share of the server is in use" in refused[0].words()
    assert ada.get(answer).status == 200


@pytest.mark.parametrize("dataset", ["rand-hie", "clinic"])
def test_every_example_can_be_asked(place: Place, ada: Browser, dataset: str) -> None:
    """The examples are made of the catalog; each leads to a page with a price."""
    place.open_study("examples", dataset)
    assert_examples_are_asked(ada)


def test_examples_of_pathways_name_their_dates(place: Place, ada: Browser, pathways: str) -> None:
    """Also of tables with several dates; a rate is among them, and all but the cohort are shown in the form."""
    shown = assert_examples_are_asked(ada, pathways)
    sides = [page.form('name="do"')["side"] for page in shown]
    assert sides.count("sql") == 1
    assert any(page.form('name="do"').get("s-0-what") == "rate" for page in shown)


def assert_examples_are_asked(ada: Browser, path: str = "/studies/examples/ask") -> list[Page]:
    """Return the page of each example, after it was priced."""
    page = ada.get(path)
    links = [unescape(one) for one in re.findall(r'<li><a href="([^"]*query=[^"]*)"', page.text)]
    assert len(links) >= 3
    found = []
    for link in links:
        shown = ada.get(link)
        assert "the budget pays for" in shown.words(), link
        found.append(shown)
    assert ada.get(f"{path}?query=nothing").status == 404
    return found


PATHWAYS = """
[dataset]
name = "pathways"
title = "P"
epsilon = 2.0
persons_max = 10
profile = false
[person]
id = "person"
source = "persons.csv"
[person.columns.seen_last]
type = "date"
bounds = [2020-01-01, 2022-12-31]
[tables.visits]
source = "visits.csv"
[tables.visits.columns.diagnosis]
type = "category"
values = ["A", "B"]
[tables.visits.columns.day]
type = "date"
bounds = [2020-01-01, 2022-12-31]
[tables.drugs]
source = "drugs.csv"
[tables.drugs.columns.drug]
type = "category"
values = { X = "Xanthin", Y = "Yohimbin" }
[tables.drugs.columns.given]
type = "date"
bounds = [2020-01-01, 2022-12-31]
[tables.drugs.columns.until]
type = "date"
bounds = [2020-01-01, 2022-12-31]
"""


@pytest.fixture
def pathways(place: Place, tmp_path: Path) -> str:
    """Return the address at which a dataset with two tables is asked, one of which has two dates."""
    files = {
        "persons": "person,seen_last\n1,2022-01-01\n2,2021-01-01\n",
        "visits": "person,diagnosis,day\n1,A,2020-02-01\n2,A,2020-03-01\n",
        "drugs": "person,drug,given,until\n1,X,2020-02-11,2020-02-20\n",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_text(text)
    (tmp_path / "pathways.toml").write_text(PATHWAYS)
    import_file(place.services, tmp_path / "pathways.toml")
    place.open_study("pathways", "pathways", epsilon=1.0)
    return "/studies/pathways/ask"


RATE = (
    "SELECT RATE(wait, 365, CAST('2022-12-31' AS DATE), seen_last) AS rate_wait FROM (SELECT person, seen_last, "
    "(SELECT MIN(later.given) FROM drugs AS later WHERE later.person = visits.person "
    "AND later.given >= MIN(visits.day) AND drug = 'X') - MIN(day) AS wait "
    "FROM visits WHERE diagnosis = 'A' GROUP BY person, seen_last)"
)


def test_incidence_rate_is_asked_in_the_form(ada: Browser, pathways: str) -> None:
    """Rows become persons with the days to another event; the rate is over them, and comes back from SQL."""

    def changed(page: Page, do: str, **fields: str) -> Page:
        form = page.form('name="do"') | {name.replace("_", "-"): value for name, value in fields.items()}
        return ada.post(pathways, {**form, "do": do})

    page = changed(ada.get(pathways), "estimate", table="visits", rows="persons")
    assert page.form('name="do"')["v-0-what"] == "count"  # a first value, so that there is a question
    assert "the budget pays for" in page.words()
    page = changed(page, "add-e", v_0_what="days_to", v_0_name="wait")
    page = changed(page, "estimate", e_0_column="diagnosis", e_0_value="A", v_0_of="drugs")
    assert 'id="v-0-wrong"' in page.text  # the drugs have two dates
    page = changed(page, "estimate", v_0_otherdate="given", v_0_when="drug", s_0_what="rate")
    page = changed(page, "estimate", v_0_value="X", s_0_column="wait")
    assert 'id="s-0-wrong"' in page.text  # a rate needs the last day
    page = changed(page, "estimate", s_0_ends="2022-12-31", s_0_censored="seen_last")
    assert page.form('name="do"')["sql"] == RATE
    assert "for 1,000 persons" in page.words()
    back = changed(ada.get(pathways), "from-sql", sql=RATE).form('name="do"')
    expected = ("form", "persons", "days_to", "given", "rate", "wait", "seen_last")
    names = ("side", "rows", "v-0-what", "v-0-otherdate", "s-0-what", "s-0-column", "s-0-censored")
    assert tuple(back[name] for name in names) == expected
    review = ada.post(pathways, {**back, "do": "review"})
    answer = ada.post(pathways, {**review.form('name="do"'), "do": "pay"})
    assert "/releases/" in answer.path


def test_values_of_persons_are_columns_of_what_is_asked(ada: Browser, pathways: str) -> None:
    """A value is a group, a filter that compares it with another, and a search of codes; one of another table is none."""
    fields = {
        "table": "drugs",
        "rows": "persons",
        "v-0-what": "first",
        "v-0-column": "drug",
        "v-0-date": "given",
        "v-1-what": "min",
        "v-1-column": "given",
        "v-2-what": "max",
        "v-2-column": "until",
        "s-0-what": "persons",
        "g-0-column": "first_drug",
        "f-0-column": "min_given",
        "f-0-op": "<",
        "f-0-with": "max_until",
        "f-1-column": "first_drug",
        "f-1-op": "in",
        "f-1-search": "xan",
        "f-1-value": "X",
        "epsilon": "0.1",
    }
    page = ada.post(pathways, {**fields, "do": "estimate"})
    sql = page.form('name="do"')["sql"]
    assert "WHERE min_given < max_until AND first_drug IN ('X') GROUP BY first_drug" in sql
    assert "Xanthin" in page.text
    moved = ada.post(pathways, {**fields, "table": "visits", "do": "estimate"})
    assert 'id="v-0-wrong"' in moved.text
    whole = ada.post(pathways, {**fields, "table": "persons", "f-0-column": "", "f-1-column": "", "g-0-column": ""})
    assert "the budget pays for" in whole.words()  # a row of persons is a person anyway, and has no values
    assert 'type="radio" name="rows"' not in whole.text


def test_two_answers_are_compared(ada: Browser) -> None:
    """Groups and numbers that both have stand side by side, and a difference within the noise is called that."""
    answers = [
        answered(ada, **{"g-0-column": "sex", "epsilon": epsilon}).path.rpartition("/")[2] for epsilon in ("0.5", "0.6")
    ]
    assert "Compare the two that are chosen" in ada.get("/studies/flu/releases").words()
    shown = ada.get(f"/studies/flu/compare?release={answers[0]}&release={answers[1]}")
    assert shown.words().count("female") == 1
    assert {"may", "larger"} & set(shown.words().split())
    assert "Choose two questions" in ada.get(f"/studies/flu/compare?release={answers[0]}").words()


def test_only_numbers_defined_alike_are_compared(place: Place, ada: Browser) -> None:
    """One name with two definitions is no pair; what bounds may distort has no difference; other rest is said."""

    def asked(low: int, key: str, **query: Any) -> str:
        old = {"proportion": {"column": "age", "op": ">=", "value": low}}
        select = {"n": {"count": "persons"}, "rows": {"count": "events"}, "old": old}
        body = {"query": {"from": "years", "select": select, **query}, "privacy": {"epsilon": 0.5}}
        sent = place.client("ada").post("/studies/flu/queries", body, Idempotency_Key=key)
        assert sent.status == 201, sent.body
        return str(sent.json()["id"])

    of_women = {"where": {"column": "sex", "op": "=", "value": "female"}}
    bounds = {"bounds": {"events_per_cell": 1}}
    first, other, cut = asked(40, "a"), asked(60, "b", **of_women), asked(40, "c", **bounds)
    alike = ada.get(f"/studies/flu/compare?release={first}&release={first}").words()
    assert "The rest of the two questions" not in alike
    assert " old " in alike.partition("Difference")[2]
    differs = ada.get(f"/studies/flu/compare?release={first}&release={other}").words()
    assert " old " not in differs.partition("Difference")[2]
    assert "a difference may come from that" in differs
    distorted = ada.get(f"/studies/flu/compare?release={first}&release={cut}").words()
    assert "A: rows : bounds were guessed" in distorted
    assert "B: rows : bounds were asked for" in distorted
    assert "unknown: bounds may distort it" in distorted.partition("Difference")[2]


def test_hostile_texts_are_shown_as_text(place: Place, ada: Browser) -> None:
    """Titles, purposes, names and typed values with markup are escaped on every page that shows them."""
    place.open_study("odd", "rand-hie", title=HOSTILE, purpose=HOSTILE, legal_basis=HOSTILE)
    for path in ("/", "/studies", "/studies/odd", "/studies/odd/ask", f"/datasets/rand-hie?search={HOSTILE}"):
        page = ada.get(path)
        assert page.status == 200, path
        assert "<script>alert" not in page.text, path
        assert "<b>" not in page.text, path
    page = send(ada, ada.get(ASK), "estimate", s_0_name=HOSTILE, epsilon=HOSTILE, table=HOSTILE)
    assert "<script>alert" not in page.text
    assert page.form('name="do"')["epsilon"] == HOSTILE


@pytest.mark.parametrize(
    "path", ["/studies/cold", "/studies/nothing", "/datasets/nothing", "/nothing", "/studies/%2e%2e"]
)
def test_what_the_api_refuses_is_an_error_page(place: Place, ada: Browser, path: str) -> None:
    """A study of others and one that is none look alike, as over HTTP, and the page is HTML for people."""
    place.client("admin").good(
        "POST",
        "/studies",
        {
            "name": "cold",
            "dataset": "clinic",
            "epsilon": 1.0,
            "title": "T",
            "purpose": "P",
            "legal_basis": "L",
            "formalities": FORMALITIES,
        },
    )
    page = ada.get(path)
    assert page.status == 404
    assert page.response.content_type.startswith("text/html")
    assert "does not exist" in page.words()


def test_programs_get_problem_documents_outside_of_pages(place: Place) -> None:
    """Whoever does not ask for HTML gets JSON, also where no page is."""
    reply = place.app.test_client().get("/nothing", headers={"Accept": "application/json"})
    assert (reply.status_code, reply.content_type) == (404, "application/problem+json")


def body_of_curl(page: Page) -> Any:
    """Return the body that a page's program for curl sends. tests/clients/test_snippets.py runs all three programs."""
    found = re.findall(r"<summary>(curl|Python|R)</summary><pre><code>(.*?)</code>", page.text, re.DOTALL)
    shown = {language: unescape(text) for language, text in found}
    assert set(shown) == {"curl", "Python", "R"}
    address, body = shlex.split(shown["curl"].replace("\\\n", " "))[5:8:2]
    assert address == "http://localhost/api/v1/studies/flu/queries"
    return json.loads(body)


TWO = {"patients": {"count": "persons"}, "age": {"mean": "age"}}
THREE = {**TWO, "visits": {"sum": "visits", "bounds": [0, 50]}}
# Thirds of an epsilon cost less than it; a margin is not had for its price alone; a mean's margin is that of a size.
OFFERED = {
    "epsilon": (THREE, {"epsilon": 1.0}),
    "rho": (THREE, {"rho": 0.1}),
    "margin": ({"patients": {"count": "persons"}}, {"margin": {"patients": 17.5}}),
    "margins": (
        TWO,
        {"margin": {"patients": 10, "age": {"margin": 2, "at": 500}}, "confidence": 0.9, "noise": "gaussian"},
    ),
}

# What the form has no fields for is said in words.
SAID = {
    "rho": "As it was asked ρ 0.1",
    "margins": "age ± 2 in a group of 500 · patients ± 10 · margins hold 90 times of 100 · Gaussian noise",
}


@pytest.mark.parametrize("name", OFFERED)
def test_programs_ask_the_same_question_again_for_free(place: Place, ada: Browser, name: str) -> None:
    """What a page shows is the question with the bounds that were applied, at what was offered: the answer is the same."""
    select, privacy = OFFERED[name]
    query = {"from": "years", "group_by": ["sex"], "select": select}
    made = place.client("ada").good("POST", "/studies/flu/queries", {"query": query, "privacy": privacy})
    page = ada.get(f"/studies/flu/releases/{made['id']}")
    again = place.client("ada").good("POST", "/studies/flu/queries", body_of_curl(page))
    assert (again["id"], again["replayed"]) == (made["id"], True)


@pytest.mark.parametrize("name", OFFERED)
def test_question_that_is_changed_has_all_that_was_asked(place: Place, ada: Browser, name: str) -> None:
    """Its bounds and what was offered are in the form: paid as it stands, it is the same release again."""
    select, privacy = OFFERED[name]
    bounds = {"cells_per_person": 2, "events_per_cell": 3}
    query = {"from": "years", "group_by": ["sex"], "select": select, "bounds": bounds}
    made = place.client("ada").good("POST", "/studies/flu/queries", {"query": query, "privacy": privacy})
    page = ada.get(f"/studies/flu/releases/{made['id']}")
    (change,) = re.findall(r'href="([^"]*/ask\?[^"]*)"', page.text)
    page = ada.get(unescape(change))
    form = page.form('id="ask"')
    assert (form["cells_per_person"], form["events_per_cell"]) == ("2", "3")
    assert "<details open>\n      <summary>More" in page.text
    said = page.words().partition("How exact")[2]
    assert SAID.get(name, "") in said, said
    assert '{"' not in page.words()
    review = send(ada, page, "review")
    assert ada.post(ASK, {**review.form('name="do"'), "do": "pay"}).path.endswith(made["id"])


def test_release_of_an_earlier_version_is_asked_again_for_what_it_cost(place: Place, ada: Browser) -> None:
    """It does not say what was offered for it."""
    made = place.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS, 0.5))
    assert offered(made) == {"epsilon": 0.5}
    assert offered({**{name: made[name] for name in made if name != "privacy"}}) == {"epsilon": 0.5}
    named = {"cost": {"epsilon": None, "rho": 0.1, "delta": 1e-6}}
    assert offered(named) == {"rho": 0.1, "delta": 1e-6}


def test_programs_are_told_the_address_of_the_proxy(place: Place) -> None:
    """Behind a TLS proxy nobody is told to send a token over http."""
    page = answered(browser(place, "ada"))
    with application(place.home, public_url="https://rowless.example") as behind:
        client = behind.app.test_client()
        token = {"token": place.home.tokens["ada"]}
        client.post(
            "/sign-in", base_url="https://rowless.example", data=token, headers={"Sec-Fetch-Site": "same-origin"}
        )
        text = client.get(page.path, base_url="https://rowless.example").text
    assert "https://rowless.example/api/v1/studies/flu/queries" in unescape(text)
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_paid_answer_is_shown_without_its_store(place: Place, ada: Browser) -> None:
    """What was paid for can be read when the dataset is away."""
    page = answered(ada)
    store = place.home.store("rand-hie")
    place.services.stores.close()
    store.rename(store.with_suffix(".away"))
    assert ada.get(page.path).status == 200


def test_link_of_another_site_asks_no_price(place: Place, ada: Browser) -> None:
    """An estimate is an entry of the log in the name of whoever opened the page."""
    before = place.home.last_entry()
    address = f"{ASK}?sql=SELECT COUNT(*) AS evil FROM years"
    page = ada.get(address, Sec_Fetch_Site="cross-site")
    assert (page.status, "evil" in page.form('name="do"')["sql"]) == (200, False)
    entries = place.home.rows("SELECT body FROM audit_entries WHERE position > ?", before)
    assert not any("evil" in body for (body,) in entries)
    assert "evil" in ada.get(address, Sec_Fetch_Site="same-origin").form('name="do"')["sql"]


def test_live_update_of_an_ended_session_leaves_the_page_alone(place: Place, ada: Browser) -> None:
    """Htmx is answered 401, which it does not swap in; a form that is sent waits for the sign-in."""
    form = ada.get(ASK).form('name="do"')
    place.client("admin").good("DELETE", f"/tokens/{place.home.tokens['ada'].split('_')[1]}")
    live = ada.post(ASK, form, HX_Request="true")
    assert (live.status, live.path, live.text) == (401, ASK, "")
    kept = ada.post(ASK, form)
    assert (kept.status, kept.form('name="_token"')["table"]) == (401, form["table"])


@pytest.mark.parametrize(("loss", "is_warning"), [(0.0, False), (0.001, True)])
def test_that_nothing_is_cut_off_is_a_fact_and_no_warning(
    place: Place, ada: Browser, loss: float, *, is_warning: bool
) -> None:
    """What the profile says of 0% stands below the table; with anything more it is a warning, and no difference is known."""
    mean = {"query": {"from": "years", "select": {"age": {"mean": "age"}}}, "privacy": {"epsilon": 1.0}}
    made = place.client("ada").good("POST", "/studies/flu/queries", mean)["id"]
    ((body,),) = place.home.rows("SELECT body FROM releases WHERE id = ?", made)
    stored = json.loads(body)
    stored["columns"][-1] |= {"truncation": "profile", "expected_loss": loss}
    place.home.change("UPDATE releases SET body = ? WHERE id = ?", json.dumps(stored), made)
    page = ada.get(f"/studies/flu/releases/{made}")
    said = f"{100 * loss:g}% of what persons contribute is expected to be cut off"
    assert said in page.words()
    assert (said in " ".join(re.findall(r'<p class="notice warning">(.*?)</p>', page.text))) == is_warning
    compared = ada.get(f"/studies/flu/compare?release={made}&release={made}")
    assert ("bounds may distort it" in compared.words()) == is_warning
    assert ('<p class="fine">A: ' in compared.text) != is_warning
