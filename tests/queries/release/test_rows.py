"""Rows by column are the same rows, and their text is the same text, byte for byte."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets.ledger import bodies
from budgets.verify import canonical_json
from queries.release import postprocessing
from queries.release.rows import Labels, Rows
from queries.statistics.parts.numbers import Numbers, written
from server import app

NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=5)
LABELS = st.one_of(
    st.lists(NAMES, min_size=1, max_size=4),
    st.lists(st.integers(), min_size=1, max_size=4),
    st.lists(st.floats(), min_size=1, max_size=4),
    st.lists(st.one_of(st.booleans(), st.none()), min_size=1, max_size=3),
)
NUMBERS = st.one_of(st.integers(-100, 100), st.integers(), st.floats(), st.floats(1e-4, 1e16, exclude_max=True))
FINITE = st.one_of(st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=False, width=64))


@st.composite
def tables(draw: Any) -> Rows:
    """Return rows of two keys and two statistics, one of them perhaps not by column."""
    first, last = draw(LABELS), draw(LABELS)
    cells = len(first) * len(last)
    names = draw(st.lists(NAMES, min_size=4, max_size=4, unique=True))
    numbers = [[draw(st.lists(NUMBERS, min_size=cells, max_size=cells)) for _ in range(3)] for _ in range(2)]
    plain = Numbers(*numbers[0])
    value, low, high = numbers[1]
    other = Numbers(value, low, high, draw(st.sampled_from([None, "unknown"])))
    keys = [Labels(first, len(last), 1), Labels(last, 1, len(first))]
    columns = [*keys, plain, list(other) if draw(st.booleans()) else other]
    return Rows(dict(zip(names, draw(st.permutations(columns)), strict=True)))


@given(tables())
def test_text_is_that_of_the_dictionaries(rows: Rows) -> None:
    """Whatever a column has, its text is what Python and orjson make of the dictionaries, or there is none."""
    made = list(rows)
    for sort in (False, True):
        text = rows.written(sort=sort)
        if text is not None:
            encoder = json.JSONEncoder(sort_keys=sort, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
            assert text == encoder.encode(made).encode()
            assert text == orjson.dumps(made, option=orjson.OPT_SORT_KEYS if sort else 0)


@given(tables())
def test_bodies_are_hashed_and_stored_as_before(rows: Rows) -> None:
    """A body has the hash of its canonical JSON and is read back as it was; what has no JSON raises as it did."""
    body, plain = {"z": [1.5, "é"], "rows": rows, "a": None}, {"z": [1.5, "é"], "rows": list(rows), "a": None}
    try:
        expected = canonical_json.sha256(plain)
    except ValueError:  # NaN, infinities
        for way in (bodies.sha256, bodies.stored):
            with pytest.raises(ValueError, match="not JSON compliant"):
                way(body)
        return
    assert bodies.sha256(body) == bodies.sha256(plain) == expected
    assert json.loads(bodies.stored(body)) == plain
    assert list(json.loads(bodies.stored(body))) == list(body)


@given(st.lists(FINITE, max_size=20))
def test_numbers_are_written_as_python_writes_them(numbers: list[float]) -> None:
    """Each number has the text that Python gives it; for some floats orjson has another, and then there is none."""
    texts = written(numbers)
    if texts is not None:
        assert texts == [repr(number).encode() for number in numbers]


@pytest.mark.parametrize("number", [1e-5, -1e-7, 1e16, 1.5e300, math.nan, math.inf, 2**64, -(2**63) - 1])
def test_what_is_written_in_two_ways_is_left_to_dictionaries(number: float) -> None:
    """Small and large floats have two spellings, and other numbers no JSON that every reader knows."""
    assert written([1, number]) is None


def test_usual_numbers_are_written_by_column() -> None:
    """Counts, and sums in cents, need no dictionaries; nor do they with a mark that what was cut off is unknown."""
    counts = Rows({"sex": Labels(["f", "m", None], 1, 1), "n": Numbers([1, -2, 3], [0, -3, 2], [2, -1, 4])})
    text = b'[{"sex":"f","n":{"value":1,"low":0,"high":2}},{"sex":"m","n":{"value":-2,"low":-3,"high":-1}},'
    assert counts.written() == text + b'{"sex":null,"n":{"value":3,"low":2,"high":4}}]'
    sums = Rows({"s": Numbers([0.25, 1e6, 7], [-0.0, 0.0001, 6], [123456789.01, 2.5, 8])}).marked(["s"], "unknown")
    assert sums.written() == json.dumps(list(sums), separators=(",", ":")).encode()
    assert [row["s"]["truncation"] for row in sums] == ["unknown"] * 3
    assert app.written({"rows": sums}) == orjson.dumps({"rows": list(sums)})


def test_more_rows_than_are_put_together_at_once() -> None:
    """The text of many rows, which is made in parts, is that of all of them."""
    size = 4_001
    rows = Rows({"k": Labels([f"k{number}" for number in range(size)], 1, 1), "n": Numbers(*[list(range(size))] * 3)})
    assert rows.written(sort=True) == orjson.dumps(list(rows), option=orjson.OPT_SORT_KEYS)


def test_rows_are_a_sequence_of_dictionaries() -> None:
    """Rows are found by their place, in slices, from the end and one after the other, as in a list."""
    first, last = ["a", "b"], [1, 2, 3]
    rows = Rows({"x": Labels(first, 3, 1), "y": Labels(last, 1, 2), "n": Numbers(range(6), range(6), range(6))})
    made = list(rows)
    assert [(row["x"], row["y"]) for row in made] == list(itertools.product(first, last))
    assert [rows[place] for place in range(-6, 6)] == [made[place] for place in range(-6, 6)]
    assert rows[1:5:2] == made[1:5:2]
    assert rows == made
    assert len(rows) == 6


@given(st.lists(st.tuples(*[st.one_of(FINITE, st.integers(-50, 50))] * 3), min_size=1, max_size=30))
def test_what_drowns_is_counted_alike(cells: list[tuple[float, float, float]]) -> None:
    """By column as many numbers drown as one by one."""
    value, low, high = map(list, zip(*cells, strict=True))
    rows = Rows({"n": Numbers(value, low, high)})
    assert postprocessing.warnings(["n"], rows) == postprocessing.warnings(["n"], list(rows))
