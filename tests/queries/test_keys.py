from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries import bounding, keys, nodes
from queries.catalog import EPOCH, Column, Kind, Table, frozen
from queries.errors import InvalidQuery
from tests.queries.clinic import TABLE, planned

POINTER = "/query/group_by/0"


def bound(key: nodes.Key, table: Table = TABLE) -> keys.CellKey:
    """Bind a key."""
    return keys.bind(key, table, POINTER)


def labels(key: keys.CellKey) -> list[keys.Label]:
    """Return the names of all cells."""
    return [key.label(index) for index in range(key.size)]


@given(st.lists(st.integers(-450, 1100), min_size=2, max_size=8, unique=True))
def test_a_bin_holds_what_lies_between_its_edges(quarters: list[int]) -> None:
    """Every value falls into the one bin [left, right) around it; what lies outside all falls into none."""
    edges = sorted(quarter / 4 + 0.1 * (quarter % 2) for quarter in quarters)
    key = bound(nodes.ByBins("balance", tuple(edges)))
    for code in range(1, key.column.size + 1):
        value = (code - 401) / 4
        inside = [place for place in range(len(edges) - 1) if edges[place] <= value < edges[place + 1]]
        assert key.index(code) == (inside[0] if inside else -1)


@given(st.lists(st.integers(-12, 25), min_size=2, max_size=6, unique=True), st.booleans(), st.integers(0, 2))
def test_table_edges_and_definition_agree(edges: list[int], nullable: bool, kind: int) -> None:
    """The kernel's look-up table and its search give the cell of the plain definition, for every code."""
    column = Column("c", Kind.INTEGER, nullable=nullable, low=-5, high=14)
    table = Table("t", frozen({"c": column}))
    key = bound(nodes.ByValue("c") if kind == 0 else nodes.ByBins("c", tuple(sorted(edges))), table)
    every = np.arange(column.size + 1, dtype=np.uint8)
    expected = [key.index(code) for code in range(column.size + 1)]
    looked_up = key.table()
    assert looked_up is not None
    assert looked_up.tolist() == expected
    if key.edges is not None:
        cell = np.zeros(len(every), dtype=np.int32)
        bounding._cells_by_edges(every, np.array(key.edges, dtype=np.int64), key.index(0), key.size, cell)
        assert cell.tolist() == expected


@pytest.mark.parametrize("period", ["year", "quarter", "month"])
def test_a_period_holds_the_days_of_the_calendar(period: str) -> None:
    """Every declared day falls into the year, quarter or month that the calendar says, and each has a day."""
    key = bound(nodes.ByPeriod("day", period))
    seen = []
    for code in range(1, key.column.size + 1):
        day = EPOCH + dt.timedelta(days=code - 1 + key.column.low)
        name = {
            "year": f"{day.year}",
            "quarter": f"{day.year}-Q{(day.month + 2) // 3}",
            "month": f"{day.year}-{day.month:02}",
        }[period]
        assert key.label(key.index(code)) == name
        seen.append(name)
    assert labels(key) == list(dict.fromkeys(seen))


@given(st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 1)), st.integers(1, 900))
def test_periods_of_any_range_of_days_cover_it(first: dt.date, days: int) -> None:
    """Whatever the declared range of days, before 1970 too, every day has a cell and no cell is without a day."""
    low = (first - EPOCH).days
    high = min(low + days, (dt.date.max - EPOCH).days)
    table = Table("t", frozen({"d": Column("d", Kind.DATE, low=low, high=high)}))
    for period in nodes.PERIODS:
        key = bound(nodes.ByPeriod("d", period), table)
        assert {key.index(code) for code in range(1, key.column.size + 1)} == set(range(key.size))


def test_null_has_a_cell_only_where_it_was_declared() -> None:
    """The cell of null stands last and is called None; without it a null belongs to no cell."""
    region, unit = bound(nodes.ByValue("region")), bound(nodes.ByValue("unit"))
    assert labels(region) == ["north", "east", "south", None]
    assert region.index(0) == 3
    assert labels(unit) == ["A", "B", "C", "D"]
    assert unit.index(0) == -1
    binned = bound(nodes.ByBins("balance", (0, 1)))
    assert (labels(binned), binned.index(0)) == (["[0, 1)", None], 1)


def test_the_cells_do_not_depend_on_data() -> None:
    """Bins beyond the bounds are listed too, and hold nothing."""
    key = bound(nodes.ByBins("visits", (-20, -10, 0, 5, 100, 200)))
    assert labels(key) == ["[-20, -10)", "[-10, 0)", "[0, 5)", "[5, 100)", "[100, 200)"]
    assert {key.index(code) for code in range(1, 11)} == {2, 3}


def test_keys_are_named_after_their_column_or_as_asked() -> None:
    """The name in the answer is the column's unless "as" says another."""
    assert bound(nodes.ByValue("sex")).name == "sex"
    assert bound(nodes.ByValue("sex", "gender")).name == "gender"
    assert bound(nodes.ByPeriod("day", "year", "in")).name == "in"


def test_another_spelling_of_the_same_edges_makes_the_same_key() -> None:
    """18 and 18.0 are one edge: the cells and their names are the same. A date has one spelling only."""
    assert bound(nodes.ByBins("visits", (0, 5))) == bound(nodes.ByBins("visits", (0.0, 5.0)))
    for spelling in ("20200201", "2020-W09-7", " 2020-02-01"):
        with pytest.raises(InvalidQuery):
            bound(nodes.ByBins("day", (spelling, "2020-03-01")))


@pytest.mark.parametrize(
    ("key", "pointer"),
    [
        (nodes.ByValue("nothing"), POINTER),
        (nodes.ByValue("diagnosis"), POINTER),
        (nodes.ByBins("nothing", (0, 1)), f"{POINTER}/column"),
        (nodes.ByPeriod("nothing", "year"), f"{POINTER}/column"),
        (nodes.ByPeriod("visits", "year"), f"{POINTER}/period"),
        (nodes.ByBins("sex", ("female", "male")), f"{POINTER}/bins"),
        (nodes.ByBins("urgent", (False, True)), f"{POINTER}/bins"),
        (nodes.ByBins("diagnosis", ("a", "b")), f"{POINTER}/bins"),
        (nodes.ByBins("visits", (1,)), f"{POINTER}/bins"),
        (nodes.ByBins("visits", tuple(range(keys.EDGES_MAX + 1))), f"{POINTER}/bins"),
        (nodes.ByBins("visits", (0, 2, 1)), f"{POINTER}/bins/2"),
        (nodes.ByBins("visits", (0, 2, 2.0)), f"{POINTER}/bins/2"),
        (nodes.ByBins("visits", (0, "2")), f"{POINTER}/bins/1"),
        (nodes.ByBins("visits", (0, True)), f"{POINTER}/bins/1"),
        (nodes.ByBins("visits", (float("nan"), 1)), f"{POINTER}/bins/0"),
        (nodes.ByBins("day", ("2020-01-01", "soon")), f"{POINTER}/bins/1"),
    ],
)
def test_a_key_that_cannot_be_is_refused_with_its_place(key: nodes.Key, pointer: str) -> None:
    """Unknown columns, undeclared values, wrong types and edges out of order name where they stand."""
    with pytest.raises(InvalidQuery) as refused:
        bound(key)
    assert refused.value.pointer == pointer


def test_cells_are_in_the_order_of_the_keys() -> None:
    """The last key varies fastest, in the kernel and in the answer alike."""
    plan = planned(nodes.ByValue("sex"), nodes.ByValue("region"), n=nodes.Count("events"))
    assert [key.size for key in plan.keys] == [2, 4]
    assert plan.cells == 8


@pytest.mark.parametrize(
    ("column", "width", "begins"),
    [
        ("visits", 5, [0, 5]),
        ("visits", 4.0, [0, 4, 8]),
        ("visits", 100, [0]),
        ("balance", 100, [-100, 0, 100, 200]),
        ("balance", 112.5, [-112.5, 0, 112.5, 225]),
    ],
)
def test_bins_of_a_width_begin_at_its_multiples(column: str, width: float, begins: list[float]) -> None:
    """They cover the declared bounds, and each code lies in the bin that its value divided by the width says."""
    key = bound(nodes.ByWidth(column, width))
    declared = TABLE.columns[column]
    assert key.every_label()[: key.values] == begins
    table = key.table()
    assert table is not None
    for code in range(1, declared.size + 1):
        index = key.index(code)
        assert table[code] == index
        assert key.label(index) == float(declared.label(code)) // width * width


@pytest.mark.parametrize("part", nodes.PARTS)
def test_parts_of_a_date_gather_over_the_years(part: str) -> None:
    """Each day falls to its part, and the parts that the bounds hold are listed in order."""
    key = bound(nodes.ByPart("day", part))
    table = key.table()
    assert table is not None
    seen = set()
    for code in range(1, TABLE.columns["day"].size + 1):
        date = dt.date.fromisoformat(str(TABLE.columns["day"].label(code)))
        week, weekday = date.isocalendar()[1:]
        wanted = {
            "year": date.year,
            "quarter": (date.month - 1) // 3 + 1,
            "month": date.month,
            "week": week,
            "weekday": weekday,
            "day": date.day,
        }[part]
        assert key.label(key.index(code)) == wanted
        assert table[code] == key.index(code)
        seen.add(wanted)
    assert key.every_label()[: key.values] == sorted(seen)


@pytest.mark.parametrize(
    ("key", "place", "words"),
    [
        (nodes.ByWidth("sex", 2), "width", "numbers"),
        (nodes.ByWidth("day", 7), "width", "numbers"),
        (nodes.ByWidth("visits", 0.5), "width", "multiple"),
        (nodes.ByWidth("wide", 1), "width", "bins"),
        (nodes.ByPart("visits", "month"), "part", "not a date"),
    ],
)
def test_a_width_or_part_that_cannot_be_is_refused(key: nodes.Key, place: str, words: str) -> None:
    """A width is a multiple of the step and makes not too many bins; a part is of a date."""
    with pytest.raises(InvalidQuery, match=words) as refused:
        bound(key)
    assert refused.value.pointer == f"{POINTER}/{place}"
