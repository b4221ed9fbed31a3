from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.catalog import codes
from queries.catalog.schema import Column, Kind
from queries.errors import InvalidQuery
from tests.queries.clinic import TABLE

LAST = 12
RANGES = st.lists(st.tuples(st.integers(0, LAST), st.integers(0, LAST)), max_size=6)


def members(ranges: codes.Ranges) -> set[int]:
    """Return every code in the ranges."""
    return {code for low, high in ranges for code in range(low, high + 1)}


def is_canonical(ranges: codes.Ranges) -> bool:
    """Say whether ranges ascend, hold something each, and leave a gap between each other."""
    ends = [end for pair in ranges for end in pair]
    return all(low <= high for low, high in ranges) and all(
        after > before + 1 for before, after in zip(ends[1::2], ends[2::2], strict=False)
    )


@given(RANGES)
def test_union_holds_exactly_what_some_range_holds(ranges: list[tuple[int, int]]) -> None:
    """Any ranges, reversed and overlapping ones too, become one canonical form of the same codes."""
    joined = codes.union(ranges)
    assert members(joined) == members(tuple(ranges))
    assert is_canonical(joined)


@given(RANGES, RANGES)
def test_intersection_holds_exactly_what_both_hold(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    """Codes of both sides and no others, in canonical form."""
    both = codes.intersection(codes.union(left), codes.union(right))
    assert members(both) == members(tuple(left)) & members(tuple(right))
    assert is_canonical(both)


@given(RANGES, st.integers(0, 3), st.integers(8, LAST + 3))
def test_complement_holds_exactly_the_rest(ranges: list[tuple[int, int]], low: int, high: int) -> None:
    """Codes from low to high that are in no range; twice is where it began."""
    rest = codes.complement(codes.union(ranges), low, high)
    assert members(rest) == set(range(low, high + 1)) - members(tuple(ranges))
    assert is_canonical(rest)
    assert members(codes.complement(rest, low, high)) == set(range(low, high + 1)) & members(tuple(ranges))


COST = Column("cost", Kind.NUMBER, low=-30, high=50, step=Decimal("0.1"))


@given(st.integers(-60, 90), st.sampled_from(["=", "<", "<=", ">", ">="]))
def test_comparisons_with_a_decimal_are_exact(tenths: int, op: str) -> None:
    """0.1, 0.2 and 0.3 mean themselves and not the nearest binary float, at every step and beyond the bounds."""
    literal = tenths / 10
    unit = codes.units_of(COST, literal, "")
    assert unit == tenths
    found = {
        "=": lambda: codes.equal(COST, literal, ""),
        "<": lambda: codes.between(COST, None, unit, high_open=True),
        "<=": lambda: codes.between(COST, None, unit),
        ">": lambda: codes.between(COST, unit, None, low_open=True),
        ">=": lambda: codes.between(COST, unit, None),
    }[op]()
    holds = {"=": int.__eq__, "<": int.__lt__, "<=": int.__le__, ">": int.__gt__, ">=": int.__ge__}[op]
    assert members(found) == {units + 31 for units in range(-30, 51) if holds(units, tenths)}


@given(st.fractions(-5, 15), st.fractions(-5, 15), st.booleans(), st.booleans())
def test_a_limit_between_two_steps_rounds_to_the_inside(
    low: Fraction, high: Fraction, low_open: bool, high_open: bool
) -> None:
    """Whole visits between any two limits are the codes whose visits lie between them."""
    column = TABLE.columns["visits"]
    found = codes.between(column, low, high, low_open=low_open, high_open=high_open)
    inside = {
        visits + 1
        for visits in range(10)
        if (low < visits if low_open else low <= visits) and (visits < high if high_open else visits <= high)
    }
    assert members(found) == inside


@pytest.mark.parametrize(
    ("column", "literal", "code"),
    [
        ("visits", 0, 1),
        ("visits", 9.0, 10),
        ("visits", 2.5, None),
        ("visits", 10, None),
        ("visits", -1, None),
        ("balance", 0.25, 402),
        ("balance", 0.3, None),
        ("balance", 10**400, None),
        ("urgent", True, 2),
        ("urgent", False, 1),
        ("sex", "male", 2),
        ("day", "2020-01-15", 1),
        ("day", "2020-01-14", None),
        ("day", "2021-03-10", 421),
    ],
)
def test_a_literal_is_the_code_of_its_value_or_of_none(column: str, literal: float | str, code: int | None) -> None:
    """A value that is declared has one code; one between steps or out of bounds has none and is no error."""
    found = codes.equal(TABLE.columns[column], literal, "")
    assert found == (() if code is None else ((code, code),))
    if code is not None:
        assert TABLE.columns[column].label(code) == literal


@pytest.mark.parametrize(
    ("column", "literal"),
    [
        ("visits", "3"),
        ("visits", True),
        ("visits", float("nan")),
        ("balance", float("inf")),
        ("day", "soon"),
        ("day", "2021-02-29"),
        ("day", True),
        ("urgent", 1),
        ("urgent", "true"),
        ("sex", "femal"),
        ("sex", 1),
    ],
)
def test_a_literal_of_another_type_is_refused_with_its_place(column: str, literal: float | str) -> None:
    """What a column cannot hold is an invalid query, at the pointer that was given."""
    with pytest.raises(InvalidQuery) as refused:
        codes.units_of(TABLE.columns[column], literal, "/query/where/value")
    assert refused.value.pointer == "/query/where/value"


def test_a_misspelled_name_is_answered_with_the_nearest() -> None:
    """The hint names the nearest known word, or the first few."""
    assert codes.nearest("femal", ["female", "male"]) == "; did you mean female?"
    assert codes.nearest("xyz", [f"c{i}" for i in range(10)]) == "; there are c0, c1, c2, c3, c4, c5, c6, c7 ..."
    assert codes.nearest("x" * 10**6, ["female"]) == "; there are female"
