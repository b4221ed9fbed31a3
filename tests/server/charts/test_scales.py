from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from server.charts import scales
from server.views.numbers import EXACT, exact, with_interval
from server.views.table import Cell

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**299), 10**299) | st.integers(-99, 99)


@given(NUMBERS, NUMBERS, st.integers(1, 9))
def test_ticks_are_nice_numbers_and_few(one: float, other: float, wanted: int) -> None:
    """They are multiples of 1, 2 or 5 times a power of ten, on the axis, which holds the whole range."""
    low, high = sorted((exact(one), exact(other)))
    scale = scales.nice(low, high, 100.0, 0.0, wanted)
    assert scale.low <= low
    assert scale.high >= high
    assert EXACT.normalize(scale.step).as_tuple().digits in ((1,), (2,), (5,))
    ticks = scale.ticks
    assert ticks
    assert len(ticks) <= wanted + 2
    assert all(EXACT.remainder(tick, scale.step) == 0 for tick in ticks)
    places = [scale.at(tick) for tick in ticks]
    assert places == sorted(places, reverse=True)
    assert all(0 <= place <= 100 for place in places)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=6), st.booleans())
def test_an_axis_holds_every_value(numbers: list[tuple[float, float, float]], zero: bool) -> None:
    """Whatever the margins are, and zero if it is asked for."""
    cells = [Cell(value, low, high) for value, low, high in numbers]
    low, high = scales.reach(cells, zero=zero)
    for cell in cells:
        assert cell.value is not None
        assert low <= exact(cell.value) <= high
    assert not zero or low <= 0 <= high


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_what_is_written_covers_the_interval(value: int, below: int, above: int) -> None:
    """A whole number is rounded to what its margin supports, and the written range holds the whole interval."""
    text = with_interval(Cell(value, value - below, value + above), whole=False)
    assert text is not None
    if " ± " in text:
        middle, off = (Decimal(part.replace(",", "")) for part in text.split(" ± "))
        low, high = middle - off, middle + off
    else:
        low, high = (Decimal(part.replace(",", "")) for part in text.partition("[")[2].rstrip("]").split(" to "))
    assert low <= value - below
    assert high >= value + above
