from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.binding import keys
from queries.catalog.schema import EPOCH, Column, Kind, Table, frozen
from queries.errors import InvalidQuery
from queries.execution import passes
from queries.language import nodes
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
        passes._cells_by_edges(every, np.array(key.edges, dtype=np.int64), key.index(0), key.size, cell)
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


@pytest.mark.parametrize("part", nodes.PARTS)
def test_a_part_holds_the_days_of_the_calendar(part: str) -> None:
    """Every declared day falls into the cell of its part, all of them ascend, and none is without a day."""
    key = bound(nodes.ByPart("day", part))
    seen = set()
    for code in range(1, key.column.size + 1):
        day = EPOCH + dt.timedelta(days=code - 1 + key.column.low)
        says = {"quarter": (day.month + 2) // 3, "week": int(day.strftime("%V")), "weekday": int(day.strftime("%u"))}
        expected = says[part] if part in says else getattr(day, part)
        assert key.label(key.index(code)) == expected
        seen.add(expected)
    assert labels(key) == sorted(seen) == key.every_label()
    assert key.index(0) == -1


@given(st.dates(), st.integers(0, 900), st.sampled_from(nodes.PARTS))
def test_parts_by_table_and_by_definition_agree(first: dt.date, days: int, part: str) -> None:
    """Whatever the range of days, the table gives the cell of the plain definition, and null the last cell."""
    low = (first - EPOCH).days
    high = min(low + days, (dt.date.max - EPOCH).days)
    table = Table("t", frozen({"d": Column("d", Kind.DATE, nullable=True, low=low, high=high)}))
    key = bound(nodes.ByPart("d", part), table)
    looked_up = key.table()
    assert looked_up is not None
    assert looked_up.tolist() == [key.index(code) for code in range(key.column.size + 1)]
    assert set(looked_up.tolist()) == set(range(key.size))


@given(
    st.integers(-400, 400),
    st.integers(0, 400),
    st.integers(1, 300),
    st.integers(-300, 300),
    st.sampled_from(["1", "0.25", "5"]),
)
def test_bins_of_a_width_cover_the_bounds(low: int, more: int, width: int, origin: int, step: str) -> None:
    """Every value falls into the bin that begins at floor((value - origin) / width) * width + origin, exactly."""
    column = Column("c", Kind.NUMBER, low=low, high=low + more, step=Decimal(step))
    table = Table("t", frozen({"c": column}))
    key = bound(nodes.ByWidth("c", column.value(width), column.value(origin)), table)
    for code in range(1, column.size + 1):
        begins = (low + code - 1 - origin) // width * width + origin
        assert key.label(key.index(code)) == column.value(begins)
    assert {key.index(code) for code in range(1, column.size + 1)} == set(range(key.size))


def test_bins_of_days_are_called_by_their_first() -> None:
    """Weeks from a Monday on, before and after it; the calendar's first day is where no bin can begin earlier."""
    key = bound(nodes.ByWidth("day", 7, "2020-02-03"))
    assert labels(key)[:2] == ["2020-01-13", "2020-01-20"]
    assert [key.index(code) for code in (1, 5, 6)] == [0, 0, 1]
    first = Column("d", Kind.DATE, low=(dt.date.min - EPOCH).days, high=(dt.date(1, 1, 20) - EPOCH).days)
    assert labels(bound(nodes.ByWidth("d", 7, "0001-01-03"), Table("t", frozen({"d": first}))))[0] == "0001-01-01"


def test_weeks_are_those_of_iso_8601() -> None:
    """A period of a week begins with a Monday and has the year of its Thursday; a day is the date itself."""
    key = bound(nodes.ByPeriod("day", "week"))
    days = [EPOCH + dt.timedelta(days=code - 1 + key.column.low) for code in range(1, key.column.size + 1)]
    assert [key.label(key.index(code)) for code in range(1, key.column.size + 1)] == [
        day.strftime("%G-W%V") for day in days
    ]
    assert bound(nodes.ByPeriod("day", "day")) == bound(nodes.ByValue("day"))


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
        (nodes.ByPart("visits", "month"), f"{POINTER}/part"),
        (nodes.ByPart("nothing", "month"), f"{POINTER}/column"),
        (nodes.ByWidth("sex", 2), f"{POINTER}/width"),
        (nodes.ByWidth("visits", 0), f"{POINTER}/width"),
        (nodes.ByWidth("visits", 2.5), f"{POINTER}/width"),
        (nodes.ByWidth("balance", 0.1), f"{POINTER}/width"),
        (nodes.ByWidth("balance", 1, 0.1), f"{POINTER}/from"),
        (nodes.ByWidth("visits", 10**400), f"{POINTER}/width"),
        (nodes.ByWidth("visits", float("inf")), f"{POINTER}/width"),
        (nodes.ByWidth("visits", 2, -(10**400)), f"{POINTER}/from"),
        (nodes.ByWidth("visits", 2, "2020-01-01"), f"{POINTER}/from"),
        (nodes.ByWidth("wide", 1), f"{POINTER}/width"),
        (nodes.ByWidth("day", 7), POINTER),
        (nodes.ByWidth("day", 1.5, "2020-01-01"), f"{POINTER}/width"),
        (nodes.ByWidth("day", 7, "soon"), f"{POINTER}/from"),
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
