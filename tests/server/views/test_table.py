from __future__ import annotations

import csv
import json
import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from queries.statistics.parts import lists
from server.cli.main import main
from server.views import table
from server.views.csv import release_csv
from server.views.numbers import with_ends
from server.views.table import Cell
from server.views.terminal import as_table, number_text
from tests import comments
from tests.server.charts import drawn
from tests.serving import EVERY_STATISTIC, ROOT, Home, Place, application, make_home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

# Every form that an answer can have: (study, body). `flu` is over the demonstration's data, `codes` over the clinic's.

URGENT = {"column": "urgent", "op": "=", "value": True}
WAITS = {
    "per_person": "visits",
    "where": {"not": URGENT},
    "values": {"wait": {"days_to": {"of": "visits", "where": URGENT}}},
}
CURVE = {"survival": "wait", "bins": [0, 60, 120, 300], "ends": "2021-01-01"}
SCALARS = ("patients", "total", "average", "share", "variance", "spread", "median", "together", "alike")
WHEN = {"column": "day", "period": "quarter"}


def of_years(select: Any, privacy: Any = None, post: Any = (), **query: Any) -> tuple[str, dict[str, Any]]:
    """Return a question of the demonstration's table."""
    asked = {"from": "years", "group_by": ["sex"], "select": select, **query}
    return "flu", {"query": asked, "privacy": privacy or {"epsilon": 1.0}, "post": list(post)}


def of_visits(select: Any, privacy: Any = None, **query: Any) -> tuple[str, dict[str, Any]]:
    """Return a question of the clinic's table."""
    asked = {"from": "visits", "select": select, **query}
    return "codes", {"query": asked, "privacy": privacy or {"epsilon": 50.0}}


UNDECLARED = {"group_by": ["code"], "bounds": {"cells_per_person": 7}}
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"{name}, alone": of_years({name: statistic}) for name, statistic in EVERY_STATISTIC.items()},
    "all of them": of_years(EVERY_STATISTIC, {"epsilon": 20.0}),
    "all of them, processed": of_years(EVERY_STATISTIC, {"epsilon": 0.7}, ("consistent", "round", "clamp")),
    "all of them, with Gaussian noise": of_years(EVERY_STATISTIC, {"rho": 3.0}),
    "without keys": of_years(EVERY_STATISTIC, group_by=[]),
    "two keys": of_years({name: EVERY_STATISTIC[name] for name in SCALARS}, group_by=["child", {"column": "age", "width": 30}]),
    "margins asked for": of_years({"patients": {"count": "persons"}}, {"margin": {"patients": 10}, "confidence": 0.8}),
    "a list of one quantile": of_years({"q": {"quantile": "age", "at": [0.5]}}),
    "survival": of_visits({"s": CURVE}, **{"from": WAITS}, group_by=["sex"]),
    "survival of few, with little to spend": of_visits({"s": CURVE}, {"epsilon": 0.001}, **{"from": WAITS}),
    "survival with Gaussian noise, beside a count": of_visits(
        {"n": {"count": "persons"}, "s": CURVE}, {"rho": 5.0}, **{"from": WAITS}
    ),
    "dates": of_visits({"n": {"count": "persons"}, "c": {"mean": "cost"}}, group_by=[WHEN]),
    "a part of a date, and truth": of_visits({"n": {"count": "events"}}, group_by=[{"column": "day", "part": "month"}, "urgent"]),
    "numbers and null": of_visits(
        {"n": {"count": "events"}, "costs": {"histogram": "cost", "bins": [0, 50.5, 100]}},
        group_by=[{"column": "cost", "width": 250}],
    ),
    "undeclared": of_visits(
        {"n": {"count": "persons"}, "kinds": {"histogram": "urgent"}, "often": {"top": "urgent", "k": 1}},
        {"epsilon": 800.0, "delta": 1e-8},
        **UNDECLARED,
    ),
    "undeclared, and nothing named": of_visits(
        {
            "n": {"count": "persons"},
            "c": {"mean": "cost"},
            "kinds": {"histogram": "urgent"},
            "often": {"top": "urgent", "k": 1},
            "q": {"quantile": "age", "at": [0.25, 0.75]},
        },
        {"epsilon": 0.01, "delta": 1e-8},
        **UNDECLARED,
    ),
    "names that others could be derived from": of_years(
        {"a": {"count": "persons"}, "a_low": {"count": "events"}, "a_low_": {"sum": "visits"}, "o": {"top": "site", "k": 2}, "o_1_key": {"count": "persons"}}
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(template: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return an application with the studies flu and codes."""
    with application(template.copy(tmp_path_factory.mktemp("tables") / "home")) as opened:
        opened.open_study(epsilon=5000.0)
        opened.open_study("codes", "clinic", epsilon=5000.0, delta=1e-6)
        yield opened


@pytest.fixture(scope="module")
def answers(place: Place) -> dict[str, dict[str, Any]]:
    """Return the answer to each form over HTTP."""
    ada = place.client("ada")
    return {name: ada.good("POST", f"/studies/{study}/queries", body) for name, (study, body) in FORMS.items()}


def run(home: Home, *arguments: str) -> Result:
    """Run a command that must succeed."""
    ended = CliRunner().invoke(main, list(arguments), env={**home.environment(), "ROWLESS_SLOT_MS": "0"})
    assert ended.exit_code == 0, (arguments, ended.output, ended.exception)
    return ended


# What an answer has, read from its JSON without the code under test

Triple = tuple[Any, Any, Any]
LISTS = {"bins": "bin", "top": "key", "quantiles": "at", "survival": "until", "differences": "until"}


def triple(part: dict[str, Any]) -> Triple:
    """Return value, low and high."""
    return part["value"], part["low"], part["high"]


def statistics_of(said: dict[str, Any]) -> list[str]:
    """Return the names of the statistics."""
    return [column["name"] for column in said["columns"] if column["kind"] == "statistic"]


def member_of(result: dict[str, Any]) -> str | None:
    """Return the list that a result has, if it has one."""
    return next((member for member in LISTS if member in result), None)


def as_printed(said: dict[str, Any]) -> list[Triple]:
    """Return all numbers in the order of a terminal: single ones by row, then each list by row and part."""
    names, rows = statistics_of(said), said["rows"]
    single = [name for name in names if not rows or member_of(rows[0][name]) is None]
    found = [triple(row[name]) for row in rows for name in single]
    for name in names:
        if name not in single:
            found += [triple(part) for row in rows for part in row[name][member_of(row[name])]]
    return found


PRINTED = re.compile(r"(?<![\w\[(])(-?[\d,]+(?:\.\d+)?) (?:± ([\d,.]+)|\[(-?[\d,.]+) to (-?[\d,.]+)\])")


def assert_printed(text: str, said: dict[str, Any]) -> None:
    """Check that a table has every number of an answer, to the last digit shown, and holds every interval."""
    shown = PRINTED.findall(text)
    expected = as_printed(said)
    assert len(shown) == len(expected), (text, expected)
    for (value, off, least, greatest), wanted in zip(shown, expected, strict=True):
        assert_holds(value, off, least, greatest, wanted)


def assert_holds(value: str, off: str, least: str, greatest: str, wanted: Triple) -> None:
    """Check one number as it was printed."""
    exact, low, high = (Decimal(repr(number)) for number in wanted)
    number = Decimal(value.replace(",", ""))
    unit = Decimal(1).scaleb(int(number.as_tuple().exponent))
    assert abs(number - exact) <= unit / 2
    if off:
        margin = Decimal(off.replace(",", ""))
        ends = number - margin, number + margin
        assert abs((high - exact) - (exact - low)) < unit  # a ± stands for both sides
    else:
        ends = Decimal(least.replace(",", "")), Decimal(greatest.replace(",", ""))
    assert ends[0] <= low
    assert ends[1] >= high
    slack = 3 * unit if unit < 1 or "." in value or any(not isinstance(one, int) for one in wanted) else 0
    assert low - ends[0] <= slack
    assert ends[1] - high <= slack


def number(text: str) -> Any:
    """Return a number of a CSV as JSON has it."""
    return json.loads(text) if text else None


def assert_csv(text: str, said: dict[str, Any]) -> None:
    """Check that a CSV has every label and number of an answer as the JSON has them, and its notes."""
    header, lines, above = comments.read(text)
    assert len(lines) == len(said["rows"])
    keys = [column["name"] for column in said["columns"] if column["kind"] == "key"]
    ends = ["value", "low", "high", *(("raw_value", "raw_low", "raw_high") if said["post"] else ())]
    assert header[: len(keys)] == keys
    for row, line in zip(said["rows"], lines, strict=True):
        fields = list(line.values())
        for key, field in zip(keys, fields, strict=False):
            wanted = row[key]
            assert field == ("" if wanted is None else wanted if isinstance(wanted, str) else json.dumps(wanted))
        rest = iter(fields[len(keys) :])
        for name in statistics_of(said):
            member = member_of(row[name])
            for part in [row[name]] if member is None else row[name][member]:
                if member == "top":
                    assert next(rest) == (part["key"] if isinstance(part["key"], str) else json.dumps(part["key"]))
                for end in ends:
                    assert number(next(rest)) == part.get(end, part.get(end.removeprefix("raw_")))
            if any("truncation" in column for column in said["columns"] if column["name"] == name):
                assert next(rest) == next(c["truncation"] for c in said["columns"] if c["name"] == name)
        assert next(rest, None) is None
    assert [line for line in above if line.startswith("# note: ")] == [
        f"# note: {' '.join(note.replace(chr(34), chr(39)).split())}" for note in said["notes"]
    ]


def assert_drawn(svg: str, said: dict[str, Any]) -> None:
    """Check that a file of charts has one for each statistic, and a title with a margin on each number."""
    root = drawn.read(svg)
    drawn.assert_apart(root)
    texts = " ".join(drawn.words_of(root))
    assert all(name in texts for name in statistics_of(said))
    tips = drawn.tips(root)
    assert all(" ± " in tip or re.search(r"\[.* to .*\]", tip) for tip in tips)
    if len(as_printed(said)) < 100:
        assert len(tips) == len(as_printed(said))


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_json_csv_and_table_show_same_numbers_of_every_form(
    place: Place, answers: dict[str, dict[str, Any]], tmp_path: Path, form: str
) -> None:
    """JSON, CSV and the table, over HTTP and on the command line, have the same value, low and high."""
    (study, body), made = FORMS[form], answers[form]
    identifier = made["id"]
    view = f"?post={','.join(body['post'])}" if body.get("post") else ""
    path = f"/studies/{study}/releases/{identifier}{view}"
    ada = place.client("ada")
    again = ada.get(path).json()
    assert (again["rows"], again["columns"], again["post"]) == (made["rows"], made["columns"], made["post"])
    assert_csv(ada.get(path, Accept="text/csv").body.decode(), made)
    file = tmp_path / "asked.json"
    file.write_text(json.dumps(body))
    svg = ada.get(path, Accept="image/svg+xml")
    assert (svg.status, svg.content_type) == (200, "image/svg+xml")
    assert_drawn(svg.body.decode(), made)
    as_json = json.loads(run(place.home, "query", study, str(file), "--json").stdout)
    assert (as_json["rows"], as_json["id"], as_json["replayed"]) == (made["rows"], identifier, True)
    in_words = run(place.home, "query", study, str(file)).stdout
    assert f"rowless release show {study} {identifier}" in in_words
    assert_printed(in_words.partition("\n\nread again, free")[0], made)
    post = ("--post", ",".join(body["post"])) if body.get("post") else ()
    assert_csv(run(place.home, "release", "show", study, identifier, "--csv", *post).stdout, made)
    rehearsed = json.loads(run(place.home, "query", study, str(file), "--rehearse", "--json").stdout)
    assert rehearsed["columns"] == made["columns"]
    assert_printed(as_table(rehearsed), rehearsed)
    assert_csv(release_csv(rehearsed), rehearsed)


@pytest.mark.parametrize("form", ["survival", "undeclared", "quartiles, alone"])
def test_an_estimate_and_a_rehearsal_in_words(place: Place, tmp_path: Path, form: str) -> None:
    """Both are said in words for what is no single number, too."""
    study, body = FORMS[form]
    file = tmp_path / "asked.json"
    file.write_text(json.dumps(body))
    assert "margins at 95%" in run(place.home, "query", study, str(file), "--estimate").stdout
    assert "Note: this is a rehearsal" in run(place.home, "query", study, str(file), "--rehearse").stdout


def test_the_report_is_made_of_every_form(place: Place, answers: dict[str, dict[str, Any]]) -> None:
    """The reports of both studies have every release, as JSON and as a page."""
    dora = place.client("dora")
    for study in ("flu", "codes"):
        ids = {made["id"] for name, made in answers.items() if FORMS[name][0] == study}
        report = dora.good("GET", f"/studies/{study}/report")
        assert {one["id"] for one in report["releases"]["shown"]} == ids
        page = dora.get(f"/studies/{study}/report", Accept="text/html")
        assert page.status == 200
        run(place.home, "report", "study", study)


def test_the_releases_are_listed(place: Place, answers: dict[str, dict[str, Any]]) -> None:
    """The command line lists a study's releases in pages, as HTTP does, and refuses who is no member."""
    listed = place.client("ada").good("GET", "/studies/codes/releases")["items"]
    assert json.loads(run(place.home, "release", "list", "codes", "--json").stdout)["items"] == listed
    page = json.loads(run(place.home, "release", "list", "codes", "--limit", "1", "--json").stdout)
    assert page["items"] == listed[:1]
    rest = run(place.home, "release", "list", "codes", "--cursor", page["next"]).stdout
    assert listed[0]["id"] not in rest
    assert all(one["id"] in rest for one in listed[1:])
    for arguments in (("list", "codes"), ("show", "codes", listed[0]["id"])):
        refused = CliRunner().invoke(main, ["release", *arguments, "--as", "ben"], env=place.home.environment())
        assert (refused.exit_code, refused.stderr) == (1, "rowless: there is no study codes\n")
    wrong = CliRunner().invoke(
        main, ["release", "show", "codes", listed[0]["id"], "--post", "up"], env=place.home.environment()
    )
    assert (wrong.exit_code, wrong.stderr) == (
        1,
        "rowless: --post: must be any of consistent, round, clamp, hide_below:11 (of any number from 2 on), with "
        "commas between\n",
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_no_encoding_keeps_an_answer_from_being_printed(
    place: Place, answers: dict[str, dict[str, Any]], tmp_path: Path, encoding: str
) -> None:
    """A terminal that does not know ± shows it spelled out; the answer was paid for."""
    study, body = FORMS["patients, alone"]
    file = tmp_path / "asked.json"
    file.write_text(json.dumps(body))
    ended = CliRunner(charset=encoding).invoke(main, ["query", study, str(file)], env=place.home.environment())
    assert ended.exit_code == 0, ended.exception
    assert answers["patients, alone"]["id"] in ended.stdout
    assert ("\\xb1" if encoding == "ascii" else "±") in ended.stdout


# A published curve


def kaplan_meier(times: list[int | None], days: list[int]) -> list[float]:
    """Return the share without an event by each day, of persons who are all followed up to the last one."""
    return [sum(time is None or time >= day for time in times) / len(times) for day in days]


@pytest.mark.slow
def test_a_survival_curve_is_kaplan_and_meiers_everywhere(tmp_path: Path) -> None:
    """Rossi's recidivism data, with next to no noise: four digits over HTTP, in the table and as CSV."""
    case = ROOT / "tests" / "cases" / "survival-rossi"
    body = json.loads((case / "s.json").read_text())
    days = body["query"]["select"]["s"]["bins"][1:]
    arrests = {line["id"]: line["date"] for line in read_case(case / "arrest.csv")}
    starts = {line["id"]: line["start"] for line in read_case(case / "release.csv")}
    home = make_home(tmp_path / "home", case / "manifest.toml")
    with application(home) as opened:
        opened.open_study("rossi", "c07", epsilon=5000.0)
        made = opened.client("ada").good("POST", "/studies/rossi/queries", body)
        path = f"/studies/rossi/releases/{made['id']}"
        text = opened.client("ada").get(path, Accept="text/csv").body.decode()
    assert_csv(text, made)
    printed = PRINTED.findall(run(home, "query", "rossi", str(case / "s.json")).stdout.partition("\n\nread again")[0])
    shown = iter(printed)
    for row in made["rows"]:
        mine = [one["id"] for one in read_case(case / "people.csv") if (one["fin"] == "1") == row["fin"]]
        times = [
            (date.fromisoformat(arrests[one]) - date.fromisoformat(starts[one])).days if one in arrests else None
            for one in mine
        ]
        for part, truth in zip(row["s"]["survival"], kaplan_meier(times, days), strict=True):
            assert part["value"] == pytest.approx(truth, abs=5e-5)
            assert float(next(shown)[0]) == pytest.approx(truth, abs=1e-4)
    assert next(shown, None) is None


def read_case(file: Path) -> list[dict[str, str]]:
    """Return the lines of a source."""
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


# Whatever was stored

WORDS = ["name", "kind", "key", "statistic", *LISTS, *LISTS.values(), "value", "low", "high", "raw_value", "truncation",
         "expected_loss", "margin", "margin_events", "confidence", "columns", "rows", "notes", "post", "a", "b"]  # fmt: skip
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(max_size=5)
    | st.sampled_from([*WORDS, 10**400, -(10**400)])
)
anything = st.recursive(
    scalars,
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.sampled_from(WORDS), parts, max_size=6),
    max_leaves=30,
)
columns = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b"]), "kind": st.sampled_from(["key", "statistic"])},
    optional={"truncation": scalars, "expected_loss": scalars, "margin": scalars, "confidence": scalars},
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "columns": st.lists(columns, max_size=2, unique_by=lambda one: one["name"]) | anything,
        "rows": st.lists(st.dictionaries(st.sampled_from(["a", "b"]), anything), max_size=3) | anything,
        "notes": anything,
        "post": anything,
        "cost": anything,
        "sql": scalars,
    },
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(bodies)
def test_no_release_is_too_odd_to_be_shown(body: dict[str, Any]) -> None:
    """Whatever a stored body holds, table and CSV are made of it: it was paid for."""
    flat = table.flatten(body)
    assert all(len(row.labels) == len(flat.keys) and len(row.cells) == len(flat.columns) for row in flat.rows)
    as_table(body)
    header, lines, _ = comments.read(release_csv(body)) if flat.columns or flat.keys else ([], [], [])
    assert len(lines) == (len(flat.rows) if header else 0)


def test_every_list_is_known_to_the_table() -> None:
    """What post-processing takes for a list of numbers is one in the table."""
    assert {listed.member: listed.label for listed in lists.LISTS.values()} == LISTS


# One number

whole = st.integers(-(10**12), 10**12)
real = st.floats(-1e12, 1e12) | st.floats(-1, 1) | st.floats(-1e-6, 1e-6)


@settings(max_examples=300, deadline=None)
@given(st.tuples(whole, whole, whole) | st.tuples(real, real, real), st.booleans())
def test_a_printed_number_holds_its_interval(numbers: Triple, outside: bool) -> None:
    """Whatever the value and its ends, also where post-processing put the value outside of them."""
    low, value, high = sorted(numbers)
    if outside:
        value, low = low, value
    ((shown, off, least, greatest),) = PRINTED.findall(number_text(Cell(value, low, high)))
    assert_holds(shown, off, least, greatest, (value, low, high))


@settings(max_examples=300, deadline=None)
@given(st.tuples(whole, whole, whole) | st.tuples(real, real, real))
def test_the_ends_that_a_page_shows_hold_the_interval(numbers: Triple) -> None:
    """They are those that a terminal shows between brackets, with the same digits."""
    low, value, high = sorted(numbers)
    shown = with_ends(Cell(value, low, high))
    assert shown is not None
    written, least, greatest = (Decimal(text.replace(",", "")) for text in shown)
    assert least <= Decimal(repr(low))
    assert Decimal(repr(high)) <= greatest
    digits = [text.partition(".")[2] for text in shown]
    assert len({len(one) for one in digits}) == 1
    assert abs(written - Decimal(repr(value))) <= Decimal(1).scaleb(-len(digits[0])) / 2
    in_brackets = number_text(Cell(value, low, high))
    assert "[" not in in_brackets or in_brackets == f"{shown[0]} [{shown[1]} to {shown[2]}]"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell(1963, 1940, 1970), "1,963 [1,940 to 1,970]"),
        (Cell(2961, 2955, 2967), "2,961 ± 6"),
        (Cell(-3, -9, 3), "-3 ± 6"),
        (Cell(0, 0, 4), "0 [0 to 4]"),
        (Cell(5, 7, 9), "5 [7 to 9]"),
        (Cell(0.2565, 0.25552, 0.25748), "0.25650 ± 0.00098"),
        (Cell(0.25, 0.1, 1.0), "0.25 [0.10 to 1.00]"),
        (Cell(2.985, 2.948, 3.022), "2.985 ± 0.037"),
        (Cell(523.4, 20.0, 1900.0), "523 [20 to 1,900]"),
        (Cell(0.5, 0.5, 0.5), "0.5 ± 0.0"),
        (Cell(-0.0, -0.1, 0.1), "0.00 ± 0.10"),
        (Cell(None, None, None), "(unknown)"),
        (Cell(1.5, None, None), "1.5"),
    ],
)
def test_printed_number_has_digits_of_its_interval(cell: Cell, text: str) -> None:
    """± stands for two equal sides only; digits follow the interval."""
    assert number_text(cell) == text


# What bounds cut off

RELEASE: dict[str, Any] = {
    "columns": [
        {"name": "sex", "kind": "key"},
        {"name": "n", "kind": "statistic", "mechanism": "discrete_laplace", "margin": 6.0, "confidence": 0.95},
        {"name": "ages", "kind": "statistic", "mechanism": "discrete_laplace", "margin": 6.0, "confidence": 0.95},
    ],
    "rows": [
        {
            "sex": sex,
            "n": {"value": 9, "low": 3, "high": 15},
            "ages": {"bins": [{"bin": one, "value": 4, "low": -2, "high": 10} for one in ("[0, 18)", "[18, 40)")]},
        }
        for sex in ("female", "male")
    ],
    "notes": ["bounds were chosen"],
    "post": [],
}  # fmt: skip


def with_truncation(name: str, **said: Any) -> dict[str, Any]:
    """Return the release with what its bounds do to a statistic."""
    return {**RELEASE, "columns": [{**one, **(said if one["name"] == name else {})} for one in RELEASE["columns"]]}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"truncation": "unknown"}, "bounds were guessed; what they cut off is unknown and in no margin"),
        ({"truncation": "asked"}, "bounds were asked for; what they cut off is in no margin"),
        (
            {"truncation": "profile", "expected_loss": 0.0123},
            "the bounds follow from the dataset's contribution profile; 1.3% of what persons contribute is expected to be "
            "cut off, and is in no margin",
        ),
        (
            {"truncation": "asked", "expected_loss": 0.5},
            "bounds were asked for; what they cut off is in no margin; 50% of what persons contribute is expected to be "
            "cut off",
        ),
        ({"truncation": "of a later version"}, "truncation: of a later version"),
    ],
)
@pytest.mark.parametrize("name", ["n", "ages"])
def test_table_and_csv_mark_values_cut_off_by_bounds(said: dict[str, Any], words: str, name: str) -> None:
    """In the table a mark and a line under it; in the CSV a column of its own on each line, and a comment."""
    release = with_truncation(name, **said)
    text = as_table(release)
    assert f"{name} *" in text
    assert text.endswith(f"\n\n* {name}: {words}")
    header, lines, above = comments.read(release_csv(release))
    assert {line[f"{name}_truncation"] for line in lines} == {said["truncation"]}
    assert [column for column in header if "truncation" in column] == [f"{name}_truncation"]
    assert f"# {name}: truncation {said['truncation']}: {words}" in above


def test_where_nothing_is_cut_off_nothing_is_marked() -> None:
    """`none` has its column in the CSV, and no mark; a release that says nothing has neither."""
    for release, columns in ((with_truncation("n", truncation="none"), ["n_truncation"]), (RELEASE, [])):
        assert "*" not in as_table(release)
        header, _, above = comments.read(release_csv(release))
        assert [column for column in header if "truncation" in column] == columns
        assert not [line for line in above if "truncation" in line]


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0%"), (1, "100%"), (0.0123, "1.3%"), (0.12, "12%"), (1e-9, "0.0001%")]
)
def test_share_cut_off_is_rounded_up(share: float, text: str) -> None:
    """The share that bounds cut off is shown with two digits, and never as less than it is."""
    assert table.percent(share) == text
