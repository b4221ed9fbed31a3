"""What the client shows of an answer: the API's numbers, with their margins, in frames, charts and HTML."""

from __future__ import annotations

import csv
import json
import re
import warnings
from typing import TYPE_CHECKING, Any

import altair
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from rowless_client import Answer, Drowned, Misused, Rowless, TruncationUnknown, statistics, table, values
from rowless_client.answers.flat import Number
from rowless_client.answers.numbers import written

from tests.serving import EVERY_STATISTIC

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowless_client import Study

    from tests.clients.proxy import Proxy
    from tests.serving import Server

quiet = pytest.mark.filterwarnings("ignore::rowless_client.cautions.Caution")
HOSTILE = "<script>alert(1)</script>"


def study_of(server: Server, name: str = "cost-sharing") -> Study:
    """Return a study as Ada sees it."""
    return Rowless(f"http://127.0.0.1:{server.port}", server.home.tokens["ada"]).study(name)


@pytest.fixture(scope="module")
def everything(server: Server) -> Answer:
    """Return an answer with every statistic over the demonstration's data."""
    query = {"from": "years", "group_by": ["sex"], "select": EVERY_STATISTIC, "bounds": {"events_per_cell": 5}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return study_of(server).ask(query, epsilon=20.0)


@pytest.fixture(scope="module")
def curve(server: Server) -> Answer:
    """Return a survival curve."""
    seen, drug = table("consultations"), table("prescriptions")
    waits = seen.where(seen.diagnosis == "D001").per_person(wait=values.days_to(drug.events()))
    question = waits.by("sex").survival("wait", [0, 30, 90, 365], "untreated", ends="2023-12-31")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return study_of(server, "pathways").ask(question, epsilon=20.0)


def numbers_of(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every number of a row of the API's JSON, in its order."""
    for result in row.values():
        if isinstance(result, dict):
            listed = [part for part in result.values() if isinstance(part, list)]
            yield from listed[0] if listed else [result]


def test_frames_have_the_numbers_of_the_csv(everything: Answer, curve: Answer) -> None:
    """The three frames have the columns of the server's CSV, in its order, with the same values."""
    for answer in (everything, curve):
        lines = [line for line in answer.csv().splitlines() if not line.startswith("#")]
        header, *rows = csv.reader(lines)
        kept = [place for place, name in enumerate(header) if not name.endswith("_truncation")]
        frame = answer.to_pandas()
        assert list(frame.columns) == [header[place] for place in kept]
        for shown, row in zip(frame.to_dict("records"), rows, strict=True):
            for place in kept:
                value = shown[header[place]]
                assert row[place] == str(value) or float(row[place]) == value, header[place]
        assert answer.to_polars().to_dicts() == frame.to_dict("records") == answer.to_arrow().to_pylist()
        assert frame.attrs["rowless"]["id"] == answer.id
        assert json.loads(answer.to_arrow().schema.metadata[b"rowless"])["sql"] == answer.sql
    assert isinstance(everything.to_polars(), pl.DataFrame)
    assert isinstance(everything.to_arrow(), pa.Table)
    assert isinstance(everything.to_pandas(), pd.DataFrame)


def test_one_statistic_has_a_line_for_each_number(everything: Answer, curve: Answer) -> None:
    """A list becomes a long frame, with the part, value, low and high of the JSON."""
    for answer in (everything, curve):
        for name in answer.flat.statistics:
            frame = answer.to_pandas(name)
            found = [number for row in answer.rows for number in numbers_of({name: row[name]})]
            assert list(frame["value"]) == [number["value"] for number in found], name
            assert list(frame["high"]) == [number["high"] for number in found], name
    with pytest.raises(Misused, match="untreated"):
        curve.to_pandas("nothing")


def test_an_estimate_asks_its_very_question(server: Server) -> None:
    """What was estimated is asked at its price; where it has changed, it is refused."""
    estimate = study_of(server).estimate(table("years").by("sex").count_persons("patients"), epsilon=0.25)
    answer = estimate.ask()
    assert (answer.cost, answer.query) == (estimate.cost, estimate.query)
    assert estimate.margins["patients"] == answer.json["columns"][1]["margin"]
    assert "± " in estimate._repr_html_()
    assert estimate.release is None
    again = study_of(server).estimate(table("years").by("sex").count_persons("patients"), epsilon=0.25)
    assert again.release == answer.id
    assert "asked before" in again._repr_html_()


def test_post_processing_is_a_free_view(everything: Answer) -> None:
    """Rounded and clamped numbers stand beside those that were released."""
    frame = everything.processed("round", "clamp").to_pandas()
    assert list(frame["total_raw_value"]) == list(everything.to_pandas()["total"])


def test_a_certificate_is_kept_byte_for_byte(server: Server, everything: Answer, tmp_path: Any) -> None:
    """The file has what the server sent."""
    file = everything.certificate().save(tmp_path / "certificate.json")
    path = f"/studies/cost-sharing/releases/{everything.id}/certificate"
    assert json.loads(file.read_bytes()) == server.client("ada").good("GET", path)


def test_a_rehearsal_is_no_answer(server: Server) -> None:
    """A rehearsal has the shape of an answer, is marked wherever it is shown, and has no certificate."""
    rehearsal = study_of(server).rehearse(table("years").by("sex").count_persons("n"), epsilon=1.0)
    assert "made up" in rehearsal._repr_html_()
    assert "REHEARSAL" in json.dumps(rehearsal.plot().to_dict())
    assert list(rehearsal.to_pandas().columns) == ["sex", "n", "n_low", "n_high"]
    with pytest.raises(Misused):
        rehearsal.certificate()


@quiet
def test_printed_it_is_a_table_with_margins(server: Server) -> None:
    """A program without pandas or a notebook sees the numbers too: keys, each number with its margin, what it cost."""
    rows = [{"sex": "female", "n": {"value": 3057, "low": 3051, "high": 3063}}, {"sex": None, "n": {"value": 5}}]
    columns = [{"name": "sex", "kind": "key"}, {"name": "n", "kind": "statistic", "truncation": "none"}]
    answer = Answer({"columns": columns, "rows": rows, "cost": {"epsilon": 0.5, "rho": 0.125}}, None)
    assert str(answer) == "sex             n\nfemale  3,057 ± 6\nnull            5\n\nCharged: epsilon 0.5, rho 0.125."
    rehearsal = study_of(server).rehearse(
        "SELECT sex, HISTOGRAM(age, [0, 18, 65]) AS ages FROM years GROUP BY sex", epsilon=1
    )
    assert re.search(r"^ages\nsex +bin +number\nfemale  .* ± ", str(rehearsal))
    assert "the numbers mean nothing" in str(rehearsal)


def test_catalogs_budgets_and_estimates_are_printed_too(server: Server) -> None:
    """What stands in a notebook as a table is one on a terminal: columns, what is left, the price with its margins."""
    study = study_of(server)
    catalog = str(study.catalog)
    assert re.search(r"^years: .*\ncolumn +type +one per +values +what it is$", catalog, re.MULTILINE)
    assert re.search(r"^sex +category +person +female, male +Sex$", catalog, re.MULTILINE)
    budget = str(study.budget)
    assert re.match(r" +epsilon +rho +delta\nlimit +\d", budget)
    assert re.search(r"^left +\d", budget, re.MULTILINE)
    estimate = str(study.estimate("SELECT COUNT(DISTINCT person) AS n FROM years", epsilon=0.0377))
    assert estimate.startswith("Would cost epsilon 0.0377, rho ")
    assert re.search(r"^n +± \d+ +95% +discrete_laplace$", estimate, re.MULTILINE)


def test_long_answers_are_cut_on_a_terminal() -> None:
    """Sixty lines are printed, and how many more there are."""
    columns = [{"name": "n", "kind": "statistic"}]
    answer = Answer({"columns": columns, "rows": [{"n": {"value": 1}}] * 63}, None)
    assert str(answer).count("\n1") == 60
    assert "... and 3 more rows" in str(answer)


def test_a_printed_value_does_nothing_to_a_terminal() -> None:
    """A value that nobody declared may have escape sequences and line ends: they are printed as text."""
    columns = [{"name": "code", "kind": "key"}, {"name": "n", "kind": "statistic"}]
    answer = Answer({"columns": columns, "rows": [{"code": "\x1b[2Ja\nb", "n": {"value": 1}}]}, None)
    assert r"\x1b[2Ja\nb" in str(answer)
    assert "\x1b" not in str(answer)


# Warnings


def test_numbers_that_drown_are_warned_of(server: Server) -> None:
    """A warning counts the numbers that are mostly noise, as the server's notes do, in the caller's line."""
    with pytest.warns(Drowned) as caught:
        answer = study_of(server).ask(
            table("years").by("age").count_persons("n").bounds(cells_per_person=5), epsilon=0.05
        )
    assert [warning.filename for warning in caught] == [__file__]
    (note,) = (note for note in answer.notes if "more than half of the value" in note)
    wide, of = (int(word) for word in note.split() if word.isdigit())
    assert str(caught[0].message) == f"n: {wide} of {of} numbers have a margin of more than half of them"
    assert "mostly noise" in answer._repr_html_()
    assert f"{wide} of {of} numbers are mostly noise" in json.dumps(answer.plot().to_dict())


def test_unknown_truncation_is_warned_of(server: Server) -> None:
    """Where bounds cut off nobody knows how much, both the estimate and the answer say so."""
    study = study_of(server, "clinic")
    question = table("visits").by("urgent").count_events("n")
    with pytest.warns(TruncationUnknown, match="n:"):
        study.estimate(question, epsilon=100.0)
    with pytest.warns(TruncationUnknown, match="n:"):
        answer = study.ask(question, epsilon=100.0)
    assert "nobody knows how much" in answer._repr_html_()


@quiet
def test_undeclared_values_of_which_none_was_named(server: Server) -> None:
    """An answer without rows is an empty frame, an empty table, and nothing to draw."""
    answer = study_of(server, "clinic").ask(table("visits").by("code").count_persons("n"), epsilon=0.01, delta=1e-8)
    assert answer.rows == []
    assert list(answer.to_pandas().columns) == list(answer.to_polars().columns) == ["code", "n", "n_low", "n_high"]
    assert "<table>" in answer._repr_html_()
    with pytest.raises(Misused):
        answer.plot()


# Charts and HTML


def layers(chart: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the layers of a chart, wherever they stand in its specification."""
    found: list[dict[str, Any]] = []

    def walk(part: Any) -> None:
        if isinstance(part, dict):
            if "mark" in part:
                found.append(part)
            for value in part.values():
                walk(value)
        elif isinstance(part, list):
            for value in part:
                walk(value)

    walk(chart)
    return found


def data_of(chart: altair.TopLevelMixin) -> list[dict[str, Any]]:
    """Return the data of a chart of one statistic."""
    data: list[dict[str, Any]] = chart.to_dict()["data"]["values"]
    return data


def test_every_number_is_drawn_with_its_margin(everything: Answer, curve: Answer) -> None:
    """Each statistic has a chart of marks and of their intervals, with the values, lows and highs of the JSON."""
    for answer in (everything, curve):
        for name in answer.flat.statistics:
            chart = answer.plot(name).to_dict()
            marks = [one["mark"]["type"] for one in layers(chart)]
            assert sorted(marks) in (["bar", "rule"], ["point", "rule"], ["area", "line"]), name
            data = chart["data"]["values"]
            drawn = {(one["value"], one["low"], one["high"]) for one in data}
            told = {
                (one["value"], one["low"], one["high"]) for row in answer.rows for one in numbers_of({name: row[name]})
            }
            assert drawn - {(1, 1, 1)} == told - {(1, 1, 1)}, name
    steps = curve.plot().to_dict()
    assert [one["mark"]["type"] for one in layers(steps)] == ["area", "line"]
    assert all(one["mark"]["interpolate"] == "step-after" for one in layers(steps))


def test_charts_are_drawn(everything: Answer, curve: Answer, tmp_path: Any) -> None:
    """Vega draws what Altair was told."""
    for place, chart in enumerate((everything.plot("ages"), curve.plot())):
        file = tmp_path / f"{place}.svg"
        chart.save(str(file))
        assert file.read_text().count("<path") > 10


def made(rows: list[dict[str, Any]], keys: list[str]) -> Answer:
    """Return an answer of rows, as a server would send it."""
    columns = [{"name": key, "kind": "key"} for key in keys] + [{"name": "n", "kind": "statistic", "confidence": 0.95}]
    group_by = [{"column": keys[0], "period": "month"}]
    return Answer({"columns": columns, "rows": rows, "query": {"group_by": group_by}}, connection=None)


def number(value: float) -> dict[str, float]:
    """Return a number with its interval."""
    return {"value": value, "low": value - 1, "high": value + 1}


def test_periods_are_lines_and_many_categories_are_cut() -> None:
    """Months are a line; of a hundred categories the forty with the largest numbers are drawn, and the chart says so."""
    months = made([{"month": f"2020-{n:02}", "n": number(10 * n)} for n in range(1, 13)], ["month"])
    assert [one["mark"]["type"] for one in layers(months.plot().to_dict())] == ["area", "line"]
    codes = Answer(
        {
            "columns": months.json["columns"],
            "rows": [{"month": f"C{n}", "n": number(n)} for n in range(100)],
        },
        connection=None,
    )
    data = data_of(codes.plot())
    assert {one["along"] for one in data} == {f"C{n}" for n in range(60, 100)}
    assert "the 40 with the largest numbers of 100 are shown" in json.dumps(codes.plot().to_dict())


def test_keys_beyond_the_first_are_colours_and_small_charts() -> None:
    """Each number of three keys is in the data once, under its own labels."""
    rows: list[dict[str, Any]] = [
        {"a": a, "b": b, "c": c, "n": number(100 * a + 10 * b + c)}
        for a in range(3)
        for b in range(2)
        for c in range(2)
    ]
    chart = made(rows, ["a", "b", "c"]).plot()
    data = data_of(chart)
    assert {(one["along"], one["by"], one["within"], one["value"]) for one in data} == {
        (str(row["a"]), str(row["b"]), str(row["c"]), row["n"]["value"]) for row in rows
    }
    assert chart.to_dict()["facet"]["field"] == "within"


def test_labels_of_values_stand_beside_them() -> None:
    """Printed, in notebooks and charts behind the value; in frames in a column of their own, as in the CSV."""
    rows = [
        {"sex": "8507", "n": number(5), "often": {"top": [{"key": "E11", **number(4)}]}},
        {"sex": None, "n": number(6), "often": {"top": [{"key": "I10", **number(3)}]}},
    ]
    answer = made(rows, ["sex"])
    answer.json["columns"].append({"name": "often", "kind": "statistic"})
    answer.json.update(value_labels={"sex": {"8507": "male"}, "often": {"E11": "Diabetes"}})
    for shown in (str(answer), answer._repr_html_(), json.dumps(answer.plot("n").to_dict())):
        assert "8507 (male)" in shown
    assert "E11 (Diabetes)" in str(answer)
    frame = answer.to_pandas()
    assert (frame["sex"][0], frame.columns[-1]) == ("8507", "sex_label")
    assert answer.to_arrow()["sex_label"].to_pylist() == ["male", None]
    assert list(frame["often_1_key"]) == ["E11", "I10"]


def test_html_escapes_every_text() -> None:
    """Texts of data and of people cannot become markup."""
    answer = made([{HOSTILE: HOSTILE, "n": number(5)}], [HOSTILE])
    answer.json.update(sql=HOSTILE, notes=[HOSTILE])
    assert HOSTILE not in answer._repr_html_()
    assert answer._repr_html_().count("&lt;script&gt;") == 4


NUMBERS = {
    (2961, 2955, 2967): "2,961 ± 6",
    (0.72081, 0.7193, 0.7223): "0.7208 ± 0.0015",
    (1963.0, 1940.0, 1970.0): "1,963 [1,940 to 1,970]",
    (-3, -9, 3): "-3 ± 6",
    (5, None, None): "5",
    (None, None, None): "-",
    (0.0, 0.0, 0.0): "0 ± 0",
}


@pytest.mark.parametrize(("parts", "text"), NUMBERS.items(), ids=NUMBERS.values())
def test_a_number_is_written_with_two_digits_of_its_margin(parts: tuple[Any, ...], text: str) -> None:
    """What is written covers the whole interval."""
    assert written(Number(*parts)) == text


# Neighbouring versions


def with_more(value: Any) -> Any:
    """Return a reply of a later server: more members everywhere, and a statistic of a kind that is not known yet."""
    if isinstance(value, list):
        return [with_more(part) for part in value]
    if not isinstance(value, dict):
        return value
    more = {name: with_more(part) for name, part in value.items()}
    if "rows" in more:
        more["columns"] = [*more["columns"], {"name": "later", "kind": "statistic"}, {"name": "odd", "kind": "other"}]
        more["rows"] = [{**row, "later": {"cloud": [{"x": 1}]}} for row in more["rows"]]
    return {**more, "a_new_member": {"deep": [1, None]}}


def test_replies_of_a_later_server_are_understood(server: Server, proxy: Proxy) -> None:
    """Members and kinds of statistics that this client does not know are left out, and all else is as ever."""
    question = (
        table("years").by("sex").select(n=statistics.count_persons(), ages=statistics.histogram("age", [0, 18, 65]))
    )
    plain = study_of(server).ask(question, epsilon=3.0, bounds={"events_per_cell": 5})
    proxy.change = with_more
    client = Rowless(proxy.url, server.home.tokens["ada"])
    study = client.study("cost-sharing")
    answer = study.ask(question, epsilon=3.0, bounds={"events_per_cell": 5})
    frame, known = answer.to_pandas(), plain.to_pandas()
    assert frame[list(known.columns)].equals(known)
    assert "n" in answer._repr_html_()
    answer.plot("n")
    answer.plot()
    estimate = study.estimate(question, epsilon=3.0, bounds={"events_per_cell": 5})
    for shown in (estimate, study.catalog, study.budget, study.releases(), study, client.me, client.datasets()):
        assert "<table>" in shown._repr_html_()
