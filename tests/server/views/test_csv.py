from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from budgets.audit.log import PARTS, Entry
from server.cli.main import main
from server.views.csv import entries_csv, release_csv
from server.views.terminal import as_table
from tests import comments
from tests.serving import application, make_home, write_clinic

if TYPE_CHECKING:
    from pathlib import Path

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=", "-", "\uff1d1", "'=1", "''-1"]
HARMLESS = ["", "a=b", "1-2", " =1", "'t Hooft", "C#", "#1", "a, b", 'say "x"', "two\nlines", "Köln", "[-5, 0)", "''"]


def shown(labels: list[Any], key: str = "code", notes: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """Return a release with these labels of its key."""
    column = {"name": "n", "kind": "statistic", "mechanism": "discrete_laplace", "margin": 3.0, "confidence": 0.95}
    rows = [
        {key: label, "n": {"value": -2 - place, "low": -5 - place, "high": 1 - place}}
        for place, label in enumerate(labels)
    ]
    return {"columns": [{"name": key, "kind": "key"}, column], "rows": rows, "notes": list(notes), "post": [], **more}


def given_back(text: str) -> str:
    """Return a text as it was before it was escaped."""
    return text[1:] if re.match("'+[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]", text) else text


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_a_spreadsheet_would_run_is_escaped(text: str) -> None:
    """As a label and as a column's name, and one apostrophe less gives it back. Numbers stay numbers."""
    header, (line,), _ = comments.read(release_csv(shown([text], key=text)))
    assert header == [f"'{text}", "n", "n_low", "n_high"]
    assert line == {f"'{text}": f"'{text}", "n": "-2", "n_low": "-5", "n_high": "1"}
    assert given_back(f"'{text}") == text


@pytest.mark.parametrize("text", HARMLESS)
def test_csv_keeps_texts_with_signs_quotes_and_line_ends(text: str) -> None:
    """Also one that holds a comment's sign, a quote or a line end: readers keep it whole."""
    header, (line,), _ = comments.read(release_csv(shown([text], key=text or "code")))
    assert header[0] == (text or "code")
    assert line[header[0]] == text


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from([*FORMULAS, *HARMLESS]), max_size=4)
)
@example(["#", "", "'", '"#'])
def test_csv_texts_are_no_formulas_and_read_back(labels: list[str]) -> None:
    """No field begins as a formula, and each label can be read back, with and without comments skipped."""
    text = release_csv(shown(labels))
    _, lines, _ = comments.read(text)
    assert [given_back(line["code"]) for line in lines] == labels
    assert not any(re.match("[=+\\-@\t\r\n]", line["code"]) for line in lines)


def test_csv_labels_of_numbers_booleans_and_null() -> None:
    """Numbers and truth values are written as in JSON, null is empty."""
    _, lines, _ = comments.read(release_csv(shown([-1, -0.5, True, None, "-1"])))
    assert [line["code"] for line in lines] == ["-1", "-0.5", "true", "", "'-1"]


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.characters(codec="utf-8"))
    | st.sampled_from(["x,=1+1", "x, =1", "x;=1", "x\t=1", 'x,"y', "x\n=1", "x,'=1"])
)
def test_a_note_is_one_line_that_no_reader_and_no_spreadsheet_stumbles_over(note: str) -> None:
    """It is skipped whole; and a spreadsheet, which splits it at its commas, finds neither a formula nor a quote."""
    text = release_csv(shown(["a"], notes=(note,), sql=note, id="1"))
    header, (line,), above = comments.read(text)
    assert (header[0], line["code"]) == ("code", "a")
    (found,) = [one for one in above if one.startswith("# note:")]
    assert '"' not in found
    for separator in ",;\t":
        for cell in found.split(separator):
            assert not re.match("\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20]", cell), found
    assert text.count("\n") == len(above) + 2


def test_csv_comments_have_question_cost_margins_and_notes() -> None:
    """What was asked, what it cost, its margins, its notes: a line each."""
    release = shown(
        ["a"],
        notes=("first", "second, with a comma"),
        id="abc",
        study="flu",
        dataset="clinic",
        edition=2,
        sql="SELECT code, COUNT(*) AS n FROM visits GROUP BY code",
        cost={"epsilon": 0.5, "rho": 0.125, "delta": 0.0},
        bounds={"cells_per_person": 1, "events_per_cell": 3},
    )
    _, _, above = comments.read(release_csv({**release, "post": ["round", "clamp"]}))
    assert above == [
        "# release abc, study flu, dataset clinic, edition 2",
        "# asked: SELECT code, COUNT(*) AS n FROM visits GROUP BY code",
        "# cost: epsilon 0.5, rho 0.125, delta 0.0",
        "# bounds: cells_per_person 1, events_per_cell 3",
        "# n: discrete_laplace, ± 3 at 95%",
        "# post: round, clamp",
        "# note: first",
        "# note: second, with a comma",
    ]
    assert comments.read(release_csv({**release, "rehearsal": True}))[2][0].startswith("# rehearsal: ")


def test_formulas_in_data_and_in_the_log_reach_no_spreadsheet(tmp_path: Path) -> None:
    """An undeclared value that is a formula, and a study's title in the log, over HTTP and on the command line."""
    codes = ["=HYPERLINK(1)", "-9", "C#1"]
    visits = [f"{n},female,2020-01-15,1.25,30,true,{codes[n % 3]}" for n in range(300)]
    home = make_home(tmp_path / "home", write_clinic(tmp_path, visits))
    with application(home) as place:
        place.open_study("codes", "clinic", epsilon=1000.0, delta=1e-6, title="=1+1", purpose="@x")
        ada = place.client("ada")
        query = {"from": "visits", "group_by": ["code"], "select": {"n": {"count": "persons"}}}
        said = ada.good("POST", "/studies/codes/queries", {"query": query, "privacy": {"epsilon": 50, "delta": 1e-8}})
        assert [row["code"] for row in said["rows"]] == sorted(codes)
        reply = ada.get(f"/studies/codes/releases/{said['id']}", Accept="text/csv")
        _, lines, _ = comments.read(reply.body.decode())
        assert [line["code"] for line in lines] == ["'-9", "'=HYPERLINK(1)", "C#1"]
        log = place.client("dora").get("/audit/entries?limit=1000", Accept="text/csv").body.decode()
    file = tmp_path / "log.csv"
    ended = CliRunner().invoke(main, ["audit", "export", str(file), "--csv"], env=home.environment())
    assert ended.exit_code == 0, ended.output
    for text in (log, file.read_text()):
        fields = [field for line in csv.reader(io.StringIO(text), strict=True) for field in line]
        assert len(fields) > 100
        assert not any(re.match("[=+@\t\r\n]|-(?!\\d+$)", field) for field in fields)


def test_an_entry_with_a_formula_is_escaped() -> None:
    """Whatever is in the log: every field of an entry is written by the same rule."""
    body = {name: f'={name}, # "1"' for name in sorted(PARTS)} | {"index": 7, "study": None}
    entry = Entry(7, json.dumps(body), "ab" * 32, "+ada")
    header, fields = csv.reader(io.StringIO(entries_csv([entry])), strict=True)
    found = dict(zip(header, fields, strict=True))
    assert (found["index"], found["study"], found["actor_name"]) == ("7", "", "'+ada")
    assert found["summary"] == '\'=summary, # "1"'


def test_labels_of_values_stand_in_columns_of_their_own() -> None:
    """Last, so that no other column changes its place; a label that a spreadsheet would run is escaped."""
    labels = {"code": {"E11": "=diabetes", "I10": "hypertension"}, "n": {"E11": "diabetes"}}
    header, lines, _ = comments.read(release_csv(shown(["E11", "Z00", None], value_labels=labels)))
    assert header == ["code", "n", "n_low", "n_high", "code_label"]
    assert [line["code_label"] for line in lines] == ["'=diabetes", "", ""]
    assert "# n: E11 is diabetes\n" in release_csv(shown(["E11"], value_labels=labels))
    assert release_csv(shown(["E11"], value_labels={})) == release_csv(shown(["E11"]))
    assert "  E11 (=diabetes)  " in as_table(shown(["E11"], value_labels=labels))


@pytest.mark.parametrize("odd", [None, [], {"code": 3}, {"code": {"E11": None}}, {"other": {"E11": "x"}}])
def test_labels_that_are_none_harm_no_release(odd: Any) -> None:
    """A release that was paid for must be readable."""
    assert "code_label" not in release_csv(shown(["E11"], value_labels=odd)).splitlines()[0]
