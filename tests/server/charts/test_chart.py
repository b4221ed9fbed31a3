from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.charts import chart, words
from server.charts.choosing import ROWS_MAX, Kind
from server.charts.words import Words
from server.views.numbers import Marks
from server.views.table import Cell
from tests.server.charts import drawn

HOSTILE = [
    "<script>alert(1)</script>",
    "]]><g onload='x'/>&amp;&#0;",
    '" onmouseover="x',
    "\u202eright to left\u2066",
    "שלום עולם",
    "\0\x1b[2J\ud800\ufffe",
    "a" * 10_000,
    "Z" + "\u0301" * 500,
    "line\nbreak\u2028",
    "",
    "漢字" * 60,
]


def number(value: Any, off: Any = 5) -> dict[str, Any]:
    """Return a number with a margin."""
    return {"value": value, "low": value - off, "high": value + off}


def release(keys: list[str], rows: list[tuple[Any, ...]], **more: Any) -> dict[str, Any]:
    """Return a release of the statistic n. Each row has its labels, then its result."""
    columns: list[dict[str, Any]] = [{"name": key, "kind": "key"} for key in keys]
    columns.append({"name": "n", "kind": "statistic", "mechanism": "discrete_laplace", "confidence": 0.9, **more})
    return {"columns": columns, "rows": [dict(zip([*keys, "n"], row, strict=True)) for row in rows]}


def categories(count: int, off: int = 5) -> dict[str, Any]:
    """Return a release with so many categories, the first the largest."""
    return release(["code"], [(f"code {place}", number(1000 - place, off)) for place in range(count)])


def one(said: dict[str, Any], language: Words = words.ENGLISH) -> chart.Chart:
    """Return the only chart of a release, after checking what holds for every chart."""
    (found,) = chart.charts(said, "p", language)
    for svg in (found.svg, found.narrow):
        root = drawn.read(svg)
        drawn.assert_apart(root)
        assert drawn.description(root)
    drawn.assert_apart(drawn.read(chart.sheet(said, language)))
    return found


MONTHS = [f"2020-{month:02}" for month in range(1, 13)]
BINS = ["[0, 18)", "[18, 65)", "[65, 120)"]
CURVE = {"survival": [{"until": day, **number(1 - day / 1000, 0.01)} for day in (30, 60, 365)]}
KINDS: dict[str, tuple[dict[str, Any], Kind]] = {
    "one number": (release([], [(number(5),)]), Kind.SINGLE),
    "one cell of a key": (release(["sex"], [("female", number(5))]), Kind.SINGLE),
    "nothing": (release(["code"], []), Kind.NOTHING),
    "categories": (release(["sex"], [("female", number(50)), ("male", number(40)), (None, number(1))]), Kind.BARS),
    "bins": (release(["age"], [(label, number(50)) for label in BINS]), Kind.HISTOGRAM),
    "two keys": (release(["age", "sex"], [(a, s, number(9)) for a in BINS for s in "fm"]), Kind.BARS),
    "months": (release(["date"], [(month, number(50)) for month in [*MONTHS, None]]), Kind.LINES),
    "months by sex, the other way round": (
        release(["sex", "date"], [(s, m, number(50)) for s in "fm" for m in MONTHS]),
        Kind.LINES,
    ),
    "months by many": (release(["date", "r"], [(m, r, number(9)) for m in MONTHS for r in "abcdefg"]), Kind.HEAT),
    "many by many": (release(["q", "r"], [(f"q{q}", r, number(9)) for q in range(9) for r in "abcdefg"]), Kind.HEAT),
    "three keys": (
        release(["sex", "truth", "age"], [(s, t, a, number(9)) for s in "fm" for t in (True, False) for a in BINS]),
        Kind.BARS,
    ),
    "months, the largest first": (
        {**release(["date"], [(month, number(50)) for month in MONTHS[:4]]), "show": {"order_by": ["n"], "left_out": 8}},
        Kind.BARS,
    ),
    "bins, some left out": ({**release(["age"], [(b, number(50)) for b in BINS]), "show": {"limit": 3}}, Kind.BARS),
    "bins by names of one's own": (
        {**release(["age"], [(b, number(50)) for b in BINS]), "show": {"labels": {"age": ["x"]}}},
        Kind.HISTOGRAM,
    ),
    "numbers, many": (release(["age"], [(age, number(50)) for age in range(90)]), Kind.LINES),
    "a histogram": (release([], [({"bins": [{"bin": b, **number(9)} for b in BINS]},)]), Kind.HISTOGRAM),
    "the most frequent": (
        release(["sex"], [(s, {"top": [{"key": k, **number(9)} for k in ("a", "b")]}) for s in "fm"]),
        Kind.BARS,
    ),
    "quantiles": (
        release(["sex"], [(s, {"quantiles": [{"at": q, **number(9)} for q in (0.25, 0.5)]}) for s in "fm"]),
        Kind.DOTS,
    ),
    "medians": (release(["sex"], [(s, number(9)) for s in "fm"], margin_events=30), Kind.DOTS),
    "survival": (release([], [(CURVE,)]), Kind.STEPS),
    "survival by sex": (release(["sex"], [(s, CURVE) for s in "fm"]), Kind.STEPS),
    "survival by many": (release(["r"], [(r, CURVE) for r in "abcdefg"]), Kind.HEAT),
    "more than can be drawn": (release([], [({"bins": [{"bin": b, **number(9)} for b in range(50_001)]},)]), Kind.LARGE),
}  # fmt: skip


@pytest.mark.parametrize("form", KINDS)
def test_kind_of_chart_follows_from_the_columns(form: str) -> None:
    """Each form of answer has its kind of chart, wide and narrow, and its numbers stand on it with their margins."""
    said, kind = KINDS[form]
    found = one(said)
    assert found.kind is kind
    if kind in (Kind.NOTHING, Kind.LARGE):
        assert drawn.tips(drawn.read(found.svg)) == []
        return
    wanted = sum(len(next((part for part in row["n"].values() if isinstance(part, list)), [0])) for row in said["rows"])
    for svg in (found.svg, found.narrow):
        assert len([tip for tip in drawn.tips(drawn.read(svg)) if " ± " in tip]) == wanted


LABELS = (
    st.sampled_from([text[:300] for text in HOSTILE])
    | st.text(max_size=12)
    | st.integers(-5, 50)
    | st.booleans()
    | st.none()
)
VALUES = (
    st.integers(-50, 5000)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.integers(-(10**299), 10**299)
    | st.floats(-1, 1)
)
# A value lies between the ends of its interval, as far as numbers have an order.
NUMBERS = st.tuples(VALUES, VALUES, VALUES).map(
    lambda ends: dict(zip(("low", "value", "high"), sorted(ends), strict=True))
) | st.builds(lambda value, off: number(value, abs(off)), st.integers(-100, 10_000), st.integers(0, 300))
RESULTS = NUMBERS | st.just({"value": None, "low": None, "high": None})


@st.composite
def releases(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a release with up to three keys whose labels are anything."""
    keys = draw(st.lists(st.sampled_from([*(text[:99] for text in HOSTILE), "a", "b", "c"]), max_size=3, unique=True))
    axes = [draw(st.lists(LABELS, min_size=1, max_size=9, unique_by=repr)) for _ in keys]
    rows: list[tuple[Any, ...]] = [()]
    for axis in axes:
        rows = [(*row, label) for row in rows for label in axis][:80]
    return release([f"k{key}" for key in keys], [(*row, draw(RESULTS)) for row in rows])


def is_known(result: dict[str, Any]) -> bool:
    """Return whether a number has a value and an interval."""
    return all(
        result[end] is not None and (isinstance(result[end], int) or math.isfinite(result[end]))
        for end in ("value", "low", "high")
    )


@settings(max_examples=150)
@given(releases(), st.booleans())
def test_any_release_is_drawn(said: dict[str, Any], made_up: bool) -> None:
    """Whatever is in it: the SVG is well formed, nothing in it can run, no labels overlap, each number has its margin."""
    found = one({**said, "rehearsal": made_up})
    assert ("made up" in found.description) is made_up
    known = sum(is_known(row["n"]) for row in said["rows"])
    if found.kind in (Kind.BARS, Kind.HISTOGRAM, Kind.HEAT, Kind.SINGLE):
        tips = drawn.tips(drawn.read(found.svg))
        assert len(tips) == known or (len(tips) < known and "; the table has all" in found.description)
        assert all(" ± " in tip or (" to " in tip and "[" in tip) for tip in tips)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_text(text: str) -> None:
    """As a statistic, a key and a label: no element comes of it, no character turns what stands beside it."""
    said = release([f"k{text}"], [(f"c{text}", number(5)), ("other", number(6))])
    said["columns"][1]["name"] = f"s{text}"
    said["rows"] = [{f"k{text}": row[f"k{text}"], f"s{text}": row["n"]} for row in said["rows"]]
    found = one(said)
    for shown in (found.svg, found.narrow, found.title, found.description):
        assert not set(shown) & set("\0\x1b\u202e\u2066\u2028\ufffe")
        assert shown.count("\u2068") == shown.count("\u2069")
    assert len(found.title) < 250


def test_a_foreign_name_is_isolated() -> None:
    """A name in another direction is one unit within a sentence."""
    found = one(release(["code"], [("שלום", number(5)), ("b", number(6))]))
    assert "\u2068שלום\u2069: 5 ± 5" in found.description


def test_a_description_says_what_is_seen() -> None:
    """The least and the greatest number with their places, how many there are, what margins mean."""
    found = one(categories(30))
    assert found.title == "n by code"
    assert found.description.startswith("Bar chart. 30 numbers, from 971 ± 5 (code 29) to 1,000 ± 5 (code 0).")
    assert "with a confidence of 90%" in found.description


def test_drowned_numbers_are_hatched_and_said() -> None:
    """A margin of more than half of the value is seen and said, by the same rule as in an answer's notes."""
    found = one(release(["code"], [("a", number(100, 50)), ("b", number(100, 51)), ("c", number(0, 1))]))
    assert found.svg.count("url(#p-1-hatch-0)") == 2
    assert "In 2 of 3 numbers the margin is more than half" in found.caption
    firm = one(categories(3))
    assert "hatch" not in firm.svg
    assert "more than half" not in firm.description


def test_a_huge_margin_does_not_flatten_the_others() -> None:
    """It ends in an arrow at the edge of the chart; its number is whole in the title."""
    found = one(release(["code"], [("a", number(100, 5)), ("b", number(90, 5)), ("c", number(80, 10**9))]))
    assert "One margin reaches beyond the edge" in found.caption
    assert "c: 0 ± 1,000,000,080" in drawn.tips(drawn.read(found.svg)) or any(
        tip.startswith("c: ") for tip in drawn.tips(drawn.read(found.svg))
    )
    heights = [float(part.split('"')[0]) for part in found.svg.split(' height="')[1:]]
    assert max(heights) > 60


def test_many_categories_are_the_largest_ones() -> None:
    """Of 200 categories those with the largest numbers are rows, and the caption says how many are left out."""
    found = one(categories(200))
    tips = drawn.tips(drawn.read(found.svg))
    assert [tip.partition(":")[0] for tip in tips] == [f"code {place}" for place in range(ROWS_MAX)]
    assert f"the {ROWS_MAX} largest of 200 numbers" in found.caption
    assert (
        "of the largest groups"
        in one(release(["a", "b"], [(f"a{a}", f"b{b}", number(a * b)) for a in range(40) for b in range(40)])).caption
    )


def test_cells_without_a_number_are_said() -> None:
    """A number without an interval is not drawn: neither its bar, nor in the description."""
    rows = [("a", number(5)), ("b", {"value": 777, "low": None, "high": None}), ("c", number(6))]
    found = one(release(["code"], rows))
    assert "One cell has no number with a margin" in found.caption
    assert "777" not in found.svg + found.description


def test_an_answer_in_which_no_value_was_named() -> None:
    """A sentence stands in the place of the chart."""
    found = one(release(["code"], []))
    assert "no rows" in " ".join(drawn.words_of(drawn.read(found.svg)))
    assert chart.charts({"columns": [], "rows": []}) == ()
    drawn.assert_apart(drawn.read(chart.sheet({})))


def test_a_line_far_from_zero_says_where_its_axis_begins() -> None:
    """Bars always begin at zero; a line does where that takes little room, and otherwise says so."""
    far = one(release(["date"], [(month, number(1000 + place)) for place, month in enumerate(MONTHS)]))
    assert "not at zero" in far.caption
    near = one(release(["date"], [(month, number(10 + place)) for place, month in enumerate(MONTHS)]))
    assert "not at zero" not in near.caption
    assert "0" in drawn.words_of(drawn.read(near.svg))
    assert "begins at 10 ± 5 (2020-01) and ends at 21 ± 5 (2020-12)" in near.description


def test_ids_of_two_charts_differ() -> None:
    """Charts of one release, wide and narrow, can stand in one page."""
    said = categories(3, off=900)
    said["columns"].append({**said["columns"][1], "name": "m"})
    for row in said["rows"]:
        row["m"] = row["n"]
    page = "".join(found.svg + found.narrow for found in chart.charts(said, "x"))
    drawn.read(
        f'<svg role="img" aria-labelledby="a b" xmlns="http://www.w3.org/2000/svg"><title id="a">t</title><desc id="b">d</desc>{page}</svg>'
    )
    assert 'id="x-1-title"' in page
    assert 'id="x-2-n-hatch-0"' in page


def test_another_language_has_its_words_and_numbers() -> None:
    """Every sentence and mark of numbers can be exchanged."""
    said: list[str] = []

    def say(message: str, /, **values: str) -> str:
        said.append(message)
        return "mot " + " ".join(values.values())

    def count(single: str, several: str, number: int, /, **values: str) -> str:
        return f"{number} " + say(single if number == 1 else several, **values)

    french = Words(say, count, Marks("\u202f", ",", "à"))
    found = one(release(["code"], [("a", number(12345.5, 0.25)), (None, number(1000))]), french)
    assert "12\u202f345,50 ± 0,25" in found.svg
    assert "unknown" in said
    assert "Bar chart" not in found.svg


def test_a_file_brings_paper_and_ink() -> None:
    """A sheet has each chart with its caption and where it comes from; it is legible without a page around it."""
    svg = chart.sheet({**categories(3), "study": "flu", "dataset": "clinic", "edition": 2, "id": "abc"})
    root = drawn.read(svg)
    assert "Rowless, study flu, dataset clinic, edition 2, release abc" in drawn.words_of(root)
    assert root.get("color") == chart.DARK
    assert any(element.get("fill") == chart.PAPER for element in root)


def test_values_are_rounded_to_what_their_margins_support() -> None:
    """Two digits of the margin; what is written covers the interval."""
    for cell, text in (
        (Cell(123456, 111111, 135801), "123,000 ± 13,000"),
        (Cell(2961, 2955, 2967), "2,961 ± 6"),
        (Cell(0.72013, 0.71873, 0.72153), "0.7201 ± 0.0015"),
        (Cell(1963, 1940, 1970), "1,963 [1,940 to 1,970]"),
        (Cell(-3.5, -4.5, -2.5), "-3.5 ± 1.0"),
    ):
        assert words.value(words.ENGLISH, cell) == text
